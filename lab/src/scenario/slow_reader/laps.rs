//! What each part of the run was like: the neighbours' latency, and the server's memory at its end.

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use greenroom_loadtest::report::Report;
use greenroom_loadtest::run::Run;
use greenroom_loadtest::stats::{Lane, Sample, Summary};

/// The parts of a run, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lap {
    /// All read.
    Before,
    /// The slow readers take nothing.
    Stall,
    /// They read what they missed.
    CatchUp,
    /// All read again.
    After,
}

/// What is known of one lap.
struct Ended {
    lap: Lap,
    /// From when to when, in seconds since the first lap began.
    seconds: Range<f64>,
    neighbours: Summary,
    rss_bytes: Option<f64>,
    outbox_bytes: Option<f64>,
}

/// The laps so far.
pub struct Laps {
    began: Instant,
    ended: Vec<Ended>,
    events: u64,
    took: Duration,
}

impl Lap {
    /// What its latency is called in a report; the names sort as the laps follow.
    const fn name(self) -> &'static str {
        match self {
            Self::Before => "lap 1: before",
            Self::Stall => "lap 2: stall",
            Self::CatchUp => "lap 3: catch-up",
            Self::After => "lap 4: after",
        }
    }

    /// What the memory at its end, and the bytes in outboxes, are called.
    const fn memory(self) -> (&'static str, &'static str) {
        match self {
            Self::Before => ("rss_before_stall_bytes", "outboxes_before_stall_bytes"),
            Self::Stall => ("rss_end_of_stall_bytes", "outboxes_end_of_stall_bytes"),
            Self::CatchUp => ("rss_caught_up_bytes", "outboxes_caught_up_bytes"),
            Self::After => ("rss_after_bytes", "outboxes_after_bytes"),
        }
    }

    /// What the neighbours' 99th percentile is called: that of the whole lap, and the median over
    /// its seconds.
    const fn p99(self) -> (&'static str, &'static str) {
        match self {
            Self::Before => ("neighbours_p99_us_before", "neighbours_p99_us_before_median_second"),
            Self::Stall => ("neighbours_p99_us_stall", "neighbours_p99_us_stall_median_second"),
            Self::CatchUp => {
                ("neighbours_p99_us_catch_up", "neighbours_p99_us_catch_up_median_second")
            }
            Self::After => ("neighbours_p99_us_after", "neighbours_p99_us_after_median_second"),
        }
    }
}

impl Laps {
    /// The first lap begins.
    pub fn begin() -> Self {
        Self { began: Instant::now(), ended: Vec::new(), events: 0, took: Duration::ZERO }
    }

    /// A lap is over.
    pub async fn end(&mut self, lap: Lap, run: &Run) -> Result<()> {
        let neighbours = run.board.lap(Lane::Delivery);
        let snapshot = run.source.snapshot().await?;
        let (rss_bytes, outbox_bytes) =
            (snapshot.rss_bytes, snapshot.metric("greenroom_outbox_bytes"));
        let seconds = self.ended.last().map_or(0.0, |last| last.seconds.end)
            ..self.began.elapsed().as_secs_f64();
        self.ended.push(Ended { lap, seconds, neighbours, rss_bytes, outbox_bytes });
        Ok(())
    }

    /// The slow readers read `events` each, from where they stood before the stall, within `took`.
    pub fn caught_up(&mut self, events: u64, took: Duration) {
        (self.events, self.took) = (events, took);
    }

    /// Adds all of it to a report.
    pub fn tell(self, report: &mut Report) {
        for Ended { lap, seconds, neighbours, .. } in &self.ended {
            if neighbours.count > 0 {
                report.figures.add(lap.p99().0, neighbours.p99_us as f64);
                report.figures.add_known(lap.p99().1, median_p99(&report.series, seconds));
            }
        }
        let p99 = |lap| {
            self.ended
                .iter()
                .find(|ended| ended.lap == lap)
                .map_or(0.0, |ended| ended.neighbours.p99_us as f64)
        };
        let quiet = f64::midpoint(p99(Lap::Before), p99(Lap::After));
        report.figures.add_known("neighbours_p99_ratio_stall", Some(p99(Lap::Stall) / quiet));
        report.figures.add_known("neighbours_p99_ratio_catch_up", Some(p99(Lap::CatchUp) / quiet));
        report.figures.add("catch_up_s", self.took.as_secs_f64());
        report.figures.add("catch_up_events_each", self.events as f64);
        for Ended { lap, rss_bytes, outbox_bytes, .. } in &self.ended {
            report.figures.add_known(lap.memory().0, *rss_bytes);
            report.figures.add_known(lap.memory().1, *outbox_bytes);
        }
        report.latencies.extend(
            self.ended.into_iter().map(|ended| (ended.lap.name().to_owned(), ended.neighbours)),
        );
    }
}

/// The median over the seconds that lie within a lap of each one's 99th percentile: where the
/// machine itself stumbles for a moment, it says what is usual.
fn median_p99(series: &[Sample], lap: &Range<f64>) -> Option<f64> {
    let within = |sample: &&Sample| lap.start + 1.0 <= sample.at_s && sample.at_s <= lap.end;
    let mut p99: Vec<_> = series.iter().filter(within).filter_map(|sample| sample.p99_us).collect();
    p99.sort_unstable();
    p99.get(p99.len() / 2).map(|us| *us as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_second_is_not_the_median() {
        let second = |at_s: f64, p99_us| Sample {
            at_s,
            deliveries_per_s: 1.0,
            acks_per_s: 0.0,
            connects_per_s: 0.0,
            p50_us: p99_us,
            p99_us,
        };
        let series = [
            (1.0, Some(900)),
            (2.0, Some(5)),
            (3.0, Some(900)),
            (4.0, Some(7)),
            (5.0, None),
            (6.0, Some(900)),
        ];
        let series = series.map(|(at_s, p99_us)| second(at_s, p99_us));
        assert_eq!(median_p99(&series, &(0.5..5.5)), Some(7.0));
        assert_eq!(median_p99(&series, &(1.0..1.9)), None, "no second lies within");
    }
}
