//! The journal's queue and the committer that empties it: group commit without a timer.
//!
//! While one transaction runs, the next batch gathers. One transaction holds everything that was
//! queued, up to a number of messages and bytes; a journal row holds everything that one entity adds
//! in it.
//!
//! * The queue is bounded (`journal.queue_ops`): an entity that finds it full answers ops with
//!   `overloaded`.
//! * Each life of an entity has one [`Progress`]: through it the committer reports how much of the
//!   log is on disk, or that a transaction failed. After a failure everything else that the life has
//!   queued is skipped, so that no log gets a gap.
//! * If the outcome of a transaction is unknown, the committer asks the store until it is known;
//!   meanwhile everything waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use bytes::Bytes;
use greenroom_protocol::{EntityId, Epoch, Seq};
use tokio::sync::{mpsc, oneshot};

use crate::cluster::change::Change;
use crate::cluster::membership::Outcome;
use crate::cluster::registry::Note;
use crate::store::{Erasure, Rewrite, SnapshotRow, Trim};

mod batch;
mod committer;
mod control;
mod progress;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use batch::Gathered;
pub use committer::{Committer, CommitterLimits, Health, Outside, Pause};
pub use control::{Control, Registered, Renewal, Standing};
pub use progress::{Committed, Progress, Watch};

/// A message to the journal.
#[derive(Debug)]
pub enum ToJournal {
    /// An event of an entity's log.
    Event {
        /// The entity.
        entity: EntityId,
        /// Its log.
        epoch: Epoch,
        /// The event's place in the log.
        seq: Seq,
        /// The event's record as JSON.
        text: Bytes,
        /// What the event has erased.
        erasure: Option<Box<Erasure>>,
        /// The life to notify.
        progress: Arc<Progress>,
    },
    /// A snapshot; the events up to its seq were queued before it.
    Snapshot {
        /// What to store.
        row: Box<SnapshotRow>,
        /// The life that it belongs to.
        progress: Arc<Progress>,
    },
    /// Rows to delete; a snapshot that covers them was queued before.
    Trim {
        /// The rows.
        trim: Trim,
        /// Its share of what is deleted at once.
        share: TrimShare,
        /// The life that it belongs to.
        progress: Arc<Progress>,
    },
    /// Bodies to erase, of events that are on disk.
    Rewrite {
        /// The bodies.
        rewrite: Rewrite,
        /// Its share of what is deleted at once.
        share: TrimShare,
        /// The life that it belongs to.
        progress: Arc<Progress>,
        /// Receives a message once it is on disk; dropped if that fails.
        written: oneshot::Sender<()>,
    },
    /// Send a message once the outcome of everything queued before this is known.
    Barrier(oneshot::Sender<()>),
    /// What only a node of a cluster asks for.
    Control(Control),
}

/// A way to append to the journal. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal {
    queue: mpsc::Sender<ToJournal>,
    trimming: Arc<AtomicUsize>,
    reign: Arc<AtomicU32>,
}

/// The span in which this process commits under one term: 0, 1, 2, ... A life belongs to the one
/// that it began in, and what it queues later is skipped.
pub type Reign = u32;

/// The approximate number of rows that may be deleted at once, in the queue and in the running
/// transaction. Deleting a row takes 55 to 80 µs, and all ops behind it wait.
const TRIM_ROWS: usize = 256;

/// A share of the rows that may be deleted at once. Dropping it returns the share.
#[derive(Debug)]
pub struct TrimShare {
    trimming: Arc<AtomicUsize>,
    rows: usize,
}

impl TrimShare {
    /// The same share with this number of rows.
    #[must_use]
    pub fn of(mut self, rows: u32) -> Self {
        self.rows += rows as usize;
        self.trimming.fetch_add(rows as usize, Ordering::Relaxed);
        self
    }
}

impl Drop for TrimShare {
    fn drop(&mut self) {
        self.trimming.fetch_sub(self.rows, Ordering::Relaxed);
    }
}

impl Journal {
    /// A queue of `capacity` messages, and its other end for the committer.
    pub fn channel(capacity: usize) -> (Self, mpsc::Receiver<ToJournal>) {
        let (queue, receiver) = mpsc::channel(capacity);
        (Self { queue, trimming: Arc::default(), reign: Arc::default() }, receiver)
    }

    /// Room for one message, if there is any.
    pub fn reserve(&self) -> Option<mpsc::Permit<'_, ToJournal>> {
        self.queue.try_reserve().ok()
    }

    /// An empty share of what may be deleted or rewritten at once; none while the limit is reached.
    pub fn may_trim(&self) -> Option<TrimShare> {
        let free = self.trimming.load(Ordering::Relaxed) < TRIM_ROWS;
        free.then(|| TrimShare { trimming: Arc::clone(&self.trimming), rows: 0 })
    }

    /// The reign that lives begin in now.
    pub fn reign(&self) -> Reign {
        self.reign.load(Ordering::Acquire)
    }

    /// Commits under another term from now on. What was queued before this under the old one, and
    /// what its lives queue later, is skipped. To be called once all of those lives are told to end.
    ///
    /// Lives that begin after the call belong to the new term; the committer learns of it through
    /// the future, which must be polled before anything else is asked of it.
    pub fn begin_term(&self, term: u64) -> impl Future<Output = ()> + use<> {
        let reign = self.reign.fetch_add(1, Ordering::AcqRel) + 1;
        let journal = self.clone();
        async move { journal.control(Control::Term { term, reign }).await }
    }

    /// Commits an empty transaction, unless there is something to commit.
    pub async fn beat(&self) {
        self.control(Control::Beat).await;
    }

    /// Makes a change of the cluster's map as one of this node's transactions. `None` if the
    /// committer has ended.
    pub async fn change(&self, change: Change, note: Note) -> Option<Outcome> {
        let (decided, outcome) = oneshot::channel();
        self.control(Control::Change { change: Box::new(change), note, decided }).await;
        outcome.await.ok()
    }

    async fn control(&self, control: Control) {
        // If the committer has ended, nothing will be committed any more.
        let _ = self.queue.send(ToJournal::Control(control)).await;
    }

    /// The number of messages that wait.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Waits until the outcome of everything queued so far is known.
    pub async fn barrier(&self) {
        let (done, reached) = oneshot::channel();
        if self.queue.send(ToJournal::Barrier(done)).await.is_ok() {
            // If the committer has ended, there will be no more outcomes.
            let _ = reached.await;
        }
    }
}
