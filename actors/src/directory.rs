//! The directory: from an entity's name to its actor, one shard per worker thread.
//!
//! * Owns: the map from entity to address for the entities that hash to its thread. No global map,
//!   and no lock but for what waits behind a full queue.
//! * Receives: [`Routed`] messages through a bounded channel; at its bound requests are answered
//!   `overloaded`, and control messages (a session has gone, a subscription reads on) wait.
//! * Wakes entities on demand, a limited number at a time, and puts idle ones to sleep.
//! * A crash of an entity is told to it by the entity's own end: it forgets the address, tells the
//!   relays, and the next message wakes the entity anew.

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
