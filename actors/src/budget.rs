//! Bytes on their way to the clients of one thread: what its outboxes hold, and what answers to
//! them are being made of elsewhere.
//!
//! An answer is counted before it is made, so nothing is made that there is no room for. The last
//! eighth is for those for whom nothing waits, so clients that take no answers cannot keep
//! newcomers from theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One in this number of the bytes is reserved for those for whom nothing waits.
const LEFT: usize = 8;

/// See the module's head. The thread that owns the outboxes says what they hold; any thread may
/// reserve.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    queued: AtomicUsize,
    making: AtomicUsize,
}

/// Who asks for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing waits for it.
    Clear,
    /// It has not taken all that it asked for before.
    Behind,
}

impl Budget {
    /// Nothing of `limit` bytes is used yet.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, queued: AtomicUsize::new(0), making: AtomicUsize::new(0) })
    }

    /// Sets how many bytes the outboxes hold.
    pub(crate) fn holds(&self, bytes: usize) {
        self.queued.store(bytes, Ordering::Relaxed);
    }

    /// Bytes in outboxes and of answers that are being made.
    pub fn used(&self) -> usize {
        self.queued.load(Ordering::Relaxed).saturating_add(self.making.load(Ordering::Relaxed))
    }

    /// Whether the limit is reached.
    pub fn is_full(&self) -> bool {
        self.used() >= self.limit
    }

    /// Whether somebody of this standing may use `bytes` more. One for whom nothing waits may,
    /// however large `bytes` is, as long as the limit is not reached: otherwise it would never get
    /// an answer that is larger than the limit.
    pub fn has_space(&self, bytes: usize, standing: Standing) -> bool {
        match standing {
            Standing::Clear => !self.is_full(),
            Standing::Behind => self.used().saturating_add(bytes) <= self.limit - self.limit / LEFT,
        }
    }

    fn reserve(&self, bytes: usize) {
        self.making.fetch_add(bytes, Ordering::Relaxed);
    }

    fn release(&self, bytes: usize) {
        self.making.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes of one answer that is being made. They are given back when this is dropped, which is when
/// the answer is in its outbox.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reservation {
    /// Reserves `bytes`; returns `None` if there is no room.
    pub fn new(budget: &Arc<Budget>, bytes: usize, standing: Standing) -> Option<Self> {
        budget.has_space(bytes, standing).then(|| {
            // Those who reserve at the same moment may go over the limit together, by one answer
            // each.
            budget.reserve(bytes);
            Self { budget: Arc::clone(budget), bytes }
        })
    }

    /// How much it is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_being_made_count_and_the_last_part_is_for_newcomers() {
        let budget = Budget::new(800);
        budget.holds(500);
        let behind = Reservation::new(&budget, 200, Standing::Behind).unwrap();
        assert_eq!(budget.used(), 700);
        assert!(Reservation::new(&budget, 1, Standing::Behind).is_none());
        let newcomer = Reservation::new(&budget, 10_000, Standing::Clear).unwrap();
        assert!(budget.is_full() && Reservation::new(&budget, 1, Standing::Clear).is_none());
        drop((behind, newcomer));
        assert_eq!(budget.used(), 500);
        budget.holds(0);
        assert_eq!(budget.used(), 0);
    }
}
