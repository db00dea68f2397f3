//! `connect`: authenticates the session, and begins the subscriptions and presence that it lists.

use std::collections::VecDeque;
use std::sync::Arc;

use greenroom_protocol::close::CloseCode;
use greenroom_protocol::params::{self, Connect, PresenceAction};
use greenroom_protocol::results::{Connected, SessionLimits};
use greenroom_protocol::{ErrorCode, RequestId, WireError};
use ulid::Ulid;

use super::Session;
use super::head::Head;
use crate::clock::Now;
use crate::identity::Identity;
use crate::messages::{Owner, Responder, Resume, ToRelay, rate_limited};
use crate::metrics::SESSIONS;
use crate::notices::NOTICES;
use crate::relay::{Ask, Connecting, Scope};
use crate::session::name::{name, parse};

/// The number of entries of a `connect` that cost as much as one more request.
const ENTRIES_PER_TOKEN: u32 = 16;
/// How many full buckets a user may be in debt and still have the entries of its connects requested.
/// If they are refused, each is a request of its own, which costs 16 times as much, so everybody who
/// reconnects after a restart should find room.
const CONNECT_BUCKETS: u32 = 4;

/// The purpose of a `connect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// The first one on this connection.
    First,
    /// A later one, with a newer token.
    Refresh,
}

impl Session {
    pub(super) fn connect(&mut self, id: Option<RequestId>, params: Connect, now: Now) {
        let rights = self.seat.membership.rights();
        let result = match &rights {
            None => self.admit(&params, now),
            Some(rights) => self.refresh(&rights.identity, &params, now),
        };
        match result {
            Ok(occasion) => self.welcome(id, params, occasion, now),
            Err(error) => {
                let fatal = rights.is_none();
                if let Some(left_out) = NOTICES.admit("connect", now.mono) {
                    tracing::info!(code = error.data.code.as_str(), left_out, why = ?error.message, "a `connect` is refused");
                }
                let expired = error.data.code == ErrorCode::TokenExpired;
                self.refuse(Head::of_connect(id.as_ref()), error);
                if fatal {
                    self.seat.outbox.close(if expired {
                        CloseCode::TokenExpired
                    } else {
                        CloseCode::Unauthorized
                    });
                }
            }
        }
    }

    /// Authenticates a new session.
    fn admit(&mut self, params: &Connect, now: Now) -> Result<Occasion, WireError> {
        let client = match &params.client {
            None => Ulid::from_parts(now.wall, (self.env.random)()).to_string().into(),
            Some(client) => check_client(client)?,
        };
        let token = params.token.as_deref();
        let identity = self.env.authenticate.authenticate(token, &client, now.wall)?;
        self.seat.membership.belongs_to(Owner { user: Arc::clone(&identity.user), client });
        self.act_for(identity, now);
        SESSIONS.gauge_with([]).increment(1);
        Ok(Occasion::First)
    }

    fn refresh(
        &mut self,
        old: &Identity,
        params: &Connect,
        now: Now,
    ) -> Result<Occasion, WireError> {
        if !params.subscriptions.is_empty() || !params.presence.is_empty() {
            return Err(WireError::new(
                ErrorCode::InvalidParams,
                "this connection is connected already; `subscriptions` and `presence` belong to the first `connect`",
            ));
        }
        let client = self.client();
        if params.client.as_ref().is_some_and(|other| spelled(other).as_deref() != Some(&*client)) {
            return Err(WireError::new(
                ErrorCode::InvalidParams,
                "`client` cannot change on a live connection; open a new one",
            ));
        }
        let token = params.token.as_deref();
        let fresh = self.env.authenticate.authenticate(token, &client, now.wall)?;
        if old.user != fresh.user {
            return Err(WireError::new(
                ErrorCode::Unauthorized,
                "the token is for another `sub` than this connection's; open a new connection for it",
            ));
        }
        self.act_for(fresh, now);
        self.env.relay.borrow_mut().revise(&self.seat);
        Ok(Occasion::Refresh)
    }

    fn client(&self) -> Arc<str> {
        self.seat.membership.owner().map_or_else(|| "".into(), |owner| Arc::clone(&owner.client))
    }

    fn welcome(&mut self, id: Option<RequestId>, params: Connect, occasion: Occasion, now: Now) {
        let Some(rights) = self.seat.membership.rights() else { return };
        let connected = Connected {
            session: name(self.env.instance, self.seat.key),
            resumed: false,
            client: self.client().as_ref().into(),
            user: rights.identity.user.as_ref().into(),
            expires_at: rights.identity.expires_at,
            now: now.wall,
            server: self.env.server.clone(),
            limits: self.limits(),
            subscriptions: Vec::new(),
            presence: Vec::new(),
        };
        let first = occasion == Occasion::First;
        tracing::debug!(first, user = ?rights.identity.user, "connected");
        let resuming = first && params.session.is_some_and(|session| self.resume(&session));
        if params.subscriptions.is_empty() && params.presence.is_empty() && !resuming {
            return self.reply("connect", id.as_ref(), &connected);
        }
        self.seat.admission.asked();
        let ahead = self.ahead(params.subscriptions, params.presence);
        let tokens = u32::try_from(ahead.len()).unwrap_or(u32::MAX).div_ceil(ENTRIES_PER_TOKEN);
        let paid =
            self.asker().map_or(Ok(()), |asker| asker.begin(tokens, CONNECT_BUCKETS, now.mono));
        let mut connecting = Connecting::new(id, connected, ahead, resuming);
        if let Err(after) = paid {
            let message = "the entries of `connect` are over the rate limit; request them later";
            connecting = connecting.unpaid(rate_limited(after, Scope::User.as_str(), message));
        }
        self.env.relay.borrow().begin_connect(&self.seat, connecting);
    }

    /// The limits to announce to the client. Anonymous users share a rate of their own.
    fn limits(&self) -> SessionLimits {
        let mut limits = self.env.bounds.announced.clone();
        if let Some(payer) = self.asker().and_then(|asker| asker.payer.as_ref()) {
            limits.rates.user_requests = payer.account().rate().into();
        }
        limits
    }

    /// Requests the place of another session. False if there can be no session with that name.
    fn resume(&self, session: &str) -> bool {
        let (Some((instance, from)), Some(owner)) = (parse(session), self.seat.membership.owner())
        else {
            return false;
        };
        let relays = &self.env.relays;
        let reply = self.env.relay_handle().clone();
        let resume = Resume { from, to: self.seat.key, owner: owner.clone(), reply };
        if instance != self.env.instance {
            return relays.others().is_some_and(|others| others.resume(instance, resume));
        }
        let Some(relay) = relays.get(from.place()) else { return false };
        relay.send_or_spawn(ToRelay::Resume(Box::new(resume)));
        true
    }

    /// The entries of a `connect`, to be requested one after the other.
    fn ahead(
        &self,
        subscriptions: Vec<params::Subscribe>,
        presence: Vec<params::Enter>,
    ) -> VecDeque<(Ask, Responder)> {
        let Some(asker) = self.asker() else { return VecDeque::new() };
        // A message of bounded size cannot hold 2^16 entries.
        let place = |index| u16::try_from(index).unwrap_or(u16::MAX);
        let subscriptions = subscriptions.into_iter().enumerate().map(|(index, subscribe)| {
            let reply = Responder::subscription(asker, place(index), subscribe.entity.clone());
            (Ask::Subscribe(subscribe), reply)
        });
        let presence =
            presence.into_iter().enumerate().map(|(index, params::Enter { entity, meta })| {
                let reply = Responder::presence(asker, place(index), entity.clone());
                let enter = params::Presence { entity, action: PresenceAction::Enter, meta };
                (Ask::Presence(enter), reply)
            });
        subscriptions.chain(presence).collect()
    }
}

/// A client id is a ULID, so that entities know when it was made. A date in the future is allowed:
/// this server's clock or the one that made it may have been set back since.
fn check_client(client: &str) -> Result<Arc<str>, WireError> {
    let ulid = "`client` is a ULID: 26 characters of Crockford's base 32, 7ZZZ… at most; leave it out to be given one";
    let id = parsed(client).ok_or_else(|| WireError::new(ErrorCode::InvalidParams, ulid))?;
    Ok(id.to_string().into())
}

/// The canonical spelling of a client id, since a ULID may be written in either case.
fn spelled(client: &str) -> Option<String> {
    parsed(client).map(|id| id.to_string())
}

fn parsed(client: &str) -> Option<Ulid> {
    // The parser would drop bits beyond 128, so that two different ids would be equal.
    Some(client)
        .filter(|client| client.as_bytes().first() <= Some(&b'7'))
        .and_then(|client| client.parse().ok())
}
