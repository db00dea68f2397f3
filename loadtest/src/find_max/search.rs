//! The search itself: doubling, then halving what lies in between.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use crate::stats::Summary;

/// What share of the messages must arrive for a rate to hold, late or not.
const ARRIVES: f64 = 0.99;
/// Messages a second beyond which nothing is tried.
const HIGHEST: f64 = 16e6;
/// And below which.
const LOWEST: f64 = 0.5;

/// Connections with which a rate is tried.
pub trait Tried {
    /// Sends at this many messages a second, and measures it after the warm-up.
    fn trial(
        &mut self,
        rate: f64,
        warmup: Duration,
        window: Duration,
    ) -> impl Future<Output = Result<Trial>>;
}

/// What one rate led to.
#[derive(Debug, Clone)]
pub struct Trial {
    pub rate: f64,
    pub window_s: f64,
    /// What the messages that were due in the window should lead to, of what counts.
    pub wanted: u64,
    /// How many of that came within the window.
    pub arrived: u64,
    /// How late that came which was due in the window.
    pub latency: Summary,
    /// What the server spent in the window, in CPU seconds.
    pub server_cpu_s: Option<f64>,
    /// What this process spent in it.
    pub client_cpu_s: f64,
    /// What went wrong so far, by name.
    pub errors: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy)]
pub struct Search {
    /// The first rate, in messages a second.
    pub start: f64,
    /// The search ends when the lowest rate that is too high is at most so many times the highest
    /// that holds; above 1.
    pub precision: f64,
    pub warmup: Duration,
    pub window: Duration,
    /// The budget: 99 in a hundred come within it.
    pub p99: Duration,
}

#[derive(Debug, Default)]
pub struct Found {
    /// The trial of the highest rate that held.
    pub best: Option<Trial>,
    /// All trials in their order, and whether they held.
    pub trials: Vec<(Trial, bool)>,
}

impl Trial {
    fn holds(&self, p99: Duration) -> bool {
        // Where nothing was due, nothing is known.
        self.wanted > 0
            && self.errors.is_empty()
            && self.latency.count as f64 >= self.wanted as f64 * ARRIVES
            && u128::from(self.latency.p99_us) < p99.as_micros()
    }

    /// What the server spent, in percent of a core.
    pub fn server_percent(&self) -> Option<f64> {
        self.server_cpu_s.map(|s| s * 100.0 / self.window_s)
    }

    /// What this process spent, in percent of a core.
    pub fn client_percent(&self) -> f64 {
        self.client_cpu_s * 100.0 / self.window_s
    }
}

impl Search {
    /// Searches; `stage` sets a new one each time that the last one is not as it was.
    ///
    /// A rate is too high when it fails twice: on a machine that others use as well, one stall is
    /// no limit.
    pub async fn run<S: Tried>(&self, mut stage: impl AsyncFnMut() -> Result<S>) -> Result<Found> {
        let mut found = Found::default();
        let mut bracket = Bracket::default();
        let mut current = stage().await?;
        while let Some(rate) = bracket.next(self.start, self.precision) {
            let mut held = false;
            for _ in 0..2 {
                let trial = current.trial(rate, self.warmup, self.window).await?;
                held = trial.holds(self.p99);
                if !trial.errors.is_empty() {
                    current = stage().await?;
                }
                found.trials.push((trial.clone(), held));
                if held {
                    found.best = Some(trial);
                    break;
                }
            }
            bracket.tried(rate, held);
        }
        Ok(found)
    }
}

/// Between which rates the limit lies, as far as is known.
#[derive(Debug, Default)]
struct Bracket {
    holds: Option<f64>,
    too_high: Option<f64>,
}

impl Bracket {
    /// The next rate to try, if it is worth it.
    fn next(&self, start: f64, precision: f64) -> Option<f64> {
        match (self.holds, self.too_high) {
            (None, None) => Some(start),
            (Some(holds), None) => Some(holds * 2.0).filter(|rate| *rate <= HIGHEST),
            (None, Some(too_high)) => Some(too_high / 2.0).filter(|rate| *rate >= LOWEST),
            // The middle of the ratio, not of the difference.
            (Some(holds), Some(too_high)) => {
                (too_high / holds > precision.max(1.001)).then(|| (holds * too_high).sqrt())
            }
        }
    }

    fn tried(&mut self, rate: f64, held: bool) {
        *(if held { &mut self.holds } else { &mut self.too_high }) = Some(rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches where everything up to `limit` holds; returns the answer and the number of rates
    /// tried.
    fn search(limit: f64) -> (Option<f64>, usize) {
        let (mut bracket, mut tries) = (Bracket::default(), 0);
        while let Some(rate) = bracket.next(100.0, 1.05) {
            bracket.tried(rate, rate <= limit);
            tries += 1;
            assert!(tries < 100, "it ends");
        }
        (bracket.holds, tries)
    }

    #[test]
    fn the_limit_is_found_from_below() {
        for limit in [1.0, 37.0, 99.0, 100.0, 101.0, 1234.0, 2_500_000.0] {
            let (found, tries) = search(limit);
            let found = found.expect("something holds");
            assert!(found <= limit && found * 1.05 >= limit, "{limit}: {found}");
            assert!(tries <= 25, "{limit}: {tries} tries");
        }
    }

    #[test]
    fn there_may_be_none_or_no_end() {
        assert_eq!(search(0.0).0, None);
        assert!(search(f64::INFINITY).0.is_some_and(|found| found <= HIGHEST));
    }
}
