//! A session's place on its thread: what the relay, the session and the socket's pump share of it.
//!
//! Besides the outbox it has three parts, each with a state of its own that nobody else changes:
//!
//! * [`Liveness`]: whether its client is still there, and how long it may stay;
//! * [`Admission`]: which of its requests are taken;
//! * [`Membership`]: whose it is, what it follows, where it is present.

use std::sync::Arc;

use greenroom_protocol::codec::{Message, Method};
use greenroom_protocol::notify::Refused;
use greenroom_protocol::{CodecKind, EntityId, WireError};

use crate::capability::Permissions;
use crate::frames::Encoder;
use crate::ids::SessionKey;
use crate::kind::Kind;
use crate::messages::{Responder, overloaded};
use crate::metrics::MAILBOX_REFUSALS;
use crate::outbox::Outbox;

mod admission;
mod liveness;
mod membership;
mod patience;
mod refusals;

pub use admission::Admission;
pub use liveness::{Deadlines, Due, Liveness, Verdict};
pub use membership::{Follow, Membership};
pub use patience::{Excess, Scope, Wait};

/// One session's place. Lives on one thread.
#[derive(Debug)]
pub struct Seat {
    /// Which session.
    pub key: SessionKey,
    /// What it speaks.
    pub codec: CodecKind,
    /// What waits for its socket.
    pub outbox: Outbox,
    /// Whether its client is still there.
    pub liveness: Liveness,
    /// Which of its requests are taken.
    pub admission: Admission,
    /// Whose it is and where it takes part.
    pub membership: Membership,
}

impl Seat {
    /// A fresh session's place.
    pub fn new(
        key: SessionKey,
        codec: CodecKind,
        outbox: Outbox,
        liveness: Liveness,
        admission: Admission,
    ) -> Self {
        Self { key, codec, outbox, liveness, admission, membership: Membership::default() }
    }

    /// The entity's kind, if the session may do `needed`; otherwise the request is answered.
    pub fn allowed(
        &self,
        entity: &EntityId,
        needed: Permissions,
        reply: Responder,
    ) -> Option<(Arc<Kind>, Responder)> {
        match self.membership.rights()?.check(entity, needed) {
            Ok(kind) => Some((Arc::clone(kind), reply)),
            Err(error) => {
                reply.send_error(error);
                None
            }
        }
    }

    /// Whether the session may read `entity`, and there is room for what may be a large answer;
    /// otherwise it is answered.
    pub fn readable(&self, entity: &EntityId, reply: Responder) -> Option<Responder> {
        let (_, reply) = self.allowed(entity, Permissions::READ, reply)?;
        if !self.outbox.has_space() {
            MAILBOX_REFUSALS.counter_with(["outboxes"]).increment(1);
            reply.send_error(overloaded("outboxes"));
            return None;
        }
        let standing = self.outbox.standing();
        if !reply.is_entry() {
            self.outbox.making();
        }
        Some(reply.large(standing))
    }

    /// Writes what the relay's batch has left for the socket.
    pub fn flush(&self) {
        self.liveness.took(self.outbox.flush());
    }

    /// The socket has taken `bytes` from the pump.
    pub fn written(&self, bytes: usize) {
        self.outbox.written(bytes);
        self.liveness.took(bytes);
    }

    /// Whether requests are read: not while its client takes no answers or several large ones are
    /// being made, and not before the next second once so much was refused.
    pub fn is_read(&self) -> bool {
        !self.outbox.is_full() && !self.outbox.is_busy() && !self.admission.is_choked()
    }

    /// A second is over: tells its client of what was refused, and reads on if it was choked.
    pub fn next_second(&self, encoder: &Encoder) {
        if self.admission.next_second() {
            self.outbox.read_on();
        }
        if self.admission.has_refusals() && !self.outbox.is_full() {
            for refused in self.admission.due_refusals() {
                self.tell_refused(encoder, &refused);
            }
        }
    }

    /// Tells its client that a request without an id was refused, now or with others once a second.
    pub fn refused(
        &self,
        encoder: &Encoder,
        method: &'static str,
        entity: Option<EntityId>,
        error: WireError,
    ) {
        if let Some(refused) = self.admission.refused(method, entity, error) {
            self.tell_refused(encoder, &refused);
        }
    }

    fn tell_refused(&self, encoder: &Encoder, refused: &Refused) {
        let refused = Message::Notification { method: Method::Refused, params: refused };
        self.outbox.push(encoder.encode(self.codec, &refused));
    }
}
