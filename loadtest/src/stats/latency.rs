//! Latencies: HDR histograms in microseconds.
//!
//! `hdrhistogram`'s own recorders are not used: each holds a histogram of its own, which is too
//! much for ten thousand connections, and a refresh waits for every idle recorder.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency: ten minutes. Longer ones count as this.
const MAX_US: u64 = 600_000_000;

/// Points of the curve in a summary, as percentiles.
const CURVE: [f64; 14] =
    [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 99.95, 99.99, 100.0];

/// A histogram with the bounds that all of this program's share.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_US, 3)
        .expect("the bounds are constants that hdrhistogram takes")
}

/// The latencies of the current interval, of the current lap, and all of them.
#[derive(Default)]
pub struct Latencies(Mutex<Histograms>);

struct Histograms {
    interval: Histogram<u64>,
    lap: Histogram<u64>,
    total: Histogram<u64>,
}

impl Latencies {
    pub fn record(&self, all_us: impl IntoIterator<Item = u64>) {
        let mut histograms = self.lock();
        all_us.into_iter().for_each(|us| histograms.interval.saturating_record(us.max(1)));
    }

    /// Ends the interval, and returns its median and 99th percentile; nothing if it was empty.
    pub fn tick(&self) -> Option<(u64, u64)> {
        self.lock().tick()
    }

    /// What was recorded since the last lap ended; ends this one.
    pub fn lap(&self) -> Summary {
        let mut histograms = self.lock();
        histograms.tick();
        let summary = Summary::of(&histograms.lap);
        histograms.lap.reset();
        summary
    }

    /// Everything recorded so far.
    pub fn summary(&self) -> Summary {
        let mut histograms = self.lock();
        histograms.tick();
        Summary::of(&histograms.total)
    }

    pub fn reset(&self) {
        let mut histograms = self.lock();
        let Histograms { interval, lap, total } = &mut *histograms;
        [interval, lap, total].into_iter().for_each(Histogram::reset);
    }

    fn lock(&self) -> MutexGuard<'_, Histograms> {
        // A histogram is whole at every moment, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Histograms {
    fn default() -> Self {
        Self { interval: histogram(), lap: histogram(), total: histogram() }
    }
}

impl Histograms {
    fn tick(&mut self) -> Option<(u64, u64)> {
        if self.interval.is_empty() {
            return None;
        }
        for sum in [&mut self.lap, &mut self.total] {
            sum.add(&self.interval).expect("all have the same bounds");
        }
        let quantiles = [0.5, 0.99].map(|quantile| self.interval.value_at_quantile(quantile));
        self.interval.reset();
        Some(quantiles.into())
    }
}

/// A histogram in a few numbers, all in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    pub count: u64,
    pub mean_us: f64,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
    /// `[percentile, microseconds]`, ascending, for plots.
    pub curve: Vec<(f64, u64)>,
}

impl Summary {
    pub fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            count: histogram.len(),
            mean_us: (histogram.mean() * 10.0).round() / 10.0,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max(),
            curve: CURVE.iter().map(|p| (*p, at(p / 100.0))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_add_up() {
        let lane = Latencies::default();
        assert_eq!(lane.summary(), Summary::default());
        lane.record(1..=1000);
        assert_eq!(lane.tick(), Some((500, 990)));
        assert_eq!(lane.tick(), None, "a tick starts a new interval");
        lane.record([5000]);
        let summary = lane.summary();
        assert_eq!((summary.count, summary.p50_us), (1001, 501));
        assert!((5000..5010).contains(&summary.max_us), "{}", summary.max_us);
        let ascends = summary.curve.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1);
        assert!(ascends, "{:?}", summary.curve);
    }

    #[test]
    fn laps_are_apart() {
        let lane = Latencies::default();
        lane.record([10]);
        lane.tick();
        lane.record([20]);
        assert_eq!((lane.lap().count, lane.lap().count), (2, 0));
        lane.record([30]);
        assert_eq!(lane.lap().p50_us, 30);
        assert_eq!(lane.summary().count, 3, "the total has them all");
        lane.reset();
        assert_eq!(lane.summary().count, 0);
    }

    #[test]
    fn what_is_out_of_bounds_counts_as_the_bound() {
        let lane = Latencies::default();
        lane.record([0, u64::MAX]);
        let summary = lane.summary();
        assert_eq!(summary.count, 2);
        assert!(summary.max_us >= MAX_US, "{}", summary.max_us);
    }
}
