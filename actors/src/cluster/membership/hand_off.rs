//! Planned hand-offs: slots go to other nodes without a wait for silence.
//!
//! ```text
//!  offered ──accepted──▶ flushing ──flushed──▶ flushed ──one change in flight──▶ changing ──done──▶ released
//!     │ declined, late       │ late                                                 │ refused
//!     ▼                      ▼                                                      ▼
//!   (again later)        opened again, as soon as a map shows that it is still this node's
//! ```
//!
//! From flushing on nothing more is accepted, and the change is made only once everything queued is
//! decided (M4). One hand-off is under way at a time.
//!
//! A node stops in two steps. Draining, it gives up all its slots, and stays in the map for as long as
//! its sessions need the cluster. When it is ordered to leave, it leaves the map without slots.

use super::super::change::MapChange;
use super::super::map::{NodeId, PeerState};
use super::super::slot::SlotId;
use super::super::target::{moves, pinned_elsewhere};
use super::{Action, BadOrder, Ended, HandOffId, Membership, Order, Phase, Reason, Scope};
use crate::clock::Mono;

/// A hand-off under way.
#[derive(Debug)]
pub(super) struct HandOff {
    id: HandOffId,
    what: Transfer,
    scope: Scope,
    stage: Stage,
    reason: Reason,
}

#[derive(Debug, Clone)]
pub(super) enum Transfer {
    /// The slots go to one node.
    To(NodeId),
    /// Everything goes to the others.
    Yield,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Offered(Mono),
    Flushing(Mono),
    Flushed,
    Changing,
}

impl Membership {
    /// The other node has capacity for the slots it was offered.
    pub fn accepted(&mut self, now: Mono, id: HandOffId) -> Vec<Action> {
        let mut out = Vec::new();
        let offered = |hand_off: &HandOff| hand_off.id == id && hand_off.is_offered();
        if self.hand_off.as_ref().is_some_and(offered) {
            self.declined = 0;
            self.close(now, &mut out);
        }
        out
    }

    /// The other node has no capacity for the slots it was offered.
    pub fn declined(&mut self, now: Mono, id: HandOffId) {
        let offered = |hand_off: &mut HandOff| hand_off.id == id && hand_off.is_offered();
        if self.hand_off.take_if(offered).is_some() {
            self.declined += 1;
            self.next_offer = now.after(self.settings.offer);
        }
    }

    /// Everything that was queued for a hand-off's slots and entities is decided.
    pub fn flushed(&mut self, now: Mono, id: HandOffId) -> Vec<Action> {
        let mut out = Vec::new();
        let flushing = |hand_off: &&mut HandOff| {
            matches!(hand_off.stage, Stage::Flushing(_)) && hand_off.id == id
        };
        if let Some(hand_off) = self.hand_off.as_mut().filter(flushing) {
            hand_off.stage = Stage::Flushed;
            self.act(now, &mut out);
        }
        out
    }

    /// An operator, or another part of the node, asks for something.
    ///
    /// # Errors
    /// Why it is not done.
    pub fn order(&mut self, now: Mono, order: Order) -> Result<Vec<Action>, BadOrder> {
        let mut out = Vec::new();
        let hand_off = match order {
            Order::Drain | Order::Stop | Order::Leave => {
                let first = order != Order::Drain && !self.stops;
                self.leaves |= order == Order::Leave;
                self.stops |= first;
                let drains = matches!(self.phase, Phase::Draining(_)) && !self.is_drained();
                if first && drains {
                    // A drain that was ordered earlier had no end. The stop has all of its time.
                    self.begin_draining(now);
                }
                self.drain(now, &mut out);
                return Ok(out);
            }
            Order::Cordon | Order::Uncordon => {
                let cordon = order == Order::Cordon;
                let drains = self.me.state == PeerState::Draining && !cordon && !self.stops;
                if drains && matches!(self.phase, Phase::Draining(_)) {
                    // What is on its way to others still goes there.
                    self.phase = Phase::Member;
                }
                let stays = drains || self.me.state != PeerState::Draining;
                if !stays || !matches!(self.phase, Phase::Member | Phase::Joining) {
                    return Err(BadOrder::NotMember);
                }
                self.me.state = if cordon { PeerState::Cordoned } else { PeerState::Up };
                self.act(now, &mut out);
                return Ok(out);
            }
            Order::Yield => (Transfer::Yield, Scope::owned_by(&self.map, self.me.id)),
            Order::Move(slots, to) => (Transfer::To(to), Scope::of_slots(slots)),
            Order::Pin(entity, node) => return self.wish(now, MapChange::Pin(entity, node)),
            Order::Unpin(entity) => return self.wish(now, MapChange::Unpin(entity)),
        };
        if self.phase != Phase::Member {
            return Err(BadOrder::NotMember);
        }
        if self.hand_off.is_some() || !self.closed.is_empty() || !self.current {
            return Err(BadOrder::Busy);
        }
        let (what, scope) = hand_off;
        if !scope.slots.without(&self.map.slots_of(self.me.id)).is_empty() {
            return Err(BadOrder::NotOwner);
        }
        let pinned = |slot: &SlotId| self.map.pinned_to(*slot).is_some();
        if let Transfer::To(_) = what
            && let Some(pin) =
                scope.slots.iter().find(pinned).and_then(|slot| self.map.pin_of(slot))
        {
            return Err(BadOrder::Pinned(pin.entity.clone(), pin.node.clone()));
        }
        let change = self.transfer(&what, &scope);
        self.map.changed(&change).map_err(BadOrder::Map)?;
        self.start(now, what, scope, Reason::Ordered, &mut out);
        Ok(out)
    }

    /// Asks for a change of the map that moves nothing. It is made as soon as it can be.
    fn wish(&mut self, now: Mono, what: MapChange) -> Result<Vec<Action>, BadOrder> {
        let mut out = Vec::new();
        if self.phase != Phase::Member {
            return Err(BadOrder::NotMember);
        }
        if self.wish.is_some() {
            return Err(BadOrder::Busy);
        }
        self.map.changed(&what).map_err(BadOrder::Map)?;
        self.wish = Some(what);
        self.act(now, &mut out);
        Ok(out)
    }

    fn drain(&mut self, now: Mono, out: &mut Vec<Action>) {
        match self.phase {
            Phase::Joining if self.leaves => {
                // If an attempt is in flight and succeeds, others take the node out of the map.
                self.phase = Phase::Out;
                out.push(Action::Ended(Ended::Left));
            }
            // Its sessions need the cluster, so it joins all the same, and receives nothing.
            Phase::Joining => self.me.state = PeerState::Draining,
            Phase::Member => {
                self.me.state = PeerState::Draining;
                self.begin_draining(now);
                self.act(now, out);
            }
            Phase::Draining(_) => self.act(now, out),
            Phase::Leaving(_) | Phase::Out => {}
        }
    }

    /// From now on it hands its slots over, in steps until the time is over.
    pub(super) fn begin_draining(&mut self, now: Mono) {
        self.phase = Phase::Draining(now.after(self.settings.drain));
        self.next_offer = now;
    }

    /// Starts the next hand-off, if one is due.
    pub(super) fn next_hand_off(&mut self, now: Mono, out: &mut Vec<Action>) {
        if !self.closed.is_empty() {
            // The last one was given up, and its slots are not open again yet.
            return;
        }
        if self.me.state == PeerState::Deaf {
            return self.yield_if_alone(now, out);
        }
        let (me, most) = (self.me.id, self.settings.moves_at_once);
        let (draining, pinned) = match self.phase {
            Phase::Draining(until) => (Some(until), None),
            _ => (None, pinned_elsewhere(&self.map, me, most)),
        };
        let settled = now.since(self.peers_changed) >= self.settings.settle && !self.balanced;
        let looks = settled || draining.is_some();
        let mut moves = if looks { moves(&self.map, me, most) } else { Vec::new() };
        if let Some(until) = draining {
            let all = Scope::owned_by(&self.map, me);
            if !all.is_empty() && (moves.is_empty() || now >= until) {
                return self.start(now, Transfer::Yield, all, Reason::Draining, out);
            }
        }
        // A pin waits for nothing. If it was declined, every second offer is something else, if there
        // is anything else.
        if let Some((to, slots)) = pinned
            && (moves.is_empty() || self.declined.is_multiple_of(2))
        {
            if now >= self.next_offer {
                let scope = Scope::of_slots(slots);
                self.start(now, Transfer::To(to), scope, Reason::Ordered, out);
            }
        } else if moves.is_empty() {
            self.balanced |= looks;
        } else if now >= self.next_offer {
            // The next one, after one that was declined.
            let (to, slots) = moves.swap_remove(self.declined % moves.len());
            let scope = Scope::of_slots(slots.into_iter().collect());
            let reason = if draining.is_some() { Reason::Draining } else { Reason::Rebalance };
            self.start(now, Transfer::To(to), scope, reason, out);
        }
    }

    pub(super) fn start(
        &mut self,
        now: Mono,
        what: Transfer,
        scope: Scope,
        reason: Reason,
        out: &mut Vec<Action>,
    ) {
        self.hand_offs += 1;
        let id = HandOffId(self.hand_offs);
        let stage = Stage::Offered(now.after(self.settings.offer));
        let hand_off = HandOff { id, what, scope, stage, reason };
        if let Transfer::To(to) = hand_off.what {
            out.push(Action::Offer(id, to, hand_off.scope.slots.clone()));
            self.hand_off = Some(hand_off);
        } else {
            self.hand_off = Some(hand_off);
            self.close(now, out);
        }
    }

    fn close(&mut self, now: Mono, out: &mut Vec<Action>) {
        let Some(hand_off) = &mut self.hand_off else { return };
        hand_off.stage = Stage::Flushing(now.after(self.settings.flush));
        self.open = self.open.without(&hand_off.scope);
        self.closed = self.closed.with(&hand_off.scope);
        out.push(Action::Close(hand_off.scope.clone()));
        out.push(Action::Flush(hand_off.id, hand_off.scope.clone()));
    }

    /// Ends steps that take too long.
    pub(super) fn watch_hand_off(&mut self, now: Mono, out: &mut Vec<Action>) {
        let late = |stage| match stage {
            Stage::Offered(until) | Stage::Flushing(until) => now >= until,
            Stage::Flushed | Stage::Changing => false,
        };
        if let Some(hand_off) = self.hand_off.take_if(|hand_off| late(hand_off.stage))
            && hand_off.is_offered()
        {
            self.declined += 1;
        }
        if let Phase::Draining(until) = self.phase
            && !self.leaves
            && self.is_drained()
        {
            // It may stay like this. What it is given in spite of it, it gives up at once.
            self.phase = Phase::Draining(until.max(now));
            return;
        }
        // Without its lease it could give up nothing more, however long it waited.
        let more = if self.validity.holds(now) { 2 * self.settings.flush } else { 0 };
        if let Phase::Draining(until) | Phase::Leaving(until) = self.phase
            && self.stops
            && now >= until.after(more)
        {
            self.give_up_lease();
            self.phase = Phase::Out;
            out.push(Action::Ended(Ended::DrainTimedOut));
        }
    }

    /// The change for a hand-off that is flushed, which is now being made.
    pub(super) fn flushed_change(&mut self) -> Option<(MapChange, Reason)> {
        let hand_off =
            self.hand_off.as_ref().filter(|hand_off| hand_off.stage == Stage::Flushed)?;
        let all = Scope::owned_by(&self.map, self.me.id);
        if matches!(hand_off.what, Transfer::Yield) && !all.without(&hand_off.scope).is_empty() {
            // Slots came meanwhile, and were not closed (M4): it begins again with these.
            self.hand_off = None;
            return None;
        }
        let change = (self.transfer(&hand_off.what, &hand_off.scope), hand_off.reason);
        if let Some(hand_off) = &mut self.hand_off {
            hand_off.stage = Stage::Changing;
        }
        Some(change)
    }

    fn transfer(&self, what: &Transfer, scope: &Scope) -> MapChange {
        let from = self.me.id;
        match what {
            Transfer::To(to) => MapChange::HandOver { slots: scope.slots.clone(), from, to: *to },
            Transfer::Yield => MapChange::Yield { from, avoid: Vec::new() },
        }
    }

    /// The change in flight is done; if it was that of a hand-off, its slots are others' now.
    pub(super) fn hand_off_done(&mut self, out: &mut Vec<Action>) {
        if let Some(hand_off) = self.hand_off.take_if(|hand_off| hand_off.stage == Stage::Changing)
        {
            self.closed = self.closed.without(&hand_off.scope);
            out.push(Action::Release(hand_off.scope));
        }
    }

    /// The change in flight is not made; if it was that of a hand-off, that is over.
    pub(super) fn hand_off_refused(&mut self) {
        self.hand_off.take_if(|hand_off| hand_off.stage == Stage::Changing);
    }
}

impl HandOff {
    const fn is_offered(&self) -> bool {
        matches!(self.stage, Stage::Offered(_))
    }
}
