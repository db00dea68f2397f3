//! When messages are due: as soon as there is room (closed loop), or on a schedule (open loop).

/// A schedule. Times are microseconds on the board's clock.
#[derive(Debug, Clone, PartialEq)]
pub enum Pace {
    /// Whenever an answer makes room.
    Closed,
    /// At a rate, however long answers take: what could not be sent in time is late, and counts as
    /// late.
    Open {
        /// When the next message is due.
        next_us: f64,
        /// The time between two messages.
        every_us: f64,
    },
}

impl Pace {
    /// `per_second` messages from `start_us` on.
    pub fn open(start_us: f64, per_second: f64) -> Self {
        Self::Open { next_us: start_us, every_us: 1e6 / per_second }
    }

    /// If a message is due: when it was meant to be sent.
    pub fn due(&mut self, now_us: u64) -> Option<u64> {
        match self {
            Self::Closed => Some(now_us),
            Self::Open { next_us, every_us } => {
                let intended = *next_us as u64;
                (intended <= now_us).then(|| {
                    *next_us += *every_us;
                    intended
                })
            }
        }
    }

    /// When the next message is due; for a closed loop, always.
    pub fn next(&self) -> u64 {
        match self {
            Self::Closed => 0,
            Self::Open { next_us, .. } => *next_us as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_keeps_its_schedule_when_late() {
        let mut pace = Pace::open(1000.0, 10_000.0);
        assert_eq!(pace.due(999), None);
        assert_eq!(pace.due(1000), Some(1000));
        assert_eq!(pace.next(), 1100);
        let late: Vec<_> = std::iter::from_fn(|| pace.due(1350)).collect();
        assert_eq!(late, [1100, 1200, 1300], "what is late keeps the time it was meant for");
        assert_eq!(pace.due(1350), None);
    }

    #[test]
    fn a_rate_that_is_no_whole_number_of_microseconds_does_not_drift() {
        let mut pace = Pace::open(0.0, 3.0);
        assert_eq!(std::iter::from_fn(|| pace.due(10_000_000)).count(), 31);
    }

    #[test]
    fn a_closed_loop_is_always_due() {
        assert_eq!(Pace::Closed.due(42), Some(42));
        assert_eq!(Pace::Closed.next(), 0);
    }
}
