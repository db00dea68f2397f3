//! What is wrong with a history.

use std::ops::Range;

use super::entry::Moment;

/// How many findings of each kind are described in words; the rest is only counted.
const TOLD_EACH: u64 = 3;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal, $words:literal;)*) => {
        /// What can be wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[doc = $doc])+ $kind,)*
        }

        impl Kind {
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// What a report says after the number of such findings.
            pub const fn words(self) -> &'static str {
                match self { $(Self::$kind => $words,)* }
            }
        }
    };
}

kinds! {
    /// The history contradicts itself, so it cannot be judged: an answer without a question, a
    /// moment that goes back, two ops of one content.
    Malformed = "malformed", "entries make no sense in this history";
    /// Nobody read the log in the end.
    Unread = "unread", "logs were not read in the end";
    /// An answer names an epoch other than that of the log at the end.
    AnotherLog = "another_log", "answers speak of another log";
    /// An acknowledged op is not in the log.
    Lost = "lost", "acknowledged ops are missing in the log";
    /// An op is in the log again.
    Doubled = "doubled", "ops were executed more than once";
    /// An acknowledged op is in the log, but not at its acknowledged place or time.
    Misplaced = "misplaced", "acknowledged ops are elsewhere in the log";
    /// A refused op is in the log.
    RefusedDone = "refused_done", "refused ops were executed";
    /// The log's seqs are not 1, 2, 3, and so on.
    Gap = "gap", "gaps or steps back in the log";
    /// The log has an event that nobody sent, or that differs from what was sent.
    Phantom = "phantom", "events in the log that nobody sent";
    /// An op's seq is not above all that anybody had been told before it was invoked.
    StaleOp = "stale_op", "ops have a seq that is not above one known before they were sent";
    /// An answer does not show what somebody else had been told before it was asked for.
    Stale = "stale", "reads do not show what was known before they were asked for";
    /// An answer does not show what the same client had been told before it asked, or a snapshot
    /// goes back behind what it had.
    WentBack = "went_back", "clients were led back behind what they had seen";
    /// A state is not what the log comes to at its seq, or two states of one seq differ.
    WrongState = "wrong_state", "states are not what the log comes to";
    /// Somebody was shown more than the log holds in the end.
    Vanished = "vanished", "answers show what the log does not hold";
    /// A client received an event that differs from the log.
    Altered = "altered", "deliveries differ from the log";
    /// A page leaves events out, or begins or ends where it should not.
    TornPage = "torn_page", "pages are not what was asked for";
    /// A subscriber was never told an event.
    Skipped = "deliveries_lost", "deliveries lost";
    /// A subscriber was told an event again.
    Repeated = "deliveries_doubled", "deliveries doubled";
    /// A subscriber was told an event after a later one.
    Reordered = "deliveries_reordered", "deliveries out of order";
    /// A subscription says that it stands elsewhere than its events end, or gives events to who has
    /// no position.
    Misled = "misled", "resumptions end elsewhere than their events";
    /// A snapshot took the place of events without a reason, or with one that cannot be true.
    Unreasoned = "unreasoned", "snapshots without a good reason";
    /// An event was told to somebody who did not follow.
    Unasked = "unasked", "events for clients that do not follow";
}

/// How much a history holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub ops: u64,
    pub acked: u64,
    /// Acknowledgements that say they answer a repeat.
    pub duplicates: u64,
    pub refused: u64,
    /// Ops whose outcome nobody knows.
    pub unanswered: u64,
    /// Acknowledged ops that the log holds, where it was said.
    pub held: u64,
    pub events: u64,
    /// Events that subscribers were told, repeats not counted.
    pub told: u64,
    /// States read, those of subscriptions not counted.
    pub reads: u64,
    /// Pages read, those in the end not counted.
    pub pages: u64,
    /// Snapshots and resets that took the place of events.
    pub snapshots: u64,
}

/// What was found: how much of each kind, and some of it in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    counts: [u64; Kind::ALL.len()],
    told: Vec<String>,
    /// When each was noticed, or what it is about began, and how many they are.
    moments: Vec<(Moment, Kind, u64)>,
    now: Moment,
}

impl Findings {
    /// The next findings are about this moment.
    pub fn about(&mut self, moment: Moment) {
        self.now = moment;
    }

    /// The number of findings of these kinds about moments in `span`.
    pub fn within(&self, span: &Range<Moment>, kinds: &[Kind]) -> u64 {
        let inside = self
            .moments
            .iter()
            .filter(|(moment, kind, _)| span.contains(moment) && kinds.contains(kind));
        inside.map(|(.., count)| count).sum()
    }

    /// Notes one; the words are only made for the first few of a kind.
    pub fn add(&mut self, kind: Kind, words: impl FnOnce() -> String) {
        let count = &mut self.counts[kind as usize];
        *count += 1;
        self.moments.push((self.now, kind, 1));
        if *count <= TOLD_EACH {
            self.told.push(format!("{}: {}", kind.name(), words()));
        }
    }

    /// Notes many of which nothing more is known.
    pub fn add_many(&mut self, kind: Kind, count: u64, words: impl FnOnce() -> String) {
        if count > 0 {
            self.add(kind, words);
            self.counts[kind as usize] += count - 1;
            self.moments.push((self.now, kind, count - 1));
        }
    }

    pub fn count(&self, kind: Kind) -> u64 {
        self.counts[kind as usize]
    }

    /// The kinds that were found, and how many of each.
    pub fn found(&self) -> impl Iterator<Item = (Kind, u64)> + '_ {
        Kind::ALL.iter().map(|kind| (*kind, self.count(*kind))).filter(|(_, count)| *count > 0)
    }

    /// Some of them in words, in the order in which they were found.
    pub fn told(&self) -> &[String] {
        &self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_few_are_told() {
        let mut findings = Findings::default();
        for n in 0..5 {
            findings.add(Kind::Lost, || format!("op {n}"));
        }
        findings.about(9);
        findings.add_many(Kind::Skipped, 7, || "seven".into());
        findings.add_many(Kind::Gap, 0, || "none".into());
        assert_eq!(findings.found().collect::<Vec<_>>(), [(Kind::Lost, 5), (Kind::Skipped, 7)]);
        assert_eq!(findings.within(&(1..10), Kind::ALL), 7, "the others are about another moment");
        assert_eq!(
            findings.told(),
            ["lost: op 0", "lost: op 1", "lost: op 2", "deliveries_lost: seven"]
        );
    }
}
