//! The clock of a history.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A moment: nanoseconds since the clock was made.
pub type Moment = u64;

/// Monotonic, shared by all clients of a run, and never at the same moment twice: of two moments
/// that were taken, the larger was taken later, on whichever thread.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    last: AtomicU64,
}

impl Clock {
    /// A clock that begins now.
    pub fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0) }
    }

    /// The next moment.
    pub fn now(&self) -> Moment {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let next = |last: u64| now.max(last.saturating_add(1));
        let (Ok(last) | Err(last)) =
            self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(next(last)));
        next(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_moment_comes_twice_and_none_before_another() {
        let clock = Clock::new();
        let take = || (0..10_000).map(|_| clock.now()).collect::<Vec<_>>();
        let (mut left, right) = std::thread::scope(|scope| {
            let other = scope.spawn(take);
            (take(), other.join().expect("it does not panic"))
        });
        assert!(left.is_sorted_by(|a, b| a < b) && right.is_sorted_by(|a, b| a < b));
        left.extend(right);
        left.sort_unstable();
        assert!(left.is_sorted_by(|a, b| a < b), "two threads were given the same moment");
    }
}
