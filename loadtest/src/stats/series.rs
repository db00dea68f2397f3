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
    /// Deliveries per second.
    pub deliveries_per_s: f64,
    /// Answers per second.
    pub acks_per_s: f64,
    /// Connections per second.
    pub connects_per_s: f64,
    /// Median latency of what the run is about, in microseconds; absent where nothing came.
    pub p50_us: Option<u64>,
    /// Its 99th percentile.
    pub p99_us: Option<u64>,
}

/// Samples `board` every second and hands each sample to `show`, until dropped; `main` is the lane whose latency counts.
pub async fn sample(board: &Board, main: Lane, into: &mut Vec<Sample>, mut show: impl FnMut(&Sample)) {
    const EVERY: Duration = Duration::from_secs(1);
    let began = Instant::now();
    let mut ticks = interval_at(began + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let counts = || [Lane::Delivery, Lane::Ack, Lane::Connect].map(|lane| board.ever(lane));
    let (mut last, mut last_at) = (counts(), began);
    loop {
        let now = ticks.tick().await;
        let (next, seconds) = (counts(), (now - last_at).as_secs_f64().max(1e-6));
        let rate = |i: usize| ((next[i] - last[i]) as f64 / seconds).round();
        let latency = board.tick(main);
        let sample = Sample {
            at_s: ((now - began).as_secs_f64() * 1000.0).round() / 1000.0,
            deliveries_per_s: rate(0),
            acks_per_s: rate(1),
            connects_per_s: rate(2),
            p50_us: latency.map(|l| l.0),
            p99_us: latency.map(|l| l.1),
        };
        show(&sample);
        into.push(sample);
        (last, last_at) = (next, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rates_are_per_second() {
        let board = Board::new(1);
        let mut samples = Vec::new();
        let counting = async {
            for _ in 0..20 {
                board.count(Lane::Delivery);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = sample(&board, Lane::Delivery, &mut samples, |_| ()) => unreachable!("sampling never ends"),
            () = counting => {}
        }
        assert_eq!(samples.first().map(|s| s.deliveries_per_s), Some(10.0));
        assert_eq!(samples.first().map(|s| s.p99_us), Some(None), "nothing was timed");
    }
}
