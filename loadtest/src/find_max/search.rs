//! The search itself: doubling, then halving what lies in between.

use std::time::Duration;

use anyhow::Result;

use crate::raw::{Stage, Trial};

/// What share of the messages must arrive for a rate to hold, late or not.
const ARRIVES: f64 = 0.99;
/// Messages a second beyond which nothing is tried.
const HIGHEST: f64 = 16e6;
/// And below which.
const LOWEST: f64 = 0.5;

/// What a rate must hold.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// 99 in a hundred come within it.
    pub p99: Duration,
    /// Acknowledgements count; otherwise deliveries.
    pub acks: bool,
}

/// How to search.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    /// The first rate, in messages a second.
    pub start: f64,
    /// The search ends when the lowest rate that is too high is at most so many times the highest
    /// that holds; above 1.
    pub precision: f64,
    /// Before each trial's window.
    pub warmup: Duration,
    /// Each trial's window.
    pub window: Duration,
    /// What must hold.
    pub budget: Budget,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The trial of the highest rate that held.
    pub best: Option<Trial>,
    /// All trials in their order, and whether they held.
    pub trials: Vec<(Trial, bool)>,
}

impl Budget {
    /// Whether it held.
    pub fn holds(&self, trial: &Trial) -> bool {
        let (summary, wanted) =
            if self.acks { (&trial.ack, trial.due) } else { (&trial.delivery, trial.expected) };
        // Where nothing was due, nothing is known.
        wanted > 0
            && trial.gone == 0
            && trial.complaints.is_empty()
            && summary.count as f64 >= wanted as f64 * ARRIVES
            && u128::from(summary.p99_us) < self.p99.as_micros()
    }
}

impl Search {
    /// Searches; `stage` sets a new one each time that the last one is not as it was.
    ///
    /// A rate is too high when it fails twice: on a machine that others use as well, one stall is
    /// no limit.
    ///
    /// # Errors
    /// Where a stage cannot be set, or a trial cannot be made.
    pub async fn run(&self, mut stage: impl AsyncFnMut() -> Result<Stage>) -> Result<Found> {
        let mut found = Found::default();
        let mut bracket = Bracket::default();
        let mut current = stage().await?;
        while let Some(rate) = bracket.next(self.start, self.precision) {
            let mut held = false;
            for _ in 0..2 {
                let trial = current.trial(rate, self.warmup, self.window).await?;
                held = self.budget.holds(&trial);
                let broken = trial.gone > 0 || !trial.complaints.is_empty();
                found.trials.push((trial.clone(), held));
                if broken {
                    current.clear().await;
                    current = stage().await?;
                }
                if held {
                    found.best = Some(trial);
                    break;
                }
            }
            bracket.tried(rate, held);
        }
        current.clear().await;
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
