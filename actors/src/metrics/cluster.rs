//! What a node of a cluster records. A server on its own has none of these: they are registered
//! when a node is made.

use metrics::Unit;

use super::{Metric, SECONDS};

mod handles;

pub use handles::{ClusterMetrics, Outcomes, Resets, Ways};

/// Nodes in the map.
pub const MEMBERS: Metric = Metric::gauge(
    "greenroom_cluster_members",
    &["state"],
    "Nodes in the map that this node knows, by state: `up`, `cordoned`, `deaf` or `draining`",
);
/// The version of the map.
pub const MAP_VERSION: Metric = Metric::gauge(
    "greenroom_cluster_map_version",
    &[],
    "Version of the latest map that this node knows",
);
/// How old the map is.
pub const MAP_AGE_SECONDS: Metric = Metric::gauge_of(
    "greenroom_cluster_map_age_seconds",
    &[],
    Unit::Seconds,
    "Time since this node last read the map and the leases from the database",
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
    "Slots by state: `open` (this node serves them), `closed` (it is handing them over), `unowned` (nobody has them) or `quarantined` (nobody is to have them for a minute)",
);
/// Slots that changed their owner.
pub const SLOT_MOVES: Metric = Metric::counter(
    "greenroom_cluster_slot_moves_total",
    &["why"],
    "Slots that this node gave another owner, by why: `silent`, `unowned`, `rebalance`, `draining`, `ordered` or `deaf`",
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
/// What those messages carry.
pub const LINK_ITEMS: Metric = Metric::counter(
    "greenroom_link_items_total",
    &["way"],
    "Items that the links carry, such as requests, answers and events, by way: `sent` or `received`",
);
/// How long an acknowledgement takes.
pub const LINK_RTT_SECONDS: Metric = Metric::histogram(
    "greenroom_link_rtt_seconds",
    &[],
    Unit::Seconds,
    SECONDS,
    "Time from a message of a link to its acknowledgement, of one message a second for each link",
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
    MAP_AGE_SECONDS,
    LEASE_VALID_SECONDS,
    DEMOTIONS,
    TAKEOVERS,
    SLOTS,
    SLOT_MOVES,
    HANDOFF_SECONDS,
    LINK_FRAMES,
    LINK_BYTES,
    LINK_ITEMS,
    LINK_RTT_SECONDS,
    LINK_RESENDS,
    LINK_RESETS,
    LINK_QUEUE_BYTES,
    ASKS,
    ASK_SECONDS,
    ASKS_HELD,
    ASKS_AGAIN,
];
