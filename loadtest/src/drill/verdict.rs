//! The verdict in a report.

use super::judge::Tally;
use super::record::Record;
use crate::report::Report;

/// Failures that are told in words; the rest is only counted.
const MAX_TOLD: usize = 10;

/// What is promised to be none, by its name in reports.
pub fn broken(tally: &Tally) -> [(&'static str, u64); 15] {
    [
        ("lost", tally.lost),
        ("doubled", tally.doubled),
        ("misplaced", tally.misplaced),
        ("stale", tally.stale),
        ("gaps", tally.gaps),
        ("strange", tally.strange),
        ("unanswered", tally.unanswered),
        ("refused", tally.refused),
        ("deliveries_lost", tally.delivered.lost),
        ("deliveries_doubled", tally.delivered.doubled),
        ("deliveries_reordered", tally.delivered.reordered),
        ("altered", tally.altered),
        ("misled", tally.misled),
        ("went_back", tally.went_back),
        ("unreasoned", tally.unreasoned),
    ]
}

/// The same in words.
const WORDS: [(&str, &str); 15] = [
    ("lost", "acknowledged ops are missing in the history"),
    ("doubled", "ops were executed more than once"),
    ("misplaced", "acknowledged ops are elsewhere in the history"),
    ("stale", "ops have a seq that is not above one acknowledged before they were sent"),
    ("gaps", "gaps or steps back in the history"),
    ("strange", "events in the history that nobody sent"),
    ("unanswered", "ops were never answered"),
    ("refused", "ops were refused for good"),
    ("deliveries_lost", "deliveries lost"),
    ("deliveries_doubled", "deliveries doubled"),
    ("deliveries_reordered", "deliveries out of order"),
    ("altered", "deliveries differ from the history"),
    ("misled", "resumptions end elsewhere than their events"),
    ("went_back", "snapshots go back, or belong to another log"),
    ("unreasoned", "snapshots without a good reason"),
];

/// Puts the verdict into a report.
pub fn tell(tally: &Tally, records: &[Record], report: &mut Report) {
    let longest_us = records.iter().map(|record| record.longest_pause_us).max().unwrap_or(0);
    let figures = [
        ("ops", tally.ops),
        ("ops_acknowledged", tally.acked),
        ("ops_lost", tally.lost),
        ("ops_doubled", tally.doubled),
        ("ops_reordered", tally.misplaced + tally.stale),
        ("ops_answered_as_duplicate", tally.duplicates),
        ("history_held", tally.held),
        ("events_seen", tally.delivered.seen),
        ("events_lost", tally.delivered.lost),
        ("events_doubled", tally.delivered.doubled),
        ("events_reordered", tally.delivered.reordered),
        ("snapshots_instead_of_events", tally.snapshots),
        ("reconnects", records.iter().map(|record| record.reconnects).sum()),
    ];
    figures.into_iter().for_each(|(name, count)| report.figures.add(name, count as f64));
    report.figures.add("longest_pause_ms", longest_us as f64 / 1000.0);
    for ((_, count), (_, words)) in broken(tally).into_iter().zip(WORDS) {
        report.expect_none(count, words);
    }
    tell_failures(records.iter().flat_map(|record| record.failures.iter().cloned()), report);
}

/// Puts what went wrong besides into a report.
pub fn tell_failures(mut failures: impl Iterator<Item = String>, report: &mut Report) {
    report.violations.extend(failures.by_ref().take(MAX_TOLD));
    report.expect_none(failures.count() as u64, "more failures");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_has_its_words() {
        let names = broken(&Tally::default()).map(|(name, _)| name);
        assert_eq!(names, WORDS.map(|(name, _)| name));
    }
}
