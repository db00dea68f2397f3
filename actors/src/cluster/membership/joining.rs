//! Joining: a new term and an entry in the map, in one transaction.

use super::super::change::{Change, MapChange, MapError, Newcomer, Rejoin};
use super::super::map::{LeaseRow, Peer, PeerState, Term};
use super::{Action, ChangeId, Ended, Join, Joined, Membership, Outcome, Phase};
use crate::clock::Mono;

/// What a node without a lease does about it.
#[derive(Debug)]
pub(super) struct Joining {
    since: Mono,
    /// No attempt is made before.
    after: Mono,
    /// No attempt is made before the lives of the last term have ended on all threads.
    ready: bool,
    /// The attempt in flight.
    attempt: Option<Join>,
    /// Why the last attempt could not be made.
    failed: Option<MapError>,
}

impl Joining {
    /// A node that has not served anything yet.
    pub(super) const fn first(now: Mono) -> Self {
        Self { since: now, after: now, ready: true, attempt: None, failed: None }
    }

    /// A node that has lost its lease, and may join again `pause` milliseconds later.
    pub(super) const fn again(now: Mono, pause: u64) -> Self {
        let after = now.after(pause);
        Self { since: now, after, ready: false, attempt: None, failed: None }
    }

    pub(super) const fn is_in_flight(&self) -> bool {
        self.attempt.is_some()
    }
}

impl Membership {
    /// After [`Action::Demote`]: all lives have ended, and no thread serves anything. Without this
    /// report the node does not join again: under the new term the lease would be valid again, and a
    /// thread that had not noticed would serve what belongs to others.
    pub const fn lives_ended(&mut self) {
        self.joining.ready = true;
    }

    /// An attempt to join has ended.
    ///
    /// If the outcome is unknown, the next poll shows whether the node is in the map, and it joins
    /// again either way. The transaction compares the map's version and the node's lease row, so of
    /// two attempts that were made from one view only one succeeds, however late the other comes.
    pub fn joined(&mut self, now: Mono, joined: Joined) -> Vec<Action> {
        let mut out = Vec::new();
        let Some(join) = self.joining.attempt.take_if(|join| join.id == joined.id) else {
            return out;
        };
        if self.phase != Phase::Joining {
            return out;
        }
        self.read_anew();
        if joined.outcome == Outcome::Done {
            self.phase = Phase::Member;
            if self.me.state == PeerState::Draining {
                self.begin_draining(now);
            }
            self.term = Some(join.term);
            self.me.term = join.term;
            self.accept(now, join.change.map);
            self.committed(now, join.term, joined.sent);
            out.push(Action::Notice(self.map.version()));
        } else {
            self.joining.after = now.after(self.settings.rejoin);
        }
        // Slots are opened, or the next attempt is made, by what this one reads.
        self.poll(now, &mut out);
        out
    }

    /// Tries to join from the map that was just read, and the node's own lease row.
    pub(super) fn join(&mut self, now: Mono, own: Option<LeaseRow>, out: &mut Vec<Action>) {
        if now < self.joining.after || !self.joining.ready {
            return;
        }
        let entry = self.map.peer(self.me.id).map(|peer| peer.term);
        let row = own.map(|row| row.term);
        let raised = row.max(entry).unwrap_or(Term(0));
        let term = raised.next();
        let rejoin = if entry.is_some() { Rejoin::From(raised) } else { Rejoin::Never };
        let newcomer = Newcomer { peer: Peer { term, ..self.me.clone() } };
        let what = MapChange::Join(newcomer, rejoin);
        match self.map.changed(&what) {
            Ok(map) => {
                let id = self.next_change();
                let expects = self.map.version();
                let change = Change { what, expects, fences: Vec::new(), map };
                let join = Join { id, lease: own, term, change };
                self.joining.attempt = Some(join.clone());
                out.push(Action::Join(join));
            }
            Err(
                why @ (MapError::Proto { .. } | MapError::Schema { .. } | MapError::Common { .. }),
            ) => {
                self.phase = Phase::Out;
                out.push(Action::Ended(Ended::Incompatible(why)));
            }
            Err(why) => {
                self.joining.failed = Some(why);
                self.joining.after = now.after(self.settings.rejoin);
            }
        }
    }

    pub(super) fn stop_joining_in_time(&mut self, now: Mono, out: &mut Vec<Action>) {
        if now.since(self.joining.since) >= self.settings.give_up {
            self.phase = Phase::Out;
            let failed = self.joining.failed.take();
            out.push(Action::Ended(Ended::CannotJoin(self.settings.give_up / 1000, failed)));
        }
    }

    pub(super) const fn next_change(&mut self) -> ChangeId {
        self.changes += 1;
        ChangeId(self.changes)
    }
}
