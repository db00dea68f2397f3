//! The relay: on each worker thread, the one that fans entities' frames out to that thread's
//! sessions.
//!
//! * Owns: the thread's seats (one per session), who of them follows which entity, and the sessions
//!   that lost their connection.
//! * Receives: [`ToRelay`](crate::messages::ToRelay), through a bounded channel. An entity that
//!   finds it full waits, so nothing is lost; the relay itself never waits for anybody, so it
//!   always empties it.
//! * Sends: frames to outboxes; `CatchUp` to entities for subscriptions that had to pause; to
//!   entities, who comes back to their presence and whose grace is over.
//! * A crash of the relay ends its thread's sessions: their clients reconnect and resume.

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
pub use state::Relay;
