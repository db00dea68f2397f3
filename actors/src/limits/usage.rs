//! Which users have used much of their limit lately, so that the nodes of a cluster can tell each
//! other.
//!
//! Each node enforces a user's whole limit. Once a second it tells the others who used more than a
//! quarter of it since the last time, and takes what they tell it from its own accounts, into debt. So
//! over N nodes a user gets at most its limit, a quarter of it more for each further node, and what
//! all nodes let it do before they know of each other: on each a burst, and one second.
//!
//! Nothing is counted until somebody takes the first report.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Rate;

/// The largest number of users that are noted between two reports. Others use what they use unseen.
const MOST_NOTED: usize = 4096;

/// What one user has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The user.
    pub user: Arc<str>,
    /// Tokens of the rate of requests.
    pub tokens: u32,
}

/// Who has used much since the last report.
#[derive(Debug, Default)]
pub(super) struct Heavy {
    /// The number of the report that is being collected; 0 until the first one was taken.
    report: AtomicU32,
    users: Mutex<Vec<Arc<str>>>,
}

/// What one account has used: the number of the report, and the tokens since the one before.
#[derive(Debug, Default)]
pub(super) struct Usage(AtomicU64);

impl Heavy {
    /// Begins the next report. Returns the number of the one that ends, and who is in it.
    pub fn next(&self) -> (u32, Vec<Arc<str>>) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let report = self.report.load(Ordering::Relaxed);
        self.report.store(report.checked_add(1).unwrap_or(1), Ordering::Relaxed);
        (report, std::mem::take(&mut *users))
    }

    fn note(&self, user: &Arc<str>) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() < MOST_NOTED {
            users.push(Arc::clone(user));
        }
    }
}

impl Usage {
    /// A user has used `cost` tokens of this rate.
    pub fn add(&self, heavy: &Heavy, user: &Arc<str>, rate: Rate, cost: u32) {
        let report = heavy.report.load(Ordering::Relaxed);
        if report == 0 {
            return;
        }
        let add = |before| Some(joined(report, tokens(before, report).saturating_add(cost)));
        let Ok(before) = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) else {
            return;
        };
        let before = tokens(before, report);
        let quarter = rate.per_second.get() / 4;
        if before <= quarter && before.saturating_add(cost) > quarter {
            heavy.note(user);
        }
    }

    /// The tokens used in this report.
    pub fn of(&self, report: u32) -> u32 {
        tokens(self.0.load(Ordering::Relaxed), report)
    }
}

fn joined(report: u32, tokens: u32) -> u64 {
    u64::from(report) << 32 | u64::from(tokens)
}

fn tokens(state: u64, report: u32) -> u32 {
    if (state >> 32) as u32 == report { state as u32 } else { 0 }
}
