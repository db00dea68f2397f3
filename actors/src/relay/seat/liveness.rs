//! Whether a session's client is still there, and how long it may stay: what it was heard of and
//! asked, what its socket takes, when its token ends.
//!
//! Nothing here reads a clock or closes anything: once a second [`Liveness::look`] is told the time
//! and says what is to be done.

use std::cell::Cell;

use greenroom_protocol::close::CloseCode;

use crate::clock::{Millis, Mono, Now};
use crate::outbox::Outbox;

/// For how many write timeouts at most a socket is ahead when it has taken much at once.
const AHEAD: u64 = 4;

/// How long things may take, in ms.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Silence after which a client is pinged.
    pub ping_interval: u64,
    /// Silence after which it is gone.
    pub idle_timeout: u64,
    /// How long its socket may take too little.
    pub write_timeout: u64,
    /// How many bytes are enough, if as many wait.
    pub write_min_bytes: usize,
}

/// See the module's head.
#[derive(Debug)]
pub struct Liveness {
    /// When its client last sent anything.
    heard: Cell<Mono>,
    /// Until when its client is known to have been busy reading: silence counts from then.
    busy: Cell<Mono>,
    /// When it was last pinged.
    pinged: Cell<Mono>,
    /// From when its socket owes progress; in the future if it is ahead.
    owes_from: Cell<Mono>,
    /// Nothing waited for the socket at some time since the last look.
    drained: Cell<bool>,
    /// Bytes that the socket has taken and that are not counted yet.
    taken: Cell<usize>,
    /// The number of the next probe: a ping whose answer shows that its client has read what came
    /// before it.
    probe: Cell<u32>,
    /// That one is to be sent.
    probing: Cell<bool>,
    /// By when it must have connected; `Mono::NEVER` once it has.
    connect_by: Cell<Mono>,
    /// When its identity expires; `Millis::MAX` for never or not yet known.
    expires: Cell<Millis>,
    /// When to warn its client of that; `Millis::MAX` for never, or once it was.
    warn_at: Cell<Millis>,
}

/// What a look finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The connection has to end.
    Close(CloseCode),
    /// It goes on.
    Keep(Due),
}

/// What is to be sent to a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Due {
    /// A ping, since nothing was heard for a while.
    pub ping: bool,
    /// The probe with this number.
    pub probe: Option<u32>,
    /// That its token ends in this number of ms.
    pub expiry: Option<Millis>,
}

impl Liveness {
    /// Of a client that has just come, and must connect by `connect_by`.
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
            expires: Cell::new(Millis::MAX),
            warn_at: Cell::new(Millis::MAX),
        }
    }

    /// Its client has sent something.
    pub fn heard(&self, now: Mono) {
        self.heard.set(now);
    }

    /// The socket has taken `bytes`.
    pub fn took(&self, bytes: usize) {
        self.taken.set(self.taken.get() + bytes);
    }

    /// There is nothing that the socket could take.
    pub fn drained(&self) {
        self.drained.set(true);
    }

    /// Its client has connected with an identity that expires then, if ever. The client is warned
    /// `warning` ms before, but not within the first third of the time.
    pub fn connected(&self, expires: Option<Millis>, warning: u64, now: Millis) {
        self.connect_by.set(Mono::NEVER);
        let expires = expires.unwrap_or(Millis::MAX);
        // A token that ends when the last one did is the same, or no better: its client was warned.
        if self.expires.replace(expires) == expires {
            return;
        }
        let lifetime = expires.saturating_sub(now);
        let warn_after = (lifetime / 3).max(lifetime.saturating_sub(warning));
        self.warn_at.set(if expires == Millis::MAX {
            Millis::MAX
        } else {
            now.saturating_add(warn_after)
        });
    }

    /// Whether its identity has expired.
    pub fn is_expired(&self, now: Millis) -> bool {
        now >= self.expires.get()
    }

    /// The next probe, which will be sent within a second.
    pub fn next_probe(&self) -> u32 {
        self.probing.set(true);
        self.probe.get()
    }

    /// The number of the probe to send, if one is wanted.
    pub(crate) fn take_probe(&self) -> Option<u32> {
        let number = self.probing.replace(false).then(|| self.probe.get())?;
        self.probe.set(number + 1);
        Some(number)
    }

    /// Whether it was sent this probe.
    pub fn was_sent(&self, probe: u32) -> bool {
        probe < self.probe.get()
    }

    /// What is to be done for a client, by its `outbox` and whether its requests are read. To be
    /// asked once a second.
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
            // It does not read slowly: its system is not there any more.
            return Verdict::Close(CloseCode::SlowConsumer);
        }
        if !is_read {
            // Its pongs may wait with whatever else it has sent.
            self.busy.set(self.busy.get().max(mono));
        }
        // A ping is answered when what was sent before it has been read.
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

    /// In how many ms its token ends, if it is time to warn of that. Once for each token.
    fn expiry_to_tell(&self, wall: Millis) -> Option<Millis> {
        if wall < self.warn_at.get() {
            return None;
        }
        self.warn_at.set(Millis::MAX);
        Some(self.expires.get().saturating_sub(wall))
    }

    /// For how long, in ms, its socket has not taken its due of what is `waiting`: `due` bytes in
    /// each `timeout`. What it takes beyond that counts for up to [`AHEAD`] timeouts, since systems
    /// pass on only in large steps what their programs read slowly. Of what was taken while nothing
    /// had to wait only the last second counts: the system may hold a burst, but it has passed on
    /// what came before.
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
            // By then it will have read what the systems hold.
            self.busy.set(now.max(since));
        }
        now.since(since)
    }
}

#[cfg(test)]
impl Liveness {
    /// By when it must have connected, when its identity expires, and when it is warned of that.
    pub fn times(&self) -> (Mono, Millis, Millis) {
        (self.connect_by.get(), self.expires.get(), self.warn_at.get())
    }
}
