//! What the phases find out, until there is a report to put it into.

use super::crew::Outcome;
use greenroom_loadtest::report::{Figures, Report};
use greenroom_loadtest::stats::Summary;

/// Figures, latencies, and promises that were not kept, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Findings {
    /// The figures.
    pub figures: Figures,
    latencies: Vec<(&'static str, Summary)>,
    broken: Vec<(u64, String)>,
}

impl Findings {
    /// Adds a latency, unless it is of nothing.
    pub fn latency(&mut self, name: &'static str, summary: &Summary) {
        if summary.count > 0 {
            self.latencies.push((name, summary.clone()));
        }
    }

    /// Notes a promise that was not kept, if `count` is not zero.
    pub fn expect_none(&mut self, count: u64, what: impl Into<String>) {
        self.broken.push((count, what.into()));
    }

    /// All of a visit must be answered, and well; `which` completes "… of the".
    pub fn expect_all(&mut self, outcome: &Outcome, which: &str) {
        let Outcome { wanted, tally, .. } = outcome;
        self.expect_none(
            wanted.saturating_sub(tally.answered + tally.refused),
            format!("of the {which} were not answered"),
        );
        self.expect_none(tally.refused, format!("of the {which} were refused"));
        self.expect_none(tally.wrong, format!("of the {which} had a wrong answer"));
    }

    /// Puts all of it into a report.
    pub fn tell(self, report: &mut Report) {
        report.figures.0.extend(self.figures.0);
        report
            .latencies
            .extend(self.latencies.into_iter().map(|(name, summary)| (name.to_owned(), summary)));
        for (count, what) in self.broken {
            report.expect_none(count, &what);
        }
    }
}
