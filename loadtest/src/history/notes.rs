//! What one client writes down, and the clock that all of them share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::entry::{Entry, Moment, What};

/// A monotonic clock for all clients of a run that never returns the same moment twice: the larger
/// of two moments was taken later, on any thread.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    last: AtomicU64,
}

/// The notes of one client, in order.
#[derive(Debug, Clone)]
pub struct Notes {
    clock: Arc<Clock>,
    client: u32,
    pub entries: Vec<Entry>,
}

impl Clock {
    pub fn start() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), last: AtomicU64::new(0) })
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

impl Notes {
    /// Those of the client with this number.
    pub fn of(client: usize, clock: &Arc<Clock>) -> Self {
        let client = u32::try_from(client).expect("nobody has so many clients");
        Self { clock: Arc::clone(clock), client, entries: Vec::new() }
    }

    /// The moment of a request that is about to be sent.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Notes what happens now at the entity with this number.
    pub fn note(&mut self, entity: usize, what: What) -> &Entry {
        let entity = u32::try_from(entity).expect("nobody has so many entities");
        self.entries.push(Entry { t: self.clock.now(), client: self.client, entity, what });
        self.entries.last().expect("it has just been added")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_moment_comes_twice_and_none_before_another() {
        let clock = Clock::start();
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
