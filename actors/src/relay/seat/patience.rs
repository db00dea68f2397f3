//! Who keeps on sending although it was told to wait.
//!
//! A refusal for a rate says when to come back. The next refusal says a later time, so that all who
//! come back as told find room. Once a client has been told it needs a moment to stop. Only what it
//! sends after that moment, and before the time that it was told last, is held against it.
//!
//! That it was told is known from a probe: a ping that is sent after the refusal. Its answer stands
//! behind all that the client had sent before it read the refusal, however long that takes to
//! arrive and to be read.

use crate::clock::Mono;
use crate::limits::Rate;

/// How long after it was told a client may still be sending what it had decided to send.
const REACTION_MS: u64 = 2000;
/// The longest wait that is named, unless a single request has to wait longer. Whoever has not
/// answered a probe by then, and still sends, counts as told.
const LONGEST_MS: u64 = 60_000;

/// Which limit was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Requests of the connection.
    Requests,
    /// Bytes of the connection.
    Bytes,
    /// Requests of the user.
    User,
}

impl Scope {
    /// The error's reason; also a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Bytes => "bytes",
            Self::User => "user",
        }
    }
}

/// What a client was told about one limit, until it has waited as told.
#[derive(Debug, Clone, Copy)]
struct Notice {
    /// When it began.
    began: Mono,
    /// When the first of those refused may come back.
    first: Mono,
    /// Tokens that the others need.
    others: u64,
    /// Tokens of those that were refused again although they may have come back as told.
    again: u64,
    /// The latest time to come back that was named.
    until: Mono,
    /// The first probe that was sent after it began.
    probe: u32,
    /// When that one, or a later one, was answered.
    known: Option<Mono>,
}

/// What a session was told, and how often it did not care.
#[derive(Debug)]
pub struct Patience {
    notices: [Option<Notice>; 3],
    /// The last probe that was answered.
    answered: u32,
    window_began: Mono,
    ignored: u32,
}

/// One request over a limit.
#[derive(Debug, Clone, Copy)]
pub struct Excess {
    /// Which limit.
    pub scope: Scope,
    /// That limit.
    pub rate: Rate,
    /// The request's tokens.
    pub cost: u32,
    /// When they would be there if nobody else waited for them, in ms.
    pub wait_ms: u64,
    /// The next probe.
    pub probe: u32,
}

/// What the client is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// When to come back.
    pub retry_after_ms: u64,
    /// It had been told to wait, and sent all the same.
    pub ignored: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self { notices: [None; 3], answered: 0, window_began: Mono::ZERO, ignored: 0 }
    }
}

impl Patience {
    /// Refuses a request.
    pub fn refuse(&mut self, excess: Excess, now: Mono) -> Wait {
        let Excess { scope, rate, cost, wait_ms, probe } = excess;
        let place = &mut self.notices[scope as usize];
        let alone = now.after(wait_ms);
        let Some(notice) = place.as_mut().filter(|notice| now < notice.until) else {
            *place = Some(Notice {
                began: now,
                first: alone,
                others: 0,
                again: 0,
                until: alone,
                probe,
                known: None,
            });
            return Wait { retry_after_ms: wait_ms, ignored: false };
        };
        notice.others += u64::from(cost);
        let its_time = notice.first.after(notice.others * 1000 / u64::from(rate.per_second.get()));
        let due = its_time.min(now.after(LONGEST_MS)).max(alone);
        notice.until = notice.until.max(due);
        let knows = notice.known.is_some_and(|known| now.since(known) >= REACTION_MS)
            || now.since(notice.began) >= LONGEST_MS;
        // Each that was told a time by now may be the one that has come back, and met others who
        // took its token.
        let asked_back = (now.since(notice.first) * u64::from(rate.per_second.get()) / 1000 + 1)
            .min(notice.others);
        notice.again += if knows { u64::from(cost) } else { 0 };
        Wait { retry_after_ms: due.since(now), ignored: knows && notice.again > asked_back }
    }

    /// Its client has answered this probe. False when it had before.
    pub fn answered(&mut self, probe: u32, now: Mono) -> bool {
        if probe <= self.answered {
            return false;
        }
        self.answered = probe;
        for notice in self.notices.iter_mut().flatten().filter(|notice| notice.probe <= probe) {
            notice.known.get_or_insert(now);
        }
        true
    }

    /// Counts a message that was sent regardless. True when there were `after` of them within
    /// `window_ms`.
    pub fn ignored(&mut self, now: Mono, after: u32, window_ms: u64) -> bool {
        if now.since(self.window_began) >= window_ms {
            self.window_began = now;
            self.ignored = 0;
        }
        self.ignored += 1;
        self.ignored >= after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One request over a limit of a hundred a second.
    fn excess(wait_ms: u64) -> Excess {
        Excess { scope: Scope::Requests, rate: Rate::new(100, 200), cost: 1, wait_ms, probe: 1 }
    }

    #[test]
    fn ignoring_is_counted_within_a_window() {
        let mut patience = Patience::default();
        let closes: Vec<bool> = [1000, 1001, 1002, 12_000, 12_001, 12_002]
            .map(|now| patience.ignored(Mono::at(now), 3, 10_000))
            .into();
        assert_eq!(closes, [false, false, true, false, false, true]);
        assert!(!patience.ignored(Mono::at(22_000), 3, 10_000), "a new window counts from one");
    }

    #[test]
    fn each_of_a_surplus_is_told_another_time() {
        let mut patience = Patience::default();
        let told: Vec<u64> =
            (0..7000).map(|_| patience.refuse(excess(7), Mono::at(1000)).retry_after_ms).collect();
        assert_eq!(told[..4], [7, 17, 27, 37]);
        assert_eq!(told[599], 5997);
        assert_eq!(told[6999], 60_000, "nobody is sent away for longer");
        let lone = Excess { wait_ms: 90_000, ..excess(0) };
        assert_eq!(
            patience.refuse(lone, Mono::at(1000)).retry_after_ms,
            90_000,
            "unless it needs that long by itself"
        );
    }

    #[test]
    fn only_what_is_sent_while_told_to_wait_counts() {
        let mut patience = Patience::default();
        // A thousand at once, none of which could know, whenever they are read.
        for n in 0..1000 {
            assert!(!patience.refuse(excess(10), Mono::at(n * 5)).ignored);
        }
        // It has read the first refusal. What follows may have been decided before.
        assert!(patience.answered(1, Mono::at(5000)));
        assert!(!patience.answered(1, Mono::at(5001)), "an answer counts once");
        assert!(!patience.refuse(excess(10), Mono::at(6999)).ignored);
        // By now it knows. 700 were told to come back before this, and may have met others.
        let ignored =
            (0..1000).filter(|_| patience.refuse(excess(10), Mono::at(7000)).ignored).count();
        assert_eq!(ignored, 1000 - 700);
        // It waits as told, and is refused again: somebody else has taken the tokens.
        let later = 7000 + 60_000;
        assert!(!patience.refuse(excess(10), Mono::at(later)).ignored);
        assert!(!Patience::default().refuse(excess(10), Mono::at(0)).ignored);
        let other = Excess { scope: Scope::User, ..excess(10) };
        assert!(
            !patience.refuse(other, Mono::at(later + 5)).ignored,
            "another limit is another matter"
        );
    }

    /// Each of so many that came at once comes back at its own time, and meets others in its place.
    fn come_back_at_their_times(many: u32) -> usize {
        let mut patience = Patience::default();
        let mut due: std::collections::BTreeSet<(u64, u32)> = std::collections::BTreeSet::new();
        for n in 0..many {
            // They are read five hundred a second.
            let now = u64::from(n / 500) * 1000;
            let told = patience.refuse(excess(10), Mono::at(now));
            assert!(!told.ignored, "{n}");
            due.insert((now + told.retry_after_ms, n));
        }
        let read = u64::from(many / 500) * 1000;
        patience.answered(1, Mono::at(read));
        let mut ignored = 0;
        for turn in 0..20_000 {
            let Some((at, n)) = due.pop_first() else { break };
            // Every other one finds that its token is gone.
            if turn % 2 == 0 {
                let now = at.max(read);
                let told = patience.refuse(excess(10), Mono::at(now));
                ignored += usize::from(told.ignored);
                due.insert((now + told.retry_after_ms, n));
            }
        }
        ignored
    }

    #[test]
    fn who_comes_back_as_told_and_is_refused_again_is_not_blamed() {
        for many in [300, 3000, 5900, 10_000] {
            assert_eq!(come_back_at_their_times(many), 0, "{many}");
        }
    }

    #[test]
    fn who_answers_no_probe_is_forgiven_for_a_minute() {
        let mut patience = Patience::default();
        for n in 0..12_000 {
            assert!(!patience.refuse(excess(10), Mono::at(n * 5)).ignored);
        }
        // As many as were told to come back by now are not counted.
        let ignored =
            (0..10_000).filter(|_| patience.refuse(excess(10), Mono::at(60_000)).ignored).count();
        assert_eq!(ignored, 10_000 - 6000);
    }

    /// 300 at once where 200 fit: whoever comes back as told is taken, and nobody is blamed.
    #[test]
    fn who_comes_back_as_told_finds_room() {
        let mut patience = Patience::default();
        let mut due: Vec<u64> =
            (0..100).map(|_| patience.refuse(excess(10), Mono::at(0)).retry_after_ms).collect();
        due.sort_unstable();
        due.dedup();
        assert_eq!(due.len(), 100, "no two come back together");
        assert!(due.windows(2).all(|pair| pair[1] - pair[0] >= 10), "a token is there for each");
    }

    #[test]
    fn twice_the_rate_is_not_held_against_anybody() {
        let mut patience = Patience::default();
        // At 120 a second every sixth finds no token and would find one a little later.
        for sixth in 0..1000 {
            assert!(!patience.refuse(excess(2), Mono::at(sixth * 50)).ignored);
        }
    }
}
