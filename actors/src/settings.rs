//! Settings: how people write durations and sizes, and how to say what is wrong with a value.

pub use problems::{Problem, Problems, ValueIs};

mod problems;
pub mod units;
