//! What goes to other nodes: asks and control messages for their entities, and what this node's
//! entities and relays release to theirs.

use bytes::Bytes;
use greenroom_protocol::params::PresenceAction;
use greenroom_protocol::{EntityId, RawJson, WireError};

use super::items::{self, Bounce};
use super::known::Known;
use super::{Do, Held, Node};
use crate::clock::Mono;
use crate::cluster::asks::{Asks, Full, Output, Retry, Why};
use crate::cluster::link::frame::Item;
use crate::cluster::link::{Event, Refused};
use crate::cluster::map::NodeId;
use crate::cluster::slot::{SlotId, slot_of};
use crate::ids::{NodeIndex, Place};
use crate::messages::remote::{
    Ask, AskFor, Tell, answer_to_item, control_to_item, parts_to_item, tell_to_item,
};
use crate::messages::{
    Resume, Resumed, Taken, ToEntity, ToExchange, ToRelay, Workers, quarantined, unavailable,
};

/// Milliseconds from the end of a quarantine until a node serves the slot, at most, if all is well.
const UNTIL_OPEN: u64 = 1000;

/// What an ask's table said is to be done.
pub(super) enum Routed {
    Item(NodeIndex, Item),
    Local(Held),
    GiveUp(Held, Why),
    /// The slot's owner must start over.
    StartOver(SlotId),
}

impl Routed {
    fn of(output: Output<'_, Held>, known: &Known) -> Option<Self> {
        Some(match output {
            Output::Send { node, round, id, unsure, message: (entity, message), .. } => {
                let ask = AskFor { id: id.number(), round, again: unsure };
                let body = Ask::of(entity, message, ask, known)?.to_item();
                Self::Item(node, Item { kind: items::ASK, body })
            }
            Output::Tell { node, round, message: (entity, message), .. } => {
                let body = control_to_item(entity, message, round, known)?;
                Self::Item(node, Item { kind: items::TELL, body })
            }
            Output::Local { unsure, message: (entity, mut message), .. } => {
                if unsure {
                    message.may_have_happened();
                }
                Self::Local((entity, message))
            }
            Output::GiveUp { message, why, .. } => Self::GiveUp(message, why),
            Output::Drop { slot, .. } => Self::StartOver(slot),
        })
    }
}

/// What a message takes in memory, roughly, in bytes.
fn weight(message: &ToEntity) -> usize {
    const REST: usize = 512;
    match message {
        ToEntity::Op(op) => REST + op.body.len(),
        ToEntity::Signal(signal) => REST + signal.signal.body.len(),
        ToEntity::Presence { meta, .. } => REST + meta.as_ref().map_or(0, RawJson::len),
        ToEntity::Adopt(adopt) => REST + adopt.meta.len(),
        _ => REST,
    }
}

impl Node {
    /// Takes a message from this node's shards, entities and relays.
    pub fn take(&mut self, message: ToExchange, now: Mono) {
        self.look_at_lease(now);
        match message {
            ToExchange::Elsewhere(entity, message) => self.elsewhere(entity, message, now),
            ToExchange::Mark(entity) => self.marked(entity, now),
            ToExchange::Relay(place, message) => self.relay_to(place, message, now),
            ToExchange::Resume(node, resume) => self.resume(node, *resume, now),
        }
    }

    /// A shard asks whether what it sends an entity may go there at once.
    fn marked(&mut self, entity: EntityId, now: Mono) {
        let slot = slot_of(&entity);
        let settled = self.routed(now, |asks, out| asks.is_given_here(slot, out));
        self.out.push(Do::Marked(entity, settled));
    }

    fn elsewhere(&mut self, entity: EntityId, message: ToEntity, now: Mono) {
        let slot = slot_of(&entity);
        if let Some((node, id, round)) = message.asked_elsewhere() {
            // A shard did not serve it after all: its own node asks again.
            if let Some(reply) = message.into_reply() {
                reply.discard();
            }
            self.deferred.over(node, id);
            if self.links.contains_key(&node) {
                let _refused = self.refusals.takes_ask(node, slot, round, false);
                self.bounce(node, slot, vec![id], now);
            }
            return;
        }
        let from = message.about().map_or(NodeIndex::HERE, |session| session.node);
        if from != NodeIndex::HERE {
            // Likewise, but nobody keeps it there: without a new owner, the node starts over.
            if self.open.contains(&entity) {
                self.reset_link(from, now);
            } else if self.links.contains_key(&from) {
                self.missed.insert((from, slot));
            }
            return;
        }
        let Some(message) = self.unless_quarantined(slot, message, now) else { return };
        let weight = weight(&message);
        let mut leaves = None;
        let refused = if message.is_control() {
            let held = (entity, message);
            self.routed(now, |asks, out| asks.tell(slot, weight, held, now, out).err())
        } else {
            if let ToEntity::Presence { action: PresenceAction::Leave, reply, .. } = &message {
                leaves = Some((entity.clone(), ToEntity::Leave(reply.session())));
            }
            let retry = match &message {
                ToEntity::Op(op) if op.n.is_none() => Retry::Once,
                // It may get lost, and must not arrive twice.
                ToEntity::Signal(_) => Retry::Once,
                _ => Retry::Repeatable,
            };
            let held = (entity, message);
            self.routed(now, |asks, out| asks.ask(slot, weight, retry, held, now, out).err())
        };
        if let Some(Full((_, message))) = refused
            && message.refuse(unavailable()).is_some()
        {
            return self.start_over(slot, now);
        }
        // A request to leave may be given up sooner than what entered. The session leaves all the same,
        // and before it enters again.
        if let Some((entity, leave)) = leaves {
            self.elsewhere(entity, leave, now);
        }
    }

    /// Refuses a request for a slot in quarantine, and drops a control message: the next owner starts
    /// over anyway.
    fn unless_quarantined(&self, slot: SlotId, message: ToEntity, now: Mono) -> Option<ToEntity> {
        if self.membership.quarantine_left(slot, now).is_none() {
            return Some(message);
        }
        drop(message.refuse(self.refusal(slot, now)));
        None
    }

    /// Why a request for this slot is not answered.
    fn refusal(&self, slot: SlotId, now: Mono) -> WireError {
        let left = self.membership.quarantine_left(slot, now);
        left.map_or_else(unavailable, |left| quarantined(left + UNTIL_OPEN))
    }

    pub(super) fn bounce(&mut self, node: NodeIndex, slot: SlotId, ids: Vec<u64>, now: Mono) {
        let map = self.membership.map().version();
        let body = items::to_body(&Bounce { ids, slot: slot.number(), map });
        self.push(node, Item { kind: items::BOUNCE, body }, now);
    }

    pub(super) fn relay_to(&mut self, Place { node, worker }: Place, message: ToRelay, now: Mono) {
        self.deferred.answered(node, &message);
        // Answers are taken out of their messages even if they go nowhere, since one that is dropped
        // would come back as a refusal.
        let (kind, body) = match message {
            ToRelay::PartsByWorker { entity, parts } => {
                (items::PARTS, Some(parts_to_item(&entity, parts, &self.known)))
            }
            ToRelay::Parts { entity, parts } => {
                let only = |part| (Workers::only(worker), part);
                let parts = parts.into_iter().map(only).collect();
                (items::PARTS, Some(parts_to_item(&entity, parts, &self.known)))
            }
            ToRelay::Answer(answer) => (items::ANSWER, Some(answer_to_item(answer))),
            ToRelay::AudienceForgotten { entity, ended } => {
                (items::TELL, self.tell(&Tell::AudienceForgotten { entity, ended }))
            }
            ToRelay::Resume(resume) => {
                let Resume { from, to, owner, .. } = *resume;
                (items::TELL, self.tell(&Tell::Resume { from, to, owner }))
            }
            ToRelay::Resumed(resumed) => {
                let Resumed { to, owner, taken } = *resumed;
                let taken = taken.map(|Taken { holder, present }| {
                    let present = present.into_iter().map(|at| (at.entity, at.meta)).collect();
                    (holder, present)
                });
                (items::TELL, self.tell(&Tell::Resumed { to, owner, taken }))
            }
            ToRelay::OwnerChanged(_) => return,
        };
        let Some(body) = body else { return };
        if node == NodeIndex::OTHERS {
            for node in self.links.keys().copied().collect::<Vec<_>>() {
                self.push(node, Item { kind, body: body.clone() }, now);
            }
        } else {
            self.push(node, Item { kind, body }, now);
        }
    }

    fn tell(&self, tell: &Tell) -> Option<Bytes> {
        tell_to_item(tell, &self.known)
    }

    /// Sends an item over the present link to a node. What is for an earlier link is dropped.
    pub(super) fn push(&mut self, node: NodeIndex, item: Item, now: Mono) {
        let Some(link) = self.links.get_mut(&node) else { return };
        match link.push(item, now) {
            Ok(()) => {}
            // It has been reset, and nothing may be sent over it before that has been taken in. What
            // has arrived over it is not looked at here, since something else may be under way.
            Err(Refused::Full) => {
                if let Some(Event::Reset(cause)) = link.poll_event(now) {
                    self.renew(node, cause, now);
                }
            }
            // Whoever waits for it is answered when the ask is given up.
            Err(Refused::Long(bytes)) => {
                let node = NodeId(self.known.id_of(node));
                tracing::error!(%node, bytes, "an item for another node is too long, and is dropped");
            }
        }
    }

    /// Lets something happen to the table of asks, and carries out what it says.
    pub(super) fn routed<T>(
        &mut self,
        now: Mono,
        happen: impl FnOnce(&mut Asks<Held>, &mut &mut dyn FnMut(Output<'_, Held>)) -> T,
    ) -> T {
        // What is given to this node's own directory is served whenever it gets there.
        self.look_at_lease(now);
        let Self { asks, known, .. } = self;
        let mut routed = Vec::new();
        let mut collect = |output: Output<'_, Held>| routed.extend(Routed::of(output, known));
        let mut collect: &mut dyn FnMut(Output<'_, Held>) = &mut collect;
        let result = happen(asks, &mut collect);
        for routed in routed {
            match routed {
                Routed::Item(node, item) => self.push(node, item, now),
                Routed::Local((entity, message)) => self.out.push(Do::Local(entity, message)),
                Routed::GiveUp((entity, message), why) => {
                    tracing::debug!(?why, "a request to another node is given up");
                    drop(message.refuse(self.refusal(slot_of(&entity), now)));
                }
                Routed::StartOver(slot) => self.start_over(slot, now),
            }
        }
        result
    }

    /// A control message for this slot was lost: its owner must forget what it knows of this node.
    fn start_over(&mut self, slot: SlotId, now: Mono) {
        let owner = self.membership.map().owner(slot).map(|peer| peer.id.0);
        if let Some(node) = owner.and_then(|id| self.known.get(id)) {
            self.reset_link(node, now);
        }
    }
}
