//! Sessions that leave, lose their connection, or take another session's place.

use std::sync::Arc;

use greenroom_protocol::close::CloseCode;
use greenroom_protocol::{EntityId, RawJson};

use super::{Relay, Seat};
use crate::capability::Permissions;
use crate::clock::Mono;
use crate::ids::{NodeIndex, SessionKey};
use crate::messages::{
    Adopt, Owner, Present, Resume, Resumed, Subscriptions, Taken, ToEntity, ToRelay,
};
use crate::metrics::{SESSIONS_PARKED, SESSIONS_RESUMED};
use crate::relay::parked::Leaves;

/// How a session leaves its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    Ended,
    /// The client may resume it, and it stays present until the grace is over.
    Resumable,
}

impl Relay {
    /// Removes a session from the thread and notifies its entities.
    pub fn unseat(&mut self, seat: &Seat, leaving: Leaving) {
        if !self.seats.remove(seat.key) {
            return;
        }
        let follows: Vec<_> =
            seat.membership.take_follows().into_iter().map(|follow| follow.entity).collect();
        for entity in &follows {
            self.drop_sub(entity, seat.key, Subscriptions::All);
        }
        if let Some(connecting) = seat.membership.connecting.take() {
            connecting.discard();
        }
        let present = seat.membership.take_present();
        match seat
            .membership
            .owner()
            .filter(|_| leaving == Leaving::Resumable && self.parked.is_open())
        {
            Some(owner) => {
                // This also ends subscriptions that are still being requested.
                for entity in &follows {
                    self.directory
                        .route_control(entity, ToEntity::Unfollow(seat.key, Subscriptions::All));
                }
                let evicted = self.parked.add(seat.key, owner.clone(), present, self.this_second());
                self.leave(evicted);
            }
            None => {
                let only_present = present
                    .iter()
                    .map(|present| &present.entity)
                    .filter(|entity| !follows.contains(entity));
                for entity in follows.iter().chain(only_present) {
                    self.directory.route_control(entity, ToEntity::Gone(seat.key));
                }
            }
        }
    }

    /// Ends presence and sessions whose time is over. To be called once a second.
    pub fn sweep(&mut self, now: Mono) {
        self.now = now;
        let leaves = self.parked.sweep(now);
        self.leave(leaves);
    }

    /// The end of the second that began with the last sweep, so that no grace is too short.
    fn this_second(&self) -> Mono {
        self.now.after(1000)
    }

    /// Updates the gauge of parked sessions, and notifies the entities where presence has ended.
    fn leave(&mut self, leaves: Vec<Leaves>) {
        for Leaves { session, entity } in leaves {
            self.directory.route_control(&entity, ToEntity::Leave(session));
        }
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 sessions")]
        let parked = self.parked.len() as f64;
        // All threads share the gauge, and each adds its own changes.
        SESSIONS_PARKED
            .gauge_with([])
            .increment(parked - std::mem::replace(&mut self.counted_parked, parked));
    }

    /// Gives the place of a session of this thread, lost or not, to a session of any thread.
    pub(super) fn resume(&mut self, resume: Resume) {
        let Resume { from, to, owner, reply } = resume;
        let live = self
            .seats
            .get(from)
            .filter(|seat| from != to && seat.membership.owner() == Some(&owner))
            .cloned();
        let (taken, outcome) = match live {
            Some(seat) => {
                // The client has noticed the loss of its connection before the server did.
                seat.membership.leave_for_good();
                seat.outbox.close(CloseCode::Replaced);
                if let Some(connecting) = seat.membership.connecting.take() {
                    // The new session requests the rest.
                    connecting.discard();
                }
                let present = seat.membership.take_present();
                let owner = owner.clone();
                let second = self.this_second();
                let evicted = self.parked.add_replaced(from, to, owner, present.clone(), second);
                self.leave(evicted);
                (Some(Taken { holder: from, present }), "replaced")
            }
            None => match self.parked.resume(from, &owner, to) {
                Some((holder, present)) => (Some(Taken { holder, present }), "parked"),
                None => (None, "unknown"),
            },
        };
        SESSIONS_RESUMED.counter_with([outcome]).increment(1);
        tracing::debug!(%from, %to, user = ?owner.user, outcome, "a session is to be resumed");
        if let Some(taken) = taken.as_ref().filter(|_| to.node == NodeIndex::HERE) {
            self.adopt(taken, to, &owner);
        }
        reply.send_or_spawn(ToRelay::Resumed(Box::new(Resumed { to, owner, taken })));
    }

    /// Tells the entities that a session has the presence of another one.
    fn adopt(&self, taken: &Taken, to: SessionKey, owner: &Owner) {
        for Present { entity, meta, .. } in taken.present.iter().cloned() {
            let adopt = Adopt { from: taken.holder, to, user: Arc::clone(&owner.user), meta };
            self.directory.route_control(&entity, ToEntity::Adopt(Box::new(adopt)));
        }
    }

    /// The answer to a session of this thread that asked for another's place.
    pub(super) fn resumed(&mut self, resumed: Resumed) {
        let Resumed { to, owner, taken } = resumed;
        if let Some(taken) = taken.as_ref().filter(|taken| taken.holder.node != NodeIndex::HERE) {
            // The node of the holder does not do it: what it sends could arrive after what the new
            // session sends. If this answer is lost, the presence ends there after the grace.
            self.adopt(taken, to, &owner);
        }
        let present = taken.map(|taken| taken.present);
        let Some(seat) = self.seats.get(to).cloned() else {
            // The session is lost itself by now. Its client does not know of it, so it will ask for
            // the other's place again.
            let evicted =
                present.map(|present| self.parked.add(to, owner, present, self.this_second()));
            return self.leave(evicted.unwrap_or_default());
        };
        let found = present.is_some();
        for Present { entity, meta, .. } in present.into_iter().flatten() {
            let allowed = seat
                .membership
                .rights()
                .is_some_and(|rights| rights.may(&entity, Permissions::PRESENCE));
            if !allowed || seat.membership.enter(&entity, meta, usize::MAX).is_none() {
                self.take_out(&seat, entity);
            }
        }
        if let Some(connecting) = seat.membership.connecting.borrow_mut().as_mut() {
            connecting.resumed(found);
            self.ask_on(&seat, connecting);
        }
        self.answer_connect(&seat);
    }

    /// The actors of these entities have ended: tells the new ones who is present.
    pub(super) fn present_again(&self, concerned: impl Fn(&EntityId) -> bool) {
        let again = |key, user: &Arc<str>, entity: &EntityId, meta: &RawJson| {
            let adopt = Adopt { from: key, to: key, user: Arc::clone(user), meta: meta.clone() };
            self.directory.route_control(entity, ToEntity::Adopt(Box::new(adopt)));
        };
        for seat in self.seats.iter() {
            let Some(owner) = seat.membership.owner() else { continue };
            for present in seat.membership.present().iter() {
                if concerned(&present.entity) {
                    again(seat.key, &owner.user, &present.entity, &present.meta);
                }
            }
        }
        for (key, owner, present) in self.parked.present_in(&concerned) {
            again(key, &owner.user, &present.entity, &present.meta);
        }
    }
}
