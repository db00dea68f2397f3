//! Keeps what sessions of this node send in order while a slot begins to be served here.
//!
//! What came before that went to the exchange, which gives it back once the slot is served. What
//! comes later must not overtake it. So the next message for the slot goes the same way, with a mark
//! behind it, and the rest is held here until the exchange has answered the mark. Its answer comes
//! behind all that it gives back.

use greenroom_protocol::EntityId;

use super::{Host, Slots};
use crate::clock::Mono;
use crate::cluster::slot::slot_of;
use crate::messages::{ToEntity, overloaded};

/// Requests for one slot that are held, at most. Control messages are always held.
const HELD: usize = 1024;

impl<M> Slots<M> {
    /// Takes a message of a session of this node.
    pub(super) fn take(
        &mut self,
        entity: EntityId,
        message: ToEntity,
        now: Mono,
        host: &mut impl Host<Mailbox = M>,
    ) {
        let serves = self.serves(&entity, now);
        let Some(ownership) = &mut self.ownership else {
            return self.route(entity, message, now, host);
        };
        let slot = slot_of(&entity);
        if let Some(held) = ownership.held.get_mut(&slot) {
            let full = held.len() >= HELD && !message.is_control();
            let kept = if full { message.refuse(overloaded("directory")) } else { Some(message) };
            return held.extend(kept.map(|message| (entity, message)));
        }
        if !serves || !ownership.outside.contains(slot) || self.draining {
            return self.route(entity, message, now, host);
        }
        ownership.held.insert(slot, Vec::new());
        host.elsewhere(entity.clone(), message);
        host.mark(entity);
    }

    /// The exchange has answered a mark. If the slot is `settled`, it has given back all that it had
    /// for the slot; otherwise some of it still waits there.
    pub(super) fn marked(
        &mut self,
        entity: &EntityId,
        settled: bool,
        now: Mono,
        host: &mut impl Host<Mailbox = M>,
    ) {
        let Some(ownership) = &mut self.ownership else { return };
        let slot = slot_of(entity);
        let held = ownership.held.remove(&slot).unwrap_or_default();
        if settled {
            ownership.outside.remove(slot);
        }
        for (entity, message) in held {
            if settled {
                self.take(entity, message, now, host);
            } else {
                host.elsewhere(entity, message);
            }
        }
    }

    /// Passes on a message for an entity that is not served here.
    pub(super) fn pass_on(
        &mut self,
        entity: EntityId,
        message: ToEntity,
        host: &mut impl Host<Mailbox = M>,
    ) {
        if let Some(ownership) = &mut self.ownership {
            ownership.outside.insert(slot_of(&entity));
        }
        host.elsewhere(entity, message);
    }
}
