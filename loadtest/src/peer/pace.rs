//! When messages are due: as soon as there is room (closed loop), or on a schedule (open loop).

/// A schedule. Times are microseconds on the board's clock.
#[derive(Debug, Clone, PartialEq)]
pub enum Pace {
    /// Whenever an answer makes room.
    Closed,
    /// At a rate, however long answers take: what could not be sent in time is late, and counts as
    /// late.
    Open { start_us: f64, every_us: f64, taken: u64 },
}

impl Pace {
    /// `per_second` messages from `start_us` on.
    pub fn open(start_us: f64, per_second: f64) -> Self {
        Self::Open { start_us, every_us: 1e6 / per_second, taken: 0 }
    }

    /// If a message is due: when it was meant to be sent.
    pub fn due(&mut self, now_us: u64) -> Option<u64> {
        let intended = self.next();
        match self {
            Self::Closed => Some(now_us),
            Self::Open { taken, .. } => (intended <= now_us).then(|| {
                *taken += 1;
                intended
            }),
        }
    }

    /// When the next message is due; for a closed loop, always.
    pub fn next(&self) -> u64 {
        match self {
            Self::Closed => 0,
            Self::Open { taken, .. } => self.at(*taken),
        }
    }

    /// How many messages an open loop means to send before `us`.
    pub fn before(&self, us: u64) -> u64 {
        let Self::Open { start_us, every_us, .. } = self else { return 0 };
        // About so many, at most; the rest is counted, so that it is rounded as it will be sent.
        let least = (((us as f64 - start_us) / every_us) - 2.0).max(0.0) as u64;
        (least..).find(|count| self.at(*count) >= us).unwrap_or(u64::MAX)
    }

    /// When message number `count` is due.
    fn at(&self, count: u64) -> u64 {
        match self {
            Self::Closed => 0,
            Self::Open { start_us, every_us, .. } => (start_us + count as f64 * every_us) as u64,
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
        assert_eq!((pace.before(0), pace.before(1), pace.before(10_000_000)), (0, 1, 30));
        // Whatever is due before a moment is sent before it.
        for (start, rate) in [(1_234_567.0, 100.0 / 3.0), (7_654_321.0, 300.0 / 7.0)] {
            let mut pace = Pace::open(start, rate);
            for us in (start as u64..).step_by(10_000).take(100) {
                let (due, sent) =
                    (pace.before(us), std::iter::from_fn(|| pace.due(us - 1)).count());
                let Pace::Open { taken, .. } = pace else { panic!("it is open") };
                assert_eq!(due, taken, "at {us}, {sent} more");
            }
        }
    }

    #[test]
    fn a_closed_loop_is_always_due() {
        assert_eq!(Pace::Closed.due(42), Some(42));
        assert_eq!(Pace::Closed.next(), 0);
    }
}
