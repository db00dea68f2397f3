//! A shard in a cluster: slots are opened and closed, and what is not served goes elsewhere.

use greenroom_protocol::EntityId;

use super::{Host, Slots};
use crate::clock::Mono;
use crate::ids::NodeIndex;
use crate::messages::{Own, ToEntity};

impl<M> Slots<M> {
    /// Whether a message for this entity that arrives now is served here.
    pub(super) fn serves(&self, entity: &EntityId, now: Mono) -> bool {
        self.ownership.as_ref().is_none_or(|ownership| ownership.serves(entity, now))
    }

    /// Takes what the exchange gives, which arrived there while it was served (M5). So the lease is not
    /// looked at again: if it were over now and valid again for what is given next, that would
    /// overtake this.
    pub(super) fn given(
        &mut self,
        entity: EntityId,
        message: ToEntity,
        now: Mono,
        host: &mut impl Host<Mailbox = M>,
    ) {
        let owned = self.ownership.as_ref().is_none_or(|ownership| ownership.owns(&entity));
        self.route_if(owned, entity, message, now, host);
    }

    pub(super) fn own(&mut self, own: Own, host: &mut impl Host<Mailbox = M>) {
        let Some(ownership) = &mut self.ownership else { return };
        match own {
            Own::Open(scope) => ownership.open(&scope),
            Own::Close(scope) => {
                ownership.close(&scope);
                let postponed = self.postponed.keys().filter(|entity| scope.contains(entity));
                for entity in postponed.cloned().collect::<Vec<_>>() {
                    self.pass_postponed_on(entity, host);
                }
            }
            Own::Flush(scope, done) => {
                let left = self.put_to_sleep(|entity| scope.contains(entity), host);
                if let Some(ownership) = &mut self.ownership {
                    ownership.flush(scope, left, done);
                }
            }
            Own::LinkReset(node) => {
                self.forget_postponed(node, |message| matches!(message, ToEntity::CatchUp(_)));
                self.tell_all(|| ToEntity::LinkReset(node), host);
            }
            Own::LinkOver(node) => {
                self.forget_postponed(node, |_| true);
                self.tell_all(|| ToEntity::LinkOver(node), host);
            }
            Own::Abandon(done) => {
                ownership.abandon();
                for (entity, slot) in self.slots.drain() {
                    tracing::debug!(%entity, "its node has lost the lease");
                    host.end(&slot.mailbox);
                }
                for entity in self.postponed.keys().cloned().collect::<Vec<_>>() {
                    self.pass_postponed_on(entity, host);
                }
                drop(done);
            }
        }
    }

    /// Sends a control message to every entity that is awake.
    fn tell_all(&mut self, message: impl Fn() -> ToEntity, host: &mut impl Host<Mailbox = M>) {
        for (entity, slot) in &mut self.slots {
            slot.sent += 1;
            if slot.blocked.is_some() || host.deliver(&slot.mailbox, message()).is_err() {
                slot.later(entity, message(), host);
            }
        }
    }

    /// Drops those of the control messages that wait for entities to be woken which are about sessions
    /// that came over this link. An entity that wakes later does not learn of its end.
    fn forget_postponed(&mut self, node: NodeIndex, void: impl Fn(&ToEntity) -> bool) {
        for postponed in self.postponed.values_mut() {
            let of_node =
                |message: &ToEntity| message.about().is_some_and(|session| session.node == node);
            postponed.retain(|message| !(of_node(message) && void(message)));
        }
    }

    /// Control messages for an entity that is not served here any more.
    pub(super) fn pass_postponed_on(
        &mut self,
        entity: EntityId,
        host: &mut impl Host<Mailbox = M>,
    ) {
        let mut postponed = self.postponed.remove(&entity).unwrap_or_default();
        while let Some(message) = postponed.next() {
            self.pass_on(entity.clone(), message, host);
        }
    }
}
