//! A session's place on its thread: the state that the relay, the session and the pump share.
//!
//! Besides the outbox it has three parts with private state:
//!
//! * [`Liveness`]: whether the client is still connected, and how long it may stay;
//! * [`Admission`]: which of its requests are accepted;
//! * [`Membership`]: its owner, its subscriptions, its presence.

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

/// See the module's documentation.
#[derive(Debug)]
pub struct Seat {
    pub key: SessionKey,
    pub codec: CodecKind,
    pub outbox: Outbox,
    pub liveness: Liveness,
    pub admission: Admission,
    pub membership: Membership,
}

impl Seat {
    /// A seat for a new session.
    pub fn new(
        key: SessionKey,
        codec: CodecKind,
        outbox: Outbox,
        liveness: Liveness,
        admission: Admission,
    ) -> Self {
        Self { key, codec, outbox, liveness, admission, membership: Membership::default() }
    }

    /// The entity's kind, if the session has the permissions `needed`; otherwise the request is
    /// refused.
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

    /// The responder for a request that may have a large answer, if the session may read `entity`
    /// and the outboxes have space; otherwise the request is refused.
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

    /// Writes the frames of the relay's batch to the socket.
    pub fn flush(&self) {
        self.liveness.took(self.outbox.flush());
    }

    /// The socket has taken `bytes` from the pump.
    pub fn written(&self, bytes: usize) {
        self.outbox.written(bytes);
        self.liveness.took(bytes);
    }

    /// Whether requests are read: not while the outbox is full or several large answers are being
    /// made, and not until the next second after too many refusals.
    pub fn is_read(&self) -> bool {
        !self.outbox.is_full() && !self.outbox.is_busy() && !self.admission.is_choked()
    }

    /// Called once a second: reports refused requests to the client, and ends a choke.
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

    /// Reports the refusal of a request without an id to the client, at once or together with
    /// others once a second.
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
