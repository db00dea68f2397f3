//! The limits' time.

use std::sync::OnceLock;
use std::time::Instant;

use governor::clock::Clock;
use governor::nanos::Nanos;

/// Time since the first use in this process. It takes no room in a bucket, and its instants take 8
/// bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Monotonic;

impl Clock for Monotonic {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        static START: OnceLock<Instant> = OnceLock::new();
        Nanos::from(START.get_or_init(Instant::now).elapsed())
    }
}
