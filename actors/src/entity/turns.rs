//! Turns at reading for paused subscriptions: subscribers that keep up must not feel their cost.
//!
//! On each thread one page is read at a time, and after it nobody reads for a multiple of the time
//! that it took.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::{Clock, Mono};

/// A page that took longer than this spent most of the time waiting for others. Resting for that
/// time too would stall readers on a busy machine.
const MOST_WORK: Duration = Duration::from_micros(1500);
/// Shorter rests are skipped: timers are no finer.
const SHORTEST_REST: Duration = Duration::from_millis(1);

/// One thread's turns.
#[derive(Debug)]
pub struct Turns {
    one: Arc<Semaphore>,
    percent: u32,
    /// Measures the work that is done in a turn.
    clock: Clock,
}

/// A turn. Dropping it ends it without a rest.
#[derive(Debug)]
pub struct Turn {
    permit: OwnedSemaphorePermit,
    percent: u32,
    clock: Clock,
    began: Mono,
}

/// The rest after a turn. The next turn comes when this is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the rest"]
pub struct Rest(#[expect(dead_code, reason = "it is held, not used")] OwnedSemaphorePermit);

impl Turns {
    /// Turns that take up at most `percent` of the time; 100 means no rests.
    pub fn new(percent: u32, clock: Clock) -> Self {
        Self { one: Arc::new(Semaphore::new(1)), percent, clock }
    }

    /// Waits for the next turn; turns are given in the order in which they were asked for.
    pub(super) async fn take(&self) -> Turn {
        let permit =
            Arc::clone(&self.one).acquire_owned().await.expect("the semaphore is never closed");
        let clock = self.clock.clone();
        Turn { permit, percent: self.percent, began: clock.mono(), clock }
    }
}

impl Turn {
    /// Ends the turn. Returns a rest and its length, unless it is too short to be worth it.
    pub(super) fn rest(self) -> Option<(Duration, Rest)> {
        let took = self.clock.mono().elapsed_since(self.began);
        let length = rest(took, self.percent);
        (length >= SHORTEST_REST).then(|| (length, Rest(self.permit)))
    }
}

/// How long to rest after `took`, so that the work is `percent` of the whole time.
fn rest(took: Duration, percent: u32) -> Duration {
    let percent = percent.clamp(1, 100);
    took.min(MOST_WORK) * (100 - percent) / percent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_are_a_multiple_of_the_work_up_to_a_bound() {
        let ms = Duration::from_millis;
        assert_eq!(rest(ms(1), 10), ms(9));
        assert_eq!(rest(ms(1), 50), ms(1));
        assert_eq!(rest(ms(3), 100), Duration::ZERO);
        assert_eq!(rest(ms(300), 10), MOST_WORK * 9);
        assert_eq!(rest(ms(1), 0), ms(99), "nothing at all would be no catching up");
    }

    #[tokio::test]
    async fn one_reads_at_a_time_and_then_all_rest() {
        let clock = Clock::manual();
        let turns = Turns::new(5, clock.clone());
        let first = turns.take().await;
        assert_eq!(turns.one.available_permits(), 0);
        clock.set(Mono::at(1));
        let (length, rest) = first.rest().expect("it has worked for a millisecond");
        assert_eq!(length, Duration::from_millis(19));
        assert_eq!(turns.one.available_permits(), 0, "nobody reads meanwhile");
        drop(rest);
        clock.set(Mono::at(20));
        let second = turns.take().await;
        assert!(second.rest().is_none(), "without work there is no rest");
        assert_eq!(turns.one.available_permits(), 1);
    }
}
