//! What a wire counts, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::Statistics;
use greenroom_actors::cluster::link::wire::Unsent;

/// Counters of one wire, since it was made. They only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that the client has taken to send.
    pub published: u64,
    /// Messages refused since there was no connection.
    pub unsent_disconnected: u64,
    /// Messages refused since too many waited to be written.
    pub unsent_full: u64,
    /// Messages refused since they were too long.
    pub unsent_long: u64,
    /// Messages received from the server. Those that were not read wait in a subscription, at most
    /// [`SUBSCRIPTION_CAPACITY`](greenroom_actors::cluster::link::wire::SUBSCRIPTION_CAPACITY) in
    /// each, or were dropped.
    pub received: u64,
    /// Messages that a subscription's owner has read.
    pub read: u64,
    /// Messages reported as dropped because a subscription was full. In a burst the client reports
    /// only the first 128; `received` and `read` count all.
    pub dropped: u64,
    /// Errors that the server reported: no permission for a subject, or this node reads too slowly.
    pub server_errors: u64,
    /// How often a server said that it is about to stop.
    pub lame_ducks: u64,
}

/// The counters that are not the client's own.
#[derive(Debug, Default)]
pub(super) struct Tally {
    published: AtomicU64,
    unsent_disconnected: AtomicU64,
    unsent_full: AtomicU64,
    unsent_long: AtomicU64,
    pub read: AtomicU64,
    pub dropped: AtomicU64,
    pub server_errors: AtomicU64,
    pub lame_ducks: AtomicU64,
}

impl Tally {
    pub fn published(&self, outcome: Result<(), Unsent>) {
        let counter = match outcome {
            Ok(()) => &self.published,
            Err(Unsent::Disconnected) => &self.unsent_disconnected,
            Err(Unsent::Full) => &self.unsent_full,
            Err(Unsent::Long(_)) => &self.unsent_long,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self, client: &Statistics) -> Counters {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Before `received`, so that it is never the greater one.
        let read = load(&self.read);
        Counters {
            published: load(&self.published),
            unsent_disconnected: load(&self.unsent_disconnected),
            unsent_full: load(&self.unsent_full),
            unsent_long: load(&self.unsent_long),
            received: client.in_messages.load(Ordering::Relaxed),
            read,
            dropped: load(&self.dropped),
            server_errors: load(&self.server_errors),
            lame_ducks: load(&self.lame_ducks),
        }
    }
}
