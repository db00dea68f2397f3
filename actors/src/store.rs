//! Where journals live: the trait that `src/store/` of the server implements over SurrealDB.

use async_trait::async_trait;
use greenroom_protocol::{EntityId, Epoch, RawJson, Seq};

use crate::record::{Erased, EventRecord};

pub mod conformance;
pub mod memory;
mod within;

pub use within::events_within;

/// What one entity adds to its log in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalRow {
    /// Whose log.
    pub entity: EntityId,
    /// Which log.
    pub epoch: Epoch,
    /// Seq of the first event in `events`.
    pub first_seq: Seq,
    /// Seq of the last.
    pub last_seq: Seq,
    /// A JSON array of [`EventRecord`]s, gapless from `first_seq` to `last_seq`.
    pub events: String,
}

impl JournalRow {
    /// Replaces these events by their tombstones.
    ///
    /// # Errors
    /// Where the row does not hold events.
    pub fn erase(&mut self, erased: &[(Seq, Erased)]) -> Result<(), serde_json::Error> {
        self.events = erase(&self.events, erased)?;
        Ok(())
    }
}

/// A row's events, with these replaced by their tombstones.
///
/// # Errors
/// Where the row does not hold events.
pub fn erase(events: &str, erased: &[(Seq, Erased)]) -> Result<String, serde_json::Error> {
    let mut events: Vec<EventRecord> = serde_json::from_str(events)?;
    for event in &mut events {
        if let Some((_, body)) = erased.iter().find(|(seq, _)| *seq == event.seq) {
            *event = event.tombstone(*body);
        }
    }
    serde_json::to_string(&events)
}

/// An entity's state at a seq. A newer one replaces it.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotRow {
    /// Whose state.
    pub entity: EntityId,
    /// Of which log.
    pub epoch: Epoch,
    /// After which event.
    pub seq: Seq,
    /// The behaviour's snapshot.
    pub state: RawJson,
    /// Outcomes of recent ops, as the core packs them.
    pub dedupe: RawJson,
    /// Rows of the journal that end here or before were deleted by transactions before this.
    pub trimmed: Seq,
    /// Most events that a row of the journal has which was written with this or before.
    pub longest_row: u32,
}

/// Rows of the journal to delete: those that begin with `from` or later and end with `through` or
/// before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trim {
    /// Whose.
    pub entity: EntityId,
    /// No row begins before this.
    pub from: Seq,
    /// No later than the entity's snapshot, in this transaction or an earlier one.
    pub through: Seq,
    /// How many rows that may be.
    pub rows: u32,
}

/// A message whose bodies are to be erased from the journal. It is stored with the event that asks
/// for it, until that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    /// The seq of the event that posted the message.
    pub message: Seq,
    /// The event that asks for it.
    pub by: Seq,
    /// Whether stored snapshots are to forget it too.
    pub purge: bool,
}

/// Bodies to erase now, of events that are on disk. An event that is no longer there is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Whose.
    pub entity: EntityId,
    /// Of these events, ascending; at most [`REWRITE_EVENTS`].
    pub events: Vec<(Seq, Erased)>,
    /// The messages whose erasures are done with this.
    pub done: Vec<Seq>,
}

/// Most events of a [`Rewrite`].
pub const REWRITE_EVENTS: usize = 64;

/// Most events in one row of the journal, so that the row which holds an event is found.
pub const MAX_ROW_EVENTS: u64 = 4096;

/// The number of a transaction under a lease: it commits only as the direct successor of
/// `number - 1` of the same term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The lease's term.
    pub term: u64,
    /// 1, 2, 3, ... within the term.
    pub number: u64,
    /// Drawn at random for each attempt, to tell the attempts at one number apart.
    pub nonce: u64,
}

/// One transaction: all of it or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Its place among this node's transactions.
    pub fence: Fence,
    /// At most one per entity.
    pub rows: Vec<JournalRow>,
    /// At most one per entity.
    pub snapshots: Vec<SnapshotRow>,
    /// What is deleted, after all of that is written.
    pub trims: Vec<Trim>,
    /// What is to be erased from now on; another one of the same message is replaced.
    pub erasures: Vec<(EntityId, Erasure)>,
    /// What is erased, of rows that earlier transactions wrote.
    pub rewrites: Vec<Rewrite>,
}

/// What the store has of an entity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// Its latest snapshot.
    pub snapshot: Option<SnapshotRow>,
    /// The log's identity, where there is anything at all.
    pub epoch: Option<Epoch>,
    /// The events after the snapshot, ascending and gapless.
    pub tail: Vec<EventRecord>,
    /// Most events that a row has which the tail is in; 0 without a tail.
    pub longest_row: u32,
    /// What is still to be erased, by message.
    pub erasures: Vec<Erasure>,
}

/// Which events to read. Both bounds are exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The first `limit` events with `seq > after`.
    After {
        /// Where to start.
        after: Seq,
        /// How many at the most.
        limit: usize,
    },
    /// The last `limit` events with `seq < before`.
    Before {
        /// Where to end.
        before: Seq,
        /// How many at the most.
        limit: usize,
    },
}

/// The cause of an error: another error, or a text.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is out of reach, or failed; a repeat may succeed.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Cause),
    /// What it holds cannot be read.
    #[error("the store holds what cannot be read: {0}")]
    Corrupt(#[source] Cause),
}

/// A transaction did not report success.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Certainly nothing of it was written.
    #[error("the transaction failed: {0}")]
    Failed(#[source] Cause),
    /// Another node, or a later term, owns the lease: this node must not write any more.
    #[error("the lease is lost: {0}")]
    Fenced(#[source] Cause),
    /// The answer was lost: it may or may not be written, or still be on its way.
    #[error("the transaction's outcome is unknown: {0}")]
    Unknown(#[source] Cause),
}

/// How an unknown transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is written.
    Committed,
    /// It is not, and never will be: its number is used up.
    NotCommitted,
}

/// Durable storage of journals and snapshots. `commit` calls do not overlap.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Takes the node's lease: the next term, whose transactions count from 1. Transactions of
    /// older terms fail from now on.
    ///
    /// # Errors
    /// Where the store does not answer.
    async fn acquire(&self) -> Result<u64, StoreError>;

    /// Writes all of `batch` and returns when it is on disk.
    ///
    /// # Errors
    /// Whether nothing was written, or that this is not known.
    async fn commit(&self, batch: &Batch) -> Result<(), CommitError>;

    /// Finds out how the transaction with this fence ended, and uses its number up if it has not
    /// committed, so that a straggler never can.
    ///
    /// # Errors
    /// Where the store does not answer: still unknown, ask again.
    async fn settle(&self, fence: Fence) -> Result<Settled, CommitError>;

    /// Reads what is needed to wake `entity`: its snapshot and the events after it.
    ///
    /// # Errors
    /// Where the store does not answer, or what it holds cannot be read.
    async fn load(&self, entity: &EntityId) -> Result<Loaded, StoreError>;

    /// Reads a page of events, ascending. Trimmed events are absent.
    ///
    /// # Errors
    /// As for `load`.
    async fn events(&self, entity: &EntityId, page: Page) -> Result<Vec<EventRecord>, StoreError>;

    /// The first `limit` entities behind `after`, in an order that stays the same, of which
    /// something is still to be erased.
    ///
    /// # Errors
    /// As for `load`.
    async fn erasing(
        &self,
        after: Option<&EntityId>,
        limit: usize,
    ) -> Result<Vec<EntityId>, StoreError>;
}
