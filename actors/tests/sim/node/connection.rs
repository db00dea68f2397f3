//! The node's end of a socket.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use greenroom_actors::capability::{Capabilities, Permissions};
use greenroom_actors::clock;
use greenroom_actors::identity::Identity;
use greenroom_actors::relay::Seat;
use greenroom_actors::session::{Authenticate, Deadlines, Session};
use greenroom_protocol::{CodecKind, WireError};

use super::Node;
use crate::bugs::Bug;
use crate::clock::Now;
use crate::net::Wire;

/// The frame of a ping: a message of no bytes, and so is a pong.
pub const PING: &[u8] = &[0; 4];
/// No run is as long as that, by the clock that only goes on, but for pings.
pub const DEADLINES: Deadlines = Deadlines {
    ping_interval: 1000,
    idle_timeout: 300_000,
    write_timeout: 300_000,
    write_min_bytes: 1,
};

/// See the module's head.
pub struct Connection {
    pub client: usize,
    session: Session,
    pub seat: Rc<Seat>,
    pub worker: usize,
    pub wire: Wire,
}

impl Drop for Connection {
    /// Its client finds it closed, whenever it looks.
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
            && self.seat.membership.gather.borrow().is_none()
            && self.wire.borrow().down.len() < link
    }

    /// It is to be closed, and all that could be sent is.
    pub(super) fn can_close(&self) -> bool {
        let outbox = &self.seat.outbox;
        outbox.closing().is_some() && (outbox.bytes() == 0 || self.wire.borrow().client_gone)
    }
}

impl Node {
    /// A client's new connection, with its first request under way.
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
        self.connections
            .insert(self.next, Connection { client, session, seat, worker, wire: Rc::clone(wire) });
        self.next
    }

    /// The time as sessions know it.
    pub(super) fn clock(&self, now: Now) -> clock::Now {
        let clock = now.clock();
        if self.bug == Some(Bug::DurationsByTheWallClock) {
            clock::Now { mono: clock::Mono::at(now.wall), ..clock }
        } else {
            clock
        }
    }

    /// Ends a connection, be it that its client has gone, or that it is to be closed, or lost.
    pub fn hang_up(&mut self, id: u64, now: Now) {
        let Some(connection) = self.connections.remove(&id) else { return };
        // The time of its loss is the time of the last sweep.
        self.envs[connection.worker].relay.borrow_mut().sweep(self.clock(now).mono);
        let mut wire = connection.wire.borrow_mut();
        wire.lost_at.get_or_insert(now);
        if wire.client_gone && wire.left {
            connection.seat.membership.leave_for_good();
        }
    }

    pub(super) fn receive(&mut self, id: u64, now: Now) {
        let now = self.clock(now);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let request = connection.wire.borrow_mut().up.pop_front();
        match request {
            Some(pong) if pong.is_empty() => drop(connection.session.control(now.mono)),
            Some(request) => connection.session.receive(&request, now),
            None => {}
        }
    }

    pub(super) fn pump(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let mut taken = VecDeque::new();
        connection.seat.outbox.take(&mut taken, 2, 4096);
        connection.seat.written(taken.iter().map(Bytes::len).sum());
        connection.wire.borrow_mut().down.extend(taken);
        if connection.seat.outbox.take_starved() {
            self.envs[connection.worker].relay.borrow_mut().drained(&connection.seat);
        }
    }
}

/// An authenticator that believes everybody: a token is a user and the entities it covers,
/// `user1|room:a,doc:c`.
pub(super) struct Believes(pub Option<Bug>);

impl Authenticate for Believes {
    fn authenticate(&self, token: Option<&str>, _: &str, _: u64) -> Result<Identity, WireError> {
        let (user, entities) =
            token.and_then(|token| token.split_once('|')).unwrap_or(("nobody", ""));
        let covered = if self.0 == Some(Bug::OldRights) { "*" } else { entities };
        let grants = covered
            .split(',')
            .filter(|entity| !entity.is_empty())
            .map(|entity| (entity, Permissions::ALL));
        let capabilities = Capabilities::new(grants).expect("these are entity ids");
        Ok(Identity { user: Arc::from(user), expires_at: None, capabilities, anonymous: false })
    }
}
