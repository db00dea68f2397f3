//! The verdict over a room: who heard what, against what was acknowledged.

use std::collections::{HashMap, HashSet};

use super::history::Difference;
use super::keep::Acked;
use super::session::{Heard, hash};
use crate::check::Verdict;
use crate::report::Report;

/// Failures that are told in words; the rest is only counted.
const MAX_TOLD: usize = 10;

/// All that is known about a room after its end.
pub struct Outcome {
    /// Lines that should have been said.
    pub lines: u64,
    /// Lines of the log that are nobody's.
    pub notices: u64,
    /// What was acknowledged, in order.
    pub acked: Vec<Acked>,
    /// What the sessions heard.
    pub heard: Vec<Heard>,
    /// How the history differs, if it could be read.
    pub difference: Option<Difference>,
    /// What went wrong, in words.
    pub failures: Vec<String>,
}

/// Verdicts added up.
#[derive(Debug, Default, PartialEq)]
pub struct Tally {
    lines: u64,
    notices: u64,
    acked: u64,
    misplaced: u64,
    sessions: u64,
    delivered: Verdict,
    altered: u64,
    strange: u64,
    resets: u64,
    difference: Difference,
    /// What went wrong, in words.
    pub failures: Vec<String>,
}

impl Outcome {
    /// Judges.
    pub fn judge(self) -> Tally {
        let mut tally = Tally {
            lines: self.lines,
            notices: self.notices,
            acked: self.acked.len() as u64,
            failures: self.failures,
            ..Tally::default()
        };
        tally.difference = self.difference.unwrap_or_default();
        // Each line was sent after the answer to the one before, so their seqs must count up.
        tally.misplaced =
            self.acked.windows(2).filter(|pair| pair[1].seq <= pair[0].seq).count() as u64;
        let truth: HashMap<_, _> =
            self.acked.iter().map(|a| (a.seq, (a.body.line, hash(&a.body.text)))).collect();
        let lines: HashSet<_> = self.acked.iter().map(|a| a.body.line).collect();
        for heard in self.heard {
            tally.sessions += 1;
            tally.resets += heard.resets;
            for (seq, line, hash) in &heard.events {
                match (truth.get(seq), line) {
                    (Some(said), Some(line)) if *said == (*line, *hash) => {}
                    (Some(_), _) => tally.altered += 1,
                    // A line that was acknowledged elsewhere, once more.
                    (None, Some(line)) if lines.contains(line) => tally.delivered.doubled += 1,
                    // A line whose acknowledgement was lost with its connection, or nothing of
                    // ours.
                    (None, _) => tally.strange += 1,
                }
            }
            let until = heard.until.unwrap_or_else(|| heard.check.last());
            tally.delivered += heard.check.verdict(until);
            tally
                .failures
                .extend(heard.failure.map(|failure| format!("a session ended early: {failure}")));
        }
        tally
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.lines += other.lines;
        self.notices += other.notices;
        self.acked += other.acked;
        self.misplaced += other.misplaced;
        self.sessions += other.sessions;
        self.delivered += other.delivered;
        self.altered += other.altered;
        self.strange += other.strange;
        self.resets += other.resets;
        self.difference += other.difference;
        self.failures.extend(other.failures);
    }
}

impl Tally {
    /// Puts the verdict into a report.
    pub fn tell(self, report: &mut Report) {
        let d = self.delivered;
        let figures = [
            ("lines", self.lines),
            ("lines_acknowledged", self.acked),
            ("notices_skipped", self.notices),
            ("sessions", self.sessions),
            ("lines_delivered", d.seen),
            ("lost", d.lost),
            ("doubled", d.doubled),
            ("out_of_order", d.reordered),
            ("altered", self.altered),
            ("history_held", self.difference.held),
        ];
        figures.into_iter().for_each(|(name, count)| report.figures.add(name, count as f64));
        report.expect_none(self.lines - self.acked, "lines were not acknowledged");
        report.expect_none(self.misplaced, "lines were acknowledged out of order");
        report.expect_none(d.lost, "deliveries lost");
        report.expect_none(d.doubled, "deliveries doubled");
        report.expect_none(d.reordered, "deliveries out of order");
        report.expect_none(self.altered, "deliveries altered");
        report.expect_none(self.strange, "events that nobody sent, or whose answer is missing");
        report.expect_none(self.resets, "subscriptions were reset");
        tell_difference(self.difference, report);
        let more = self.failures.len().saturating_sub(MAX_TOLD);
        report.violations.extend(self.failures.into_iter().take(MAX_TOLD));
        report.expect_none(more as u64, "more failures");
    }
}

/// Puts what is wrong with a history into a report.
pub fn tell_difference(difference: Difference, report: &mut Report) {
    report.expect_none(difference.missing, "acknowledged lines are missing in the history");
    report.expect_none(
        difference.altered,
        "acknowledged lines are elsewhere or altered in the history",
    );
    report.expect_none(difference.doubled, "lines are in the history more than once");
    report.expect_none(difference.out_of_order, "gaps or steps back in the history");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::SeqCheck;
    use crate::replay::keep::Line;

    fn text(line: usize) -> String {
        format!("line {line}")
    }

    fn heard(position: u64, events: &[(u64, usize)], until: u64) -> Heard {
        let mut check = SeqCheck::after(position);
        events.iter().for_each(|(seq, _)| check.event(*seq));
        let events =
            events.iter().map(|(seq, line)| (*seq, Some(*line), hash(&text(*line)))).collect();
        Heard { check, events, until: Some(until), resets: 0, failure: None }
    }

    fn judge(heard: Vec<Heard>) -> Tally {
        let entity: greenroom_protocol::EntityId = "room:a".parse().expect("it is an entity id");
        let acked = |line: usize| Acked {
            entity: entity.clone(),
            epoch: "e".into(),
            seq: line as u64 + 1,
            body: Line { text: text(line), line },
        };
        let acked = (0..3).map(acked).collect();
        Outcome { lines: 3, notices: 0, acked, heard, difference: None, failures: Vec::new() }
            .judge()
    }

    #[test]
    fn verdicts() {
        let all = [(1, 0), (2, 1), (3, 2)];
        // What was heard; then lost, doubled, out of order, altered and strange.
        let table: [(Heard, [u64; 5]); 8] = [
            (heard(0, &all, 3), [0, 0, 0, 0, 0]),
            (heard(1, &all[1..], 3), [0, 0, 0, 0, 0]),
            (heard(0, &all[..2], 2), [0, 0, 0, 0, 0]),
            (heard(0, &all[..2], 3), [1, 0, 0, 0, 0]),
            (heard(0, &[(1, 0), (3, 2)], 3), [1, 0, 0, 0, 0]),
            (heard(0, &[(1, 0), (3, 2), (2, 1), (2, 1)], 3), [0, 1, 1, 0, 0]),
            (heard(0, &[(1, 0), (2, 2), (3, 1)], 3), [0, 0, 0, 2, 0]),
            (heard(0, &[(1, 0), (2, 1), (3, 2), (4, 2), (5, 9)], 3), [0, 1, 0, 0, 1]),
        ];
        for (i, (heard, want)) in table.into_iter().enumerate() {
            let tally = judge(vec![heard]);
            let d = tally.delivered;
            assert_eq!(
                [d.lost, d.doubled, d.reordered, tally.altered, tally.strange],
                want,
                "case {i}"
            );
        }
    }
}
