//! Greenroom's core: what happens to an op between a session and the journal, and how the outcome
//! spreads.
//!
//! The parts are pure state machines (`state.rs`) inside thin actors (`actor.rs`). This crate knows
//! no HTTP, no WebSocket and no SurrealDB: storage is the trait [`store::Store`], time and
//! randomness are arguments.

mod backlog;
pub mod behaviour;
pub mod budget;
pub mod capability;
pub mod clock;
pub mod cluster;
pub mod directory;
pub mod entity;
mod few;
pub mod frames;
pub mod identity;
pub mod ids;
pub mod journal;
pub mod kind;
pub mod limits;
pub mod messages;
pub mod metrics;
pub mod node;
pub mod notices;
pub mod outbox;
pub mod presence;
mod rare;
pub mod record;
pub mod relay;
pub mod rights;
pub mod session;
pub mod settings;
pub mod store;
mod trail;

#[cfg(test)]
mod testing;
