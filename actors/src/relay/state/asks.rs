//! Requests that change a session's subscriptions and presence.

use std::sync::Arc;

use greenroom_protocol::codec::{Message, Method};
use greenroom_protocol::notify::{EndReason, Left, Unsubscribed};
use greenroom_protocol::params::{self, PresenceAction};
use greenroom_protocol::results::{Empty, PresenceList};
use greenroom_protocol::{EntityId, ErrorCode, RawJson, WireError};

use super::{Relay, Seat};
use crate::capability::Permissions;
use crate::messages::{
    Noted, Responder, SubSpec, SubscribeRequest, Subscriptions, ToEntity, overloaded,
};
use crate::metrics::MAILBOX_REFUSALS;
use crate::relay::Follow;
use crate::relay::connecting::{Ask, Connecting, Next};
use crate::rights::Rights;

impl Relay {
    /// Handles a session's request, or queues it while the entries of a `connect` are being
    /// requested.
    pub fn ask(&self, seat: &Seat, ask: Ask, reply: Responder) {
        let mut connecting = seat.membership.connecting.borrow_mut();
        let now = match connecting.as_mut() {
            Some(connecting) => connecting.behind(ask, reply),
            None => Some((ask, reply)),
        };
        drop(connecting);
        if let Some((ask, reply)) = now {
            self.ask_now(seat, ask, reply);
        }
    }

    /// Requests the entries of a `connect` that can be requested now.
    pub(super) fn ask_on(&self, seat: &Seat, connecting: &mut Connecting) {
        // If the connection closes, the rest is not needed.
        while seat.outbox.closing().is_none()
            && let Some(next) = connecting.next()
        {
            match next {
                Next::Ask(ask, reply) => self.ask_now(seat, ask, reply),
                Next::Refuse(reply, error) => reply.send_error(error),
            }
        }
    }

    fn ask_now(&self, seat: &Seat, ask: Ask, reply: Responder) {
        let Some(rights) = seat.membership.rights() else { return };
        match ask {
            Ask::Subscribe(params) => self.subscribe(seat, &rights, params, reply),
            Ask::Unsubscribe(entity) => match seat.membership.following(&entity) {
                Some(through) => self.route(entity, ToEntity::Unsubscribe { through, reply }),
                None => reply.send_ok(&Empty {}),
            },
            Ask::Presence(params) => self.be_present(seat, &rights, params, reply),
        }
    }

    fn subscribe(&self, seat: &Seat, rights: &Rights, params: params::Subscribe, reply: Responder) {
        let Some(reply) = seat.readable(&params.entity, reply) else { return };
        let most = rights.most_subscriptions;
        let params::Subscribe { entity, after, events, signals, presence } = params;
        let Some(number) = seat.membership.follow(&entity, most) else {
            let message =
                format!("this session has {most} subscriptions; unsubscribe from one first");
            return reply.send_error(WireError::new(ErrorCode::TooManySubscriptions, message));
        };
        let spec = SubSpec { session: seat.key, number, events, signals, presence };
        let reply = reply.noting(Noted::Follow(entity.clone(), number));
        self.route(entity, ToEntity::Subscribe(Box::new(SubscribeRequest { spec, after, reply })));
    }

    fn be_present(&self, seat: &Seat, rights: &Rights, params: params::Presence, reply: Responder) {
        let params::Presence { entity, action, meta } = params;
        let needed = match action {
            PresenceAction::List => Permissions::READ,
            PresenceAction::Enter => Permissions::PRESENCE,
            // Leaving is always allowed, even if the permission to enter has ended.
            PresenceAction::Leave => Permissions::NONE,
        };
        if let Err(error) = rights.check(&entity, needed) {
            return reply.send_error(error);
        }
        let reply = match action {
            PresenceAction::List => {
                let Some(reply) = seat.readable(&entity, reply) else { return };
                reply.noting(Noted::Read(entity.clone()))
            }
            PresenceAction::Enter => {
                let most = rights.most_subscriptions;
                let meta = meta.clone().unwrap_or_else(RawJson::empty_object);
                let Some(number) = seat.membership.enter(&entity, meta, most) else {
                    let message =
                        format!("this session is present in {most} entities; leave one first");
                    return reply
                        .send_error(WireError::new(ErrorCode::TooManySubscriptions, message));
                };
                reply.noting(Noted::Enter(entity.clone(), number))
            }
            PresenceAction::Leave => {
                let allowed = rights.permissions(&entity);
                if !seat.membership.leave(&entity)
                    && !allowed.contains(Permissions::READ)
                    && !allowed.contains(Permissions::PRESENCE)
                {
                    // The session is not present and may not see who is, so the entity is not woken
                    // for this.
                    return reply.send_ok(&PresenceList { count: 0, members: None });
                }
                reply
            }
        };
        let user = Arc::clone(&rights.identity.user);
        self.route(entity, ToEntity::Presence { action, meta, user, reply });
    }

    fn route(&self, entity: EntityId, message: ToEntity) {
        if let Err(message) = self.directory.route(entity.clone(), message) {
            MAILBOX_REFUSALS.counter_with(["directory"]).increment(1);
            if let Some(control) = message.refuse(overloaded("directory")) {
                self.directory.route_control(&entity, control);
            }
        }
    }

    /// The session's permissions have changed: ends the subscriptions and presence that they no
    /// longer allow, and notifies the client.
    pub fn revise(&mut self, seat: &Seat) {
        let Some(rights) = seat.membership.rights() else { return };
        let unreadable =
            |follow: &&Follow| follow.stands() && !rights.may(&follow.entity, Permissions::READ);
        let ended: Vec<_> = seat.membership.follows().iter().filter(unreadable).cloned().collect();
        for Follow { entity, number, .. } in ended {
            self.end_subscription(seat, entity, number, EndReason::Forbidden);
        }
        let present: Vec<_> =
            seat.membership.present().iter().map(|present| present.entity.clone()).collect();
        for entity in
            present.into_iter().filter(|entity| !rights.may(entity, Permissions::PRESENCE))
        {
            self.take_out(seat, entity);
        }
    }

    /// Ends a session's subscriptions up to the one with this number.
    pub(super) fn end_subscription(
        &mut self,
        seat: &Seat,
        entity: EntityId,
        number: u32,
        reason: EndReason,
    ) {
        let which = Subscriptions::Through(number);
        let begun = self.drop_sub(&entity, seat.key, which);
        seat.membership.unfollow(&entity, which);
        // Sent after everything that the session has asked of the entity.
        self.directory.route_control(&entity, ToEntity::Unfollow(seat.key, which));
        // A subscription that has not begun gets its answer instead.
        if begun {
            self.tell(seat, Method::Unsubscribed, &Unsubscribed { entity, reason });
        }
    }

    /// Ends a presence that is no longer allowed.
    pub(super) fn take_out(&self, seat: &Seat, entity: EntityId) {
        seat.membership.take_out(&entity);
        self.directory.route_control(&entity, ToEntity::Leave(seat.key));
        self.tell(seat, Method::Left, &Left { entity, reason: EndReason::Forbidden });
    }

    fn tell<T: serde::Serialize>(&self, seat: &Seat, method: Method, params: &T) {
        seat.outbox
            .push(self.encoder.encode(seat.codec, &Message::Notification { method, params }));
    }
}
