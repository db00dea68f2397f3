//! A session, as those who answer it know it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use greenroom_protocol::CodecKind;

use super::RelayHandle;
use crate::budget::Budget;
use crate::clock::Mono;
use crate::frames::Encoder;
use crate::ids::SessionKey;
use crate::limits::Payer;

/// A session that makes requests. There is one of these for each session, shared by its requests.
#[derive(Debug)]
pub struct Asker {
    /// Which session.
    pub session: SessionKey,
    /// What it speaks.
    pub codec: CodecKind,
    /// How messages are encoded.
    pub encoder: Encoder,
    /// Serves its thread.
    pub relay: RelayHandle,
    /// Who pays for what it asks; none for the server itself.
    pub payer: Option<Payer>,
    /// What its thread has for answers; none for the server itself.
    pub(super) budget: Option<Arc<Budget>>,
    /// If it is a session of another node: that node's number for the request.
    pub(super) ask: u64,
    /// And its round for the slot: see [`asks`](crate::cluster::asks).
    pub(super) round: u32,
    /// What its answers have cost and its own rate of requests has not paid for yet, in tokens.
    owed: AtomicU32,
}

impl Asker {
    /// A session that pays for nothing.
    pub fn new(
        session: SessionKey,
        codec: CodecKind,
        encoder: Encoder,
        relay: RelayHandle,
    ) -> Self {
        Self {
            session,
            codec,
            encoder,
            relay,
            payer: None,
            budget: None,
            ask: 0,
            round: 0,
            owed: AtomicU32::new(0),
        }
    }

    /// The same with somebody who pays.
    #[must_use]
    pub fn paid_by(self, payer: Payer) -> Self {
        Self { payer: Some(payer), ..self }
    }

    /// The same, for the request that the session's node has given this number, in this round.
    #[must_use]
    pub fn asking(self, ask: u64, round: u32) -> Self {
        Self { ask, round, ..self }
    }

    /// The same with answers that are reserved from `budget`.
    #[must_use]
    pub fn within(self, budget: Arc<Budget>) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// What a request cost beyond the token that it was let in for. The session pays with its next
    /// requests, and its user now.
    pub fn charge(&self, tokens: u32) {
        if let Some(payer) = self.payer.as_ref().filter(|_| tokens > 0) {
            payer.account().charge(tokens);
            // Only what one session is answered within a moment adds up here.
            self.owed.fetch_add(tokens, Ordering::Relaxed);
        }
    }

    /// Charges for what a request will cost beyond the token that it was let in for, before the work
    /// begins. The session pays with its next requests, and its user now. It is refused only if its
    /// user is already in debt, by more than `buckets` full buckets.
    ///
    /// # Errors
    /// The time after which the work may begin.
    pub fn begin(&self, tokens: u32, buckets: u32, now: Mono) -> Result<(), Duration> {
        if let Some(payer) = self.payer.as_ref().filter(|_| tokens > 0) {
            payer.account().begin(tokens, buckets, now)?;
            self.owe(tokens);
        }
        Ok(())
    }

    /// Takes up to `most` tokens off what is owed, for the caller to pay.
    pub fn take_owed(&self, most: u32) -> u32 {
        let owed = self.owed.load(Ordering::Relaxed).min(most);
        if owed > 0 {
            self.owed.fetch_sub(owed, Ordering::Relaxed);
        }
        owed
    }

    /// Gives back what was taken and could not be paid.
    pub fn owe(&self, tokens: u32) {
        if tokens > 0 {
            self.owed.fetch_add(tokens, Ordering::Relaxed);
        }
    }
}
