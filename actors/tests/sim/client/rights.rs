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
    fn token(&self, user: &str, expires: Option<u64>) -> String {
        let entities: Vec<_> = self.0.iter().map(EntityId::as_str).collect();
        let end = expires.map(|end| format!("|{end}")).unwrap_or_default();
        format!("{user}|{}{end}", entities.join(","))
    }
}

/// A token that was shown.
#[derive(Debug)]
struct Shown {
    /// The request that showed it.
    id: i64,
    grant: Grant,
    expires: Option<u64>,
}

/// See the module's head.
#[derive(Debug)]
pub struct Rights {
    wanted: Grant,
    /// How long its tokens last, in ms, if they end.
    lifetime: Option<u64>,
    /// Whether it cares when it is told that its token ends soon.
    careful: bool,
    /// It was told so.
    warned: bool,
    /// The tokens shown on this connection, in order.
    shown: Vec<Shown>,
    /// The latest of these requests that is answered.
    answered: i64,
    /// The last request that was made when the connection was admitted.
    admitted: i64,
}

impl Rights {
    pub fn full(lifetime: Option<u64>, careful: bool) -> Self {
        Self {
            wanted: Grant::all(),
            lifetime,
            careful,
            warned: false,
            shown: Vec::new(),
            answered: 0,
            admitted: 0,
        }
    }

    pub fn disconnected(&mut self) {
        self.shown = Vec::new();
        self.answered = 0;
        self.warned = false;
    }

    /// It is told that its token ends soon.
    pub fn warned(&mut self) {
        self.warned = self.careful;
    }

    /// The token that this request showed does not count: it is to show another one.
    pub fn not_shown(&mut self, request: i64) {
        self.shown.retain(|shown| shown.id != request);
        self.warned = true;
    }

    /// Whether the token that this request showed may have ended by a time.
    pub fn has_expired(&self, request: i64, latest: u64) -> Result<(), String> {
        let shown = self.shown.iter().find(|shown| shown.id == request);
        let expired = shown.and_then(|shown| shown.expires).is_some_and(|end| end <= latest);
        expired.then_some(()).ok_or_else(|| format!("the token of request {request} is still good"))
    }

    /// Whether the token that counts, or could, may have ended by a time.
    pub fn may_have_expired(&self, latest: u64) -> bool {
        let counts = self.shown.iter().filter(|shown| shown.id >= self.answered);
        counts.filter_map(|shown| shown.expires).any(|end| end <= latest)
    }

    /// The connection is admitted: `requests` have been made on it so far.
    pub fn admitted(&mut self, requests: i64) {
        self.admitted = requests;
    }

    /// Whether the latest token that was shown covers `entity`.
    pub fn may_ask(&self, entity: &EntityId) -> bool {
        self.shown.last().is_none_or(|shown| shown.grant.covers(entity))
    }

    /// Whether nothing of `entity` may come any more: the latest token that is answered does not
    /// cover it.
    pub fn lacks(&self, entity: &EntityId) -> bool {
        self.shown
            .iter()
            .rev()
            .find(|shown| shown.id <= self.answered)
            .is_some_and(|shown| !shown.grant.covers(entity))
    }

    /// Whether no token that was shown on this connection covers `entity`.
    pub fn never_covers(&self, entity: &EntityId) -> bool {
        self.shown.iter().all(|shown| !shown.grant.covers(entity))
    }

    /// Whether the server may have ended what the client has of `entity`: a token that counts by
    /// now, or could, does not cover it.
    pub fn may_end(&self, entity: &EntityId) -> bool {
        self.lacks(entity)
            || self
                .shown
                .iter()
                .any(|shown| shown.id > self.answered && !shown.grant.covers(entity))
    }

    /// Whether a request about `entity` may be refused: any token that counts between it and its
    /// answer does not cover that.
    pub fn may_be_refused(&self, request: i64, entity: &EntityId) -> bool {
        let before = self.shown.iter().rev().find(|shown| shown.id <= request);
        let later = self.shown.iter().filter(|shown| shown.id > request);
        before.into_iter().chain(later).any(|shown| !shown.grant.covers(entity))
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

    /// From now on its tokens do not end.
    pub fn keep_tokens(&mut self) {
        self.rights.lifetime = None;
    }

    /// Shows its token with the request that is made next.
    pub(super) fn show_token(&mut self) -> String {
        let id = self.next_id + 1;
        let grant = self.rights.wanted.clone();
        let expires = self.rights.lifetime.map(|lifetime| self.now.1 + lifetime);
        let token = grant.token(&self.name, expires);
        self.rights.shown.push(Shown { id, grant, expires });
        self.rights.warned = false;
        token
    }

    /// Whether the server knows it by another token than it should.
    pub fn is_outdated(&self) -> bool {
        let Rights { wanted, lifetime, warned, shown, .. } = &self.rights;
        *warned
            || shown.last().is_some_and(|shown| {
                shown.grant != *wanted || (lifetime.is_none() && shown.expires.is_some())
            })
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
