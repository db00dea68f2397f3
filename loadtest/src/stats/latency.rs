//! Latencies: HDR histograms in microseconds, sharded so that threads do not wait for one another.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart: ten minutes. Longer ones count as this.
const MAX_US: u64 = 600_000_000;

/// Points of the curve in a summary, as percentiles.
const CURVE: [f64; 14] =
    [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 99.95, 99.99, 100.0];

/// A histogram with the bounds that all of this program's share.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_US, 3)
        .expect("the bounds are constants that hdrhistogram takes")
}

/// One histogram per shard for the current interval, one for all that was before, and one for the
/// current lap of it.
pub struct Sharded {
    interval: Box<[Mutex<Histogram<u64>>]>,
    total: Mutex<Histogram<u64>>,
    lap: Mutex<Histogram<u64>>,
}

impl Sharded {
    /// `shards` is at least 1; more than there are threads is of no use.
    pub fn new(shards: usize) -> Self {
        let interval = (0..shards.max(1)).map(|_| Mutex::new(histogram())).collect();
        Self { interval, total: Mutex::new(histogram()), lap: Mutex::new(histogram()) }
    }

    /// Adds one latency. Any number will do for `shard`; a connection's index spreads well.
    pub fn record(&self, shard: usize, us: u64) {
        lock(&self.interval[shard % self.interval.len()]).saturating_record(us.max(1));
    }

    /// Ends the interval: adds it to the total, and returns its median and 99th percentile, or
    /// nothing if it was empty.
    pub fn tick(&self) -> Option<(u64, u64)> {
        let mut gathered = histogram();
        for shard in &self.interval {
            let mut shard = lock(shard);
            if !shard.is_empty() {
                gathered.add(&*shard).expect("both have the same bounds");
                shard.reset();
            }
        }
        if gathered.is_empty() {
            return None;
        }
        for sum in [&self.total, &self.lap] {
            lock(sum).add(&gathered).expect("all have the same bounds");
        }
        Some((gathered.value_at_quantile(0.5), gathered.value_at_quantile(0.99)))
    }

    /// What was recorded since the last lap ended; ends this one.
    pub fn lap(&self) -> Summary {
        self.tick();
        let mut lap = lock(&self.lap);
        let summary = Summary::of(&lap);
        lap.reset();
        summary
    }

    /// Everything recorded so far.
    pub fn summary(&self) -> Summary {
        self.tick();
        Summary::of(&lock(&self.total))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A histogram is whole at every moment, so a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A histogram in a few numbers, all in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// How many were measured.
    pub count: u64,
    /// The mean.
    pub mean_us: f64,
    /// The median.
    pub p50_us: u64,
    /// Nine in ten are at most this.
    pub p90_us: u64,
    /// 99 in a hundred are at most this.
    pub p99_us: u64,
    /// 999 in a thousand are at most this.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
    /// `[percentile, microseconds]`, ascending, for plots.
    pub curve: Vec<(f64, u64)>,
}

impl Summary {
    /// Sums `histogram` up.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at =
            |quantile| if histogram.is_empty() { 0 } else { histogram.value_at_quantile(quantile) };
        Self {
            count: histogram.len(),
            mean_us: if histogram.is_empty() {
                0.0
            } else {
                (histogram.mean() * 10.0).round() / 10.0
            },
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: if histogram.is_empty() { 0 } else { histogram.max() },
            curve: if histogram.is_empty() {
                Vec::new()
            } else {
                CURVE.iter().map(|p| (*p, at(p / 100.0))).collect()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_summary_has_no_curve() {
        let summary = Sharded::new(1).summary();
        assert_eq!((summary.count, summary.max_us, summary.curve.len()), (0, 0, 0));
    }

    #[test]
    fn intervals_add_up_over_shards() {
        let lane = Sharded::new(3);
        for us in 1..=1000 {
            lane.record(us as usize, us);
        }
        assert_eq!(lane.tick(), Some((500, 990)));
        assert_eq!(lane.tick(), None, "a tick starts a new interval");
        lane.record(7, 5000);
        let summary = lane.summary();
        assert_eq!(summary.count, 1001);
        assert_eq!(summary.p50_us, 501);
        assert!((5000..5010).contains(&summary.max_us), "{}", summary.max_us);
        assert!(
            summary.curve.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1),
            "{:?}",
            summary.curve
        );
    }

    #[test]
    fn laps_are_apart() {
        let lane = Sharded::new(2);
        lane.record(0, 10);
        lane.tick();
        lane.record(1, 20);
        assert_eq!((lane.lap().count, lane.lap().count), (2, 0));
        lane.record(0, 30);
        assert_eq!(lane.lap().p50_us, 30);
        assert_eq!(lane.summary().count, 3, "the total has them all");
    }

    #[test]
    fn what_is_out_of_bounds_counts_as_the_bound() {
        let lane = Sharded::new(1);
        lane.record(0, 0);
        lane.record(0, u64::MAX);
        let summary = lane.summary();
        assert_eq!(summary.count, 2);
        assert!(summary.max_us >= MAX_US, "{}", summary.max_us);
    }
}
