//! The journal's queue and the committer that empties it: group commit without a timer.
//!
//! While one transaction runs, the next batch gathers. One transaction holds all that was queued,
//! up to a number of messages and bytes; a journal row holds all that one entity adds in it.
//!
//! * The queue is bounded (`journal.queue_ops`): an entity that finds it full answers ops with
//!   `overloaded`.
//! * Each life of an entity has one [`Progress`]: the committer tells through it how far the log is
//!   on disk, or that a transaction failed. After a failure whatever else that life queued is
//!   skipped, so that no log gets a gap.
//! * A transaction whose outcome is unknown is asked after until it is known; meanwhile everything
//!   waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use greenroom_protocol::{EntityId, Epoch, Seq};
use tokio::sync::{mpsc, oneshot};

use crate::store::{Erasure, Rewrite, SnapshotRow, Trim};

mod batch;
mod committer;
mod progress;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use batch::Gathered;
pub use committer::{Committer, CommitterLimits, Health, Outside, Pause};
pub use progress::{Committed, Progress, Watch};

/// What the journal is told.
#[derive(Debug)]
pub enum ToJournal {
    /// An event of an entity's log.
    Event {
        /// Whose.
        entity: EntityId,
        /// Which log.
        epoch: Epoch,
        /// Its place.
        seq: Seq,
        /// Its record as JSON.
        text: Bytes,
        /// What it has erased.
        erasure: Option<Box<Erasure>>,
        /// Whom to tell.
        progress: Arc<Progress>,
    },
    /// A snapshot; the events up to its seq were queued before it.
    Snapshot {
        /// What to store.
        row: Box<SnapshotRow>,
        /// Whose life it belongs to.
        progress: Arc<Progress>,
    },
    /// Rows to delete; a snapshot that covers them was queued before.
    Trim {
        /// Which ones.
        trim: Trim,
        /// Its share of what is deleted at once.
        share: TrimShare,
        /// Whose life it belongs to.
        progress: Arc<Progress>,
    },
    /// Bodies to erase, of events that are on disk.
    Rewrite {
        /// Which ones.
        rewrite: Rewrite,
        /// Its share of what is deleted at once.
        share: TrimShare,
        /// Whose life it belongs to.
        progress: Arc<Progress>,
        /// Told when it is on disk; dropped when it is not.
        written: oneshot::Sender<()>,
    },
    /// Tell when everything queued before this is decided.
    Barrier(oneshot::Sender<()>),
}

/// A way to append to the journal. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal {
    queue: mpsc::Sender<ToJournal>,
    trimming: Arc<AtomicUsize>,
}

/// Most rows that are to be deleted at once, about: by what waits and by the transaction under way.
/// Deleting one takes 55 to 80 µs, and all ops behind it wait.
const TRIM_ROWS: usize = 256;

/// A share of the rows that may be deleted at once; free again when it is dropped.
#[derive(Debug)]
pub struct TrimShare {
    trimming: Arc<AtomicUsize>,
    rows: usize,
}

impl TrimShare {
    /// A share of so many rows.
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
        (Self { queue, trimming: Arc::default() }, receiver)
    }

    /// Room for one message, if there is any.
    pub fn reserve(&self) -> Option<mpsc::Permit<'_, ToJournal>> {
        self.queue.try_reserve().ok()
    }

    /// A share of what may be deleted or rewritten at once, of nothing yet; none while that is
    /// taken.
    pub fn may_trim(&self) -> Option<TrimShare> {
        let free = self.trimming.load(Ordering::Relaxed) < TRIM_ROWS;
        free.then(|| TrimShare { trimming: Arc::clone(&self.trimming), rows: 0 })
    }

    /// Messages that wait.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Waits until everything queued so far is decided.
    pub async fn barrier(&self) {
        let (done, reached) = oneshot::channel();
        if self.queue.send(ToJournal::Barrier(done)).await.is_ok() {
            // A committer that has ended decides nothing more either.
            let _ = reached.await;
        }
    }
}
