//! What a client of a drill may read: everything, or everything but one of what it follows.

use std::time::Duration;

use tokio::time::Instant;

/// Whether a client may read something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    Yes,
    No,
    /// A token that changes it is on its way.
    Unsure,
}

/// Changes again and again, if it changes at all, after a random part of `every` and its half.
#[derive(Debug, Default)]
pub struct Rights {
    every: Option<Duration>,
    /// When the next token is due.
    next: Option<Instant>,
    /// What the token that was presented last does not let it read.
    without: Option<usize>,
    refresh: Option<Refresh>,
    /// Whether the server has still to say that it ended a subscription.
    pub farewell: bool,
}

/// A newer token that waits for its answer.
#[derive(Debug)]
struct Refresh {
    id: i64,
    /// What the token before did not let it read.
    before: Option<usize>,
}

impl Rights {
    pub fn new(every: Option<Duration>) -> Self {
        let mut rights = Self { every, ..Self::default() };
        rights.plan(Instant::now());
        rights
    }

    fn plan(&mut self, now: Instant) {
        self.next = self.every.map(|every| now + every.mul_f64(0.5 + fastrand::f64()));
    }

    pub fn without(&self) -> Option<usize> {
        self.without
    }

    pub fn may(&self, view: usize) -> May {
        let now = self.without != Some(view);
        match &self.refresh {
            Some(refresh) if (refresh.before != Some(view)) != now => May::Unsure,
            _ if now => May::Yes,
            _ => May::No,
        }
    }

    /// When to present another token: in the end at once, if something is missing.
    pub fn due(&self, is_sending: bool) -> Option<Instant> {
        match self.refresh {
            Some(_) => None,
            None if is_sending => self.next,
            None => self.without.and(self.next).map(|next| next.min(Instant::now())),
        }
    }

    /// A token without this is presented, as this request.
    pub fn present(&mut self, id: i64, without: Option<usize>) {
        let before = std::mem::replace(&mut self.without, without);
        self.refresh = Some(Refresh { id, before });
        // If a subscription was to be reported before, it still is.
        self.farewell |= without.is_some();
    }

    /// Takes an answer that says whether the token was accepted; `None` if it answers something
    /// else, otherwise what the client may not read from now on.
    pub fn answered(&mut self, id: i64, accepted: bool, now: Instant) -> Option<Option<usize>> {
        let refresh = self.refresh.take_if(|refresh| refresh.id == id)?;
        if !accepted {
            self.farewell &= refresh.before.is_some();
            self.without = refresh.before;
        }
        self.plan(now);
        Some(self.without)
    }

    /// The token that was just refused is to be presented again then.
    pub fn retry(&mut self, when: Instant) {
        self.next = Some(when);
    }

    /// The connection is lost; the token presented last is presented again.
    pub fn lost(&mut self) {
        self.refresh = None;
        self.farewell = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_a_token_is_on_its_way_nothing_is_sure() {
        let now = Instant::now();
        let mut rights = Rights::new(Some(Duration::from_secs(1)));
        assert_eq!((rights.may(0), rights.may(1)), (May::Yes, May::Yes));
        rights.present(7, Some(1));
        assert_eq!((rights.may(0), rights.may(1)), (May::Yes, May::Unsure));
        assert_eq!((rights.answered(6, true, now), rights.due(true)), (None, None));
        assert_eq!(rights.answered(7, true, now), Some(Some(1)));
        assert_eq!((rights.may(0), rights.may(1)), (May::Yes, May::No));
        assert!(rights.due(true).is_some_and(|due| due > now), "not yet");
        assert!(rights.due(false).is_some_and(|due| due <= Instant::now()), "but in the end");
        rights.present(8, None);
        assert_eq!(rights.may(1), May::Unsure);
        assert_eq!(rights.answered(8, false, now), Some(Some(1)), "it was refused");
        assert_eq!(rights.may(1), May::No);
        rights.present(9, None);
        rights.lost();
        assert_eq!(rights.may(1), May::Yes, "the next connection presents the newest");
        assert_eq!(rights.due(false), None);
    }
}
