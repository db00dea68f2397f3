//! The scenarios, one a file, and what several of them share.

mod aside;
pub mod burst;
pub mod churn;
pub mod entities;
pub mod greedy;
mod line;
pub mod mixed;
pub mod presence;
mod slow;
pub mod slow_reader;
pub mod soak;
mod turns;

#[cfg(test)]
mod tests;
