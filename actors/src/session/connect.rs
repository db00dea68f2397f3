//! `connect`: who the session acts for, and the subscriptions that come with it.

use std::sync::Arc;

use greenroom_protocol::close::CloseCode;
use greenroom_protocol::params::{self, Connect};
use greenroom_protocol::results::Connected;
use greenroom_protocol::{ErrorCode, RequestId, WireError};
use ulid::Ulid;

use super::Session;
use crate::answer::{Asked, Responder};
use crate::capability::Permissions;
use crate::clock::Millis;
use crate::relay::Gather;

/// How far a client's clock may be ahead, in ms.
const CLOCK_SKEW_MS: u64 = 60_000;

impl Session {
    pub(super) fn connect(&mut self, id: Option<RequestId>, params: Connect, now: Millis) {
        let result = match &self.identity {
            None => self.admit(&params, now),
            Some(_) => self.refresh(&params, now),
        };
        match result {
            Ok(()) => self.welcome(id, params.subscriptions),
            Err(error) => {
                let fatal = self.identity.is_none();
                self.refuse("connect", id.as_ref(), &error);
                if fatal {
                    let expired = error.data.code == ErrorCode::TokenExpired;
                    self.seat.outbox.close(if expired { CloseCode::TokenExpired } else { CloseCode::Unauthorized });
                }
            }
        }
    }

    fn admit(&mut self, params: &Connect, now: Millis) -> Result<(), WireError> {
        let client = match &params.client {
            None => Ulid::new().to_string().into(),
            Some(client) => check_client(client, now)?,
        };
        let identity = self.env.authenticate.authenticate(params.token.as_deref(), &client, now)?;
        self.client = client;
        self.adopt(identity);
        Ok(())
    }

    fn refresh(&mut self, params: &Connect, now: Millis) -> Result<(), WireError> {
        if !params.subscriptions.is_empty() {
            return Err(WireError::new(
                ErrorCode::InvalidParams,
                "this connection is connected already; `subscriptions` belong to the first `connect`",
            ));
        }
        if params.client.as_ref().is_some_and(|client| **client != *self.client) {
            return Err(WireError::new(ErrorCode::InvalidParams, "`client` cannot change on a live connection; open a new one"));
        }
        let fresh = self.env.authenticate.authenticate(params.token.as_deref(), &self.client, now)?;
        if self.identity.as_ref().is_some_and(|old| old.user != fresh.user) {
            return Err(WireError::new(
                ErrorCode::Unauthorized,
                "the token is for another `sub` than this connection's; open a new connection for it",
            ));
        }
        self.adopt(fresh);
        let follows = self.seat.follows.borrow();
        if follows.iter().any(|follow| self.permissions(&follow.entity).is_none_or(|allowed| !allowed.contains(Permissions::READ))) {
            // With fewer rights than before the client begins anew.
            self.seat.outbox.close(CloseCode::Unauthorized);
        }
        Ok(())
    }

    fn adopt(&mut self, identity: crate::identity::Identity) {
        self.seat.expires.set(identity.expires_at.unwrap_or(Millis::MAX));
        self.seat.warned.set(false);
        self.seat.connect_by.set(Millis::MAX);
        self.identity = Some(identity);
    }

    fn welcome(&mut self, id: Option<RequestId>, subscriptions: Vec<params::Subscribe>) {
        let Some(identity) = &self.identity else { return };
        let connected = Connected {
            session: format!("{}-{}-{}", self.seat.key.worker.0, self.seat.key.slot, self.seat.key.generation),
            client: self.client.as_ref().into(),
            user: identity.user.as_ref().into(),
            expires_at: identity.expires_at,
            server: self.env.server.clone(),
            limits: self.env.bounds.told.clone(),
            subscriptions: Vec::new(),
        };
        if subscriptions.is_empty() {
            return self.reply("connect", id.as_ref(), &connected);
        }
        let asker = self.asker();
        let gather = Gather { id, connected, parts: subscriptions.iter().map(|_| None).collect() };
        self.seat.in_flight.set(self.seat.in_flight.get() + 1);
        self.env.relay.borrow().gather(&self.seat, gather);
        for (index, subscription) in subscriptions.into_iter().enumerate() {
            // A message of bounded size cannot hold 2^16 subscriptions.
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            let reply = Responder::new(&asker, Asked::Part { index, entity: subscription.entity.clone() });
            self.subscribe(subscription, reply);
        }
    }
}

/// A client id is a ULID, so that an entity can tell when it was made. One from the future would outlive what entities
/// remember of it.
fn check_client(client: &str, now: Millis) -> Result<Arc<str>, WireError> {
    let wrong = |message| WireError::new(ErrorCode::InvalidParams, message);
    let id: Ulid =
        client.parse().map_err(|_| wrong("`client` is a ULID: 26 characters of Crockford's base 32; leave it out to be given one"))?;
    if id.timestamp_ms() > now.saturating_add(CLOCK_SKEW_MS) {
        return Err(wrong("`client` is dated in the future; leave it out to be given one"));
    }
    // One spelling for one id.
    Ok(id.to_string().into())
}
