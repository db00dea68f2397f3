//! Which requests of a session are accepted: its rates, the requests in flight, what was refused,
//! and what the client was notified of.

use std::cell::{Cell, RefCell};

use greenroom_protocol::notify::Refused as RefusedNotice;
use greenroom_protocol::{EntityId, WireError};

use super::patience::{Excess, Patience, Wait};
use super::refusals::Refusals;
use crate::clock::Mono;
use crate::limits::{Bucket, Rate, Refused};
use crate::rare::{Empty, Rare};

/// After this many requests were refused for a rate within a second, no more are read until the
/// next. This limits the cost of a flood; a client with an honest burst waits a little.
const CHOKE_AFTER: u32 = 500;
/// A message counts as one more request for each full multiple of this number of bytes.
const OVER_BYTES: u32 = 4096;

/// See the module's documentation.
#[derive(Debug)]
pub struct Admission {
    requests: Bucket,
    bytes: Bucket,
    /// Requests not answered yet.
    in_flight: Cell<u32>,
    /// The number of requests refused for a rate in this second; a long one counts as several.
    over: Cell<u32>,
    /// Created when a limit is first exceeded.
    patience: RefCell<Option<Box<Patience>>>,
    /// Requests without an id that were refused recently.
    refusals: RefCell<Rare<Refusals>>,
}

impl Admission {
    /// For a session with these rates.
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

    /// Takes a message's bytes from the rate.
    ///
    /// # Errors
    /// When there will be enough, or that there never will.
    pub fn pay_bytes(&self, bytes: u32, now: Mono) -> Result<(), Refused> {
        self.bytes.check(bytes, now)
    }

    /// Takes requests from the rate.
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

    /// Counts one more request in flight.
    pub fn asked(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// Counts one request as answered.
    pub fn answered(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }

    /// Counts a message of `bytes` that was refused for a rate.
    pub fn over_limit(&self, bytes: u32) {
        self.over.set(self.over.get().saturating_add(1 + bytes / OVER_BYTES));
    }

    /// Whether no more requests are read until the next second.
    pub fn is_choked(&self) -> bool {
        self.over.get() >= CHOKE_AFTER
    }

    /// Called once a second. Returns whether a choke ends.
    pub fn next_second(&self) -> bool {
        self.over.replace(0) >= CHOKE_AFTER
    }

    /// Refuses a request over a limit. Returns when the client should retry.
    pub fn refuse(&self, excess: Excess, now: Mono) -> Wait {
        self.patience.borrow_mut().get_or_insert_default().refuse(excess, now)
    }

    /// Records that the client has answered this probe. False if no probe was wanted, or this one
    /// had been answered.
    pub fn probe_answered(&self, probe: u32, now: Mono) -> bool {
        self.patience.borrow_mut().as_mut().is_some_and(|patience| patience.answered(probe, now))
    }

    /// Counts a message that the client sent although it knew, or should have known, that it had to
    /// wait. True if there were `after` of them within `window_ms`.
    pub fn ignored(&self, now: Mono, after: u32, window_ms: u64) -> bool {
        self.patience.borrow_mut().get_or_insert_default().ignored(now, after, window_ms)
    }

    /// Records the refusal of a request without an id. Returns the notification if it is the first
    /// of its kind and must be sent now.
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

    /// Whether any refusals are recorded, reported or not.
    pub fn has_refusals(&self) -> bool {
        !self.refusals.borrow().is_empty()
    }

    /// The notifications about requests without an id that were refused in this second.
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
    fn rates_are_independent_and_in_flight_never_goes_below_zero() {
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
