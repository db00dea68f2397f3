//! Who keeps on sending although it was told to wait.
//!
//! A refusal for a rate says when to come back. The next refusal says a later time, so that all who come back as told find
//! room. Once a client has been told it needs a moment to stop. Only what it sends after that moment, and before the time that
//! it was told last, is held against it.

use crate::clock::Mono;
use crate::limits::Rate;

/// How long after it was told a client may still be sending what it had decided to send. Its round trip is included.
const REACTION_MS: u64 = 2000;
/// How long what it sent before may still be unread, when more came than is read at once.
const UNREAD_MS: u64 = 5000;
/// The longest wait that is named, unless a single request has to wait longer.
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
    /// When the first of those refused may come back.
    first: Mono,
    /// Tokens that the others need.
    others: u64,
    /// Some of what it had sent was left unread for a while.
    unread: bool,
    /// Tokens of those that were refused again although they may have come back as told.
    again: u64,
    /// The latest time to come back that was named.
    until: Mono,
    /// By when the client's socket had taken the first refusal.
    told: Option<Mono>,
}

/// What a session was told, and how often it did not care.
#[derive(Debug)]
pub struct Patience {
    notices: [Option<Notice>; 3],
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
    /// Nothing waits for the client's socket, so the client can know of all earlier refusals.
    pub told: bool,
    /// So much was refused that what the client has sent is left unread for a while.
    pub unread: bool,
}

/// What the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// When to come back.
    pub retry_after_ms: u64,
    /// It had been told to wait, and sent all the same.
    pub ignored: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self { notices: [None; 3], window_began: Mono::ZERO, ignored: 0 }
    }
}

impl Patience {
    /// Refuses a request.
    pub fn refuse(&mut self, excess: Excess, now: Mono) -> Told {
        let Excess { scope, rate, cost, wait_ms, told, unread } = excess;
        let place = &mut self.notices[scope as usize];
        let alone = now.after(wait_ms);
        let Some(notice) = place.as_mut().filter(|notice| now < notice.until) else {
            *place = Some(Notice { first: alone, others: 0, unread, again: 0, until: alone, told: None });
            return Told { retry_after_ms: wait_ms, ignored: false };
        };
        if told {
            notice.told.get_or_insert(now);
        }
        notice.unread |= unread;
        notice.others += u64::from(cost);
        let turn = notice.first.after(notice.others * 1000 / u64::from(rate.per_second.get()));
        let due = turn.min(now.after(LONGEST_MS)).max(alone);
        notice.until = notice.until.max(due);
        let reaction = if notice.unread { UNREAD_MS } else { REACTION_MS };
        let knows = notice.told.is_some_and(|told| now.since(told) >= reaction);
        // Each that was told a time by now may be the one that has come back, and met others who took its token.
        let told_to_come = (now.since(notice.first) * u64::from(rate.per_second.get()) / 1000 + 1).min(notice.others);
        notice.again += if knows { u64::from(cost) } else { 0 };
        Told { retry_after_ms: due.since(now), ignored: knows && notice.again > told_to_come }
    }

    /// Counts a message that was sent regardless. True when there were `after` of them within `window_ms`.
    pub fn ignored(&mut self, now: Mono, after: u32, window_ms: u64) -> bool {
        if now.since(self.window_began) >= window_ms {
            (self.window_began, self.ignored) = (now, 0);
        }
        self.ignored += 1;
        self.ignored >= after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One request over a limit of a hundred a second.
    fn excess(wait_ms: u64, told: bool) -> Excess {
        Excess { scope: Scope::Requests, rate: Rate::new(100, 200), cost: 1, wait_ms, told, unread: false }
    }

    #[test]
    fn ignoring_is_counted_within_a_window() {
        let mut patience = Patience::default();
        let closes: Vec<bool> = [1000, 1001, 1002, 12_000, 12_001, 12_002].map(|now| patience.ignored(Mono::at(now), 3, 10_000)).into();
        assert_eq!(closes, [false, false, true, false, false, true]);
        assert!(!patience.ignored(Mono::at(22_000), 3, 10_000), "a new window counts from one");
    }

    #[test]
    fn each_of_a_surplus_is_told_another_time() {
        let mut patience = Patience::default();
        let told: Vec<u64> = (0..7000).map(|_| patience.refuse(excess(7, false), Mono::at(1000)).retry_after_ms).collect();
        assert_eq!(told[..4], [7, 17, 27, 37]);
        assert_eq!(told[599], 5997);
        assert_eq!(told[6999], 60_000, "nobody is sent away for longer");
        let lone = Excess { wait_ms: 90_000, ..excess(0, false) };
        assert_eq!(patience.refuse(lone, Mono::at(1000)).retry_after_ms, 90_000, "unless it needs that long by itself");
    }

    #[test]
    fn only_what_is_sent_while_told_to_wait_counts() {
        let mut patience = Patience::default();
        // A thousand at once, none of which could know.
        (0..1000).for_each(|_| assert!(!patience.refuse(excess(10, false), Mono::at(0)).ignored));
        // The socket has taken the refusals. What follows may have been on its way.
        assert!(!patience.refuse(excess(10, true), Mono::at(100)).ignored);
        assert!(!patience.refuse(excess(10, true), Mono::at(2099)).ignored);
        // By now it knows. 210 were told to come back before this, and may have met others.
        let ignored = (0..400).filter(|_| patience.refuse(excess(10, true), Mono::at(2100)).ignored).count();
        assert_eq!(ignored, 400 - 210);
        // It waits as told, and is refused again: somebody else has taken the tokens.
        let later = 2100 + 60_000;
        assert!(!patience.refuse(excess(10, true), Mono::at(later)).ignored);
        assert!(!Patience::default().refuse(excess(10, true), Mono::at(0)).ignored);
        let other = Excess { scope: Scope::User, ..excess(10, true) };
        assert!(!patience.refuse(other, Mono::at(later + 5)).ignored, "another limit is another matter");
    }

    /// Each of 3,000 that came at once comes back at its own time, and meets others in its place.
    #[test]
    fn who_comes_back_as_told_and_is_refused_again_is_not_blamed() {
        let mut patience = Patience::default();
        let unread = |now: u64| Excess { unread: now < 6000, ..excess(10, true) };
        let mut due: std::collections::BTreeSet<(u64, u32)> = std::collections::BTreeSet::new();
        for n in 0..3000 {
            // They are read five hundred a second.
            let now = u64::from(n / 500) * 1000;
            let told = patience.refuse(unread(now), Mono::at(now));
            assert!(!told.ignored, "{n}");
            due.insert((now + told.retry_after_ms, n));
        }
        for turn in 0..10_000 {
            let Some((at, n)) = due.pop_first() else { break };
            // Every other one finds that its token is gone.
            if turn % 2 == 0 {
                let now = at.max(6000);
                let told = patience.refuse(unread(now), Mono::at(now));
                assert!(!told.ignored, "{n} at {now}");
                due.insert((now + told.retry_after_ms, n));
            }
        }
    }

    /// 300 at once where 200 fit: whoever comes back as told is taken, and nobody is blamed.
    #[test]
    fn who_comes_back_as_told_finds_room() {
        let mut patience = Patience::default();
        let mut due: Vec<u64> = (0..100).map(|_| patience.refuse(excess(10, false), Mono::at(0)).retry_after_ms).collect();
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
            assert!(!patience.refuse(excess(2, true), Mono::at(sixth * 50)).ignored);
        }
    }
}
