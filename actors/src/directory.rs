//! The directory: from an entity's name to its actor, one shard per worker thread.
//!
//! * Owns: the map from entity to address for the entities that hash to its thread. There is no
//!   global map, and no lock except on the messages that wait behind a full queue.
//! * Receives: [`ToDirectory`](crate::messages::ToDirectory) through a bounded channel; at its
//!   bound requests are answered `overloaded`, and control messages (a session has gone, a
//!   subscription reads on) wait.
//! * Wakes entities on demand, a limited number at a time, and puts idle ones to sleep.
//! * When an entity's actor ends by itself or crashes, it notifies its shard. The shard forgets the
//!   address and notifies the relays; the next message wakes the entity again.

mod actor;
mod slots;
#[cfg(test)]
mod tests;

pub use actor::{DirectoryActor, Shard};
pub use slots::{Host, Slots, Undelivered};

/// A shard's bounds.
#[derive(Debug, Clone, Copy)]
pub struct DirectoryLimits {
    /// Entities awake at once on this shard.
    pub max_awake: usize,
    /// Entities that load, or wait for their turn to, at once on this shard.
    pub max_loading: usize,
}
