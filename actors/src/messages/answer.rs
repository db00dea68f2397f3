//! How a request is answered, from whichever thread the answer comes.
//!
//! Three types take part. An [`Asker`] is the session that makes requests. A [`Responder`] is the
//! duty to answer one of them; it travels with the request to the entity that answers it. Its
//! methods make an [`Answer`], which goes to the relay of the session's thread and carries the duty
//! on until it arrives there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use greenroom_protocol::results::{
    PresenceList, PresenceOutcome, State, Subscribed, SubscriptionOutcome,
};
use greenroom_protocol::{CodecKind, EntityId, ErrorCode, RawJson, RequestId, WireError};
use serde::{Deserialize, Serialize};

use super::{Asker, ToRelay};
use crate::budget::{Reservation, Standing};
use crate::clock::Mono;
use crate::frames::Pieces;
use crate::ids::{NodeIndex, SessionKey};
use crate::limits::Payer;
use crate::metrics::{MAILBOX_REFUSALS, record_rate_limited};

/// Each time this number of bytes fits into an answer, it costs as much as one more request.
const TOKEN_BYTES: usize = 16 * 1024;
/// The same for events that are read from the log, however short they are.
const TOKEN_EVENTS: usize = 64;

/// The duty to answer one request.
///
/// If it is dropped unused, by a panic or with the message of a full queue, it answers
/// `unavailable`, so no request is ever left open.
#[derive(Debug)]
pub struct Responder {
    to: Arc<Asker>,
    method: &'static str,
    question: Option<Question>,
    noted: Option<Box<Noted>>,
    /// Set if the answer may be large: whether the session has taken its earlier answers.
    large: Option<Standing>,
    reserved: Option<Reservation>,
    /// Tokens that were paid before the work began.
    prepaid: u32,
    /// An earlier attempt of the request may have been taken, so a refusal does not mean that nothing
    /// was done.
    unsure: bool,
}

/// What is to be answered. Its serialised form is part of what nodes send each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Question {
    /// A request; without an id nothing is sent, but it still counts as in flight until it is
    /// answered.
    #[serde(rename = "r")]
    Request(Option<RequestId>),
    /// A request without an id to this entity: what is sent is that it was refused.
    #[serde(rename = "n")]
    Silent(EntityId),
    /// One of the subscriptions inside a `connect`.
    #[serde(rename = "s")]
    Subscription { index: u16, entity: EntityId },
    /// One of the presence entries inside a `connect`.
    #[serde(rename = "p")]
    Presence { index: u16, entity: EntityId },
}

/// What a session has noted of a request, to be looked at when it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Noted {
    /// A subscription with this number.
    Follow(EntityId, u32),
    /// That it is present, by the enter with this number.
    Enter(EntityId, u32),
    /// That the answer shows something of this entity.
    Read(EntityId),
}

/// An answer on its way to the relay of its session's thread.
#[derive(Debug)]
pub struct Answer {
    /// The duty that this fulfils when it reaches the relay: should a panic drop it on the way, the
    /// answer is `unavailable`.
    reply: Box<Responder>,
    /// What to deliver.
    pub(crate) body: Body,
    error: Option<ErrorCode>,
}

/// An answer between two nodes.
#[derive(Debug)]
pub(super) struct Sent {
    /// The number of the request at the node that asked.
    pub id: u64,
    /// What it cost beyond the token that the request was let in for.
    pub owed: u32,
    pub body: Body,
    pub error: Option<ErrorCode>,
}

/// The shapes of an answer.
#[derive(Debug)]
pub(crate) enum Body {
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
    /// For a request that `to` makes. Without an id nothing is sent, not even an error.
    pub fn request(to: &Arc<Asker>, method: &'static str, id: Option<RequestId>) -> Self {
        Self::new(to, method, Question::Request(id))
    }

    /// For a request without an id to `entity`. Its session is only notified if it is refused.
    pub(crate) fn silent(to: &Arc<Asker>, method: &'static str, entity: EntityId) -> Self {
        Self::new(to, method, Question::Silent(entity))
    }

    /// For the subscription at place `index` of a `connect`.
    pub(crate) fn subscription(to: &Arc<Asker>, index: u16, entity: EntityId) -> Self {
        Self::new(to, "subscribe", Question::Subscription { index, entity })
    }

    /// For the presence entry at place `index` of a `connect`.
    pub(crate) fn presence(to: &Arc<Asker>, index: u16, entity: EntityId) -> Self {
        Self::new(to, "presence", Question::Presence { index, entity })
    }

    fn new(to: &Arc<Asker>, method: &'static str, question: Question) -> Self {
        Self {
            to: Arc::clone(to),
            method,
            question: Some(question),
            noted: None,
            large: None,
            reserved: None,
            prepaid: 0,
            unsure: false,
        }
    }

    /// For a request of another node's session.
    pub(super) fn remote(to: Arc<Asker>, question: Question, large: Option<Standing>) -> Self {
        let mut reply = Self::new(&to, "remote", question);
        reply.large = large;
        reply
    }

    /// For a request of another node's session: the link that it came over, and its number and
    /// round there.
    pub(super) fn asked_elsewhere(&self) -> Option<(NodeIndex, u64, u32)> {
        let node = self.to.session.node;
        (node != NodeIndex::HERE).then_some((node, self.to.ask, self.to.round))
    }

    /// What is to be answered; `None` once it is.
    pub(super) fn question(&self) -> Option<&Question> {
        self.question.as_ref()
    }

    /// If the answer may be large: whether the session has taken its earlier answers.
    pub(super) fn standing(&self) -> Option<Standing> {
        self.large
    }

    /// An earlier attempt of the request may have been taken.
    pub(super) fn may_have_happened(&mut self) {
        self.unsure = true;
    }

    /// Whether an earlier attempt of the request may have been taken.
    pub const fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// The answer that another node has made. The session owes for it what that node counted.
    pub(super) fn made_elsewhere(self, sent: Sent) -> Answer {
        self.to.owe(sent.owed);
        if self.unsure && sent.error.is_some_and(did_nothing) {
            return self.error(unavailable());
        }
        Answer { reply: Box::new(self), body: sent.body, error: sent.error }
    }

    /// Whether it answers a part of a `connect`.
    pub fn is_entry(&self) -> bool {
        matches!(self.question, Some(Question::Subscription { .. } | Question::Presence { .. }))
    }

    /// The session has noted this, and looks at it when the request is answered.
    #[must_use]
    pub(crate) fn noting(mut self, noted: Noted) -> Self {
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

    /// Charges for reading so many events of the log, before they are read. It counts towards what
    /// the answer costs.
    ///
    /// # Errors
    /// `rate_limited`, if the user is in debt already. Nothing was charged in that case.
    pub fn pay_for_reading(&mut self, events: usize, now: Mono) -> Result<(), WireError> {
        let tokens = u32::try_from(events / TOKEN_EVENTS).unwrap_or(u32::MAX);
        self.to.begin(tokens, 0, now).map_err(|after| {
            let message = "too much of the log was read in a short time; nothing was done";
            rate_limited(after, "user", message)
        })?;
        self.prepaid = tokens;
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
            Some(Question::Request(id)) => {
                Body::Frame(id.as_ref().map(|id| self.to.encoder.result(self.to.codec, id, result)))
            }
            Some(Question::Silent(_)) | None => Body::Frame(None),
            Some(Question::Subscription { .. } | Question::Presence { .. }) => {
                debug_assert!(false, "entries of a `connect` are answered with their own types");
                return self.error(unavailable());
            }
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
        Ok(self.answer(Body::Around(Box::new(pieces))))
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
            Some(value) if !self.is_entry() => {
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
            Some(Question::Subscription { index, entity }) => Body::Subscription(
                *index,
                Box::new(SubscriptionOutcome {
                    entity: entity.clone(),
                    result: Some(result),
                    error: None,
                }),
            ),
            Some(Question::Request(id)) => Body::Frame(
                id.as_ref().map(|id| self.to.encoder.result(self.to.codec, id, &result)),
            ),
            Some(Question::Silent(_) | Question::Presence { .. }) | None => Body::Frame(None),
        };
        self.answer(body)
    }

    /// Answers `presence`, whether asked for by a request or within `connect`.
    pub fn present(self, result: PresenceList) -> Answer {
        match &self.question {
            Some(Question::Presence { index, entity }) => {
                let outcome =
                    PresenceOutcome { entity: entity.clone(), result: Some(result), error: None };
                let body = Body::Presence(*index, Box::new(outcome));
                self.answer(body)
            }
            _ => self.ok(&result),
        }
    }

    fn answer(self, body: Body) -> Answer {
        let bytes = match &body {
            Body::Frame(frame) => frame.as_ref().map_or(0, Bytes::len),
            Body::Around(pieces) => pieces.len(),
            Body::Subscription(..) | Body::Presence(..) | Body::Refused(..) => 0,
        };
        let bytes = bytes.max(self.reserved.as_ref().map_or(0, Reservation::bytes));
        let tokens = u32::try_from(bytes / TOKEN_BYTES).unwrap_or(u32::MAX);
        self.charge(tokens.saturating_sub(self.prepaid));
        Answer { reply: Box::new(self), body, error: None }
    }

    /// What to answer in place of an error that would say too much.
    fn certain(&self, error: WireError) -> WireError {
        if self.unsure && did_nothing(error.data.code) { unavailable() } else { error }
    }

    /// Answers with an error.
    pub fn error(self, error: WireError) -> Answer {
        let error = self.certain(error);
        let code = error.data.code;
        let body = self.refusal(error);
        Answer { reply: Box::new(self), body, error: Some(code) }
    }

    /// Answers a request with its result at once, past everything that waits.
    pub fn send_ok<T: Serialize>(self, result: &T) {
        let to = Arc::clone(&self.to);
        to.relay.send_or_spawn(ToRelay::Answer(self.ok(result)));
    }

    /// Sends an error at once, past everything that waits.
    pub fn send_error(mut self, error: WireError) {
        self.send_refusal(error);
    }

    /// Drops it without an answer: the session has ended.
    pub(crate) fn discard(mut self) {
        self.question = None;
    }

    /// Sends an error, and leaves nothing to be answered behind.
    fn send_refusal(&mut self, error: WireError) {
        let error = self.certain(error);
        let code = error.data.code;
        let body = self.refusal(error);
        self.question = None;
        let to = Arc::clone(&self.to);
        let reply = Box::new(Self {
            to: Arc::clone(&to),
            method: self.method,
            question: None,
            noted: self.noted.take(),
            large: self.large,
            reserved: None,
            prepaid: self.prepaid,
            unsure: self.unsure,
        });
        to.relay.send_or_spawn(ToRelay::Answer(Answer { reply, body, error: Some(code) }));
    }

    fn refusal(&self, error: WireError) -> Body {
        match &self.question {
            Some(Question::Subscription { index, entity }) => Body::Subscription(
                *index,
                Box::new(SubscriptionOutcome {
                    entity: entity.clone(),
                    result: None,
                    error: Some(error),
                }),
            ),
            Some(Question::Presence { index, entity }) => Body::Presence(
                *index,
                Box::new(PresenceOutcome {
                    entity: entity.clone(),
                    result: None,
                    error: Some(error),
                }),
            ),
            Some(Question::Request(id)) => Body::Frame(
                id.as_ref().map(|id| self.to.encoder.error(self.to.codec, Some(id), &error)),
            ),
            Some(Question::Silent(entity)) => Body::Refused(entity.clone(), Box::new(error)),
            None => Body::Frame(None),
        }
    }
}

impl Answer {
    /// The session that asked.
    pub fn session(&self) -> SessionKey {
        self.reply.session()
    }

    /// The number that another node has given the request.
    pub(crate) fn asked(&self) -> u64 {
        self.reply.to.ask
    }

    /// The method of the request.
    pub(crate) fn method(&self) -> &'static str {
        self.reply.method
    }

    /// The error that this is, if it is one.
    pub fn error(&self) -> Option<ErrorCode> {
        self.error
    }

    /// What to send to the node that asked.
    pub(super) fn sent(mut self) -> Sent {
        self.arrived();
        let Self { reply, body, error } = self;
        Sent { id: reply.to.ask, owed: reply.to.take_owed(u32::MAX), body, error }
    }

    /// Whether this counted among the session's large answers that are being made.
    pub(crate) fn is_large(&self) -> bool {
        self.reply.large.is_some()
            && !matches!(self.body, Body::Subscription(..) | Body::Presence(..))
    }

    /// This has reached the relay: whoever asked is answered. Returns what the session has noted of
    /// the request.
    pub(crate) fn arrived(&mut self) -> Option<Box<Noted>> {
        self.reply.question = None;
        self.reply.reserved = None;
        self.reply.noted.take()
    }

    /// Turns a result into an error, on its way.
    pub(crate) fn withdraw(&mut self, error: WireError) {
        self.error = Some(error.data.code);
        self.body = self.reply.refusal(error);
    }

    /// What the session has noted of a request that was not refused.
    pub(crate) fn noted(&self) -> Option<&Noted> {
        self.reply.noted.as_deref().filter(|_| self.error.is_none())
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if self.question.is_some() {
            self.send_refusal(unavailable());
        }
    }
}

/// Whether an error says that nothing was done, without a look at what was done before.
const fn did_nothing(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::Overloaded | ErrorCode::RateLimited | ErrorCode::ShuttingDown)
}

/// The error of a request whose outcome is not known, or that nobody could take up.
pub fn unavailable() -> WireError {
    WireError::new(
        ErrorCode::Unavailable,
        "the outcome is not known; repeat the request, ops with the same `n`",
    )
    .retry_after_ms(1000)
}

/// The error of a request to an entity that no node is to run for this long: too many have died soon
/// after they had begun to.
pub fn quarantined(left: u64) -> WireError {
    WireError::new(
        ErrorCode::Unavailable,
        "the last servers that ran this entity have crashed, so none does for a while; repeat the request then, ops with the same `n`",
    )
    .retry_after_ms(left)
}

/// The error of a request to an entity whose stored form makes no sense.
pub fn corrupt() -> WireError {
    WireError::new(
        ErrorCode::Corrupt,
        "what is stored of this entity cannot be read; whoever runs the server finds the reason in its log",
    )
}

/// The error of a request that may be made again `after` a while. Counts it.
pub fn rate_limited(after: Duration, scope: &'static str, message: &'static str) -> WireError {
    record_rate_limited(scope);
    let after = u64::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    WireError::new(ErrorCode::RateLimited, message).retry_after_ms(after).reason(scope)
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
