//! When exceeding limits is no accident any more.

use crate::clock::Millis;

/// Counts refusals in windows of a fixed length.
#[derive(Debug, Default)]
pub struct Abuse {
    window_began: Millis,
    refusals: u32,
}

impl Abuse {
    /// Counts one. True when there are `after` of them within `window_ms`.
    pub fn refused(&mut self, now: Millis, after: u32, window_ms: u64) -> bool {
        if now.saturating_sub(self.window_began) >= window_ms {
            (self.window_began, self.refusals) = (now, 0);
        }
        self.refusals += 1;
        self.refusals >= after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_within_a_window() {
        let mut abuse = Abuse::default();
        let closes: Vec<bool> = [1000, 1001, 1002, 12_000, 12_001, 12_002].map(|now| abuse.refused(now, 3, 10_000)).into();
        assert_eq!(closes, [false, false, true, false, false, true]);
        assert!(!abuse.refused(22_000, 3, 10_000), "a new window counts from one");
    }
}
