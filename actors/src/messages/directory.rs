//! What a directory shard receives, and the way to the shard of an entity.

use std::hash::BuildHasher;
use std::sync::Arc;

use greenroom_protocol::EntityId;
use tokio::sync::mpsc;

use super::way::Way;
use super::{ToEntity, overloaded};
use crate::cluster::membership::Scope;
use crate::ids::NodeIndex;

#[cfg(test)]
mod tests;

/// A message to a directory shard.
#[derive(Debug)]
pub enum ToDirectory {
    /// A message for an entity.
    Route(EntityId, ToEntity),
    /// A message that the exchange gives this node's entities, of any node's session.
    Given(EntityId, ToEntity),
    /// The exchange has answered a mark for this entity's slot, behind all that it gave: `true` if
    /// nothing more for the slot waits there.
    Marked(EntityId, bool),
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
    /// What the shard serves of a cluster's entities has changed.
    Own(Own),
}

/// A change of what a shard serves of a cluster's entities.
#[derive(Debug, Clone)]
pub enum Own {
    /// Serve these as well.
    Open(Scope),
    /// Serve these no more: what arrives for them goes elsewhere.
    Close(Scope),
    /// Put those of these that are awake to sleep, then drop the sender.
    Flush(Scope, mpsc::Sender<()>),
    /// The link to a node was reset.
    LinkReset(NodeIndex),
    /// What was present over that link, and did not enter again, is gone.
    LinkOver(NodeIndex),
    /// Serve nothing, end all lives of entities of the cluster, then drop the sender.
    Abandon(mpsc::Sender<()>),
}

/// A way to reach every entity. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory {
    shards: Arc<[Arc<Way<ToDirectory>>]>,
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
        let Some(place) = way.reserve() else { return Err(message) };
        place.send(ToDirectory::Route(entity, message));
        Ok(())
    }

    /// Routes a message that must not be lost: if the queue is full, it waits. There are never more
    /// of these than subscriptions and presence entries.
    pub fn route_control(&self, entity: &EntityId, message: ToEntity) {
        self.tell(entity, ToDirectory::Route(entity.clone(), message));
    }

    /// Gives an entity of this node what the exchange has for it. A request is refused if the queue is
    /// full; a control message waits.
    pub fn give(&self, entity: EntityId, message: ToEntity) {
        let way = &self.shards[self.shard_of(&entity)];
        if message.is_control() {
            return way.tell(ToDirectory::Given(entity, message));
        }
        match way.reserve() {
            Some(place) => place.send(ToDirectory::Given(entity, message)),
            None => {
                if let Some(control) = message.refuse(overloaded("directory")) {
                    way.tell(ToDirectory::Given(entity, control));
                }
            }
        }
    }

    /// Puts every entity to sleep: resolves when all have saved what they should.
    pub async fn drain(&self) {
        let (done, mut all_done) = mpsc::channel(1);
        for way in self.shards.iter() {
            // A shard that has ended has nobody awake.
            way.send(ToDirectory::Drain(done.clone())).await;
        }
        drop(done);
        while all_done.recv().await.is_some() {}
    }

    /// Tells every shard what it serves of a cluster's entities.
    pub fn own(&self, own: &Own) {
        for way in self.shards.iter() {
            way.tell(ToDirectory::Own(own.clone()));
        }
    }

    /// Sends an entity's shard a message that must not be lost. If the queue is full, messages wait
    /// in order.
    pub fn tell(&self, entity: &EntityId, message: ToDirectory) {
        self.shards[self.shard_of(entity)].tell(message);
    }
}

/// Any constant does: shards need not agree across processes.
const SHARD_SEED: u64 = 0x67_72_65_65_6e;
