//! What a client may do by the tokens that it shows, and what it may be told therefore.

use std::collections::BTreeSet;

use greenroom_protocol::{Call, EntityId, notify, params};

use super::{Asked, Client};

/// What a token covers: everything, of these entities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant(BTreeSet<EntityId>);

impl Grant {
    pub fn all() -> Self {
        Self(crate::sizes::entities().into_iter().collect())
    }

    fn draw(rng: &mut fastrand::Rng) -> Self {
        let all = rng.bool();
        Self(crate::sizes::entities().into_iter().filter(|_| all || rng.bool()).collect())
    }

    fn covers(&self, entity: &EntityId) -> bool {
        self.0.contains(entity)
    }

    /// The token of `user`, which the simulation's nodes understand.
    fn token(&self, user: &str) -> String {
        let entities: Vec<_> = self.0.iter().map(EntityId::as_str).collect();
        format!("{user}|{}", entities.join(","))
    }
}

/// See the module's head.
#[derive(Debug)]
pub struct Rights {
    wanted: Grant,
    /// The tokens shown on this connection, with the requests that showed them, in order.
    shown: Vec<(i64, Grant)>,
    /// The latest of these requests that is answered.
    answered: i64,
    /// The last request that was made when the connection was admitted.
    admitted: i64,
}

impl Rights {
    pub fn full() -> Self {
        Self { wanted: Grant::all(), shown: Vec::new(), answered: 0, admitted: 0 }
    }

    pub fn disconnected(&mut self) {
        (self.shown, self.answered) = (Vec::new(), 0);
    }

    /// The connection is admitted: `requests` have been made on it so far.
    pub fn admitted(&mut self, requests: i64) {
        self.admitted = requests;
    }

    /// Whether the latest token that was shown covers `entity`.
    pub fn may_ask(&self, entity: &EntityId) -> bool {
        self.shown.last().is_none_or(|(_, grant)| grant.covers(entity))
    }

    /// Whether nothing of `entity` may come any more: the latest token that is answered does not
    /// cover it.
    pub fn lacks(&self, entity: &EntityId) -> bool {
        self.shown
            .iter()
            .rev()
            .find(|(id, _)| *id <= self.answered)
            .is_some_and(|(_, grant)| !grant.covers(entity))
    }

    /// Whether the server may have ended what the client has of `entity`: a token that counts by
    /// now, or could, does not cover it.
    pub fn may_end(&self, entity: &EntityId) -> bool {
        self.lacks(entity)
            || self.shown.iter().any(|(id, grant)| *id > self.answered && !grant.covers(entity))
    }

    /// Whether a request about `entity` may be refused: any token that counts between it and its
    /// answer does not cover that.
    pub fn may_be_refused(&self, request: i64, entity: &EntityId) -> bool {
        let before = self.shown.iter().rev().find(|(id, _)| *id <= request);
        let later = self.shown.iter().filter(|(id, _)| *id > request);
        before.into_iter().chain(later).any(|(_, grant)| !grant.covers(entity))
    }
}

impl Client {
    /// From now on it shows other tokens.
    pub fn change_rights(&mut self, rng: &mut fastrand::Rng) {
        self.rights.wanted = Grant::draw(rng);
    }

    /// It is entitled to everything again.
    pub fn regain_rights(&mut self) {
        self.rights.wanted = Grant::all();
    }

    /// Shows its token with the request that is made next.
    pub(super) fn show_token(&mut self) -> String {
        self.rights.shown.push((self.next_id + 1, self.rights.wanted.clone()));
        self.rights.wanted.token(&self.name)
    }

    /// Whether the server knows it by another token than it should.
    pub fn is_outdated(&self) -> bool {
        self.rights.shown.last().is_some_and(|(_, grant)| *grant != self.rights.wanted)
    }

    /// Shows its new token on this connection.
    pub fn refresh(&mut self) -> Vec<u8> {
        let token = Some(self.show_token());
        self.request(
            Asked::Refresh,
            &Call::Connect(params::Connect { token, ..params::Connect::default() }),
        )
    }

    /// The token shown with this request counts: nothing that it does not cover is left.
    pub(super) fn rights_changed(&mut self, request: i64) -> Result<(), String> {
        self.rights.answered = request;
        let follow = self
            .follows
            .iter()
            .find(|(entity, follow)| follow.live.is_some() && self.rights.lacks(entity));
        // Where a session is present that it takes the place of is known only then, and a newer
        // token may come before.
        let knows = request > self.rights.admitted;
        let place = self.places.iter().find(|(entity, place)| {
            knows && place.is_settled_inside() && self.rights.lacks(entity)
        });
        match follow.map(|(entity, _)| entity).or(place.map(|(entity, _)| entity)) {
            Some(entity) if self.connected => Err(format!(
                "its token does not cover `{entity}`, and it was not told that it is out"
            )),
            _ => Ok(()),
        }
    }

    /// The server has ended a subscription.
    pub(super) fn subscription_ended(
        &mut self,
        ended: &notify::Unsubscribed,
    ) -> Result<(), String> {
        let mut follow = self.follows.remove(&ended.entity).unwrap_or_default();
        let may = follow.live.is_some()
            && self.rights.may_end(&ended.entity)
            && ended.reason == notify::EndReason::Forbidden;
        self.ends_watching(&ended.entity, &mut follow);
        self.follows.insert(ended.entity.clone(), follow);
        self.stats.rights_lost += 1;
        may.then_some(())
            .ok_or_else(|| format!("{ended:?}: it has the right to it, or no subscription"))
    }

    /// The server has ended its presence somewhere.
    pub(super) fn presence_ended(&mut self, ended: &notify::Left) -> Result<(), String> {
        self.places.entry(ended.entity.clone()).or_default().was_ended();
        self.stats.rights_lost += 1;
        self.rights
            .may_end(&ended.entity)
            .then_some(())
            .ok_or_else(|| format!("{ended:?}: it has the right to it"))
    }
}
