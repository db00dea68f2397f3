//! What a node of a cluster records. A server on its own has none of these: they are registered
//! when a node is made.

use metrics::{Counter, Gauge, Histogram, Unit};

use super::{Metric, SECONDS};

/// Nodes in the map.
pub const MEMBERS: Metric = Metric::gauge(
    "greenroom_cluster_members",
    &["state"],
    "Nodes in the map that this node knows, by state: `up`, `cordoned` or `draining`",
);
/// The version of the map.
pub const MAP_VERSION: Metric = Metric::gauge(
    "greenroom_cluster_map_version",
    &[],
    "Version of the latest map that this node knows",
);
/// How long the lease holds.
pub const LEASE_VALID_SECONDS: Metric = Metric::gauge_of(
    "greenroom_cluster_lease_valid_seconds",
    &[],
    Unit::Seconds,
    "Shortest time in the last second for which this node's lease was still valid; 0 without one",
);
/// Leases that were lost.
pub const DEMOTIONS: Metric = Metric::counter(
    "greenroom_cluster_lease_lost_total",
    &[],
    "Times that this node found that others had taken it over, and gave up all its slots",
);
/// Nodes that were taken over.
pub const TAKEOVERS: Metric = Metric::counter(
    "greenroom_cluster_takeovers_total",
    &["outcome"],
    "Attempts of this node to take over a silent one, by outcome: `done`, `refused` (another node was first, or it was not silent) or `fenced`",
);
/// Slots as this node sees them.
pub const SLOTS: Metric = Metric::gauge(
    "greenroom_cluster_slots",
    &["state"],
    "Slots by state: `open` (this node serves them), `closed` (it is handing them over) or `unowned` (nobody has them)",
);
/// Slots that changed their owner.
pub const SLOT_MOVES: Metric = Metric::counter(
    "greenroom_cluster_slot_moves_total",
    &["why"],
    "Slots that this node gave another owner, by why: `silent`, `unowned`, `rebalance`, `draining` or `ordered`",
);
/// The pause of a hand-off.
pub const HANDOFF_SECONDS: Metric = Metric::histogram(
    "greenroom_cluster_handoff_seconds",
    &[],
    Unit::Seconds,
    SECONDS,
    "Time from closing slots to the commit that gives them to another node",
);
/// Messages between nodes.
pub const LINK_FRAMES: Metric = Metric::counter(
    "greenroom_link_frames_total",
    &["way"],
    "Messages of this node's links to others, by way: `sent` or `received`",
);
/// Their bytes.
pub const LINK_BYTES: Metric = Metric::counter(
    "greenroom_link_bytes_total",
    &["way"],
    "Bytes of those messages, by way: `sent` or `received`",
);
/// Messages that were sent again.
pub const LINK_RESENDS: Metric = Metric::counter(
    "greenroom_link_resends_total",
    &[],
    "Messages sent to other nodes again because no acknowledgement came",
);
/// Links that started over.
pub const LINK_RESETS: Metric = Metric::counter(
    "greenroom_link_resets_total",
    &["why"],
    "Links that started over, by why: `full`, `silence`, `stalled`, `peer`, `garbled` or `control` (a control message was given up)",
);
/// Bytes that wait for other nodes.
pub const LINK_QUEUE_BYTES: Metric = Metric::gauge_of(
    "greenroom_link_queue_bytes",
    &[],
    Unit::Bytes,
    "Bytes that wait for other nodes or their acknowledgement",
);
/// Requests to other nodes.
pub const ASKS: Metric = Metric::counter(
    "greenroom_asks_total",
    &["outcome"],
    "Requests for entities of other nodes, by outcome: `answered`, `held` (waited too long), `unknown` (may have happened) or `full` (too many wait)",
);
/// How long an answer takes.
pub const ASK_SECONDS: Metric = Metric::histogram(
    "greenroom_ask_seconds",
    &[],
    Unit::Seconds,
    SECONDS,
    "Time from a request for another node's entity to its answer, waiting for an owner included",
);
/// Requests that wait for an owner.
pub const ASKS_HELD: Metric = Metric::gauge(
    "greenroom_asks_held",
    &[],
    "Requests and control messages that wait until their slot has an owner that can be reached",
);
/// Requests that were asked again.
pub const ASKS_AGAIN: Metric = Metric::counter(
    "greenroom_asks_again_total",
    &[],
    "Requests that had been sent and have to be sent again, because the slot moved or a link was reset",
);

/// Every metric of a cluster, in the order of the documentation.
pub const TABLE: &[Metric] = &[
    MEMBERS,
    MAP_VERSION,
    LEASE_VALID_SECONDS,
    DEMOTIONS,
    TAKEOVERS,
    SLOTS,
    SLOT_MOVES,
    HANDOFF_SECONDS,
    LINK_FRAMES,
    LINK_BYTES,
    LINK_RESENDS,
    LINK_RESETS,
    LINK_QUEUE_BYTES,
    ASKS,
    ASK_SECONDS,
    ASKS_HELD,
    ASKS_AGAIN,
];

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
    /// Nodes that are up, cordoned and draining.
    pub members: [Gauge; 4],
    /// The version of the map.
    pub map_version: Gauge,
    /// Seconds for which the lease holds.
    pub lease_valid: Gauge,
    /// Leases lost.
    pub demotions: Counter,
    /// Slots that are open, closed and unowned.
    pub slots: [Gauge; 3],
    /// The pauses of hand-offs.
    pub handoff_seconds: Histogram,
    /// Messages of links.
    pub frames: Ways,
    /// Their bytes.
    pub bytes: Ways,
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
        for why in ["silent", "unowned", "rebalance", "draining", "ordered"] {
            SLOT_MOVES.counter_with([why]).increment(0);
        }
        Self {
            members: ["up", "cordoned", "deaf", "draining"]
                .map(|state| MEMBERS.gauge_with([state])),
            map_version: MAP_VERSION.gauge_with([]),
            lease_valid: LEASE_VALID_SECONDS.gauge_with([]),
            demotions: DEMOTIONS.counter_with([]),
            slots: ["open", "closed", "unowned"].map(|state| SLOTS.gauge_with([state])),
            handoff_seconds: HANDOFF_SECONDS.histogram_with([]),
            frames: ways(&LINK_FRAMES),
            bytes: ways(&LINK_BYTES),
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
