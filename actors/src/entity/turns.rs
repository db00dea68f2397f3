//! Turns at reading for paused subscriptions: what they cost must not be felt by those who keep up.
//!
//! On each thread one page is read at a time, and after it nobody reads for a multiple of the time
//! that it took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A page that took longer than this waited for others most of the time: to rest for that, too,
/// would keep readers from getting on where the machine is busy.
const MOST_WORK: Duration = Duration::from_micros(1500);
/// Rests below this are left out: timers are no finer.
const SHORTEST_REST: Duration = Duration::from_millis(1);

/// One thread's turns.
#[derive(Debug)]
pub struct Turns {
    one: Arc<Semaphore>,
    percent: u32,
}

/// A turn. Dropping it ends it without a rest.
#[derive(Debug)]
pub(super) struct Turn {
    permit: OwnedSemaphorePermit,
    percent: u32,
    began: Instant,
}

impl Turns {
    /// Turns that take up at most `percent` of the time; 100 means no rests.
    pub fn new(percent: u32) -> Self {
        Self { one: Arc::new(Semaphore::new(1)), percent }
    }

    /// Waits for the next turn; turns are given in the order in which they were asked for.
    pub(super) async fn take(&self) -> Turn {
        let permit =
            Arc::clone(&self.one).acquire_owned().await.expect("the semaphore is never closed");
        Turn { permit, percent: self.percent, began: Instant::now() }
    }
}

impl Turn {
    /// Ends the turn, and gives the next one after a rest.
    pub fn rest(self) {
        let rest = rest(self.began.elapsed(), self.percent);
        if rest >= SHORTEST_REST {
            // There is one such task a thread, since there is one permit.
            tokio::spawn(async move {
                tokio::time::sleep(rest).await;
                drop(self.permit);
            });
        }
    }
}

/// How long to rest after something that `took` so long, for that to be `percent` of the whole.
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
        let turns = Turns::new(5);
        let mut first = turns.take().await;
        assert_eq!(turns.one.available_permits(), 0);
        drop(turns.take());
        first.began -= MOST_WORK;
        let ended = Instant::now();
        first.rest();
        drop(turns.take().await);
        assert!(
            ended.elapsed() >= MOST_WORK * 19,
            "the next turn came after {:?}",
            ended.elapsed()
        );
        drop(turns.take().await);
        assert_eq!(turns.one.available_permits(), 1, "without work there is no rest");
    }
}
