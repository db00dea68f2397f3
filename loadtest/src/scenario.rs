//! The scenarios, one a file, and what several of them share.

pub mod audience;
pub mod churn;
pub mod connect;
pub mod durable;
pub mod entities;
pub mod fanout;
pub mod greedy;
mod line;
pub mod mixed;
pub mod presence;
pub mod rooms;
pub mod slow_reader;
pub mod soak;
mod turns;

#[cfg(test)]
mod tests;
