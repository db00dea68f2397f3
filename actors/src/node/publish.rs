//! What a node does once a second: it brings its metrics up to date from what its parts count, and
//! tells the others which users have used much of their limits.

use std::time::Duration;

use super::Node;
use super::items::{self, Usage};
use crate::clock::Mono;
use crate::cluster::asks;
use crate::cluster::change::{Change, MapChange};
use crate::cluster::link::frame::Item;
use crate::cluster::link::{self, Link};
use crate::cluster::map::{ClusterMap, PeerState};
use crate::cluster::membership::{ChangeId, Outcome, Reason};
use crate::cluster::slot::SlotId;
use crate::metrics::cluster::ClusterMetrics;

/// Milliseconds between two publications.
const EVERY: u64 = 1000;
/// The largest number of users in one report to other nodes.
const MOST_USERS: usize = 256;

/// What was published, and what is still to be.
pub(super) struct Published {
    metrics: ClusterMetrics,
    due: Mono,
    /// The shortest time since the last publication for which the lease still held.
    lease: Duration,
    /// What links that are no more have counted.
    gone: link::Counters,
    /// What was published of links and asks.
    links: link::Counters,
    asks: asks::Counters,
    /// The change of the map that is being made.
    change: Option<Begun>,
    /// When slots were closed for a hand-off.
    closed: Mono,
}

/// A change of the map under way.
struct Begun {
    id: ChangeId,
    what: Kind,
    /// How many slots it gives another owner.
    moves: usize,
    why: &'static str,
}

enum Kind {
    TakeOver,
    HandOff,
    Other,
}

impl Published {
    pub fn new(now: Mono) -> Self {
        Self {
            metrics: ClusterMetrics::new(),
            due: now,
            lease: Duration::MAX,
            gone: link::Counters::default(),
            links: link::Counters::default(),
            asks: asks::Counters::default(),
            change: None,
            closed: now,
        }
    }

    /// A link will not be used any more.
    pub fn link_gone(&mut self, link: &Link) {
        self.gone = self.gone.zip(link.counters(), |a, b| a + b);
    }

    /// A link was given up because a control message was lost.
    pub fn started_over(&self) {
        self.metrics.resets.control.increment(1);
    }

    /// The node has lost its lease.
    pub fn demoted(&self) {
        self.metrics.demotions.increment(1);
    }

    /// Slots were closed for a hand-off.
    pub const fn closed(&mut self, now: Mono) {
        self.closed = now;
    }

    /// An ask was answered.
    pub fn answered(&self, asked: Mono, now: Mono) {
        self.metrics.ask_seconds.record(now.elapsed_since(asked));
    }

    /// A change of this map is being made.
    pub fn change_begun(
        &mut self,
        id: ChangeId,
        change: &Change,
        reason: Reason,
        map: &ClusterMap,
    ) {
        let what = match change.what {
            MapChange::TakeOver { .. } => Kind::TakeOver,
            MapChange::HandOver { .. } | MapChange::Yield { .. } => Kind::HandOff,
            MapChange::Join(..)
            | MapChange::Assign
            | MapChange::SetState(..)
            | MapChange::Leave(_)
            | MapChange::Pin(..)
            | MapChange::Unpin(_)
            | MapChange::Opening(_)
            | MapChange::Passed(..)
            | MapChange::EndQuarantine(_) => Kind::Other,
        };
        let owner = |map: &ClusterMap, slot| map.owner(slot).map(|peer| peer.id);
        let moves = SlotId::all().filter(|slot| owner(map, *slot) != owner(&change.map, *slot));
        let why = match reason {
            Reason::Silent => "silent",
            Reason::Unowned | Reason::Trial => "unowned",
            Reason::Rebalance => "rebalance",
            Reason::Draining => "draining",
            Reason::Ordered => "ordered",
            Reason::Deaf => "deaf",
        };
        self.change = Some(Begun { id, what, moves: moves.count(), why });
    }

    /// A change of the map has ended, unless its outcome is still unknown.
    pub fn change_decided(&mut self, id: ChangeId, outcome: Outcome, now: Mono) {
        let outcome = match outcome {
            Outcome::Unknown => return,
            Outcome::Done => "done",
            Outcome::Refused => "refused",
            Outcome::Fenced => "fenced",
        };
        let Some(change) = self.change.take_if(|change| change.id == id) else { return };
        if matches!(change.what, Kind::TakeOver) {
            self.metrics.taken_over(outcome);
        }
        if outcome != "done" {
            return;
        }
        if change.moves > 0 {
            self.metrics.moved(change.moves, change.why);
        }
        if matches!(change.what, Kind::HandOff) {
            self.metrics.handoff_seconds.record(now.elapsed_since(self.closed));
        }
    }

    fn links(&mut self, total: link::Counters) {
        let new = total.zip(&self.links, u64::saturating_sub);
        self.links = total;
        let metrics = &self.metrics;
        metrics.frames.sent.increment(new.frames_sent);
        metrics.frames.received.increment(new.frames_received);
        metrics.bytes.sent.increment(new.bytes_sent);
        metrics.bytes.received.increment(new.bytes_received);
        metrics.items.sent.increment(new.items_pushed);
        metrics.items.received.increment(new.items_read);
        metrics.resends.increment(new.resends);
        metrics.resets.full.increment(new.resets_full);
        metrics.resets.silence.increment(new.resets_silence);
        metrics.resets.stalled.increment(new.resets_stalled);
        metrics.resets.peer.increment(new.resets_peer);
        metrics.resets.garbled.increment(new.resets_garbled);
    }

    fn asks(&mut self, total: asks::Counters) {
        let last = std::mem::replace(&mut self.asks, total);
        let metrics = &self.metrics;
        metrics.asks.answered.increment(total.answered - last.answered);
        metrics.asks.held.increment(total.held - last.held);
        metrics.asks.unknown.increment(total.unknown - last.unknown);
        metrics.asks.full.increment(total.full - last.full);
        metrics.asks_again.increment(total.again - last.again);
    }
}

impl Node {
    /// Brings the metrics up to date, if it is time.
    #[expect(clippy::cast_precision_loss, reason = "these numbers have far fewer than 52 bits")]
    pub(super) fn publish(&mut self, now: Mono) {
        self.published.lease = self.published.lease.min(self.validity.left(now));
        if now < self.published.due {
            return;
        }
        self.published.due = now.after(EVERY);
        let links = self.links.values();
        let total =
            links.fold(self.published.gone, |sum, link| sum.zip(link.counters(), |a, b| a + b));
        self.published.links(total);
        self.published.asks(*self.asks.counters());
        let slots = self.slot_counts();
        let map = self.membership.map();
        let metrics = &self.published.metrics;
        for (gauge, state) in metrics.members.iter().zip([
            PeerState::Up,
            PeerState::Cordoned,
            PeerState::Deaf,
            PeerState::Draining,
        ]) {
            gauge.set(map.peers().iter().filter(|peer| peer.state == state).count() as f64);
        }
        for (gauge, slots) in
            metrics.slots.iter().zip([slots.open, slots.closed, slots.unowned, slots.quarantined])
        {
            gauge.set(slots as f64);
        }
        metrics.map_version.set(map.version() as f64);
        if let Some(read) = self.membership.silence().heard() {
            metrics.map_age.set(now.elapsed_since(read).as_secs_f64());
        }
        for took in self.links.values_mut().filter_map(Link::take_round_trip) {
            metrics.rtt_seconds.record(took);
        }
        metrics.queue_bytes.set(self.links.values().map(Link::bytes_out).sum::<usize>() as f64);
        metrics.asks_held.set(self.asks.held() as f64);
        metrics.lease_valid.set(self.published.lease.as_secs_f64());
        self.published.lease = self.validity.left(now);
        self.report_usage(now);
    }

    fn report_usage(&mut self, now: Mono) {
        let used = self.accounts.heaviest(MOST_USERS);
        if used.is_empty() {
            return;
        }
        let usage = Usage(used.into_iter().map(|used| (used.user, used.tokens)).collect());
        let body = items::to_body(&usage);
        for node in self.links.keys().copied().collect::<Vec<_>>() {
            self.push(node, Item { kind: items::USAGE, body: body.clone() }, now);
        }
    }
}
