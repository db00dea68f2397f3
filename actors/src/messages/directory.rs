//! What a directory shard receives, and the way to the shard of an entity.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greenroom_protocol::EntityId;
use tokio::sync::mpsc;

use super::ToEntity;
use crate::backlog::Backlog;

#[cfg(test)]
mod tests;

/// A message to a directory shard.
#[derive(Debug)]
pub enum ToDirectory {
    /// A message for an entity.
    Route(EntityId, ToEntity),
    /// An entity has nothing to do and has saved what it should.
    Idle {
        /// Which entity.
        entity: EntityId,
        /// Which life of it.
        incarnation: u64,
        /// The mark that it was asked with: whatever was sent to it since makes this void.
        mark: u64,
    },
    /// An entity's actor has ended by itself: it could not load (`false`), or it panicked (`true`).
    Ended {
        /// Which entity.
        entity: EntityId,
        /// Which life of it.
        incarnation: u64,
        /// Whether it ended in a panic.
        crashed: bool,
    },
    /// The server stops: put everybody to sleep, then drop the sender.
    Drain(mpsc::Sender<()>),
}

/// A way to reach every entity. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory {
    shards: Arc<[Way]>,
}

/// The way to one shard. What must not be lost waits behind a full queue, in order, so that nobody
/// who has gone seems to come afterwards.
#[derive(Debug)]
struct Way {
    queue: mpsc::Sender<ToDirectory>,
    backlog: Mutex<Backlog<ToDirectory>>,
    /// Whether the backlog is being worked off, for those who do not lock it.
    behind: AtomicBool,
}

impl Directory {
    /// A directory of `shards` shards, and what each of them receives.
    pub fn channels(shards: usize, capacity: usize) -> (Self, Vec<mpsc::Receiver<ToDirectory>>) {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..shards).map(|_| mpsc::channel(capacity)).unzip();
        (Self { shards: senders.into_iter().map(Way::new).collect() }, receivers)
    }

    /// Which shard, and so which thread, an entity belongs to.
    pub fn shard_of(&self, entity: &EntityId) -> usize {
        let hash = foldhash::fast::FixedState::with_seed(SHARD_SEED).hash_one(entity.as_str());
        // The remainder is below the number of shards, which is a `usize`.
        (hash % self.shards.len() as u64) as usize
    }

    /// Routes a request to its entity, waking it if necessary.
    ///
    /// # Errors
    /// The request, if the shard's queue is full.
    #[expect(clippy::result_large_err, reason = "a refused message is handed back as it was")]
    pub fn route(&self, entity: EntityId, message: ToEntity) -> Result<(), ToEntity> {
        let way = &self.shards[self.shard_of(&entity)];
        if way.behind.load(Ordering::Acquire) {
            return Err(message);
        }
        let Ok(place) = way.queue.try_reserve() else { return Err(message) };
        place.send(ToDirectory::Route(entity, message));
        Ok(())
    }

    /// Routes a message that must not be lost: if the queue is full, it waits. There are never more
    /// of these than subscriptions and presence entries.
    pub fn route_control(&self, entity: &EntityId, message: ToEntity) {
        self.tell(entity, ToDirectory::Route(entity.clone(), message));
    }

    /// Puts every entity to sleep: resolves when all have saved what they should.
    pub async fn drain(&self) {
        let (done, mut all_done) = mpsc::channel(1);
        for way in self.shards.iter() {
            // A shard that has ended has nobody awake.
            let _ = way.queue.send(ToDirectory::Drain(done.clone())).await;
        }
        drop(done);
        while all_done.recv().await.is_some() {}
    }

    /// Sends an entity's shard a message that must not be lost. If the queue is full, messages wait
    /// in order.
    pub fn tell(&self, entity: &EntityId, message: ToDirectory) {
        let shard = self.shard_of(entity);
        let way = &self.shards[shard];
        if way.tell(message)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let shards = Arc::clone(&self.shards);
            runtime.spawn(async move { shards[shard].work_off().await });
        }
    }
}

impl Way {
    fn new(queue: mpsc::Sender<ToDirectory>) -> Self {
        Self { queue, backlog: Mutex::default(), behind: AtomicBool::new(false) }
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog<ToDirectory>> {
        // Nothing panics while it is held.
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message, or lets it wait. True if the caller must have the backlog worked off.
    fn tell(&self, message: ToDirectory) -> bool {
        let message = if self.behind.load(Ordering::Acquire) {
            message
        } else {
            let Err(mpsc::error::TrySendError::Full(message)) = self.queue.try_send(message) else {
                return false;
            };
            message
        };
        let mut backlog = self.backlog();
        let is_first = backlog.push(message);
        self.behind.store(true, Ordering::Release);
        is_first
    }

    /// Hands over what waits until nothing does.
    async fn work_off(&self) {
        while let Some(message) = self.next() {
            // A shard that has ended has nobody awake.
            let _ = self.queue.send(message).await;
        }
    }

    fn next(&self) -> Option<ToDirectory> {
        let mut backlog = self.backlog();
        let next = backlog.next();
        if next.is_none() {
            // Under the lock: what comes after this finds the queue itself, and what came before
            // was seen.
            self.behind.store(false, Ordering::Release);
        }
        next
    }
}

/// Any constant does: shards need not agree across processes.
const SHARD_SEED: u64 = 0x67_72_65_65_6e;
