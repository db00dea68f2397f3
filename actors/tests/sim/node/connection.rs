//! The node's end of a socket.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use greenroom_actors::capability::{Capabilities, Permissions};
use greenroom_actors::clock;
use greenroom_actors::identity::Identity;
use greenroom_actors::relay::Seat;
use greenroom_actors::session::{Authenticate, Deadlines, Session};
use greenroom_protocol::{CodecKind, ErrorCode, WireError};

use super::Node;
use crate::bugs::Bug;
use crate::clock::Now;
use crate::net::Wire;
use crate::sizes::ample;

/// The frame of a ping: an empty message, as is a pong.
pub const PING: &[u8] = &[0; 4];
/// Except for pings, no run is long enough to reach these.
pub const DEADLINES: Deadlines = Deadlines {
    ping_interval: 1000,
    idle_timeout: 300_000,
    write_timeout: 300_000,
    write_min_bytes: 1,
};

pub struct Connection {
    pub client: usize,
    session: Session,
    pub seat: Rc<Seat>,
    pub worker: usize,
    pub wire: Wire,
    /// When the token expires.
    expires: Option<u64>,
    /// Whether it was swept after that.
    expired: bool,
}

impl Drop for Connection {
    /// The client will find the connection closed.
    fn drop(&mut self) {
        let code = self.seat.outbox.closing().filter(|_| self.seat.outbox.bytes() == 0);
        self.wire.borrow_mut().server_gone = Some(code);
    }
}

impl Connection {
    pub(super) fn can_receive(&self) -> bool {
        self.wire.borrow().has_request()
            && !self.seat.outbox.is_full()
            && self.seat.outbox.closing().is_none()
    }

    pub(super) fn can_pump(&self, link: usize) -> bool {
        self.seat.outbox.bytes() > 0
            && self.seat.membership.connecting.borrow().is_none()
            && self.wire.borrow().down.len() < link
    }

    /// Whether the connection must be closed and everything that could be sent has been. Frames
    /// that wait for the answer to a `connect` are dropped here; the server sends them, and a
    /// client without subscriptions ignores them.
    pub(super) fn can_close(&self) -> bool {
        let outbox = &self.seat.outbox;
        let all_sent = outbox.bytes() == 0
            || self.wire.borrow().client_gone
            || self.seat.membership.connecting.borrow().is_some();
        outbox.closing().is_some() && all_sent
    }
}

impl Node {
    /// Accepts a client's new connection, whose first request is already on the wire.
    pub fn accept(&mut self, client: usize, codec: CodecKind, wire: &Wire, now: Now) -> u64 {
        let worker = self.rng.usize(..self.sizes.workers);
        let session = Session::begin(
            Rc::clone(&self.envs[worker]),
            codec,
            std::net::Ipv4Addr::LOCALHOST.into(),
            self.clock(now).mono,
        );
        let seat = Rc::clone(session.seat());
        self.next += 1;
        self.connections.insert(
            self.next,
            Connection {
                client,
                session,
                seat,
                worker,
                wire: Rc::clone(wire),
                expires: None,
                expired: false,
            },
        );
        self.next
    }

    /// The time for sessions.
    pub(super) fn clock(&self, now: Now) -> clock::Now {
        let clock = now.on(self.dial).clock();
        if self.bug == Some(Bug::DurationsByTheWallClock) {
            clock::Now { mono: clock::Mono::at(clock.wall), ..clock }
        } else {
            clock
        }
    }

    /// Ends a connection that the client has left, that must be closed, or that is lost.
    pub fn hang_up(&mut self, id: u64, now: Now) {
        let Some(connection) = self.connections.remove(&id) else { return };
        // The relay uses the time of the last sweep for the loss.
        self.envs[connection.worker].relay.borrow_mut().sweep(self.clock(now).mono);
        let mut wire = connection.wire.borrow_mut();
        wire.lost_at.get_or_insert(self.gauge.when(now.mono));
        if wire.client_gone && wire.left {
            connection.seat.membership.leave_for_good();
        }
    }

    pub(super) fn receive(&mut self, id: u64, now: Now) {
        let mut now = self.clock(now);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let limited = self.sizes.requests != ample() && self.sizes.user == ample();
        if self.bug == Some(Bug::ConnectionsNeverRefill) && limited {
            now.mono = clock::Mono::ZERO;
        }
        let expired = connection.expires.is_some_and(|expires| expires <= now.wall);
        let before = connection.seat.admission.in_flight();
        let request = connection.wire.borrow_mut().up.pop_front();
        if let (true, Some(request)) = (self.verbose, &request) {
            let client = connection.client;
            let request = String::from_utf8_lossy(request);
            self.notes.push(format!("client {client} asks {request}"));
        }
        match request {
            Some(pong) if pong.is_empty() => drop(connection.session.control(now.mono)),
            Some(request) => connection.session.receive(&request, now),
            None => {}
        }
        if let Some(expires) = self.granted.take() {
            connection.expires = expires;
        } else if expired && connection.seat.admission.in_flight() > before {
            let client = connection.client;
            self.wrong =
                Some(format!("a request of client {client} was taken after its token's end"));
        }
    }

    /// Sweeps the connections of a worker, as the server does once a second.
    pub(super) fn sweep_connections(&mut self, worker: usize, now: Now) {
        let time = self.clock(now);
        let forgets = self.bug == Some(Bug::TokensNeverExpire);
        let told = if forgets { clock::Now { wall: 0, ..time } } else { time };
        self.envs[worker].sweep(told, DEADLINES, |_| Bytes::from_static(PING));
        for connection in self.connections.values_mut() {
            connection.expired |= connection.worker == worker
                && connection.expires.is_some_and(|expires| expires <= time.wall);
        }
    }

    pub(super) fn pump(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.expired && connection.seat.outbox.closing().is_none() {
            let client = connection.client;
            self.wrong = Some(format!("client {client} is told things after its token's end"));
        }
        let mut taken = VecDeque::new();
        connection.seat.outbox.take(&mut taken, 2, 4096);
        connection.seat.written(taken.iter().map(Bytes::len).sum());
        connection.wire.borrow_mut().down.extend(taken);
        if connection.seat.outbox.take_starved() {
            self.envs[connection.worker].relay.borrow_mut().drained(&connection.seat);
        }
    }
}

/// The expiry of the token that was accepted last, until it is read.
#[derive(Clone, Default)]
pub(super) struct Granted(Arc<Mutex<Option<Option<u64>>>>);

impl Granted {
    fn take(&self) -> Option<Option<u64>> {
        self.0.lock().expect("there is one thread").take()
    }

    fn put(&self, expires: Option<u64>) {
        *self.0.lock().expect("there is one thread") = Some(expires);
    }
}

/// An authenticator that accepts every token. A token is a user, the entities that it covers, and
/// perhaps its expiry: `user1|room:a,doc:c|1800000001000`.
pub(super) struct Believes {
    pub bug: Option<Bug>,
    pub granted: Granted,
}

impl Authenticate for Believes {
    fn authenticate(&self, token: Option<&str>, _: &str, now: u64) -> Result<Identity, WireError> {
        let mut parts = token.unwrap_or_default().split('|');
        let user = parts.next().unwrap_or("nobody");
        let entities = parts.next().unwrap_or_default();
        let expires_at = parts.next().and_then(|end| end.parse().ok());
        if expires_at.is_some_and(|end: u64| end <= now) {
            return Err(WireError::new(ErrorCode::TokenExpired, "the token has expired"));
        }
        self.granted.put(expires_at);
        let covered = if self.bug == Some(Bug::OldRights) { "*" } else { entities };
        let grants = covered
            .split(',')
            .filter(|entity| !entity.is_empty())
            .map(|entity| (entity, Permissions::ALL));
        let capabilities = Capabilities::new(grants).expect("these are entity ids");
        Ok(Identity { user: Arc::from(user), expires_at, capabilities, anonymous: false })
    }
}
