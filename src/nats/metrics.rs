//! What a node records of its connection to NATS.

use greenroom_actors::cluster::link::wire::WireState;
use greenroom_actors::metrics::Metric;
use metrics::{Counter, Gauge};

use super::Counters;

/// Whether there is a connection.
pub const CONNECTED: Metric = Metric::gauge(
    "greenroom_nats_connected",
    &[],
    "1 while this node is connected to NATS, else 0",
);
/// Connections that were made again.
pub const RECONNECTS: Metric = Metric::counter(
    "greenroom_nats_reconnects_total",
    &[],
    "Times that the connection to NATS was lost and made again",
);
/// Messages that were lost.
pub const DROPPED: Metric = Metric::counter(
    "greenroom_nats_dropped_total",
    &["why"],
    "Messages lost before or after NATS, by why: `disconnected` (there was no connection), `full` (too many waited to be written), `long` (for NATS) or `unread` (this node read too slowly)",
);

/// Every metric of NATS, in the order of the documentation.
pub const TABLE: &[Metric] = &[CONNECTED, RECONNECTS, DROPPED];

/// The handles of a node, and what they were last given.
pub struct NatsMetrics {
    connected: Gauge,
    reconnects: Counter,
    disconnected: Counter,
    full: Counter,
    long: Counter,
    unread: Counter,
}

impl NatsMetrics {
    /// The handles.
    #[expect(
        clippy::new_without_default,
        reason = "registers with the recorder, which a default should not"
    )]
    pub fn new() -> Self {
        Self {
            connected: CONNECTED.gauge_with([]),
            reconnects: RECONNECTS.counter_with([]),
            disconnected: DROPPED.counter_with(["disconnected"]),
            full: DROPPED.counter_with(["full"]),
            long: DROPPED.counter_with(["long"]),
            unread: DROPPED.counter_with(["unread"]),
        }
    }

    /// Shows how the connection is. What is counted only grows.
    pub fn show(&self, state: WireState, counters: &Counters) {
        self.connected.set(if state.is_connected { 1.0 } else { 0.0 });
        self.reconnects.absolute(state.reconnects);
        self.disconnected.absolute(counters.unsent_disconnected);
        self.full.absolute(counters.unsent_full);
        self.long.absolute(counters.unsent_long);
        self.unread.absolute(counters.dropped);
    }
}
