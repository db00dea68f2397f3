//! How long a client received nothing while it waited for something.

use std::time::Duration;

use tokio::time::Instant;

/// Measures the time between two answers or events while ops are unanswered; it goes on over a
/// restart.
#[derive(Debug, Default)]
pub struct Pause {
    since: Option<Instant>,
    longest: Duration,
}

impl Pause {
    /// An op waits for its answer from now on, if none did before.
    pub fn waits(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// An answer or an event has come; `waits` tells whether ops are still unanswered.
    pub fn heard(&mut self, now: Instant, waits: bool) {
        if let Some(since) = self.since {
            self.longest = self.longest.max(now - since);
        }
        self.since = waits.then_some(now);
    }

    pub fn longest(&self, now: Instant) -> Duration {
        self.since.map_or(self.longest, |since| self.longest.max(now - since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_count_while_something_is_unanswered() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pause = Pause::default();
        pause.heard(at(900), false);
        assert_eq!(pause.longest(at(5000)), Duration::ZERO, "nobody waited");
        pause.waits(at(5000));
        pause.waits(at(5050));
        pause.heard(at(5100), true);
        assert_eq!(
            pause.longest(at(5100)),
            Duration::from_millis(100),
            "from the first op that waits"
        );
        pause.heard(at(5130), false);
        pause.heard(at(9000), false);
        assert_eq!(pause.longest(at(9000)), Duration::from_millis(100), "the answer ended it");
        pause.waits(at(9000));
        assert_eq!(
            pause.longest(at(9400)),
            Duration::from_millis(400),
            "one that has not ended counts too"
        );
    }
}
