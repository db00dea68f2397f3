//! Checks that one reader of a log saw each seq once and in order.

use std::collections::BTreeSet;

use greenroom_protocol::Seq;

/// The most missing seqs that are remembered one by one; beyond that they are only counted.
const MAX_REMEMBERED: usize = 100_000;

/// Follows one subscription from its position on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeqCheck {
    last: Seq,
    missing: BTreeSet<Seq>,
    forgotten: u64,
    seen: u64,
    doubled: u64,
    reordered: u64,
}

/// The result for one reader. Everything but `seen` must be 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Events that arrived, repeats not counted.
    pub seen: u64,
    /// Events that never arrived.
    pub lost: u64,
    /// Events that arrived again.
    pub doubled: u64,
    /// Events that arrived after a later one.
    pub reordered: u64,
}

impl SeqCheck {
    /// A reader that has everything up to and including `position`.
    pub fn after(position: Seq) -> Self {
        Self { last: position, ..Self::default() }
    }

    pub fn last(&self) -> Seq {
        self.last
    }

    pub fn event(&mut self, seq: Seq) {
        if seq == self.last.next() {
            self.last = seq;
            self.seen += 1;
        } else if seq > self.last {
            for gap in self.last.next().through(seq - 1) {
                if self.missing.len() == MAX_REMEMBERED {
                    self.forgotten += seq.since(gap);
                    break;
                }
                self.missing.insert(gap);
            }
            self.last = seq;
            self.seen += 1;
        } else if self.missing.remove(&seq) {
            self.reordered += 1;
            self.seen += 1;
        } else {
            self.doubled += 1;
        }
    }

    /// The verdict, if the log ends at `end` and the reader should have all of it.
    pub fn verdict(&self, end: Seq) -> Verdict {
        let lost = self.missing.len() as u64 + self.forgotten + end.saturating_since(self.last);
        Verdict { seen: self.seen, lost, doubled: self.doubled, reordered: self.reordered }
    }
}

impl std::ops::AddAssign for Verdict {
    fn add_assign(&mut self, other: Self) {
        self.seen += other.seen;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(position: u64, seqs: &[u64], end: u64) -> Verdict {
        let mut check = SeqCheck::after(Seq::new(position));
        for seq in seqs {
            check.event(Seq::new(*seq));
        }
        check.verdict(Seq::new(end))
    }

    #[test]
    fn verdicts() {
        let table: &[(u64, &[u64], u64, Verdict)] = &[
            (0, &[1, 2, 3], 3, Verdict { seen: 3, ..Verdict::default() }),
            (5, &[6, 7], 7, Verdict { seen: 2, ..Verdict::default() }),
            (0, &[], 0, Verdict::default()),
            (0, &[], 2, Verdict { lost: 2, ..Verdict::default() }),
            (0, &[1, 3], 3, Verdict { seen: 2, lost: 1, ..Verdict::default() }),
            (0, &[1, 2], 4, Verdict { seen: 2, lost: 2, ..Verdict::default() }),
            (0, &[1, 1, 2], 2, Verdict { seen: 2, doubled: 1, ..Verdict::default() }),
            (0, &[1, 3, 2], 3, Verdict { seen: 3, reordered: 1, ..Verdict::default() }),
            (
                0,
                &[1, 3, 2, 2],
                3,
                Verdict { seen: 3, reordered: 1, doubled: 1, ..Verdict::default() },
            ),
            (5, &[5, 6], 6, Verdict { seen: 1, doubled: 1, ..Verdict::default() }),
        ];
        for (position, seqs, end, want) in table {
            assert_eq!(&judge(*position, seqs, *end), want, "{position} {seqs:?} {end}");
        }
    }

    #[test]
    fn a_huge_gap_is_counted_whole() {
        let gap = MAX_REMEMBERED as u64 * 3;
        assert_eq!(
            judge(0, &[gap + 1], gap + 1),
            Verdict { seen: 1, lost: gap, ..Verdict::default() }
        );
    }

    proptest! {
        #[test]
        fn agrees_with_counting(seqs in prop::collection::vec(1u64..40, 0..80), more in 0u64..5) {
            let end = seqs.iter().max().copied().unwrap_or(0) + more;
            let distinct: BTreeSet<_> = seqs.iter().copied().collect();
            let late = distinct.iter().filter(|seq| {
                let first = seqs.iter().position(|s| s == *seq).expect("it is in the list");
                seqs[..first].iter().any(|s| s > *seq)
            }).count() as u64;
            let got = judge(0, &seqs, end);
            prop_assert_eq!(got.seen, distinct.len() as u64);
            prop_assert_eq!(got.doubled, (seqs.len() - distinct.len()) as u64);
            prop_assert_eq!(got.lost, end - distinct.len() as u64);
            prop_assert_eq!(got.reordered, late);
        }
    }
}
