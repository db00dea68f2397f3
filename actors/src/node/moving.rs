//! Carries out what the node's membership decides, and keeps routing to the map.

use std::collections::BTreeMap;

use super::items::{self, Moving};
use super::{Do, Node};
use crate::clock::Mono;
use crate::cluster::asks::Owner;
use crate::cluster::link::frame::Item;
use crate::cluster::map::Term;
use crate::cluster::membership::{
    Action, BadOrder, ChangeId, HandOffId, Joined, Order, Outcome, PollNumber, Scope, View,
};
use crate::cluster::slot::{SlotId, SlotSet};
use crate::ids::NodeIndex;
use crate::messages::Own;

impl Node {
    /// The answer to [`Do::Poll`].
    pub fn viewed(&mut self, poll: PollNumber, view: View, now: Mono) {
        let actions = self.membership.answer(now, poll, view);
        self.act(actions, now);
        self.flush_links(now);
    }

    /// The outcome of [`Do::Join`].
    pub fn joined(&mut self, joined: Joined, now: Mono) {
        let actions = self.membership.joined(now, joined);
        if joined.outcome == Outcome::Done
            && let Some(term) = self.membership.term()
        {
            self.out.push(Do::BeginTerm(term.0));
        }
        self.act(actions, now);
        self.flush_links(now);
    }

    /// The outcome of [`Do::Change`].
    pub fn decided(&mut self, change: ChangeId, outcome: Outcome, now: Mono) {
        self.published.change_decided(change, outcome, now);
        let actions = self.membership.decided(now, change, outcome);
        self.act(actions, now);
        self.flush_links(now);
    }

    /// A transaction of this term that was sent at `sent` has succeeded.
    pub fn committed(&mut self, term: u64, sent: Mono, now: Mono) {
        self.membership.committed(now, Term(term), sent);
    }

    /// A transaction of this term was fenced.
    pub fn fenced(&mut self, term: u64, now: Mono) {
        let actions = self.membership.fenced(now, Term(term));
        self.act(actions, now);
        self.flush_links(now);
    }

    /// The outcome of [`Do::Flush`].
    pub fn flushed(&mut self, hand_off: HandOffId, now: Mono) {
        let actions = self.membership.flushed(now, hand_off);
        self.act(actions, now);
        self.flush_links(now);
    }

    /// The outcome of [`Do::Abandon`].
    pub fn lives_ended(&mut self, now: Mono) {
        self.membership.lives_ended();
        let actions = self.membership.tick(now);
        self.act(actions, now);
        self.flush_links(now);
    }

    /// An operator, or another part of the process, asks for something. Not until [`Order::Leave`] does
    /// it end: [`Do::Ended`].
    ///
    /// # Errors
    /// Why it is not done.
    pub fn order(&mut self, order: Order, now: Mono) -> Result<(), BadOrder> {
        let actions = self.membership.order(now, order)?;
        self.act(actions, now);
        self.flush_links(now);
        Ok(())
    }

    pub(super) fn act(&mut self, actions: Vec<Action>, now: Mono) {
        for action in actions {
            match action {
                Action::Poll(poll) => self.out.push(Do::Poll(poll)),
                Action::Join(join) => self.out.push(Do::Join(join)),
                Action::Change(id, change, reason) => {
                    let map = self.membership.map();
                    self.published.change_begun(id, &change, reason, map);
                    self.out.push(Do::Change(id, change, reason));
                }
                Action::Open(scope) => self.opened(scope, now),
                Action::Close(scope) => {
                    self.published.closed(now);
                    self.open = self.open.without(&scope);
                    self.closed = self.closed.with(&scope);
                    self.asks.closed(&scope.slots);
                    self.out.push(Do::Own(Own::Close(scope)));
                }
                Action::Flush(id, scope) => self.out.push(Do::Flush(id, scope)),
                // They were put to sleep before they were released.
                Action::Release(scope) => self.closed = self.closed.without(&scope),
                Action::Offer(id, node, _) => {
                    // The map that names the node may be as new as the offer.
                    if let Some(index) = self.link_to(node.0) {
                        let body = items::to_body(&Moving::Offered(id.0));
                        self.push(index, Item { kind: items::MOVING, body }, now);
                    }
                }
                Action::Demote(why) => {
                    tracing::warn!(?why, "this node has lost its lease; its slots go to others");
                    self.published.demoted();
                    self.open = Scope::EMPTY;
                    self.closed = Scope::EMPTY;
                    self.asks.closed(&SlotId::all().collect::<SlotSet>());
                    self.out.push(Do::Abandon);
                }
                Action::Beat => self.out.push(Do::Commit),
                Action::Notice(_) => self.beat(now),
                Action::Ended(why) => self.out.push(Do::Ended(why)),
            }
        }
        if self.membership.map().version() != self.map {
            self.map_changed(now);
        }
    }

    pub(super) fn opened(&mut self, scope: Scope, now: Mono) {
        // Before there is more: what was open may have waited for the lease.
        self.look_at_lease(now);
        self.open = self.open.with(&scope);
        self.out.push(Do::Own(Own::Open(scope.clone())));
        // The map first: it says that they are this node's.
        self.map_changed(now);
        if !self.lapsed {
            self.routed(now, |asks, out| asks.opened(&scope.slots, out));
        }
        self.begin_again(&scope, now);
        self.out.push(Do::OwnerChanged(scope));
    }

    /// What these slots have missed while they were not served.
    fn begin_again(&mut self, scope: &Scope, now: Mono) {
        let slots = &scope.slots;
        let reopened = !self.closed.both(scope).is_empty();
        self.closed = self.closed.without(scope);
        if reopened {
            // They have had no other owner, and some may have been put to sleep: no other node knows
            // that what it follows may have forgotten it.
            self.missed.extend(
                self.links.keys().flat_map(|node| slots.iter().map(move |slot| (*node, slot))),
            );
        }
        // Nodes that knew the map earlier have announced their sessions already.
        let missed: Vec<_> =
            self.missed.iter().copied().filter(|(_, slot)| slots.contains(*slot)).collect();
        let mut by_node: BTreeMap<NodeIndex, Vec<u16>> = BTreeMap::new();
        for (node, slot) in missed {
            self.missed.remove(&(node, slot));
            by_node.entry(node).or_default().push(slot.number());
        }
        for (node, slots) in by_node {
            self.push(node, Item { kind: items::SERVED, body: items::to_body(&slots) }, now);
        }
    }

    /// Links to those who are in the map, and what others own now.
    fn map_changed(&mut self, now: Mono) {
        let map = self.membership.map();
        self.map = map.version();
        let peers: Vec<_> = map.peers().iter().map(|peer| peer.id.0).collect();
        let owners: Vec<_> =
            SlotId::all().map(|slot| map.owner(slot).map(|peer| (peer.id, peer.term.0))).collect();
        let moved: SlotSet = SlotId::all()
            .filter(|slot| {
                let owner = owners[slot.index()];
                self.owners.get(slot.index()) != Some(&owner)
                    && owner.is_some_and(|(id, _)| id != self.me)
            })
            .collect();
        self.owners = owners;
        self.tell_quarantine();
        for id in &peers {
            self.link_to(*id);
        }
        let gone: Vec<_> = self
            .links
            .keys()
            .copied()
            .filter(|index| !peers.contains(&self.known.id_of(*index)))
            .collect();
        for index in gone {
            self.unlink(index, now);
        }
        self.hearing.keep(|id| peers.contains(&id));
        self.route_by_map(now);
        if !moved.is_empty() {
            self.out.push(Do::OwnerChanged(Scope::of_slots(moved)));
        }
    }

    fn tell_quarantine(&mut self) {
        let now = self.membership.map().quarantined();
        let before = std::mem::replace(&mut self.quarantined, now.clone());
        let (new, over) = (now.without(&before), before.without(&now));
        if !new.is_empty() {
            tracing::warn!(slots = ?new, "no node serves these slots for a while: their last owners died soon after they had opened them; an entity in them may end its process");
        }
        if !over.is_empty() {
            tracing::info!(slots = ?over, "these slots have an owner again");
        }
    }

    /// Tells the table of asks who owns what, by the present links.
    pub(super) fn route_by_map(&mut self, now: Mono) {
        let me = self.me;
        let owners: Vec<_> = SlotId::all()
            .map(|slot| match self.owners.get(slot.index()).copied().flatten() {
                Some((id, _)) if id == me => Owner::Here,
                Some((id, _)) => self.known.get(id.0).map_or(Owner::Nobody, Owner::Node),
                None => Owner::Nobody,
            })
            .collect();
        let version = self.map;
        self.routed(now, |asks, out| {
            asks.map_changed(version, |slot| owners[slot.index()], out);
        });
    }
}
