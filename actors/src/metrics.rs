//! The core's metrics: each declared once, with its labels and its meaning, and handed out as cheap
//! handles.
//!
//! Labels are kinds and reasons, never an entity's, user's or session's id; every label value is
//! therefore a `&'static str`. A handle is looked up once and kept: recording through it takes no
//! lock.

use metrics::Unit;

pub mod cluster;
mod declare;
mod handles;
#[cfg(test)]
pub(crate) mod recorded;
mod requests;

pub use declare::{Metric, MetricType};
pub use handles::{
    DeliveryMetrics, JournalMetrics, KindMetrics, PresenceMetrics, Stored, record_panic,
    record_rate_limited,
};
pub use requests::{RequestMetrics, UNKNOWN_METHOD};

/// Seconds from a fast in-memory answer to the longest a client waits.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
];
/// Ops in one commit.
const BATCH: &[f64] =
    &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0];

/// Sessions that are connected.
pub const SESSIONS: Metric =
    Metric::gauge("greenroom_sessions", &[], "Sessions that `connect` has admitted");
/// Sessions that wait to be resumed.
pub const SESSIONS_PARKED: Metric = Metric::gauge(
    "greenroom_sessions_parked",
    &[],
    "Sessions whose connection was lost, kept for their client's return",
);
/// Sessions that were to be resumed.
pub const SESSIONS_RESUMED: Metric = Metric::counter(
    "greenroom_sessions_resumed_total",
    &["outcome"],
    "Sessions that a new connection asked for, by outcome: `parked` (it takes its place), `replaced` (the old connection was still open) or `unknown`",
);
/// Requests by method and how they were answered.
pub const REQUESTS: Metric = Metric::counter(
    "greenroom_requests_total",
    &["method", "outcome"],
    "Requests answered, by method and outcome: `ok` or the error's `data.code`",
);
/// Entities in memory.
pub const ENTITIES_AWAKE: Metric =
    Metric::gauge("greenroom_entities_awake", &["kind"], "Entities in memory");
/// Entities that were loaded.
pub const COLD_STARTS: Metric = Metric::counter(
    "greenroom_cold_starts_total",
    &["kind", "outcome"],
    "Entities woken from the store, by outcome: `ok`, `failed` (the store does not answer) or `refused` (too many wait)",
);
/// Reads of what makes no sense.
pub const CORRUPT_READS: Metric = Metric::counter(
    "greenroom_corrupt_reads_total",
    &["kind"],
    "Reads of an entity whose rows in the store make no sense; the log names each entity once",
);
/// How long a load takes.
pub const COLD_START_SECONDS: Metric = Metric::histogram(
    "greenroom_cold_start_seconds",
    &["kind"],
    Unit::Seconds,
    SECONDS,
    "Time to load an entity, its wait for a turn included",
);
/// Loads that wait for a turn.
pub const COLD_STARTS_WAITING: Metric = Metric::gauge(
    "greenroom_cold_starts_waiting",
    &[],
    "Entities that wait for their turn to be loaded; those that are being loaded do not count",
);
/// Ops by what became of them.
pub const OPS: Metric = Metric::counter(
    "greenroom_ops_total",
    &["kind", "outcome"],
    "Ops answered, by outcome: `accepted`, `duplicate` or the error's `data.code`",
);
/// How long a sender waits for the disk.
pub const OP_SECONDS: Metric = Metric::histogram(
    "greenroom_op_seconds",
    &["kind"],
    Unit::Seconds,
    SECONDS,
    "Time from an op's acceptance by its entity to its acknowledgement",
);
/// Events handed to subscribers.
pub const EVENTS_DELIVERED: Metric = Metric::counter(
    "greenroom_events_delivered_total",
    &[],
    "Events put into outboxes, counted once per subscriber",
);
/// Signals handed to subscribers.
pub const SIGNALS_DELIVERED: Metric = Metric::counter(
    "greenroom_signals_delivered_total",
    &[],
    "Signals put into outboxes, counted once per subscriber",
);
/// Ops in a commit.
pub const COMMIT_BATCH_OPS: Metric = Metric::histogram(
    "greenroom_commit_batch_ops",
    &[],
    Unit::Count,
    BATCH,
    "Ops that one transaction made durable",
);
/// How long a commit takes.
pub const COMMIT_SECONDS: Metric = Metric::histogram(
    "greenroom_commit_seconds",
    &[],
    Unit::Seconds,
    SECONDS,
    "Time of one transaction, the disk's flush included",
);
/// Commits by how they ended.
pub const COMMITS: Metric = Metric::counter(
    "greenroom_commits_total",
    &["outcome"],
    "Transactions, by outcome: `ok`, `failed` (nothing was stored) or `unknown` (the answer was lost)",
);
/// Steps of retention.
pub const TRIMS: Metric = Metric::counter(
    "greenroom_trims_total",
    &[],
    "Times that the oldest rows of an entity's journal were deleted, a few at a time",
);
/// Ops that wait for a commit.
pub const JOURNAL_QUEUE_OPS: Metric = Metric::gauge(
    "greenroom_journal_queue_ops",
    &[],
    "Ops, snapshots and deletions that wait for the committer",
);
/// Bytes on their way to clients.
pub const OUTBOX_BYTES: Metric = Metric::gauge_of(
    "greenroom_outbox_bytes",
    &[],
    Unit::Bytes,
    "Bytes queued for sockets or being written, and of answers being made; shared ones count once per outbox",
);
/// Outboxes that were full.
pub const OUTBOX_OVERFLOWS: Metric = Metric::counter(
    "greenroom_outbox_overflows_total",
    &["policy"],
    "Times an outbox was full, by what was then done: `replay`, `disconnect` or `drop_oldest`",
);
/// Signals that gave way to newer ones.
pub const SIGNALS_REPLACED: Metric = Metric::counter(
    "greenroom_signals_replaced_total",
    &[],
    "Signals that waited in an outbox and gave way to a newer one with the same key (policy `latest`)",
);
/// Messages whose bodies are gone.
pub const ERASURES: Metric = Metric::counter(
    "greenroom_erasures_total",
    &[],
    "Deleted and purged messages whose bodies were erased from the journal",
);
/// Pages read for paused subscriptions.
pub const CATCH_UP_PAGES: Metric = Metric::counter(
    "greenroom_catch_up_pages_total",
    &[],
    "Pages of events read for subscriptions that had paused; those who wait together share one",
);
/// Mailboxes that were full.
pub const MAILBOX_REFUSALS: Metric = Metric::counter(
    "greenroom_mailbox_refusals_total",
    &["mailbox"],
    "Messages refused because a queue was full, by queue: `directory`, `entity`, `journal` or `outboxes`",
);
/// Refusals by rate limits.
pub const RATE_LIMITED: Metric = Metric::counter(
    "greenroom_rate_limited_total",
    &["scope"],
    "Requests and connections refused by a rate limit, by scope: `requests`, `bytes`, `user`, `address`, `entity`, `waking` or `awake`",
);
/// Who comes and goes.
pub const PRESENCE_CHANGES: Metric = Metric::counter(
    "greenroom_presence_changes_total",
    &["change"],
    "Presence changes: `joined`, `updated` or `left`",
);
/// Snapshots written.
pub const SNAPSHOTS: Metric = Metric::counter("greenroom_snapshots_total", &[], "Snapshots stored");
/// Actors that failed.
pub const ACTOR_PANICS: Metric = Metric::counter(
    "greenroom_actor_panics_total",
    &["actor"],
    "Panics that were contained, by actor: `session` or `entity`",
);

/// Every metric of this crate, in the order of the documentation.
pub const TABLE: &[Metric] = &[
    SESSIONS,
    SESSIONS_PARKED,
    SESSIONS_RESUMED,
    REQUESTS,
    ENTITIES_AWAKE,
    COLD_STARTS,
    CORRUPT_READS,
    COLD_START_SECONDS,
    COLD_STARTS_WAITING,
    OPS,
    OP_SECONDS,
    EVENTS_DELIVERED,
    SIGNALS_DELIVERED,
    COMMIT_BATCH_OPS,
    COMMIT_SECONDS,
    COMMITS,
    TRIMS,
    JOURNAL_QUEUE_OPS,
    OUTBOX_BYTES,
    OUTBOX_OVERFLOWS,
    SIGNALS_REPLACED,
    CATCH_UP_PAGES,
    ERASURES,
    MAILBOX_REFUSALS,
    RATE_LIMITED,
    PRESENCE_CHANGES,
    SNAPSHOTS,
    ACTOR_PANICS,
];
