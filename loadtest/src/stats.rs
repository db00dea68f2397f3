//! What is measured, and how it is summed up.

pub mod board;
pub mod latency;
pub mod series;

pub use board::{Board, Lane};
pub use latency::{Latencies, Summary};
pub use series::Sample;
