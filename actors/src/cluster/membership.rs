//! One node in a cluster, from joining to leaving: a pure state machine. It is told the time, what
//! polls read and how transactions ended, and it says what is to be done ([`Action`]).
//!
//! ```text
//!            joined                drain           no slots, and leave      left
//!  joining ──────────▶ member ────────────▶ draining ─────────────▶ leaving ──────▶ out
//!    ▲  │                │                    │   │                    │             ▲
//!    │  │                │ fenced, or not in  │   │ the time is over; or fenced, and  │
//!    │  │                │ the map: demoted   │   │ ordered to leave   │             │
//!    ├──┼────────────────┘                    │   └────────────────────┴─────────────┤
//!    └──┼─────────────────────────────────────┘ demoted, and joins as draining       │
//!       └─ incompatible, not joined in time, or ordered to leave ────────────────────┘
//! ```
//!
//! One change of the map is in flight at a time. While it is, and until an answer to a poll arrives
//! that was asked for after it was decided, no map is acted on (M3). Lease rows are looked at in
//! every answer, since [`Silence`] goes by their order alone.
//!
//! Whoever runs it calls [`tick`](Membership::tick) often, polls on a connection of its own, and
//! commits changes, events and beats as one series of numbered transactions. It looks at the shared
//! [`Validity`] and at what is open for every request (M5). An order to close or to demote is in
//! force on all threads before [`flushed`](Membership::flushed) or
//! [`lives_ended`](Membership::lives_ended) is reported.
//!
//! A planned hand-off has its steps in `hand_off.rs`: offered, flushing, flushed, changing.

use std::collections::VecDeque;
use std::sync::Arc;

use super::change::{Change, MapChange};
use super::lease::{BadLease, Lease, Validity};
use super::map::{ClusterMap, NodeId, Peer, PeerState, Term};
use super::silence::Silence;
use crate::clock::Mono;

mod action;
mod changes;
mod deaf;
mod hand_off;
mod joining;
mod scope;
mod trials;

pub use action::{
    Action, BadOrder, ChangeId, Demotion, Ended, HandOffId, Join, Joined, Order, Outcome,
    PollNumber, Reason, View,
};
use hand_off::HandOff;
use joining::Joining;
pub use scope::Scope;
use trials::Watched;

/// The largest number of polls that are waited for at a time, when notices ask for more than the
/// regular ones.
const POLLS: usize = 8;

/// The times and sizes of membership; times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The lease.
    pub lease: Lease,
    /// A node that has committed nothing for this long commits an empty transaction.
    pub beat: u64,
    /// The time between two polls.
    pub poll: u64,
    /// An answer that takes longer is not waited for, and is ignored if it comes.
    pub poll_timeout: u64,
    /// How much longer each survivor waits before it takes a silent node over.
    pub rank: u64,
    /// The time between two attempts to join.
    pub rejoin: u64,
    /// A node that could not join for this long ends.
    pub give_up: u64,
    /// The time from the last change of the peers to rebalancing.
    pub settle: u64,
    /// The largest number of slots in one hand-off.
    pub moves_at_once: usize,
    /// How long an offer of slots is waited for, and how long after one that was declined the next is
    /// made.
    pub offer: u64,
    /// How long flushing may take before the slots are opened again.
    pub flush: u64,
    /// How long a draining node hands slots over in steps before it yields the rest.
    pub drain: u64,
    /// An owner that is taken over sooner than this after it has opened a slot has died early. An
    /// entity that ends its process does so soon after it is loaded, and clients come back to it
    /// within seconds. With a longer time, nodes that die for other reasons would count more often.
    pub trial: u64,
    /// How long a slot has no owner after too many of them have died early.
    pub quarantine: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Lease::default(),
            beat: 500,
            poll: 250,
            poll_timeout: 1000,
            rank: 100,
            rejoin: 200,
            give_up: 30_000,
            settle: 10_000,
            moves_at_once: 16,
            offer: 1000,
            flush: 5000,
            drain: 10_000,
            trial: 10_000,
            quarantine: 60_000,
        }
    }
}

impl Settings {
    /// Checks what depends on the lease.
    ///
    /// # Errors
    /// What is wrong.
    pub const fn check(&self) -> Result<(), BadLease> {
        self.lease.check(self.beat)
    }
}

/// Where a node is between joining and leaving. See the diagram at the head of the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has no lease: it has not joined yet, or was demoted.
    Joining,
    /// It is in the map.
    Member,
    /// It is in the map and gives up its slots, in steps until this time. Without slots it stays until
    /// it is ordered to leave.
    Draining(Mono),
    /// It has no slots, and the change that takes it out of the map is in flight. The time is as for
    /// draining.
    Leaving(Mono),
    /// It is not in the map, or will be taken out of it by others.
    Out,
}

/// One node of the cluster. Its methods return what is to be done, in order.
#[derive(Debug)]
pub struct Membership {
    settings: Settings,
    /// The node's own entry as it joins with.
    me: Peer,
    validity: Arc<Validity>,
    phase: Phase,
    /// It was ordered to leave the map.
    leaves: bool,
    /// It drains for good.
    stops: bool,
    /// The term of the node's lease; `None` while it has none.
    term: Option<Term>,
    joining: Joining,
    polls: Polls,
    silence: Silence,
    /// The map with the highest version that was accepted or written.
    map: ClusterMap,
    /// Whether that map may be acted on: it was read, or written, after the last change was decided.
    current: bool,
    /// The change of the map in flight.
    flight: Option<(ChangeId, Change)>,
    /// A change that was asked for, until it is made or cannot be made any more.
    wish: Option<MapChange>,
    /// The last [`ChangeId`] given.
    changes: u64,
    /// What is served.
    open: Scope,
    /// What accepts nothing more and is not released yet.
    closed: Scope,
    hand_off: Option<HandOff>,
    /// The last [`HandOffId`] given.
    hand_offs: u64,
    /// No offer is made before.
    next_offer: Mono,
    /// The number of offers that were declined since one was accepted.
    declined: usize,
    /// This node has had nothing to hand over since the peers, their states or weights last changed.
    /// Slots that operators have moved since stay where they are.
    balanced: bool,
    /// When the peers, their states or weights last changed.
    peers_changed: Mono,
    /// What is known of slots on trial.
    watched: Watched,
    /// Since when the node does not even hear itself.
    deaf_since: Option<Mono>,
    /// When the last transaction that succeeded was sent, or a beat was asked for.
    last_beat: Mono,
}

/// The polls under way and the rule of which answers count.
#[derive(Debug, Default)]
struct Polls {
    /// The last number given.
    last: u64,
    /// When that was.
    at: Option<Mono>,
    /// Those whose answers may still come, in the order of their numbers.
    waiting: VecDeque<(PollNumber, Mono)>,
    /// A map counts only if its poll has at least this number: it was asked for after the node's last
    /// own change was decided.
    counts_from: PollNumber,
}

impl Membership {
    /// A node that is going to join. `me` says what it is; its number, term and state are set when
    /// it joins.
    pub fn new(me: Peer, settings: Settings, validity: Arc<Validity>, now: Mono) -> Self {
        let me = Peer { state: PeerState::Up, ..me };
        Self {
            settings,
            me,
            validity,
            phase: Phase::Joining,
            leaves: false,
            stops: false,
            term: None,
            joining: Joining::first(now),
            polls: Polls::default(),
            silence: Silence::new(settings.lease.length, settings.rank),
            map: ClusterMap::empty(),
            current: false,
            flight: None,
            wish: None,
            changes: 0,
            open: Scope::default(),
            closed: Scope::default(),
            hand_off: None,
            hand_offs: 0,
            next_offer: Mono::ZERO,
            declined: 0,
            balanced: false,
            peers_changed: now,
            watched: Watched::default(),
            deaf_since: None,
            last_beat: now,
        }
    }

    /// The node's id.
    pub const fn id(&self) -> NodeId {
        self.me.id
    }

    /// What it says of itself: the state is what it is to be, also while the map does not say so yet.
    pub const fn me(&self) -> &Peer {
        &self.me
    }

    /// What it knows of the lease rows.
    pub const fn silence(&self) -> &Silence {
        &self.silence
    }

    /// Where it is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The term of its lease, if it has one.
    pub const fn term(&self) -> Option<Term> {
        self.term
    }

    /// The latest map that it has accepted or written. Others may be further on: for routing it is a
    /// hint, and each owner checks what it serves.
    pub const fn map(&self) -> &ClusterMap {
        &self.map
    }

    /// What it serves, as long as its [`Validity`] holds (M5).
    pub const fn open(&self) -> &Scope {
        &self.open
    }

    /// What accepts nothing more and is not another node's yet.
    pub const fn closed(&self) -> &Scope {
        &self.closed
    }

    /// Whether it is stopping and has nothing left to hand over.
    pub fn is_drained(&self) -> bool {
        matches!(self.phase, Phase::Draining(_))
            && self.closed.is_empty()
            && self.map.peer(self.me.id).is_some_and(|own| own.state == PeerState::Draining)
            && Scope::owned_by(&self.map, self.me.id).is_empty()
    }

    /// Whether it would accept slots: it is a member, and not cordoned or stopping. Whether there is
    /// capacity for them is somebody else's question.
    pub fn receives(&self) -> bool {
        self.phase == Phase::Member && self.me.state == PeerState::Up && self.me.weight > 0
    }

    /// Time has passed. Called at least every 50 ms or so; a longer pause is harmless, it only delays
    /// what is due.
    pub fn tick(&mut self, now: Mono) -> Vec<Action> {
        let mut out = Vec::new();
        if self.phase == Phase::Out {
            return out;
        }
        if self.polls.at.is_none_or(|at| now.since(at) >= self.settings.poll) {
            self.poll(now, &mut out);
        }
        if self.phase == Phase::Joining {
            self.stop_joining_in_time(now, &mut out);
            return out;
        }
        if self.flight.is_none() && now.since(self.last_beat) >= self.settings.beat {
            self.last_beat = now;
            out.push(Action::Beat);
        }
        self.watch_hand_off(now, &mut out);
        self.act(now, &mut out);
        out
    }

    /// Another node says that the map has this version: it is read at once if that is news. It is
    /// only a hint.
    pub fn notice(&mut self, now: Mono, version: u64) -> Vec<Action> {
        let mut out = Vec::new();
        let news = version > self.map.version() && self.polls.waiting.len() < POLLS;
        if self.phase != Phase::Out && news {
            self.poll(now, &mut out);
        }
        out
    }

    /// The answer to a poll has arrived.
    pub fn answer(&mut self, now: Mono, poll: PollNumber, view: View) -> Vec<Action> {
        let mut out = Vec::new();
        if self.phase == Phase::Out || !self.polls.take(poll, now, self.settings.poll_timeout) {
            return out;
        }
        let own = view.leases.iter().find(|(node, _)| *node == self.me.id).map(|(_, row)| *row);
        self.silence.answer(now, view.leases);
        // M3: asked for after the last change was decided, none in flight, and no lower version.
        let busy = self.flight.is_some() || self.joining.is_in_flight();
        if busy || poll < self.polls.counts_from || view.map.version() < self.map.version() {
            return out;
        }
        self.accept(now, view.map);
        if self.phase == Phase::Joining {
            self.join(now, own, &mut out);
        } else {
            self.reconcile(now, &mut out);
            self.act(now, &mut out);
        }
        out
    }

    /// One of the node's transactions, of this term, that was sent at `sent` has succeeded. Called
    /// for events, beats and changes of the map alike, before [`decided`](Self::decided).
    pub fn committed(&mut self, now: Mono, term: Term, sent: Mono) {
        if self.term == Some(term) {
            self.validity.extend(sent);
            self.silence.committed(sent, now);
            self.last_beat = self.last_beat.max(sent);
        }
    }

    /// One of the node's transactions of this term was fenced.
    pub fn fenced(&mut self, now: Mono, term: Term) -> Vec<Action> {
        let mut out = Vec::new();
        if self.term == Some(term) {
            self.demote(now, Demotion::Fenced, &mut out);
        }
        out
    }

    fn poll(&mut self, now: Mono, out: &mut Vec<Action>) {
        out.push(Action::Poll(self.polls.ask(now, self.settings.poll_timeout)));
    }

    /// Accepts a map as the latest one.
    fn accept(&mut self, now: Mono, map: ClusterMap) {
        let key = |map: &ClusterMap| -> Vec<_> {
            let key = |peer: &Peer| (peer.id, peer.term, peer.state as u8, peer.weight);
            map.peers().iter().map(key).collect()
        };
        if key(&map) != key(&self.map) {
            self.peers_changed = now;
            self.balanced = false;
        }
        self.watched.accept(&map, now);
        self.map = map;
        self.current = true;
    }

    /// The node has lost its lease: everything that it served ends.
    fn demote(&mut self, now: Mono, why: Demotion, out: &mut Vec<Action>) {
        self.give_up_lease();
        out.push(Action::Demote(why));
        let stays = matches!(self.phase, Phase::Member | Phase::Draining(_)) && !self.leaves;
        if stays {
            self.phase = Phase::Joining;
            self.joining = Joining::again(now, self.settings.rejoin);
        } else {
            self.phase = Phase::Out;
            out.push(Action::Ended(Ended::FencedWhileDraining));
        }
    }

    fn give_up_lease(&mut self) {
        self.validity.revoke();
        self.term = None;
        self.flight = None;
        if let Some(what) = self.wish.take()
            && self.map.changed(&what).is_ok()
        {
            tracing::warn!(?what, "an order that was accepted is dropped with the lease");
        }
        self.hand_off = None;
        self.open = Scope::default();
        self.closed = Scope::default();
        self.watched.served_nothing();
        self.read_anew();
    }

    /// A change was decided, and not as the last map says: only maps count that are asked for from
    /// now on.
    fn read_anew(&mut self) {
        self.current = false;
        self.polls.counts_from = PollNumber(self.polls.last + 1);
    }
}

impl Polls {
    fn ask(&mut self, now: Mono, timeout: u64) -> PollNumber {
        self.waiting.retain(|(_, asked)| now.since(*asked) < timeout);
        self.last += 1;
        self.at = Some(now);
        let number = PollNumber(self.last);
        self.waiting.push_back((number, now));
        number
    }

    /// Whether an answer is looked at: its poll is neither too old nor older than one that was
    /// answered.
    fn take(&mut self, poll: PollNumber, now: Mono, timeout: u64) -> bool {
        let asked = self.waiting.iter().find(|(number, _)| *number == poll).map(|(_, at)| *at);
        let Some(asked) = asked else { return false };
        self.waiting.retain(|(number, _)| *number > poll);
        now.since(asked) < timeout
    }
}

#[cfg(test)]
mod tests;
