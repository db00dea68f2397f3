//! Handles for the places that record often.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use greenroom_protocol::ErrorCode;
use metrics::{Counter, Gauge, Histogram};

use super::*;

thread_local! {
    static KINDS: RefCell<Vec<Arc<KindMetrics>>> = const { RefCell::new(Vec::new()) };
}

/// What one kind's entities record, shared by those of a thread: hundreds of bytes, and many
/// look-ups to make.
pub struct KindMetrics {
    kind: &'static str,
    /// Entities in memory.
    pub awake: Gauge,
    /// Ops that became events.
    pub accepted: Counter,
    /// Repeats that got the first outcome.
    pub duplicate: Counter,
    rejected: Counter,
    conflict: Counter,
    op_seconds: Histogram,
    cold_starts: Counter,
    cold_start_seconds: Histogram,
    pages: Counter,
    erased: Counter,
    /// Who comes and goes.
    pub presence: PresenceMetrics,
}

impl KindMetrics {
    /// The handles of the kind called `kind`, made once for each thread.
    pub fn of(kind: &'static str) -> Arc<Self> {
        KINDS.with_borrow_mut(|kinds| {
            if let Some(known) = kinds.iter().find(|known| known.kind == kind) {
                return Arc::clone(known);
            }
            let new = Arc::new(Self::new(kind));
            kinds.push(Arc::clone(&new));
            new
        })
    }

    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            awake: ENTITIES_AWAKE.gauge_with([kind]),
            accepted: OPS.counter_with([kind, "accepted"]),
            duplicate: OPS.counter_with([kind, "duplicate"]),
            rejected: OPS.counter_with([kind, ErrorCode::Rejected.as_str()]),
            conflict: OPS.counter_with([kind, ErrorCode::Conflict.as_str()]),
            op_seconds: OP_SECONDS.histogram_with([kind]),
            cold_starts: COLD_STARTS.counter_with([kind, "ok"]),
            cold_start_seconds: COLD_START_SECONDS.histogram_with([kind]),
            pages: CATCH_UP_PAGES.counter_with([]),
            erased: ERASURES.counter_with([]),
            presence: PresenceMetrics::new(),
        }
    }

    /// An op was acknowledged after `waited` in its entity.
    pub fn acknowledged(&self, waited: Duration) {
        self.accepted.increment(1);
        self.op_seconds.record(waited);
    }

    /// A page was read for paused subscriptions.
    pub fn page_read(&self) {
        self.pages.increment(1);
    }

    /// The bodies of this number of messages are gone from the journal.
    pub fn erased(&self, messages: usize) {
        self.erased.increment(messages as u64);
    }

    /// An op was answered with an error.
    pub fn refused(&self, code: ErrorCode) {
        match code {
            ErrorCode::Rejected => self.rejected.increment(1),
            ErrorCode::Conflict => self.conflict.increment(1),
            other => OPS.counter_with([self.kind, other.as_str()]).increment(1),
        }
    }

    /// An entity was loaded in `took`.
    pub fn woken(&self, took: Duration) {
        self.cold_starts.increment(1);
        self.cold_start_seconds.record(took);
    }

    /// An entity could not be loaded.
    pub fn wake_failed(&self) {
        COLD_STARTS.counter_with([self.kind, "failed"]).increment(1);
    }

    /// What the store has of an entity cannot be read.
    pub fn corrupt(&self) {
        CORRUPT_READS.counter_with([self.kind]).increment(1);
    }

    /// An entity was not loaded because too many others wait.
    pub fn wake_refused(&self) {
        COLD_STARTS.counter_with([self.kind, "refused"]).increment(1);
    }
}

/// What one transaction holds.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    /// Ops.
    pub ops: usize,
    /// Snapshots.
    pub snapshots: usize,
    /// Journals whose oldest rows it deletes.
    pub trims: usize,
}

/// What the committer and the queue before it record.
#[derive(Clone)]
pub struct JournalMetrics {
    batch_ops: Histogram,
    seconds: Histogram,
    ok: Counter,
    failed: Counter,
    unknown: Counter,
    trims: Counter,
    snapshots: Counter,
}

impl JournalMetrics {
    /// The handles.
    #[expect(
        clippy::new_without_default,
        reason = "registers with the recorder, which a default should not"
    )]
    pub fn new() -> Self {
        Self {
            batch_ops: COMMIT_BATCH_OPS.histogram_with([]),
            seconds: COMMIT_SECONDS.histogram_with([]),
            ok: COMMITS.counter_with(["ok"]),
            failed: COMMITS.counter_with(["failed"]),
            unknown: COMMITS.counter_with(["unknown"]),
            trims: TRIMS.counter_with([]),
            snapshots: SNAPSHOTS.counter_with([]),
        }
    }

    /// A transaction was made durable in `took`.
    pub fn committed(&self, stored: Stored, took: Duration) {
        self.ok.increment(1);
        self.seconds.record(took);
        self.stored(stored);
    }

    /// What a transaction holds is on disk. Where its answer was lost, this is known only later.
    #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer than 2^52 ops")]
    pub fn stored(&self, Stored { ops, snapshots, trims }: Stored) {
        self.batch_ops.record(ops as f64);
        self.snapshots.increment(snapshots as u64);
        self.trims.increment(trims as u64);
    }

    /// A transaction failed, and stored nothing.
    pub fn failed(&self, took: Duration) {
        self.failed.increment(1);
        self.seconds.record(took);
    }

    /// A transaction's answer was lost.
    pub fn unknown(&self, took: Duration) {
        self.unknown.increment(1);
        self.seconds.record(took);
    }
}

/// What relays and outboxes record.
#[derive(Clone)]
pub struct DeliveryMetrics {
    /// Events put into outboxes.
    pub events: Counter,
    /// Signals put into outboxes.
    pub signals: Counter,
    /// Bytes in outboxes.
    pub outbox_bytes: Gauge,
    /// Outboxes that began to skip events, to read them from the journal later.
    pub paused: Counter,
    /// Sessions ended because their outbox was full.
    pub disconnected: Counter,
    /// Signals dropped for newer ones.
    pub dropped_oldest: Counter,
    /// Waiting signals whose place newer ones with the same key took.
    pub replaced: Counter,
}

impl DeliveryMetrics {
    /// The handles.
    #[expect(
        clippy::new_without_default,
        reason = "registers with the recorder, which a default should not"
    )]
    pub fn new() -> Self {
        Self {
            events: EVENTS_DELIVERED.counter_with([]),
            signals: SIGNALS_DELIVERED.counter_with([]),
            outbox_bytes: OUTBOX_BYTES.gauge_with([]),
            paused: OUTBOX_OVERFLOWS.counter_with(["replay"]),
            disconnected: OUTBOX_OVERFLOWS.counter_with(["disconnect"]),
            dropped_oldest: OUTBOX_OVERFLOWS.counter_with(["drop_oldest"]),
            replaced: SIGNALS_REPLACED.counter_with([]),
        }
    }
}

/// What presence records.
pub struct PresenceMetrics {
    /// Users that came.
    pub joined: Counter,
    /// Users that changed their meta.
    pub updated: Counter,
    /// Users that went.
    pub left: Counter,
}

impl PresenceMetrics {
    fn new() -> Self {
        Self {
            joined: PRESENCE_CHANGES.counter_with(["joined"]),
            updated: PRESENCE_CHANGES.counter_with(["updated"]),
            left: PRESENCE_CHANGES.counter_with(["left"]),
        }
    }
}

/// Something was refused by the rate limit of `scope`.
pub fn record_rate_limited(scope: &'static str) {
    RATE_LIMITED.counter_with([scope]).increment(1);
}

/// A panic in an `actor` was contained.
pub fn record_panic(actor: &'static str) {
    ACTOR_PANICS.counter_with([actor]).increment(1);
}
