//! Changes of the map by a member: what is due, and what follows when one is decided.

use super::super::change::{Change, Fence, MapChange, MapError};
use super::super::map::{NodeId, PeerState};
use super::super::target::target;
use super::{Action, ChangeId, Demotion, Ended, Membership, Outcome, Phase, Reason, Scope};
use crate::clock::Mono;

impl Membership {
    /// A change of the map was decided, or its outcome is unknown for now.
    pub fn decided(&mut self, now: Mono, id: ChangeId, outcome: Outcome) -> Vec<Action> {
        let mut out = Vec::new();
        if outcome == Outcome::Unknown {
            // It is being settled, and stays in flight.
            return out;
        }
        let Some((_, change)) = self.flight.take_if(|(flying, _)| *flying == id) else {
            return out;
        };
        match outcome {
            Outcome::Fenced => {
                self.demote(now, Demotion::Fenced, &mut out);
                return out;
            }
            Outcome::Refused | Outcome::Unknown => {
                self.read_anew();
                self.hand_off_refused();
                if let Phase::Leaving(until) = self.phase {
                    self.phase = Phase::Draining(until);
                }
            }
            Outcome::Done => {
                self.read_anew();
                let version = change.map.version();
                self.accept(now, change.map);
                self.hand_off_done(&mut out);
                out.push(Action::Notice(version));
                if matches!(change.what, MapChange::Leave(_)) {
                    self.give_up_lease();
                    self.phase = Phase::Out;
                    out.push(Action::Ended(Ended::Left));
                    return out;
                }
            }
        }
        self.poll(now, &mut out);
        out
    }

    /// Brings what is served in line with the map, which was just read (M2).
    pub(super) fn reconcile(&mut self, now: Mono, out: &mut Vec<Action>) {
        let entry = self.map.peer(self.me.id).map(|peer| peer.term);
        if entry.is_none() || entry != self.term {
            self.demote(now, Demotion::NotInMap, out);
            return;
        }
        let own = Scope::owned_by(&self.map, self.me.id);
        let gone = self.open.with(&self.closed).without(&own);
        if !gone.is_empty() {
            self.open = self.open.without(&gone);
            self.closed = self.closed.without(&gone);
            out.push(Action::Release(gone));
        }
        if self.hand_off.is_none() {
            self.closed = Scope::default();
        }
        let mut new = own.without(&self.open).without(&self.closed);
        new.slots = new.slots.without(&self.unannounced());
        if !new.is_empty() {
            self.open = self.open.with(&new);
            out.push(Action::Open(new));
        }
        self.watched.opened(&self.map, &self.open.slots, now);
    }

    /// Makes the change that is due first, if one may be made now.
    pub(super) fn act(&mut self, now: Mono, out: &mut Vec<Action>) {
        let able = matches!(self.phase, Phase::Member | Phase::Draining(_));
        if !able || self.flight.is_some() || !self.current || !self.validity.holds(now) {
            return;
        }
        self.review_wish();
        if let Some((what, reason)) = self.due(now) {
            self.change(what, reason, out);
        } else if let Some((what, reason)) = self.flushed_change() {
            self.change(what, reason, out);
        } else if self.hand_off.is_none() {
            self.next_hand_off(now, out);
        }
    }

    /// Forgets the change that was asked for, once it is made or cannot be made any more.
    fn review_wish(&mut self) {
        let Some(what) = &self.wish else { return };
        let Err(why) = self.map.changed(what) else { return };
        let made = matches!(why, MapError::Same | MapError::NotPinned(_));
        if !made {
            tracing::warn!(?what, %why, "an order that was accepted cannot be carried out any more");
        }
        self.wish = None;
    }

    /// A change that needs no hand-off.
    fn due(&self, now: Mono) -> Option<(MapChange, Reason)> {
        let ids: Vec<NodeId> = self.map.peers().iter().map(|peer| peer.id).collect();
        let me = self.me.id;
        let others = || ids.iter().copied().filter(move |id| *id != me);
        if let Some(dead) = others().find(|id| self.silence.due(*id, me, &ids, now)) {
            let silent = |id: &NodeId| *id != dead && self.silence.silent(*id, now);
            let avoid = others().filter(silent).collect();
            return Some((MapChange::TakeOver { dead, avoid }, Reason::Silent));
        }
        let own = self.map.peer(me)?;
        if own.state != self.me.state {
            let states = [own.state, self.me.state];
            let deaf = states.contains(&PeerState::Deaf);
            let reason = if deaf { Reason::Deaf } else { Reason::Ordered };
            return Some((MapChange::SetState(me, self.me.state), reason));
        }
        if let Some(what) = &self.wish {
            return Some((what.clone(), Reason::Ordered));
        }
        if let Some(due) = self.trial_due(now) {
            return Some(due);
        }
        // Whoever is to receive the first of them makes the change for all.
        let unowned = self.map.unowned();
        if let Some(first) = unowned.iter().next()
            && target(&self.map)[first.index()] == own.number
        {
            return Some((MapChange::Assign, Reason::Unowned));
        }
        let idle = self.hand_off.is_none() && Scope::owned_by(&self.map, me).is_empty();
        (self.leaves && idle && own.state == PeerState::Draining)
            .then_some((MapChange::Leave(me), Reason::Draining))
    }

    fn change(&mut self, what: MapChange, reason: Reason, out: &mut Vec<Action>) {
        let Ok(map) = self.map.changed(&what) else {
            // The map has changed since this was planned: it is planned anew.
            self.hand_off_refused();
            self.read_anew();
            return;
        };
        let fences = match &what {
            MapChange::TakeOver { dead, .. } => {
                let Some(row) = self.silence.row(*dead) else { return };
                vec![(*dead, Fence::Raise(row))]
            }
            MapChange::HandOver { .. } | MapChange::Yield { .. } | MapChange::Leave(_) => {
                vec![(self.me.id, Fence::OwnNumber)]
            }
            MapChange::Join(..)
            | MapChange::Assign
            | MapChange::SetState(..)
            | MapChange::Pin(..)
            | MapChange::Unpin(_)
            | MapChange::Opening(_)
            | MapChange::Passed(..)
            | MapChange::EndQuarantine(_) => Vec::new(),
        };
        if let (MapChange::Leave(_), Phase::Draining(until)) = (&what, self.phase) {
            self.phase = Phase::Leaving(until);
        }
        let id = self.next_change();
        let change = Change { what, expects: self.map.version(), fences, map };
        self.flight = Some((id, change.clone()));
        out.push(Action::Change(id, change, reason));
    }
}
