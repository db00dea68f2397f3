//! How a request is answered, from whichever thread the answer comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use greenroom_protocol::results::{
    PresenceList, PresenceOutcome, State, Subscribed, SubscriptionOutcome,
};
use greenroom_protocol::{CodecKind, EntityId, ErrorCode, RawJson, RequestId, WireError};
use serde::Serialize;

use super::{RelayHandle, ToRelay};
use crate::budget::{Budget, Reservation, Standing};
use crate::frames::{Encoder, Pieces};
use crate::ids::SessionKey;
use crate::limits::Payer;
use crate::metrics::MAILBOX_REFUSALS;

/// Each time this number of bytes fits into an answer, it costs as much as one more request.
const TOKEN_BYTES: usize = 16 * 1024;

/// What an answer belongs to.
#[derive(Debug)]
enum Question {
    /// A request; without an id nothing is sent, but it still counts as in flight until it is
    /// answered.
    Request(Option<RequestId>),
    /// A request without an id to this entity: what is sent is that it was refused.
    Silent(EntityId),
    /// One of the subscriptions inside a `connect`.
    Subscription { index: u16, entity: EntityId },
    /// One of the presence entries inside a `connect`.
    Presence { index: u16, entity: EntityId },
}

/// A session, as whoever answers it needs to know it. One for each session, shared by its requests.
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
    budget: Option<Arc<Budget>>,
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
        Self { session, codec, encoder, relay, payer: None, budget: None, owed: AtomicU32::new(0) }
    }

    /// The same with somebody who pays.
    #[must_use]
    pub fn paid_by(self, payer: Payer) -> Self {
        Self { payer: Some(payer), ..self }
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

/// What a session has noted of a request, to be looked at when it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// A subscription with this number.
    Follow(EntityId, u32),
    /// That it is present, by the enter with this number.
    Enter(EntityId, u32),
    /// That the answer shows something of this entity.
    Read(EntityId),
}

/// What an answer will be to.
#[derive(Debug)]
pub enum Asked {
    /// A request, by method and id.
    Request(&'static str, Option<RequestId>),
    /// A request without an id, by method and entity.
    Silent(&'static str, EntityId),
    /// One of the subscriptions inside a `connect`.
    Subscription {
        /// Its place.
        index: u16,
        /// What it follows.
        entity: EntityId,
    },
    /// One of the presence entries inside a `connect`.
    Presence {
        /// Its place.
        index: u16,
        /// Where it enters.
        entity: EntityId,
    },
}

/// The right, and the duty, to answer one request.
///
/// If it is dropped unused, because of a panic or because the queue for its message was full, it
/// answers `unavailable`. So no request is ever left open.
#[derive(Debug)]
pub struct Responder {
    to: Arc<Asker>,
    method: &'static str,
    question: Option<Question>,
    noted: Option<Box<Noted>>,
    /// Set if the answer may be large: whether whoever asks has taken its earlier answers.
    large: Option<Standing>,
    reserved: Option<Reservation>,
}

/// An answer on its way to the relay of its session's thread.
#[derive(Debug)]
pub struct Answer {
    /// Whose request it was.
    pub to: SessionKey,
    /// What to deliver.
    pub body: AnswerBody,
    /// The request's method, for metrics.
    pub method: &'static str,
    /// The error it carries, for metrics.
    pub error: Option<ErrorCode>,
    /// What the session has noted of a request that was refused.
    pub refused: Option<Box<Noted>>,
    /// It counted among the session's large answers that are being made.
    pub large: bool,
    /// The duty that this fulfils when it reaches the relay: should a panic drop it on the way, the
    /// answer is `unavailable`.
    pub(crate) duty: Option<Box<Responder>>,
}

/// The shapes of an answer.
#[derive(Debug)]
pub enum AnswerBody {
    /// A framed reply; none where the request had no id.
    Frame(Option<Bytes>),
    /// A framed reply around a value that other replies share.
    Around(Box<Pieces>),
    /// The error of a request without an id, and the entity it was sent to.
    Refused(EntityId, Box<WireError>),
    /// The outcome of the subscription at this place of the session's `connect`.
    Subscription(u16, Box<SubscriptionOutcome>),
    /// The outcome of the presence entry at this place of the session's `connect`.
    Presence(u16, Box<PresenceOutcome>),
}

impl Responder {
    /// For what `to` asks.
    pub fn new(to: &Arc<Asker>, asked: Asked) -> Self {
        let (method, question) = match asked {
            Asked::Request(method, id) => (method, Question::Request(id)),
            Asked::Silent(method, entity) => (method, Question::Silent(entity)),
            Asked::Subscription { index, entity } => {
                ("subscribe", Question::Subscription { index, entity })
            }
            Asked::Presence { index, entity } => ("presence", Question::Presence { index, entity }),
        };
        Self {
            to: Arc::clone(to),
            method,
            question: Some(question),
            noted: None,
            large: None,
            reserved: None,
        }
    }

    /// Whether it answers a part of a `connect`.
    pub fn is_part(&self) -> bool {
        matches!(self.question, Some(Question::Subscription { .. } | Question::Presence { .. }))
    }

    /// The session has noted this, and looks at it when the request is answered.
    #[must_use]
    pub fn noting(mut self, noted: Noted) -> Self {
        self.noted = Some(Box::new(noted));
        self
    }

    /// The session that asked.
    pub fn session(&self) -> SessionKey {
        self.to.session
    }

    /// The answer may be large: it is to be [reserved](Self::reserve) before it is made.
    #[must_use]
    pub fn large(mut self, standing: Standing) -> Self {
        self.large = Some(standing);
        self
    }

    /// Reserves about `bytes` for an answer before it is made; this replaces what was reserved for
    /// it earlier.
    ///
    /// # Errors
    /// What to answer instead, if there is no room for it.
    pub fn reserve(&mut self, bytes: usize) -> Result<(), WireError> {
        self.reserved = None;
        let Some(budget) = &self.to.budget else { return Ok(()) };
        self.reserved = Reservation::new(budget, bytes, self.large.unwrap_or(Standing::Behind));
        if self.reserved.is_none() {
            MAILBOX_REFUSALS.counter_with(["outboxes"]).increment(1);
            return Err(overloaded("outboxes"));
        }
        Ok(())
    }

    /// Who pays for the request.
    pub fn payer(&self) -> Option<&Payer> {
        self.to.payer.as_ref()
    }

    /// Charges whoever asked for what the request costs beyond an ordinary one, in tokens of the
    /// rate of requests.
    pub fn charge(&self, tokens: u32) {
        self.to.charge(tokens);
    }

    /// The codec that it speaks.
    pub fn codec(&self) -> CodecKind {
        self.to.codec
    }

    /// Answers a request with its result.
    pub fn ok<T: Serialize>(self, result: &T) -> Answer {
        let body = match &self.question {
            Some(Question::Request(id)) => AnswerBody::Frame(
                id.as_ref().map(|id| self.to.encoder.result(self.to.codec, id, result)),
            ),
            Some(Question::Silent(_)) => AnswerBody::Frame(None),
            _ => unreachable!("parts of a `connect` are answered by `subscribed` and `present`"),
        };
        self.answer(body)
    }

    /// Answers a request with its result; the same with `null` for its last member is `open`, and
    /// that member, in the codec of the session, `value`. Where that fits together, the value is
    /// shared with other answers.
    fn ok_around<T: Serialize>(self, result: &T, open: &T, value: &Bytes) -> Result<Answer, Self> {
        let Some(Question::Request(Some(id))) = &self.question else { return Err(self) };
        let Some(pieces) = self.to.encoder.result_around(self.to.codec, id, open, value) else {
            return Err(self);
        };
        debug_assert_eq!(pieces.len(), self.to.encoder.result(self.to.codec, id, result).len());
        Ok(self.answer(AnswerBody::Around(Box::new(pieces))))
    }

    /// Answers `read`. `share` gives the state in the codec of the session.
    pub fn state(
        self,
        state: &State,
        share: impl FnOnce(CodecKind, &RawJson) -> Option<Bytes>,
    ) -> Answer {
        let Some(value) = share(self.codec(), &state.state) else { return self.ok(state) };
        let open = State { epoch: state.epoch.clone(), seq: state.seq, state: RawJson::NULL };
        self.ok_around(state, &open, &value).unwrap_or_else(|reply| reply.ok(state))
    }

    /// Answers a subscription, whether asked for by `subscribe` or within `connect`.
    /// `share` gives the snapshot in the codec of the session.
    pub fn subscribed_sharing(
        self,
        result: Subscribed,
        share: impl FnOnce(CodecKind, &RawJson) -> Option<Bytes>,
    ) -> Answer {
        let value = result.snapshot.as_ref().and_then(|snapshot| share(self.codec(), snapshot));
        let whole = match value {
            Some(value) if !self.is_part() => {
                let open = Subscribed { snapshot: Some(RawJson::NULL), ..result.clone() };
                match self.ok_around(&result, &open, &value) {
                    Ok(answer) => return answer,
                    Err(reply) => reply,
                }
            }
            _ => self,
        };
        whole.subscribed(result)
    }

    /// Answers a subscription, whether asked for by `subscribe` or within `connect`.
    pub fn subscribed(self, result: Subscribed) -> Answer {
        let body = match &self.question {
            Some(Question::Subscription { index, entity }) => AnswerBody::Subscription(
                *index,
                Box::new(SubscriptionOutcome {
                    entity: entity.clone(),
                    result: Some(result),
                    error: None,
                }),
            ),
            Some(Question::Request(id)) => AnswerBody::Frame(
                id.as_ref().map(|id| self.to.encoder.result(self.to.codec, id, &result)),
            ),
            Some(Question::Silent(_) | Question::Presence { .. }) | None => AnswerBody::Frame(None),
        };
        self.answer(body)
    }

    /// Answers `presence`, whether asked for by a request or within `connect`.
    pub fn present(self, result: PresenceList) -> Answer {
        match &self.question {
            Some(Question::Presence { index, entity }) => {
                let outcome =
                    PresenceOutcome { entity: entity.clone(), result: Some(result), error: None };
                let body = AnswerBody::Presence(*index, Box::new(outcome));
                self.answer(body)
            }
            _ => self.ok(&result),
        }
    }

    fn answer(self, body: AnswerBody) -> Answer {
        let bytes = match &body {
            AnswerBody::Frame(frame) => frame.as_ref().map_or(0, Bytes::len),
            AnswerBody::Around(pieces) => pieces.len(),
            AnswerBody::Subscription(..) | AnswerBody::Presence(..) | AnswerBody::Refused(..) => 0,
        };
        let bytes = bytes.max(self.reserved.as_ref().map_or(0, Reservation::bytes));
        self.charge(u32::try_from(bytes / TOKEN_BYTES).unwrap_or(u32::MAX));
        let large = self.is_large();
        Answer {
            to: self.to.session,
            body,
            method: self.method,
            error: None,
            refused: None,
            large,
            duty: Some(Box::new(self)),
        }
    }

    fn is_large(&self) -> bool {
        self.large.is_some() && !self.is_part()
    }

    /// Answers with an error.
    pub fn error(self, error: WireError) -> Answer {
        let mut answer = self.refuse(error);
        answer.duty = Some(Box::new(self));
        answer
    }

    /// Answers a request with its result at once, past everything that waits.
    pub fn send_ok<T: Serialize>(self, result: &T) {
        let to = Arc::clone(&self.to);
        to.relay.send_or_spawn(ToRelay::Answer(self.ok(result)));
    }

    /// Sends an error at once, past everything that waits.
    pub fn send_error(mut self, error: WireError) {
        let answer = self.refuse(error);
        self.question = None;
        self.to.relay.send_or_spawn(ToRelay::Answer(answer));
    }

    /// Drops it without an answer: the session has ended.
    pub(crate) fn discard(mut self) {
        self.question = None;
    }

    fn refuse(&self, error: WireError) -> Answer {
        let code = Some(error.data.code);
        let body = match &self.question {
            Some(Question::Subscription { index, entity }) => AnswerBody::Subscription(
                *index,
                Box::new(SubscriptionOutcome {
                    entity: entity.clone(),
                    result: None,
                    error: Some(error),
                }),
            ),
            Some(Question::Presence { index, entity }) => AnswerBody::Presence(
                *index,
                Box::new(PresenceOutcome {
                    entity: entity.clone(),
                    result: None,
                    error: Some(error),
                }),
            ),
            Some(Question::Request(id)) => AnswerBody::Frame(
                id.as_ref().map(|id| self.to.encoder.error(self.to.codec, Some(id), &error)),
            ),
            Some(Question::Silent(entity)) => AnswerBody::Refused(entity.clone(), Box::new(error)),
            None => AnswerBody::Frame(None),
        };
        Answer {
            to: self.to.session,
            body,
            method: self.method,
            error: code,
            refused: self.noted.clone(),
            large: self.is_large(),
            duty: None,
        }
    }
}

impl Answer {
    /// It has reached the relay: whoever asked is answered. Returns what the session has noted of
    /// the request.
    pub(crate) fn arrived(&mut self) -> Option<Box<Noted>> {
        let noted = self.duty.take().and_then(|mut duty| {
            duty.question = None;
            duty.noted.take()
        });
        noted.or_else(|| self.refused.take())
    }

    /// Turns a result into an error, on its way.
    pub(crate) fn withdraw(&mut self, error: WireError) {
        if let Some(duty) = self.duty.take() {
            *self = duty.error(error);
        }
    }

    /// What the session has noted of a request that was not refused.
    pub(crate) fn noted(&self) -> Option<&Noted> {
        self.duty.as_ref().filter(|_| self.error.is_none())?.noted.as_deref()
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if self.question.is_some() {
            let answer = self.refuse(unavailable());
            self.to.relay.send_or_spawn(ToRelay::Answer(answer));
        }
    }
}

/// The error of a request whose outcome is not known, or that nobody could take up.
pub fn unavailable() -> WireError {
    WireError::new(
        ErrorCode::Unavailable,
        "the outcome is not known; repeat the request, ops with the same `n`",
    )
    .retry_after_ms(1000)
}

/// The error of a request to an entity whose stored form makes no sense.
pub fn corrupt() -> WireError {
    WireError::new(
        ErrorCode::Corrupt,
        "what is stored of this entity cannot be read; whoever runs the server finds the reason in its log",
    )
}

/// The error of a request that met a full queue.
pub fn overloaded(queue: &'static str) -> WireError {
    WireError::new(
        ErrorCode::Overloaded,
        "a queue is full and nothing was done; repeat the request later",
    )
    .retry_after_ms(500)
    .reason(queue)
}
