//! Rate limits: token buckets, single ones or one for each key.
//!
//! A bucket holds `burst` tokens and regains `per_second` of them every second, evenly. The caller
//! passes the cost of a request (1, or its bytes) and the time: nothing here reads a clock, except
//! where an account is charged for an answer.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};

pub use account::{Account, Accounts, Allowance, KeptAwake, NotWoken, Payer, Space};
use clock::GivenTime;
pub use usage::Used;

use crate::clock::Mono;

mod account;
mod clock;
#[cfg(test)]
mod tests;
mod usage;

/// How much is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens regained a second.
    pub per_second: NonZeroU32,
    /// Tokens a full bucket holds, which is also the most that a single request can cost.
    pub burst: NonZeroU32,
}

impl Rate {
    /// A rate; zeros count as 1.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let at_least_one = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self { per_second: at_least_one(per_second), burst: at_least_one(burst) }
    }

    fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }
}

impl From<Rate> for greenroom_protocol::results::Rate {
    fn from(rate: Rate) -> Self {
        Self { per_second: rate.per_second.get(), burst: rate.burst.get() }
    }
}

/// The bucket has too few tokens; none were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It will have enough after this time, if nobody else takes them.
    #[error("over the rate limit; enough is left after {0:?}")]
    RetryAfter(Duration),
    /// It never holds that many.
    #[error("the cost is over the burst of {burst}, and refused at any rate")]
    TooBig {
        /// The most that one request may cost.
        burst: u32,
    },
}

/// One bucket: 32 bytes, and nothing on the heap.
#[derive(Debug)]
pub struct Bucket(RateLimiter<NotKeyed, InMemoryState, GivenTime, NoOpMiddleware<Nanos>>);

impl Bucket {
    /// A full bucket.
    pub fn new(rate: Rate) -> Self {
        GivenTime::at(Mono::ZERO, || {
            Self(RateLimiter::new(rate.quota(), InMemoryState::default(), GivenTime))
        })
    }

    /// Takes `cost` tokens, or none.
    ///
    /// # Errors
    /// Says when the tokens will be available, or that they never will.
    pub fn check(&self, cost: u32, now: Mono) -> Result<(), Refused> {
        let Some(cost) = NonZeroU32::new(cost) else { return Ok(()) };
        outcome(GivenTime::at(now, || self.0.check_n(cost)), now)
    }
}

type Keys<K> = RateLimiter<K, DashMapStateStore<K>, GivenTime, NoOpMiddleware<Nanos>>;

/// A bucket for each key.
///
/// A full bucket is as good as none, so it is forgotten: from time to time a check also cleans up.
/// At most twice as many keys are kept as were seen within the time in which a bucket fills, plus
/// [`UNCLEANED`](Self::UNCLEANED).
#[derive(Debug)]
pub struct Keyed<K>
where
    K: Hash + Eq + Clone,
{
    buckets: Keys<K>,
    /// Checks left until the next cleaning.
    until_cleaning: AtomicUsize,
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    /// The least number of checks between two cleanings.
    pub const UNCLEANED: usize = 1024;

    /// Full buckets for all keys.
    pub fn new(rate: Rate) -> Self {
        let state = DashMapStateStore::default();
        let buckets =
            GivenTime::at(Mono::ZERO, || RateLimiter::new(rate.quota(), state, GivenTime));
        Self { buckets, until_cleaning: AtomicUsize::new(Self::UNCLEANED) }
    }

    /// Takes `cost` tokens from the bucket of `key`, or none.
    ///
    /// # Errors
    /// Says when the tokens will be available, or that they never will.
    pub fn check(&self, key: &K, cost: u32, now: Mono) -> Result<(), Refused> {
        let Some(cost) = NonZeroU32::new(cost) else { return Ok(()) };
        // A check adds at most one key, so counting checks bounds the keys without a timer. Only
        // one caller can see the count at 1, and that one sets it anew.
        if self
            .until_cleaning
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            == Ok(1)
        {
            self.clean(now);
        }
        outcome(GivenTime::at(now, || self.buckets.check_key_n(key, cost)), now)
    }

    /// Forgets the keys whose buckets are full again. Takes time in proportion to the number of
    /// keys.
    pub fn clean(&self, now: Mono) {
        GivenTime::at(now, || self.buckets.retain_recent());
        let left = self.buckets.len();
        if left < Self::UNCLEANED {
            self.buckets.shrink_to_fit();
        }
        self.until_cleaning.store(left.max(Self::UNCLEANED), Ordering::Relaxed);
    }

    /// Keys remembered now.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}

type Checked = Result<Result<(), NotUntil<Nanos>>, governor::InsufficientCapacity>;

fn outcome(checked: Checked, now: Mono) -> Result<(), Refused> {
    match checked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(not_until)) => {
            Err(Refused::RetryAfter(not_until.wait_time_from(Nanos::from(now.nanos()))))
        }
        Err(governor::InsufficientCapacity(burst)) => Err(Refused::TooBig { burst }),
    }
}
