//! The run over time: one sample a second.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{Board, Lane};

/// One interval of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// Where it ends, in seconds since sampling began.
    pub at_s: f64,
    pub deliveries_per_s: f64,
    pub acks_per_s: f64,
    pub connects_per_s: f64,
    /// Median latency of what the run is about, in microseconds; absent where nothing came.
    pub p50_us: Option<u64>,
    pub p99_us: Option<u64>,
}

/// Samples `board` every second and hands each sample to `show`, until dropped; `main` is the lane
/// whose latency counts.
pub async fn sample(
    board: &Board,
    main: Lane,
    into: &mut Vec<Sample>,
    mut show: impl FnMut(&Sample),
) {
    const EVERY: Duration = Duration::from_secs(1);
    let began = Instant::now();
    let mut ticks = interval_at(began + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sampler = Sampler::new(board, main, began);
    loop {
        let sample = sampler.take(ticks.tick().await);
        show(&sample);
        into.push(sample);
    }
}

/// Turns what a board has counted into rates between two points in time.
struct Sampler<'a> {
    board: &'a Board,
    main: Lane,
    began: Instant,
    last_at: Instant,
    last: [u64; 3],
}

impl<'a> Sampler<'a> {
    fn new(board: &'a Board, main: Lane, began: Instant) -> Self {
        Self { board, main, began, last_at: began, last: counts(board) }
    }

    /// The sample that ends `now`.
    fn take(&mut self, now: Instant) -> Sample {
        let (next, seconds) = (counts(self.board), (now - self.last_at).as_secs_f64().max(1e-6));
        let rate = |i: usize| ((next[i] - self.last[i]) as f64 / seconds).round();
        let latency = self.board.tick(self.main);
        let sample = Sample {
            at_s: ((now - self.began).as_secs_f64() * 1000.0).round() / 1000.0,
            deliveries_per_s: rate(0),
            acks_per_s: rate(1),
            connects_per_s: rate(2),
            p50_us: latency.map(|l| l.0),
            p99_us: latency.map(|l| l.1),
        };
        (self.last, self.last_at) = (next, now);
        sample
    }
}

/// All that was ever delivered, acknowledged and connected.
fn counts(board: &Board) -> [u64; 3] {
    [Lane::Delivery, Lane::Ack, Lane::Connect].map(|lane| board.ever(lane))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second() {
        let (board, began) = (Board::default(), Instant::now());
        let mut sampler = Sampler::new(&board, Lane::Delivery, began);
        for _ in 0..20 {
            board.count(Lane::Delivery);
        }
        let first = sampler.take(began + Duration::from_secs(2));
        assert_eq!((first.at_s, first.deliveries_per_s, first.acks_per_s), (2.0, 10.0, 0.0));
        assert_eq!(first.p99_us, None, "nothing was timed");
        board.count(Lane::Delivery);
        let second = sampler.take(began + Duration::from_millis(2500));
        assert_eq!(second.deliveries_per_s, 2.0, "only what came since the first");
    }
}
