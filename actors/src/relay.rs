//! The relay: on each worker thread, it distributes the frames of entities to that thread's
//! sessions.
//!
//! * Owns: the thread's seats (one per session), their subscriptions, and the sessions that have
//!   lost their connection.
//! * Receives: [`ToRelay`](crate::messages::ToRelay), through a bounded channel. When it is full,
//!   entities wait, so nothing is lost. The relay itself never waits, so the channel always drains.
//! * Sends: frames to outboxes; to entities, `CatchUp` for subscriptions that had to pause, `Adopt`
//!   for sessions that return to their presence, and `Unfollow`, `Leave` and `Gone` for what has
//!   ended.
//! * A crash of the relay ends the sessions of its thread: their clients reconnect and resume.

mod actor;
mod connecting;
mod parked;
mod runs;
mod seat;
mod seats;
mod state;
#[cfg(test)]
mod tests;

pub use actor::RelayActor;
pub use connecting::{Ask, Connecting};
pub use parked::ParkedLimits;
pub use seat::{
    Admission, Deadlines, Due, Excess, Follow, Liveness, Membership, Scope, Seat, Verdict, Wait,
};
pub use seats::SeatCounts;
pub use state::{Leaving, Relay};
