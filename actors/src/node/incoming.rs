//! What other nodes send.

use std::sync::Arc;

use bytes::Bytes;
use greenroom_protocol::EntityId;

use super::items::{self, Bounce, Moving, Usage};
use super::{Do, Node};
use crate::clock::Mono;
use crate::cluster::asks::{Answered, AskId};
use crate::cluster::link::beat::Beat;
use crate::cluster::link::frame::{Frame, Item};
use crate::cluster::link::{Cause, Event, Link};
use crate::cluster::map::{MAX_PEERS, NodeId};
use crate::cluster::membership::{HandOffId, Scope};
use crate::cluster::slot::{SlotId, slot_of};
use crate::ids::{NodeIndex, WorkerId};
use crate::limits::Used;
use crate::messages::remote::{
    Arrived, ArrivedPart, Ask, BadItem, Tell, answer_from_item, parts_from_item, tell_from_item,
};
use crate::messages::{
    Asker, Own, Part, Present, RelayHandle, Responder, Resume, Resumed, Subscriptions, Taken,
    ToEntity, ToExchange, ToRelay,
};
use crate::notices::NOTICES;

/// Links at once, at most: to all peers of the map, and to as many that have left or are joining.
const MOST_LINKS: usize = 2 * MAX_PEERS;

impl Node {
    /// A message of the subject of this node has arrived.
    pub fn receive(&mut self, message: Bytes, now: Mono) {
        let frame = match Frame::decode_up_to(self.newest(), message) {
            Ok(frame) => frame,
            Err(why) => {
                if let Some(left_out) = NOTICES.admit("frame", now) {
                    tracing::warn!(%why, left_out, "a message from another node cannot be read");
                }
                return;
            }
        };
        let Some(index) = self.link_to(frame.header.from) else { return };
        if let Some(link) = self.links.get_mut(&index) {
            link.receive(&frame, now);
        }
        self.attend(index, now);
        self.flush_links(now);
    }

    /// A message of the subject of all nodes has arrived.
    pub fn heard(&mut self, message: &[u8], now: Mono) {
        let Ok(beat) = Beat::decode_up_to(self.newest(), message) else { return };
        self.hearing.heard(beat.node, now);
        if let Some(index) = self.link_to(beat.node) {
            if let Some(link) = self.links.get_mut(&index) {
                link.heard_beat(now);
            }
            self.attend(index, now);
        }
        let actions = self.membership.notice(now, beat.map);
        self.act(actions, now);
        self.flush_links(now);
    }

    /// The wire was connected again: what was sent may be lost.
    pub fn reconnected(&mut self, now: Mono) {
        for index in self.links.keys().copied().collect::<Vec<_>>() {
            if let Some(link) = self.links.get_mut(&index) {
                link.reconnected(now);
            }
            self.attend(index, now);
        }
        self.flush_links(now);
    }

    /// The link to a node, which may have joined before this node has read of it. `None` for this
    /// node itself, and for one more than there may be.
    pub(super) fn link_to(&mut self, id: u64) -> Option<NodeIndex> {
        let index = match self.known.get(id) {
            Some(NodeIndex::HERE) => return None,
            Some(index) if self.links.contains_key(&index) => return Some(index),
            _ if self.links.len() >= MOST_LINKS => return None,
            Some(index) => index,
            None => self.known.renew(id),
        };
        let link = Link::new(self.me.0, id, self.settings.link, self.rng.fork());
        self.links.insert(index, link);
        Some(index)
    }

    /// Does what a link reports, until it reports nothing more.
    pub(super) fn attend(&mut self, mut index: NodeIndex, now: Mono) {
        while let Some(event) = self.links.get_mut(&index).and_then(|link| link.poll_event(now)) {
            match event {
                Event::Up => self.routed(now, |asks, out| asks.link_up(index, out)),
                Event::Item(item) => {
                    if !self.defers(index, &item) {
                        self.take_item(index, &item, now);
                    }
                }
                Event::Silent => {
                    self.routed(now, |asks, out| asks.link_down(index, out));
                    // A node that has left may have sent more, which arrived later. No further version
                    // of the map says that it is gone.
                    if self.membership.map().peer(NodeId(self.known.id_of(index))).is_none() {
                        return self.unlink(index, now);
                    }
                }
                Event::Reset(cause) => index = self.renew(index, cause, now),
            }
        }
    }

    /// The link was reset, and goes on under another index: whatever belongs to the old one is over.
    pub(super) fn renew(&mut self, old: NodeIndex, cause: Cause, now: Mono) -> NodeIndex {
        let node = NodeId(self.known.id_of(old));
        tracing::info!(%node, ?cause, "the link to a node was reset");
        let link = self.links.remove(&old);
        let new = self.known.renew(self.known.id_of(old));
        self.links.extend(link.map(|link| (new, link)));
        self.over(old, now);
        self.route_by_map(now);
        new
    }

    /// Nothing goes by this index any more.
    pub(super) fn over(&mut self, old: NodeIndex, now: Mono) {
        self.routed(now, |asks, out| asks.link_down(old, out));
        self.refusals.forget(old);
        self.deferred.forget(old);
        self.missed.retain(|(from, _)| *from != old);
        self.out.push(Do::Own(Own::LinkReset(old)));
        self.leaving.push_back((now.after(self.settings.grace), old));
        // Its entities have forgotten this node, or will when they learn of it.
        let id = self.known.id_of(old);
        let scope = Scope::owned_by(self.membership.map(), NodeId(id));
        if !scope.is_empty() {
            self.out.push(Do::OwnerChanged(scope));
        }
    }

    /// Ends a link and begins another one to the same node.
    pub(super) fn reset_link(&mut self, index: NodeIndex, now: Mono) {
        let Some(link) = self.links.remove(&index) else { return };
        self.published.link_gone(&link);
        self.published.started_over();
        let id = self.known.id_of(index);
        if let Some(bye) = link.close() {
            self.out.push(Do::Publish(NodeId(id), bye));
        }
        self.over(index, now);
        let new = self.known.renew(id);
        let link = Link::new(self.me.0, id, self.settings.link, self.rng.fork());
        self.links.insert(new, link);
        self.route_by_map(now);
    }

    /// Ends the link to a node that is not in the map.
    pub(super) fn unlink(&mut self, index: NodeIndex, now: Mono) {
        if let Some(link) = self.links.remove(&index) {
            self.published.link_gone(&link);
        }
        self.over(index, now);
        // It may be about to join: its next link is another one.
        self.known.renew(self.known.id_of(index));
    }

    pub(super) fn take_item(&mut self, from: NodeIndex, item: &Item, now: Mono) {
        if let Err(why) = self.item(from, item, now) {
            let node = NodeId(self.known.id_of(from));
            tracing::warn!(%node, kind = item.kind, %why, "an item cannot be read");
        }
    }

    fn item(&mut self, from: NodeIndex, item: &Item, now: Mono) -> Result<(), BadItem> {
        match item.kind {
            items::ASK => self.asked(from, Ask::from_item(&item.body)?, now),
            items::TELL => {
                let tell = tell_from_item(&item.body, from, &mut self.known)?;
                self.tell_arrived(from, tell, now);
            }
            items::PARTS => self.parts(from, item, now)?,
            items::ANSWER => {
                let answer = answer_from_item(&item.body)?;
                if let Some(reply) = self.claim(from, answer.id(), now) {
                    let answer = answer.claimed(reply);
                    let worker = answer.session().worker;
                    self.out.push(Do::Relay(worker, ToRelay::Answer(answer)));
                }
            }
            items::BOUNCE => {
                if let Ok(Bounce { ids, slot, map }) = serde_json::from_slice(&item.body)
                    && let Ok(slot) = SlotId::try_from(slot)
                {
                    let ids: Vec<_> = ids.into_iter().map(AskId::from_number).collect();
                    self.routed(now, |asks, out| {
                        asks.bounced(from, &ids, slot, map, now, out);
                    });
                    let actions = self.membership.notice(now, map);
                    self.act(actions, now);
                }
            }
            items::MOVING => {
                if let Ok(moving) = serde_json::from_slice(&item.body) {
                    self.moving(from, &moving, now);
                }
            }
            items::USAGE => {
                if let Ok(Usage(all)) = serde_json::from_slice(&item.body) {
                    for (user, tokens) in all {
                        self.accounts.used_elsewhere(&Used { user, tokens }, now);
                    }
                }
            }
            items::SERVED => {
                let slots: Vec<u16> = serde_json::from_slice(&item.body).unwrap_or_default();
                let slots = slots.into_iter().filter_map(|slot| SlotId::try_from(slot).ok());
                self.out.push(Do::OwnerChanged(Scope::of_slots(slots.collect())));
            }
            // Of a later version.
            _ => {}
        }
        Ok(())
    }

    fn moving(&mut self, from: NodeIndex, moving: &Moving, now: Mono) {
        let actions = match moving {
            Moving::Offered(id) => {
                let answer = if self.membership.receives() {
                    Moving::Accepted(*id)
                } else {
                    Moving::Declined(*id)
                };
                let body = items::to_body(&answer);
                return self.push(from, Item { kind: items::MOVING, body }, now);
            }
            Moving::Accepted(id) => self.membership.accepted(now, HandOffId(*id)),
            Moving::Declined(id) => {
                self.membership.declined(now, HandOffId(*id));
                Vec::new()
            }
        };
        self.act(actions, now);
    }

    /// Whether what arrives for this slot now is served here.
    fn serves(&self, entity: &EntityId, now: Mono) -> bool {
        self.open.contains(entity) && self.validity.holds(now)
    }

    fn asked(&mut self, from: NodeIndex, ask: Ask, now: Mono) {
        let slot = slot_of(&ask.entity);
        let served = self.serves(&ask.entity, now);
        if !self.refusals.takes_ask(from, slot, ask.round, served) {
            return self.bounce(from, slot, vec![ask.id], now);
        }
        if ask.may_be_large() {
            self.deferred.taken(from, ask.id);
        }
        let session = ask.session(from, &mut self.known);
        let relay = RelayHandle::elsewhere(self.exchange.clone(), session.place());
        let mut asker =
            Asker::new(session, ask.codec(), self.encoder, relay).asking(ask.id, ask.round);
        if let Some((user, address)) = ask.payer() {
            asker = asker.paid_by(self.accounts.payer(user, address, now));
        }
        let (entity, message) = ask.into_message(from, Arc::new(asker), &mut self.known);
        self.out.push(Do::Local(entity, message));
    }

    fn tell_arrived(&mut self, from: NodeIndex, tell: Tell, now: Mono) {
        match tell {
            Tell::Entity(entity, message, round) => {
                let slot = slot_of(&entity);
                let served = self.serves(&entity, now);
                if self.refusals.takes_tell(from, slot, round, served) {
                    self.out.push(Do::Local(entity, message));
                } else if self.open.contains(&entity) {
                    // The lease is over and the slot has not moved: nobody else will be told.
                    self.reset_link(from, now);
                } else {
                    self.missed.insert((from, slot));
                }
            }
            Tell::AudienceForgotten { entity, ended } => {
                self.out.push(Do::AudienceForgotten(entity, ended));
            }
            Tell::Resume { from: other, to, owner } => {
                let reply = RelayHandle::elsewhere(self.exchange.clone(), to.place());
                let resume = Resume { from: other, to, owner, reply };
                self.out.push(Do::Relay(other.worker, ToRelay::Resume(Box::new(resume))));
            }
            Tell::Resumed { to, owner, taken } => {
                self.resuming.answered(to);
                let taken = taken.map(|(holder, present)| Taken {
                    holder,
                    present: present.into_iter().map(Present::elsewhere).collect(),
                });
                let resumed = Resumed { to, owner, taken };
                self.out.push(Do::Relay(to.worker, ToRelay::Resumed(Box::new(resumed))));
            }
        }
    }

    /// The duty to answer an ask that this node has made.
    fn claim(&mut self, from: NodeIndex, id: u64, now: Mono) -> Option<Responder> {
        let mut held = None;
        self.routed(now, |asks, out| {
            held = asks.answered(from, AskId::from_number(id), out);
        });
        let Answered { message: (_, mut message), asked, unsure } = held?;
        self.published.answered(asked, now);
        if unsure {
            message.may_have_happened();
        }
        message.into_reply()
    }

    fn parts(&mut self, from: NodeIndex, item: &Item, now: Mono) -> Result<(), BadItem> {
        // All of it is read before the first duty is claimed: claiming may send what waits behind it.
        let Arrived { entity, parts } = parts_from_item(&item.body, from, &mut self.known)?;
        let mut by_worker: Vec<(WorkerId, Vec<Part>)> = Vec::new();
        let mut add = |worker, part| match by_worker.iter_mut().find(|(other, _)| *other == worker)
        {
            Some((_, parts)) => parts.push(part),
            None => by_worker.push((worker, vec![part])),
        };
        for part in parts {
            match part {
                ArrivedPart::Shared(workers, part) => {
                    for worker in workers.iter() {
                        if let Some(copy) = part.shared() {
                            add(worker, copy);
                        }
                    }
                }
                ArrivedPart::One(worker, part) => add(worker, part),
                ArrivedPart::Answer(answer) => {
                    if let Some(reply) = self.claim(from, answer.id(), now) {
                        let answer = answer.claimed(reply);
                        add(answer.session().worker, Part::Answer(answer));
                    }
                }
                ArrivedPart::Joined { spec, epoch, seq, answer } => {
                    if let Some(reply) = self.claim(from, answer.id(), now) {
                        let answer = answer.claimed(reply);
                        add(spec.session.worker, Part::Joined { spec, epoch, seq, answer });
                    } else {
                        let through = Subscriptions::Through(spec.number);
                        let unfollow = ToEntity::Unfollow(spec.session, through);
                        self.take(ToExchange::Elsewhere(entity.clone(), unfollow), now);
                    }
                }
            }
        }
        for (worker, parts) in by_worker {
            self.out.push(Do::Relay(worker, ToRelay::Parts { entity: entity.clone(), parts }));
        }
        Ok(())
    }
}
