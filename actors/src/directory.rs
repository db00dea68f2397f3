//! The directory: maps the names of entities to their actors, with one shard per worker thread.
//!
//! * Owns: the addresses of the entities that hash to its thread. There is no global map, and the
//!   only lock protects messages that wait behind a full queue.
//! * Receives: [`ToDirectory`](crate::messages::ToDirectory) through a bounded channel. When it is
//!   full, requests are answered `overloaded`, and control messages (a session has ended, a
//!   subscription reads on) wait.
//! * Wakes entities on demand, a limited number at a time, and puts idle ones to sleep.
//! * When an entity's actor ends by itself or crashes, it notifies its shard. The shard forgets the
//!   address and notifies the relays; the next message wakes the entity again.

mod actor;
mod ownership;
mod slots;
#[cfg(test)]
mod tests;

pub use actor::{DirectoryActor, Shard};
pub use ownership::Ownership;
pub use slots::{Host, Slots, Undelivered};

/// A shard's bounds.
#[derive(Debug, Clone, Copy)]
pub struct DirectoryLimits {
    /// The number of entities that can be awake on this shard.
    pub max_awake: usize,
    /// The number of entities on this shard that can be loading or waiting to load.
    pub max_loading: usize,
}
