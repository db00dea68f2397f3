//! The handles of a node's metrics.

use metrics::{Counter, Gauge, Histogram};

use super::super::Metric;
use super::{
    ASK_SECONDS, ASKS, ASKS_AGAIN, ASKS_HELD, DEMOTIONS, HANDOFF_SECONDS, LEASE_VALID_SECONDS,
    LINK_BYTES, LINK_FRAMES, LINK_ITEMS, LINK_QUEUE_BYTES, LINK_RESENDS, LINK_RESETS,
    LINK_RTT_SECONDS, MAP_AGE_SECONDS, MAP_VERSION, MEMBERS, SLOT_MOVES, SLOTS, TAKEOVERS,
};

/// Sent and received.
pub struct Ways {
    /// To other nodes.
    pub sent: Counter,
    /// From other nodes.
    pub received: Counter,
}

/// Links by why they started over.
pub struct Resets {
    /// Too much waited for the peer.
    pub full: Counter,
    /// The peer was silent.
    pub silence: Counter,
    /// The peer acknowledged nothing.
    pub stalled: Counter,
    /// The peer reset it.
    pub peer: Counter,
    /// The peer sent what makes no sense.
    pub garbled: Counter,
    /// A control message was lost.
    pub control: Counter,
}

/// Requests by their outcome.
pub struct Outcomes {
    /// The entity's node has answered.
    pub answered: Counter,
    /// It waited too long.
    pub held: Counter,
    /// Nobody knows whether it happened.
    pub unknown: Counter,
    /// Too many wait.
    pub full: Counter,
}

/// The handles of one node.
pub struct ClusterMetrics {
    /// Nodes that are up, cordoned, deaf and draining.
    pub members: [Gauge; 4],
    /// The version of the map.
    pub map_version: Gauge,
    /// Seconds since it was read.
    pub map_age: Gauge,
    /// Seconds for which the lease holds.
    pub lease_valid: Gauge,
    /// Leases lost.
    pub demotions: Counter,
    /// Slots that are open, closed, unowned and quarantined.
    pub slots: [Gauge; 4],
    /// The pauses of hand-offs.
    pub handoff_seconds: Histogram,
    /// Messages of links.
    pub frames: Ways,
    /// Their bytes.
    pub bytes: Ways,
    /// What they carry.
    pub items: Ways,
    /// How long acknowledgements take.
    pub rtt_seconds: Histogram,
    /// Messages sent again.
    pub resends: Counter,
    /// Links that started over.
    pub resets: Resets,
    /// Bytes that wait.
    pub queue_bytes: Gauge,
    /// Requests by outcome.
    pub asks: Outcomes,
    /// How long they take.
    pub ask_seconds: Histogram,
    /// Requests that wait for an owner.
    pub asks_held: Gauge,
    /// Requests that were asked again.
    pub asks_again: Counter,
}

impl ClusterMetrics {
    /// The handles.
    #[expect(
        clippy::new_without_default,
        reason = "registers with the recorder, which a default should not"
    )]
    pub fn new() -> Self {
        let ways = |metric: &Metric| Ways {
            sent: metric.counter_with(["sent"]),
            received: metric.counter_with(["received"]),
        };
        // Those that are looked up when they count are there from the start, too.
        for outcome in ["done", "refused", "fenced"] {
            TAKEOVERS.counter_with([outcome]).increment(0);
        }
        for why in ["silent", "unowned", "rebalance", "draining", "ordered", "deaf"] {
            SLOT_MOVES.counter_with([why]).increment(0);
        }
        Self {
            members: ["up", "cordoned", "deaf", "draining"]
                .map(|state| MEMBERS.gauge_with([state])),
            map_version: MAP_VERSION.gauge_with([]),
            map_age: MAP_AGE_SECONDS.gauge_with([]),
            lease_valid: LEASE_VALID_SECONDS.gauge_with([]),
            demotions: DEMOTIONS.counter_with([]),
            slots: ["open", "closed", "unowned", "quarantined"]
                .map(|state| SLOTS.gauge_with([state])),
            handoff_seconds: HANDOFF_SECONDS.histogram_with([]),
            frames: ways(&LINK_FRAMES),
            bytes: ways(&LINK_BYTES),
            items: ways(&LINK_ITEMS),
            rtt_seconds: LINK_RTT_SECONDS.histogram_with([]),
            resends: LINK_RESENDS.counter_with([]),
            resets: Resets {
                full: LINK_RESETS.counter_with(["full"]),
                silence: LINK_RESETS.counter_with(["silence"]),
                stalled: LINK_RESETS.counter_with(["stalled"]),
                peer: LINK_RESETS.counter_with(["peer"]),
                garbled: LINK_RESETS.counter_with(["garbled"]),
                control: LINK_RESETS.counter_with(["control"]),
            },
            queue_bytes: LINK_QUEUE_BYTES.gauge_with([]),
            asks: Outcomes {
                answered: ASKS.counter_with(["answered"]),
                held: ASKS.counter_with(["held"]),
                unknown: ASKS.counter_with(["unknown"]),
                full: ASKS.counter_with(["full"]),
            },
            ask_seconds: ASK_SECONDS.histogram_with([]),
            asks_held: ASKS_HELD.gauge_with([]),
            asks_again: ASKS_AGAIN.counter_with([]),
        }
    }

    /// An attempt to take over a silent node has ended.
    pub fn taken_over(&self, outcome: &'static str) {
        TAKEOVERS.counter_with([outcome]).increment(1);
    }

    /// Slots have another owner.
    pub fn moved(&self, slots: usize, why: &'static str) {
        SLOT_MOVES.counter_with([why]).increment(slots as u64);
    }
}
