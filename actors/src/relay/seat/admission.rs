//! What of a session's requests is taken: its rates, the requests that are not answered yet, what
//! was refused and what its client was told of that.

use std::cell::{Cell, RefCell};

use greenroom_protocol::notify::Refused as RefusedNotice;
use greenroom_protocol::{EntityId, WireError};

use super::patience::{Excess, Patience, Wait};
use super::refusals::Refusals;
use crate::clock::Mono;
use crate::limits::{Bucket, Rate, Refused};
use crate::rare::{Empty, Rare};

/// After this number of requests refused for a rate within a second, no more are read until the
/// next. This bounds what a flood costs; a client that sends as much at once waits a little.
const CHOKE_AFTER: u32 = 500;
/// A message counts as one more request for each full multiple of this number of bytes.
const OVER_BYTES: u32 = 4096;

/// See the module's head.
#[derive(Debug)]
pub struct Admission {
    requests: Bucket,
    bytes: Bucket,
    /// Requests not answered yet.
    in_flight: Cell<u32>,
    /// What was refused for a rate since the last second, in requests; a long one counts as
    /// several.
    over: Cell<u32>,
    /// What its client was told of its limits, once it has exceeded one.
    patience: RefCell<Option<Box<Patience>>>,
    /// Requests without an id that were refused lately.
    refusals: RefCell<Rare<Refusals>>,
}

impl Admission {
    /// Of a session that may send so many requests and bytes.
    pub fn new(requests: Rate, bytes: Rate) -> Self {
        Self {
            requests: Bucket::new(requests),
            bytes: Bucket::new(bytes),
            in_flight: Cell::new(0),
            over: Cell::new(0),
            patience: RefCell::default(),
            refusals: RefCell::default(),
        }
    }

    /// Pays for a message's bytes.
    ///
    /// # Errors
    /// When there will be enough, or that there never will.
    pub fn pay_bytes(&self, bytes: u32, now: Mono) -> Result<(), Refused> {
        self.bytes.check(bytes, now)
    }

    /// Pays for requests.
    ///
    /// # Errors
    /// When there will be enough, or that there never will.
    pub fn pay_requests(&self, requests: u32, now: Mono) -> Result<(), Refused> {
        self.requests.check(requests, now)
    }

    /// Requests not answered yet.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    /// One more request is to be answered.
    pub fn asked(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// Counts one request as answered.
    pub fn answered(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }

    /// A message of `bytes` was refused for a rate.
    pub fn over_limit(&self, bytes: u32) {
        self.over.set(self.over.get().saturating_add(1 + bytes / OVER_BYTES));
    }

    /// Whether so much was refused within this second that no more is read until the next.
    pub fn is_choked(&self) -> bool {
        self.over.get() >= CHOKE_AFTER
    }

    /// A second is over. Returns whether that ends a choke.
    pub fn next_second(&self) -> bool {
        self.over.replace(0) >= CHOKE_AFTER
    }

    /// Refuses a request over a limit: what its client is told.
    pub fn refuse(&self, excess: Excess, now: Mono) -> Wait {
        self.patience.borrow_mut().get_or_insert_default().refuse(excess, now)
    }

    /// Its client has answered this probe. False if none was wanted, or it had answered before.
    pub fn probe_answered(&self, probe: u32, now: Mono) -> bool {
        self.patience.borrow_mut().as_mut().is_some_and(|patience| patience.answered(probe, now))
    }

    /// Counts a message that was sent although its client was told to wait, or should have known.
    /// True when there were `after` of them within `window_ms`.
    pub fn ignored(&self, now: Mono, after: u32, window_ms: u64) -> bool {
        self.patience.borrow_mut().get_or_insert_default().ignored(now, after, window_ms)
    }

    /// A request without an id was refused. Returns what to tell its client now, if it is the first
    /// of its kind.
    pub fn refused(
        &self,
        method: &'static str,
        entity: Option<EntityId>,
        error: WireError,
    ) -> Option<RefusedNotice> {
        self.refusals
            .borrow_mut()
            .change(Refusals::default, |refusals| refusals.add(method, entity, error))
    }

    /// Whether there are refusals that its client was not told of, or was told of lately.
    pub fn has_refusals(&self) -> bool {
        !self.refusals.borrow().is_empty()
    }

    /// What to tell its client of the requests without an id that were refused within this second.
    pub fn due_refusals(&self) -> Vec<RefusedNotice> {
        self.refusals.borrow_mut().change_if_any(Refusals::due).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        Admission::new(Rate::new(1, 2), Rate::new(1, 1000))
    }

    #[test]
    fn a_long_message_chokes_as_several() {
        let admission = admission();
        for _ in 1..CHOKE_AFTER {
            admission.over_limit(OVER_BYTES - 1);
        }
        assert!(!admission.is_choked());
        admission.over_limit(0);
        assert!(admission.is_choked());
        assert!(admission.next_second() && !admission.is_choked());
        for _ in 0..CHOKE_AFTER / 5 {
            admission.over_limit(4 * OVER_BYTES);
        }
        assert!(admission.is_choked());
        assert!(admission.next_second() && !admission.next_second());
    }

    #[test]
    fn rates_are_each_their_own_and_an_answer_too_many_is_none() {
        let admission = admission();
        assert!(
            admission.pay_bytes(1000, Mono::ZERO).is_ok()
                && admission.pay_bytes(500, Mono::ZERO).is_err()
        );
        assert!(
            admission.pay_requests(2, Mono::ZERO).is_ok()
                && admission.pay_requests(1, Mono::ZERO).is_err()
        );
        admission.asked();
        admission.answered();
        admission.answered();
        assert_eq!(admission.in_flight(), 0);
    }
}
