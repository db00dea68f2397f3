//! A session without its socket.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use greenroom_protocol::close::CloseCode;
use greenroom_protocol::params;
use greenroom_protocol::results::Pong;
use greenroom_protocol::{
    Call, CodecKind, EntityId, ErrorCode, Malformed, Request, RequestId, WireError,
};
use serde::Serialize;

use super::SessionEnv;
use super::head::Head;
use crate::budget::Budget;
use crate::capability::Permissions;
use crate::clock::{Mono, Now};
use crate::identity::Identity;
use crate::kind::Kind;
use crate::limits::{Account, Payer, Rate, Refused};
use crate::messages::{
    Asker, Noted, OpRequest, Owner, Responder, Sender, SignalRequest, ToEntity, overloaded,
};
use crate::metrics::{MAILBOX_REFUSALS, REQUESTS, SESSIONS, UNKNOWN_METHOD, record_rate_limited};
use crate::outbox::Outbox;
use crate::relay::{Admission, Ask, Excess, Leaving, Liveness, Scope, Seat, Wait};
use crate::rights::Rights;
use crate::session::name::name;
use crate::trail;

/// The retry time after too many requests were in flight: soon, since one answer is enough.
const RETRY_IN_FLIGHT_MS: u64 = 50;

/// A request to an entity.
enum Work {
    /// It goes through the relay.
    Ask(Ask),
    Send(params::Send),
    Signal(params::Signal),
    Read(EntityId),
    History(params::History),
}

impl Work {
    const fn entity(&self) -> &EntityId {
        match self {
            Self::Ask(ask) => ask.entity(),
            Self::Send(params) => &params.entity,
            Self::Signal(params) => &params.entity,
            Self::Read(entity) => entity,
            Self::History(params) => &params.entity,
        }
    }
}

/// One connected client.
pub struct Session {
    pub(super) env: Rc<SessionEnv>,
    pub(super) seat: Rc<Seat>,
    /// The client's address in the form that limits count.
    address: IpAddr,
    /// What others need to answer this session. `None` until it has connected.
    asker: Option<Arc<Asker>>,
}

impl Session {
    /// A session for a socket that was accepted from `address`, which is in the form that limits
    /// count.
    pub fn begin(env: Rc<SessionEnv>, codec: CodecKind, address: IpAddr, now: Mono) -> Self {
        let bounds = &env.bounds;
        let connect_by = now.after(bounds.connect_timeout_ms);
        let mut relay = env.relay.borrow_mut();
        let all = relay.outboxes();
        let seat = relay.seat(|key| {
            let outbox = Outbox::new(key, bounds.outbox_bytes, all);
            let liveness = Liveness::new(now, connect_by);
            Seat::new(key, codec, outbox, liveness, Admission::new(bounds.requests, bounds.bytes))
        });
        drop(relay);
        Self { seat, address, asker: None, env }
    }

    /// The session's place on the thread, for the pump.
    pub fn seat(&self) -> &Rc<Seat> {
        &self.seat
    }

    /// The span for log lines about this session.
    pub(super) fn span(&self) -> tracing::Span {
        let user = || self.seat.membership.owner().map(|owner| &*owner.user);
        tracing::debug_span!("session", id = name(self.env.instance, self.seat.key), user = user())
    }

    /// Handles one message of the client.
    pub fn receive(&mut self, payload: &[u8], now: Now) {
        let _span = self.span().entered();
        self.seat.liveness.heard(now.mono);
        let decoded = self.seat.codec.decode(payload);
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        // Bytes are checked first: signals over the request rate are only dropped, so a client that
        // floods with them is recognised by this rate.
        let bytes = self.seat.admission.pay_bytes(length, now.mono);
        let requests = self.pay(now.mono);
        for (scope, cost, checked) in
            [(Scope::Bytes, length, bytes), (Scope::Requests, 1, requests)]
        {
            if let Err(refused) = checked {
                self.seat.admission.over_limit(length);
                return self.over_limit(Head::of(&decoded), scope, cost, refused, now.mono);
            }
        }
        // Every message costs its user one request, including a newer token and one that is not a
        // valid request.
        if let Some(Err(refused)) = self.account().map(|account| account.request(1, now.mono)) {
            self.seat.admission.over_limit(0);
            return self.over_limit(Head::of(&decoded), Scope::User, 1, refused, now.mono);
        }
        match decoded {
            Ok(request) => self.call(request, now),
            Err(Malformed { id, error }) => {
                self.refuse(Head { method: UNKNOWN_METHOD, id: id.as_ref(), entity: None }, error);
            }
        }
    }

    /// Pays for one request, and for the cost of earlier answers.
    fn pay(&self, now: Mono) -> Result<(), Refused> {
        let owed = self
            .asker
            .as_ref()
            .map_or(0, |asker| asker.take_owed(self.env.bounds.requests.burst.get() - 1));
        let paid = self.seat.admission.pay_requests(1 + owed, now);
        if let (Err(_), Some(asker)) = (paid, &self.asker) {
            asker.owe(owed);
        }
        paid
    }

    /// Handles a ping or pong of the client, which costs as much as a request. False if it is over
    /// the limit.
    pub fn control(&mut self, now: Mono) -> bool {
        self.seat.liveness.heard(now);
        let within = self.seat.admission.pay_requests(1, now).is_ok();
        if !within {
            record_rate_limited(Scope::Requests.as_str());
            // The sender is not notified, but no honest client sends so many.
            self.ignored(now);
        }
        within
    }

    /// Handles the answer to a probe, which is free the first time.
    pub fn probed(&mut self, probe: u32, now: Mono) -> bool {
        self.seat.liveness.heard(now);
        let answered =
            self.seat.liveness.was_sent(probe) && self.seat.admission.probe_answered(probe, now);
        answered || self.control(now)
    }

    fn call(&mut self, request: Request, now: Now) {
        let Request { id, call } = request;
        let method = call.method();
        let work = match call {
            Call::Connect(params) => return self.connect(id, params, now),
            Call::Ping(_) => return self.ping(Head { method, id: id.as_ref(), entity: None }, now),
            Call::Subscribe(params) => Work::Ask(Ask::Subscribe(params)),
            Call::Unsubscribe(params) => Work::Ask(Ask::Unsubscribe(params.entity)),
            Call::Presence(params) => Work::Ask(Ask::Presence(params)),
            Call::Send(params) => Work::Send(params),
            Call::Signal(params) => Work::Signal(params),
            Call::Read(params) => Work::Read(params.entity),
            Call::History(params) => Work::History(params),
        };
        let head = Head { method, id: id.as_ref(), entity: Some(work.entity()) };
        let Some(asker) = self.connected(head, now) else { return };
        let most = self.env.bounds.announced.max_in_flight;
        if self.seat.admission.in_flight() >= most {
            let error = WireError::new(
                ErrorCode::TooManyInFlight,
                format!("{most} requests are unanswered; wait for answers first"),
            );
            return self.refuse(head, error.retry_after_ms(RETRY_IN_FLIGHT_MS));
        }
        self.seat.admission.asked();
        let reply = match id {
            None => Responder::silent(&asker, method, work.entity().clone()),
            Some(id) => Responder::request(&asker, method, Some(id)),
        };
        self.dispatch(work, reply);
    }

    fn ping(&self, head: Head<'_>, now: Now) {
        if self.connected(head, now).is_some() {
            self.reply(head.method, head.id, &Pong { now: now.wall });
        }
    }

    /// Returns the asker if the session is connected and its token has not expired. Otherwise
    /// refuses the request or closes the connection.
    fn connected(&self, head: Head<'_>, now: Now) -> Option<Arc<Asker>> {
        let Some(asker) = self.asker.clone() else {
            let message = "the first request must be `connect`";
            self.refuse(head, WireError::new(ErrorCode::NotConnected, message));
            return None;
        };
        if self.seat.liveness.is_expired(now.wall) {
            // The sweep has not closed it yet.
            self.seat.outbox.close(CloseCode::TokenExpired);
            return None;
        }
        Some(asker)
    }

    fn dispatch(&self, work: Work, reply: Responder) {
        match work {
            Work::Ask(ask) => self.env.relay.borrow().ask(&self.seat, ask, reply),
            Work::Send(params) => self.send(params, reply),
            Work::Signal(params) => self.signal(params, reply),
            Work::Read(entity) => {
                let Some(reply) = self.seat.readable(&entity, reply) else { return };
                let reply = reply.noting(Noted::Read(entity.clone()));
                self.route(entity, ToEntity::Read(reply));
            }
            Work::History(params) => {
                let Some(reply) = self.seat.readable(&params.entity, reply) else { return };
                let reply = reply.noting(Noted::Read(params.entity.clone()));
                self.route(params.entity.clone(), ToEntity::History(params, reply));
            }
        }
    }

    fn send(&self, params: params::Send, reply: Responder) {
        let Some(rights) = self.seat.membership.rights() else { return };
        let moderator = rights.may(&params.entity, Permissions::MODERATE);
        let kind = self.env.kinds.get(params.entity.kind());
        let moderates = moderator
            && kind.is_some_and(|kind| kind.behaviour().is_for_moderators(&params.r#type));
        let needed = if moderates { Permissions::MODERATE } else { Permissions::SEND };
        let Some((kind, reply)) = self.seat.allowed(&params.entity, needed, reply) else { return };
        let Some(reply) = fits(&kind, params.body.len(), reply) else { return };
        let Some(Owner { client, .. }) = self.seat.membership.owner() else { return };
        let ids = || trail::Ids {
            session: Some(self.seat.key),
            user: Some(&rights.identity.user),
            n: params.n,
            seq: None,
        };
        trail::at("from its session to the directory", &params.entity, ids);
        let sender = Sender {
            user: Arc::clone(&rights.identity.user),
            client: Arc::clone(client),
            moderator,
        };
        let params::Send { entity, r#type, body, n, first_sent, if_seq, tag } = params;
        let r#type = r#type.into();
        let tag = tag.map(Into::into);
        self.route(
            entity,
            ToEntity::Op(Box::new(OpRequest {
                sender,
                r#type,
                body,
                n,
                first_sent,
                if_seq,
                tag,
                reply,
            })),
        );
    }

    fn signal(&self, params: params::Signal, reply: Responder) {
        let Some((kind, reply)) = self.seat.allowed(&params.entity, Permissions::SIGNAL, reply)
        else {
            return;
        };
        let Some(reply) = fits(&kind, params.body.len(), reply) else { return };
        let Some(rights) = self.seat.membership.rights() else { return };
        let request = SignalRequest {
            session: self.seat.key,
            user: Arc::clone(&rights.identity.user),
            signal: params,
            reply,
        };
        self.route(request.signal.entity.clone(), ToEntity::Signal(Box::new(request)));
    }

    fn route(&self, entity: EntityId, message: ToEntity) {
        if let Err(message) = self.env.directory.route(entity.clone(), message) {
            MAILBOX_REFUSALS.counter_with(["directory"]).increment(1);
            if let Some(control) = message.refuse(overloaded("directory")) {
                self.env.directory.route_control(&entity, control);
            }
        }
    }

    fn over_limit(&mut self, head: Head<'_>, scope: Scope, cost: u32, refused: Refused, now: Mono) {
        record_rate_limited(scope.as_str());
        let after = match refused {
            Refused::RetryAfter(after) => after,
            Refused::TooBig { burst } => {
                let message =
                    format!("the request costs more than the limit's burst of {burst} allows");
                return self.refuse(
                    head,
                    WireError::new(ErrorCode::TooLarge, message).reason(scope.as_str()),
                );
            }
        };
        let wait_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let excess = Excess {
            scope,
            rate: self.rate(scope),
            cost,
            wait_ms,
            probe: self.seat.liveness.next_probe(),
        };
        let Wait { retry_after_ms, ignored } = self.seat.admission.refuse(excess, now);
        let error = WireError::new(ErrorCode::RateLimited, "over the rate limit; nothing was done");
        self.refuse(head, error.retry_after_ms(retry_after_ms).reason(scope.as_str()));
        // Signals may be dropped, and a client that sends one for every move of a pointer is not an
        // attacker.
        if ignored && (scope == Scope::Bytes || !head.is_signal()) {
            self.ignored(now);
        }
    }

    fn rate(&self, scope: Scope) -> Rate {
        let bounds = &self.env.bounds;
        match scope {
            Scope::Requests => bounds.requests,
            Scope::Bytes => bounds.bytes,
            Scope::User => self.account().map_or(bounds.requests, Account::rate),
        }
    }

    /// Counts a message that the client sent although it knew, or should have known, that it had to
    /// wait.
    fn ignored(&mut self, now: Mono) {
        let bounds = &self.env.bounds;
        if self.seat.admission.ignored(now, bounds.abuse_after, bounds.abuse_window_ms) {
            self.seat.outbox.close(CloseCode::RateLimited);
        }
    }

    fn budget(&self) -> Arc<Budget> {
        Arc::clone(self.env.relay.borrow().outboxes().budget())
    }

    /// The session acts for `identity` from now on. Its payer stays the one of the first `connect`.
    pub(super) fn act_for(&mut self, identity: Identity, now: Now) {
        let warning = self.env.bounds.expiry_warning_ms;
        self.seat.liveness.connected(identity.expires_at, warning, now.wall);
        if self.asker.is_none() {
            let user = (!identity.anonymous).then_some(&identity.user);
            let payer = self.env.accounts.payer(user, self.address, now.mono);
            self.asker = Some(Arc::new(
                self.env.asker(self.seat.key, self.seat.codec).paid_by(payer).within(self.budget()),
            ));
        }
        let most_subscriptions = self.env.bounds.announced.max_subscriptions as usize;
        self.seat.membership.set_rights(Rights {
            identity,
            kinds: self.env.kinds.clone(),
            most_subscriptions,
        });
    }

    /// The account that pays for the requests; `None` until the session has connected.
    fn account(&self) -> Option<&Account> {
        self.asker.as_ref()?.payer.as_ref().map(Payer::account)
    }

    /// `None` until the session has connected.
    pub(super) fn asker(&self) -> Option<&Arc<Asker>> {
        self.asker.as_ref()
    }

    pub(super) fn reply<T: Serialize>(
        &self,
        method: &'static str,
        id: Option<&RequestId>,
        result: &T,
    ) {
        REQUESTS.counter_with([method, "ok"]).increment(1);
        if let Some(id) = id {
            self.seat.outbox.push(self.env.encoder.result(self.seat.codec, id, result));
        }
    }

    /// Answers with an error, without an id if the request could not be parsed. If no answer is
    /// expected, the client gets a notification.
    pub(super) fn refuse(&self, head: Head<'_>, error: WireError) {
        let Head { method, id, entity } = head;
        REQUESTS.counter_with([method, error.data.code.as_str()]).increment(1);
        tracing::debug!(method, code = error.data.code.as_str(), "a request is refused");
        if id.is_some() || method == UNKNOWN_METHOD {
            self.seat.outbox.push(self.env.encoder.error(self.seat.codec, id, &error));
        } else {
            self.seat.refused(&self.env.encoder, method, entity.cloned(), error);
        }
    }
}

impl Drop for Session {
    /// However the session ends, its seat is freed and its entities are notified.
    fn drop(&mut self) {
        let _span = self.span().entered();
        tracing::debug!(code = self.seat.outbox.closing().map(CloseCode::as_str), "ended");
        if self.seat.membership.owner().is_some() {
            SESSIONS.gauge_with([]).decrement(1);
        }
        let resumable = !self.seat.membership.has_left()
            && self.seat.outbox.closing().is_none_or(may_come_back)
            && !std::thread::panicking();
        let leaving = if resumable { Leaving::Resumable } else { Leaving::Ended };
        self.env.relay.borrow_mut().unseat(&self.seat, leaving);
    }
}

/// Whether a client whose connection was closed with `code` may resume its session.
fn may_come_back(code: CloseCode) -> bool {
    match code {
        CloseCode::Normal
        | CloseCode::SlowConsumer
        | CloseCode::PingTimeout
        | CloseCode::TokenExpired
        // It goes to another node at once, and nobody there is to see it leave.
        | CloseCode::ShuttingDown => true,
        CloseCode::ProtocolError
        | CloseCode::UnsupportedData
        | CloseCode::InvalidUtf8
        | CloseCode::TooBig
        | CloseCode::Internal
        | CloseCode::ConnectTimeout
        | CloseCode::Unauthorized
        | CloseCode::RateLimited
        | CloseCode::Replaced => false,
    }
}

fn fits(kind: &Kind, bytes: usize, reply: Responder) -> Option<Responder> {
    if bytes <= kind.max_body_bytes {
        return Some(reply);
    }
    let message = format!(
        "`body` has {bytes} bytes of JSON; `{}` allows {}",
        kind.name(),
        kind.max_body_bytes
    );
    reply.send_error(WireError::new(ErrorCode::TooLarge, message));
    None
}
