//! What the entities of one thread share.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use greenroom_protocol::{EntityId, Epoch};
use tokio::sync::Semaphore;

use super::turns::Turns;
use crate::frames::Encoder;
use crate::journal::Journal;
use crate::messages::{Directory, Exchange, Relays};
use crate::metrics;
use crate::store::Store;

/// Most entities of a thread that are reported as unreadable in the log. The metric counts all of
/// them.
const MOST_REPORTS: usize = 1000;

/// What every entity of a thread needs.
pub struct EntityEnv {
    /// The way to the relays.
    pub relays: Relays,
    /// Where events are queued.
    pub journal: Journal,
    /// Where logs are read.
    pub store: Arc<dyn Store>,
    /// In a cluster: the way to what other nodes own.
    pub exchange: Option<Exchange>,
    /// The directory that this entity belongs to.
    pub directory: Directory,
    /// How messages are encoded.
    pub encoder: Encoder,
    /// How many entities may load at a time on this thread.
    pub cold_starts: Rc<Semaphore>,
    /// How many pages may be read at a time on this thread for `subscribe` and `history`.
    pub reads: Semaphore,
    /// How many messages wait for a load, and the capacity of the mailbox after it.
    pub inbox: usize,
    /// How many entities of this thread load, or wait for their turn to.
    pub loading: Cell<usize>,
    /// When paused subscriptions read on.
    pub turns: Turns,
    /// The entities of this thread that were reported as unreadable in the log.
    pub corrupt: RefCell<HashSet<EntityId>>,
    /// Names new logs.
    pub rng: RefCell<fastrand::Rng>,
}

impl EntityEnv {
    /// Whether to report in the log that `entity` cannot be read: once, and not for more than
    /// [`MOST_REPORTS`] entities.
    pub(super) fn is_first_report(&self, entity: &EntityId) -> bool {
        let mut known = self.corrupt.borrow_mut();
        known.len() < MOST_REPORTS && known.insert(entity.clone())
    }

    /// The identity of a log that has not begun yet.
    pub(super) fn fresh_epoch(&self) -> Epoch {
        Epoch::from_bits(self.rng.borrow_mut().u64(..))
    }

    /// One more loads.
    pub(super) fn begin_loading(&self) {
        self.loading.set(self.loading.get() + 1);
    }

    /// One of them does not load any more.
    pub(super) fn end_loading(&self) {
        self.loading.set(self.loading.get() - 1);
    }
}

/// A load that has begun, and is counted for as long as this lives.
pub(super) struct Loading(pub Rc<EntityEnv>);

impl Drop for Loading {
    fn drop(&mut self) {
        self.0.end_loading();
    }
}

/// A load that waits for its turn, and is counted for as long as this lives.
pub(super) struct Waiting;

impl Waiting {
    pub(super) fn new() -> Self {
        metrics::COLD_STARTS_WAITING.gauge_with([]).increment(1);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        metrics::COLD_STARTS_WAITING.gauge_with([]).decrement(1);
    }
}
