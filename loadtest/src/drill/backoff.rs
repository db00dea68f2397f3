//! When a client that lost its connection comes back.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// Waits that double with each attempt, with a random part so that clients do not all return at
/// once.
#[derive(Debug, Default)]
pub struct Backoff {
    failed: u32,
}

impl Backoff {
    /// How long to wait, given the server's `reconnect_after_ms`, if any, and a random number from
    /// 0 to 1.
    pub fn next(&mut self, wish: Option<Duration>, chance: f64) -> Duration {
        let own = SHORTEST.saturating_mul(1 << self.failed.min(10)).min(LONGEST);
        self.failed += 1;
        match wish {
            // Never earlier than the server asks for.
            Some(wish) => wish.max(own).mul_f64(1.0 + chance / 2.0),
            None => own.mul_f64(0.5 + chance / 2.0),
        }
    }

    /// The client is back.
    pub fn reset(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_never_undercut_the_server() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.next(None, 1.0).as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        backoff.reset();
        assert_eq!(backoff.next(None, 0.0), Duration::from_millis(25));
        backoff.reset();
        let wish = Some(Duration::from_secs(5));
        assert_eq!(backoff.next(wish, 0.0), Duration::from_secs(5));
        assert_eq!(backoff.next(wish, 1.0), Duration::from_millis(7500));
    }
}
