//! Recognises clients that keep sending although they were told to wait.
//!
//! A refusal for a rate names a time to retry. Each further refusal names a later time, so that
//! every client that retries then is served. A client needs a moment to react to a refusal. Only
//! what it sends after that moment, and before the latest time that was named, is held against it.
//!
//! A probe, a ping sent after the refusal, shows that the client knows. Its answer comes after
//! everything that the client sent before it read the refusal, however long that takes to arrive
//! and to be read.

use crate::clock::Mono;
use crate::limits::Rate;

/// How long a client may continue to send after it has read a refusal.
const REACTION_MS: u64 = 2000;
/// The longest wait that is named, unless a single request has to wait longer. A client that has
/// not answered a probe by then, and still sends, is treated as if it had.
const LONGEST_MS: u64 = 60_000;

/// Which limit was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The connection's requests.
    Requests,
    /// The connection's bytes.
    Bytes,
    /// The user's requests.
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

/// The refusals for one limit, until the latest time that they named.
#[derive(Debug, Clone, Copy)]
struct Notice {
    /// When the first request was refused.
    began: Mono,
    /// When the first refused request may be sent again.
    first: Mono,
    /// The tokens that the other refused requests need.
    others: u64,
    /// The tokens of requests refused after the client knew; some may be retries at the right time.
    again: u64,
    /// The latest retry time that was named.
    until: Mono,
    /// The first probe sent after `began`.
    probe: u32,
    /// When that probe, or a later one, was answered.
    known: Option<Mono>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Patience {
    notices: [Option<Notice>; 3],
    /// The latest probe that was answered.
    answered: u32,
    window_began: Mono,
    ignored: u32,
}

/// A request over a limit.
#[derive(Debug, Clone, Copy)]
pub struct Excess {
    pub scope: Scope,
    pub rate: Rate,
    /// The tokens that the request needs.
    pub cost: u32,
    /// When the tokens would be available if no other request waited for them, in ms.
    pub wait_ms: u64,
    /// The number of the next probe.
    pub probe: u32,
}

/// The client's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub retry_after_ms: u64,
    /// Whether the client knew that it had to wait.
    pub ignored: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self { notices: [None; 3], answered: 0, window_began: Mono::ZERO, ignored: 0 }
    }
}

impl Patience {
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
        // Every request whose retry time has come may be among these, and others may have taken its
        // tokens.
        let asked_back = (now.since(notice.first) * u64::from(rate.per_second.get()) / 1000 + 1)
            .min(notice.others);
        notice.again += if knows { u64::from(cost) } else { 0 };
        Wait { retry_after_ms: due.since(now), ignored: knows && notice.again > asked_back }
    }

    /// Records that the client has answered this probe. False if it had been answered before.
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

    /// Counts a message that was sent regardless. True if there were `after` of them within
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
    fn each_refusal_names_another_time() {
        let mut patience = Patience::default();
        let told: Vec<u64> =
            (0..7000).map(|_| patience.refuse(excess(7), Mono::at(1000)).retry_after_ms).collect();
        assert_eq!(told[..4], [7, 17, 27, 37]);
        assert_eq!(told[599], 5997);
        assert_eq!(told[6999], 60_000, "no longer wait is named");
        let lone = Excess { wait_ms: 90_000, ..excess(0) };
        assert_eq!(
            patience.refuse(lone, Mono::at(1000)).retry_after_ms,
            90_000,
            "unless it needs that long by itself"
        );
    }

    #[test]
    fn only_requests_sent_during_a_known_wait_count() {
        let mut patience = Patience::default();
        // A thousand at once: none of them could know, whenever they are read.
        for n in 0..1000 {
            assert!(!patience.refuse(excess(10), Mono::at(n * 5)).ignored);
        }
        // The client has read the first refusal. What follows may have been sent before.
        assert!(patience.answered(1, Mono::at(5000)));
        assert!(!patience.answered(1, Mono::at(5001)), "an answer counts once");
        assert!(!patience.refuse(excess(10), Mono::at(6999)).ignored);
        // By now it knows. The retry time of 700 has come, and others may have taken their tokens.
        let ignored =
            (0..1000).filter(|_| patience.refuse(excess(10), Mono::at(7000)).ignored).count();
        assert_eq!(ignored, 1000 - 700);
        // It waits as told and is refused again: another session has taken the tokens.
        let later = 7000 + 60_000;
        assert!(!patience.refuse(excess(10), Mono::at(later)).ignored);
        assert!(!Patience::default().refuse(excess(10), Mono::at(0)).ignored);
        let other = Excess { scope: Scope::User, ..excess(10) };
        assert!(
            !patience.refuse(other, Mono::at(later + 5)).ignored,
            "another limit is counted on its own"
        );
    }

    /// Sends `many` requests at once, each of which retries at its own time while others take
    /// tokens.
    fn come_back_at_their_times(many: u32) -> usize {
        let mut patience = Patience::default();
        let mut due: std::collections::BTreeSet<(u64, u32)> = std::collections::BTreeSet::new();
        for n in 0..many {
            // Five hundred are read per second.
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
            // Every other one finds its token taken.
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
    fn a_retry_as_told_that_is_refused_again_is_not_blamed() {
        for many in [300, 3000, 5900, 10_000] {
            assert_eq!(come_back_at_their_times(many), 0, "{many}");
        }
    }

    #[test]
    fn a_client_that_answers_no_probe_has_a_minute() {
        let mut patience = Patience::default();
        for n in 0..12_000 {
            assert!(!patience.refuse(excess(10), Mono::at(n * 5)).ignored);
        }
        // The requests whose retry time has come are not counted.
        let ignored =
            (0..10_000).filter(|_| patience.refuse(excess(10), Mono::at(60_000)).ignored).count();
        assert_eq!(ignored, 10_000 - 6000);
    }

    /// 300 requests at once where 200 fit: each that retries as told is served, and no client is
    /// blamed.
    #[test]
    fn retries_as_told_are_served() {
        let mut patience = Patience::default();
        let mut due: Vec<u64> =
            (0..100).map(|_| patience.refuse(excess(10), Mono::at(0)).retry_after_ms).collect();
        due.sort_unstable();
        due.dedup();
        assert_eq!(due.len(), 100, "no two retry at the same time");
        assert!(due.windows(2).all(|pair| pair[1] - pair[0] >= 10), "there is a token for each");
    }

    #[test]
    fn a_rate_slightly_too_high_is_not_blamed() {
        let mut patience = Patience::default();
        // At 120 a second every sixth finds no token, but would find one a little later.
        for sixth in 0..1000 {
            assert!(!patience.refuse(excess(2), Mono::at(sixth * 50)).ignored);
        }
    }
}
