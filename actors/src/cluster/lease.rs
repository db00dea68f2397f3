//! How long a node may serve reads after a commit: the lease, and the one atomic that every worker
//! thread looks at.
//!
//! A commit that was sent at time *t* and succeeded proves that the node's term was current at some
//! time after *t*. Nobody takes the node over before its row has not changed for the length of a
//! lease, so until *t* plus that length no other node can own its slots. The margin is for clocks
//! that do not run at the same speed. This is a lease measured by its holder from the sending and by
//! observers from the arrival (Gray and Cheriton, "Leases: an efficient fault-tolerant mechanism for
//! distributed file cache consistency", 1989), so the two never compare their clocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Mono;

/// The lease's settings, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// How long a node must be silent before it is taken over.
    pub length: u64,
    /// How much earlier it stops to serve: the clocks of two nodes may differ by this in one length.
    pub margin: u64,
}

/// What is wrong with a lease's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLease {
    /// The length is out of its range.
    #[error("the lease is {0} ms long; it must be between 500 ms and 60 s")]
    Length(u64),
    /// The margin is too small for clocks as they are, or too large to leave anything.
    #[error(
        "the lease's margin is {margin} ms; with {length} ms it must be between {least} and {most} ms"
    )]
    Margin {
        /// The length.
        length: u64,
        /// The margin.
        margin: u64,
        /// The least margin: 5 percent of the length.
        least: u64,
        /// The largest margin: half the length.
        most: u64,
    },
    /// Too few commits would fall into one lease.
    #[error(
        "a commit every {beat} ms is too rare for a lease of {length} ms; it must be every {most} ms at least"
    )]
    Beat {
        /// The length.
        length: u64,
        /// The time between two commits of a node without work.
        beat: u64,
        /// The longest time allowed: a quarter of the length.
        most: u64,
    },
}

impl Default for Lease {
    fn default() -> Self {
        Self { length: 2000, margin: 200 }
    }
}

impl Lease {
    /// Checks the settings, with the time in milliseconds after which a node without work commits.
    ///
    /// # Errors
    /// What is wrong.
    pub const fn check(self, beat: u64) -> Result<(), BadLease> {
        let Self { length, margin } = self;
        if length < 500 || length > 60_000 {
            return Err(BadLease::Length(length));
        }
        let least = length.div_ceil(20);
        let most = length / 2;
        if margin < least || margin > most {
            return Err(BadLease::Margin { length, margin, least, most });
        }
        let most = length / 4;
        if beat == 0 || beat > most {
            return Err(BadLease::Beat { length, beat, most });
        }
        Ok(())
    }
}

/// Until when this node may serve reads of the slots that it has open (rule M5). Shared by threads:
/// one writes it, all read it with a single atomic load.
///
/// Call [`extend`](Self::extend) only for transactions of the present term.
#[derive(Debug)]
pub struct Validity {
    /// Milliseconds after a commit was sent.
    after: u64,
    /// Nanoseconds as in [`Mono::nanos`].
    until: AtomicU64,
}

impl Validity {
    /// Not valid until a commit succeeds.
    pub const fn new(lease: Lease) -> Self {
        Self { after: lease.length.saturating_sub(lease.margin), until: AtomicU64::new(0) }
    }

    /// A transaction that was sent at this time has succeeded: valid until that time plus the
    /// lease's length minus its margin. A transaction that was sent earlier than another one changes
    /// nothing.
    pub fn extend(&self, sent: Mono) {
        self.until.fetch_max(sent.after(self.after).nanos(), Ordering::AcqRel);
    }

    /// Whether reads may be served now.
    pub fn holds(&self, now: Mono) -> bool {
        now.nanos() < self.until.load(Ordering::Acquire)
    }

    /// How long it stays valid without another commit; zero if it does not hold.
    pub fn left(&self, now: Mono) -> Duration {
        Duration::from_nanos(self.until.load(Ordering::Acquire).saturating_sub(now.nanos()))
    }

    /// The term is over: not valid from now on, until the next [`extend`](Self::extend).
    pub fn revoke(&self) {
        self.until.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_counts_from_when_it_was_sent() {
        let validity = Validity::new(Lease::default());
        assert!(!validity.holds(Mono::ZERO));
        validity.extend(Mono::at(10_000));
        assert!(validity.holds(Mono::at(11_799)));
        assert!(!validity.holds(Mono::at(11_800)));
        assert_eq!(validity.left(Mono::at(11_000)), Duration::from_millis(800));
        assert_eq!(validity.left(Mono::at(12_000)), Duration::ZERO);
    }

    #[test]
    fn it_never_goes_backwards_but_is_revoked() {
        let validity = Validity::new(Lease::default());
        validity.extend(Mono::at(10_000));
        validity.extend(Mono::at(9_000));
        assert!(validity.holds(Mono::at(11_799)));
        validity.revoke();
        assert!(!validity.holds(Mono::at(10_000)));
        validity.extend(Mono::at(11_000));
        assert!(validity.holds(Mono::at(12_000)));
    }

    #[test]
    fn settings_are_checked() {
        let lease = |length, margin| Lease { length, margin };
        assert_eq!(Lease::default().check(500), Ok(()));
        assert_eq!(lease(400, 40).check(50), Err(BadLease::Length(400)));
        assert_eq!(lease(70_000, 7000).check(50), Err(BadLease::Length(70_000)));
        for margin in [99, 1001] {
            let why = lease(2000, margin).check(500).unwrap_err().to_string();
            assert!(why.ends_with("with 2000 ms it must be between 100 and 1000 ms"), "{why}");
        }
        let why = Lease::default().check(501).unwrap_err();
        assert_eq!(why, BadLease::Beat { length: 2000, beat: 501, most: 500 });
        assert!(Lease::default().check(0).is_err());
    }
}
