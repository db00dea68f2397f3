//! The scenarios, one a file, and what several of them share.

pub mod audience;
pub mod churn;
pub mod connect;
pub mod durable;
pub mod fanout;
pub mod presence;
pub mod rooms;
pub mod slow_reader;

#[cfg(test)]
mod tests;
