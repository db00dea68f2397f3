//! What was known of a log, and when: the real-time side of the checks.

use greenroom_protocol::Seq;

use super::entry::Moment;

/// Moments at which somebody was told that the log reaches up to some seq.
#[derive(Debug, Default)]
pub struct Known {
    told: Vec<(Moment, Seq)>,
}

impl Known {
    pub fn add(&mut self, t: Moment, seq: Seq) {
        self.told.push((t, seq));
    }

    /// Sorts it. Nothing may be added afterwards.
    pub fn sort(&mut self) {
        self.told.sort_unstable();
        let mut highest = Seq::ZERO;
        for (_, seq) in &mut self.told {
            highest = highest.max(*seq);
            *seq = highest;
        }
    }

    /// How far the log was known to reach before `t`.
    pub fn before(&self, t: Moment) -> Seq {
        let told = self.told.partition_point(|(at, _)| *at < t);
        told.checked_sub(1).map_or(Seq::ZERO, |last| self.told[last].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_known_is_the_most_that_was_told_before() {
        let mut known = Known::default();
        for (t, seq) in [(5, 3), (9, 4), (2, 1), (7, 2)] {
            known.add(t, Seq::new(seq));
        }
        known.sort();
        let got: Vec<_> = (1..=10).map(|t| known.before(t).get()).collect();
        assert_eq!(got, [0, 0, 1, 1, 1, 3, 3, 3, 3, 4]);
        assert_eq!(Known::default().before(9), Seq::ZERO);
    }
}
