//! Whether a session's client is still connected, and how long it may stay: when it last sent
//! something, what it was sent, what its socket takes, and when its token expires.
//!
//! Nothing here reads a clock or closes a connection: [`Liveness::look`] gets the time once a
//! second and returns what to do.

use std::cell::Cell;

use greenroom_protocol::close::CloseCode;

use crate::clock::{Millis, Mono, Now};
use crate::outbox::Outbox;

/// The number of write timeouts that a socket can earn in advance by taking a lot at once.
const AHEAD: u64 = 4;

/// Durations are in ms.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// The silence after which a client is pinged.
    pub ping_interval: u64,
    /// The silence after which a client counts as disconnected.
    pub idle_timeout: u64,
    /// How long a socket may take too little.
    pub write_timeout: u64,
    /// The number of bytes that a socket has to take in each `write_timeout`.
    pub write_min_bytes: usize,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Liveness {
    /// When the client last sent anything.
    heard: Cell<Mono>,
    /// Until when the client is known to be busy reading; silence counts from then.
    busy: Cell<Mono>,
    pinged: Cell<Mono>,
    /// From when on the socket has to make progress; in the future if it is ahead.
    owes_from: Cell<Mono>,
    /// Whether the outbox was empty at some time since the last look.
    drained: Cell<bool>,
    /// The number of bytes that the socket has taken and that are not counted yet.
    taken: Cell<usize>,
    /// The number of the next probe: a ping whose answer shows that the client has read everything
    /// sent before it.
    probe: Cell<u32>,
    /// Whether a probe is to be sent.
    probing: Cell<bool>,
    /// The deadline for `connect`; `Mono::NEVER` once the client has connected.
    connect_by: Cell<Mono>,
    /// When the identity expires; `None` for never or not yet known.
    expires: Cell<Option<Millis>>,
    /// When to warn the client of the expiry; `None` for never, or after the warning.
    warn_at: Cell<Option<Millis>>,
}

/// The result of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The connection must be closed.
    Close(CloseCode),
    /// The connection stays open.
    Keep(Due),
}

/// What must be sent to a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Due {
    /// A ping, because the client was silent.
    pub ping: bool,
    /// The probe with this number.
    pub probe: Option<u32>,
    /// The warning that its token expires in this many ms.
    pub expiry: Option<Millis>,
}

impl Liveness {
    /// For a client that has opened its connection now, and must `connect` before `connect_by`.
    pub fn new(now: Mono, connect_by: Mono) -> Self {
        Self {
            heard: Cell::new(now),
            busy: Cell::new(now),
            pinged: Cell::new(now),
            owes_from: Cell::new(now),
            drained: Cell::new(true),
            taken: Cell::new(0),
            probe: Cell::new(1),
            probing: Cell::new(false),
            connect_by: Cell::new(connect_by),
            expires: Cell::new(None),
            warn_at: Cell::new(None),
        }
    }

    /// Records that the client has sent something.
    pub fn heard(&self, now: Mono) {
        self.heard.set(now);
    }

    /// Records that the socket has taken `bytes`.
    pub fn took(&self, bytes: usize) {
        self.taken.set(self.taken.get() + bytes);
    }

    /// Records that the outbox is empty.
    pub fn drained(&self) {
        self.drained.set(true);
    }

    /// Records that the client has connected with an identity that may expire. It will be warned
    /// `warning` ms before, but not in the first third of the token's lifetime.
    pub fn connected(&self, expires: Option<Millis>, warning: u64, now: Millis) {
        self.connect_by.set(Mono::NEVER);
        // A token with the same expiry needs no second warning.
        if self.expires.replace(expires) == expires {
            return;
        }
        self.warn_at.set(expires.map(|expires| {
            let lifetime = expires.saturating_sub(now);
            now.saturating_add((lifetime / 3).max(lifetime.saturating_sub(warning)))
        }));
    }

    /// Whether the identity has expired.
    pub fn is_expired(&self, now: Millis) -> bool {
        self.expires.get().is_some_and(|expires| now >= expires)
    }

    /// Requests a probe, which will be sent within a second. Returns its number.
    pub fn next_probe(&self) -> u32 {
        self.probing.set(true);
        self.probe.get()
    }

    /// The number of the probe to send, if one was requested.
    pub(crate) fn take_probe(&self) -> Option<u32> {
        let number = self.probing.replace(false).then(|| self.probe.get())?;
        self.probe.set(number + 1);
        Some(number)
    }

    /// Whether this probe was sent.
    pub fn was_sent(&self, probe: u32) -> bool {
        probe < self.probe.get()
    }

    /// Decides what to do for the client, given its `outbox` and whether its requests are read. To
    /// be called once a second.
    pub fn look(&self, outbox: &Outbox, is_read: bool, now: Now, deadlines: Deadlines) -> Verdict {
        let Now { wall, mono } = now;
        if mono >= self.connect_by.get() {
            return Verdict::Close(CloseCode::ConnectTimeout);
        }
        if self.is_expired(wall) {
            return Verdict::Close(CloseCode::TokenExpired);
        }
        let waiting = outbox.is_waiting();
        let behind = self.behind(mono, waiting, deadlines.write_min_bytes, deadlines.write_timeout);
        if behind >= deadlines.write_timeout {
            return Verdict::Close(CloseCode::SlowConsumer);
        }
        if waiting && outbox.unanswered_ms() >= deadlines.write_timeout {
            // This is not a slow reader: the peer's system no longer answers.
            return Verdict::Close(CloseCode::SlowConsumer);
        }
        if !is_read {
            // Its pongs may be waiting among its other messages.
            self.busy.set(self.busy.get().max(mono));
        }
        // A ping is only answered when everything sent before it has been read.
        if mono.since(self.heard.get().max(self.busy.get())) >= deadlines.idle_timeout {
            return Verdict::Close(CloseCode::PingTimeout);
        }
        let ping = mono.since(self.heard.get().max(self.pinged.get())) >= deadlines.ping_interval;
        if ping {
            self.pinged.set(mono);
        }
        let probe = self.take_probe();
        Verdict::Keep(Due { ping, probe, expiry: self.expiry_to_tell(wall) })
    }

    /// The ms until the token expires, if it is time for the warning. Returned once for each token.
    fn expiry_to_tell(&self, wall: Millis) -> Option<Millis> {
        self.warn_at.get().filter(|warn_at| wall >= *warn_at)?;
        self.warn_at.set(None);
        Some(self.expires.get()?.saturating_sub(wall))
    }

    /// For how long, in ms, the socket has taken less than it has to while bytes are `waiting`:
    /// `due` bytes in each `timeout`. Anything beyond that counts for up to [`AHEAD`] timeouts,
    /// since operating systems pass data on in large steps to programs that read slowly. Of what
    /// was taken while nothing was waiting, only the last second counts: the system may still
    /// buffer a burst, but has passed on what came before.
    fn behind(&self, now: Mono, waiting: bool, due: usize, timeout: u64) -> u64 {
        let due = due.max(1);
        let taken = self.taken.get();
        let owes = waiting && !self.drained.replace(false);
        let earned = timeout.saturating_mul((taken / due) as u64);
        let since = if owes {
            self.taken.set(taken % due);
            self.owes_from.get().after(earned)
        } else {
            self.taken.set(0);
            self.owes_from.get().max(now.after(earned))
        };
        let since = since.min(now.after(timeout.saturating_mul(AHEAD)));
        self.owes_from.set(since);
        if waiting {
            // By then the client will have read what the operating systems buffer.
            self.busy.set(now.max(since));
        }
        now.since(since)
    }
}

#[cfg(test)]
impl Liveness {
    /// The deadline for `connect`, the expiry of the identity, and the time of the warning.
    pub fn times(&self) -> (Mono, Option<Millis>, Option<Millis>) {
        (self.connect_by.get(), self.expires.get(), self.warn_at.get())
    }
}
