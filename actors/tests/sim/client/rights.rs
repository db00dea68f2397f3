//! A client's tokens, and what they allow it to do and to receive.

use std::collections::BTreeSet;

use greenroom_protocol::{Call, EntityId, notify, params};

use super::{Asked, Client};

/// The entities that a token covers, with all permissions.
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

    /// A token for `user` in the format of the simulation's nodes.
    fn token(&self, user: &str, expires: Option<u64>) -> String {
        let entities: Vec<_> = self.0.iter().map(EntityId::as_str).collect();
        let end = expires.map(|end| format!("|{end}")).unwrap_or_default();
        format!("{user}|{}{end}", entities.join(","))
    }
}

/// A token that was sent.
#[derive(Debug)]
struct Shown {
    /// The request with the token.
    id: i64,
    grant: Grant,
    expires: Option<u64>,
}

#[derive(Debug)]
pub struct Rights {
    wanted: Grant,
    /// The lifetime of tokens in ms, if they expire.
    lifetime: Option<u64>,
    /// Whether the client reacts to the warning that its token expires soon.
    careful: bool,
    /// Whether it has received that warning.
    warned: bool,
    /// The tokens sent on this connection, in order.
    shown: Vec<Shown>,
    /// The latest of these requests that was answered.
    answered: i64,
    /// The last request at the time when the connection was admitted.
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

    /// The server has warned that the token expires soon.
    pub fn warned(&mut self) {
        self.warned = self.careful;
    }

    /// The token of this request was not accepted: another one must be sent.
    pub fn not_shown(&mut self, request: i64) {
        self.shown.retain(|shown| shown.id != request);
        self.warned = true;
    }

    /// Checks that the token of this request may have expired by a time.
    pub fn has_expired(&self, request: i64, latest: u64) -> Result<(), String> {
        let shown = self.shown.iter().find(|shown| shown.id == request);
        let expired = shown.and_then(|shown| shown.expires).is_some_and(|end| end <= latest);
        expired.then_some(()).ok_or_else(|| format!("the token of request {request} is still good"))
    }

    /// Whether the current token, or one that may be the current one, may have expired by a time.
    pub fn may_have_expired(&self, latest: u64) -> bool {
        let counts = self.shown.iter().filter(|shown| shown.id >= self.answered);
        counts.filter_map(|shown| shown.expires).any(|end| end <= latest)
    }

    /// The connection is admitted; `requests` is the number of requests so far.
    pub fn admitted(&mut self, requests: i64) {
        self.admitted = requests;
    }

    /// Whether the latest token covers `entity`.
    pub fn may_ask(&self, entity: &EntityId) -> bool {
        self.shown.last().is_none_or(|shown| shown.grant.covers(entity))
    }

    /// Whether nothing of `entity` may arrive, because the latest answered token does not cover it.
    pub fn lacks(&self, entity: &EntityId) -> bool {
        self.shown
            .iter()
            .rev()
            .find(|shown| shown.id <= self.answered)
            .is_some_and(|shown| !shown.grant.covers(entity))
    }

    /// Whether no token sent on this connection covers `entity`.
    pub fn never_covers(&self, entity: &EntityId) -> bool {
        self.shown.iter().all(|shown| !shown.grant.covers(entity))
    }

    /// Whether the server may end the client's subscription and presence in `entity`, because a
    /// token that may be the current one does not cover it.
    pub fn may_end(&self, entity: &EntityId) -> bool {
        self.lacks(entity)
            || self
                .shown
                .iter()
                .any(|shown| shown.id > self.answered && !shown.grant.covers(entity))
    }

    /// Whether a request about `entity` may be refused, because a token that may have been current
    /// before its answer does not cover it.
    pub fn may_be_refused(&self, request: i64, entity: &EntityId) -> bool {
        let before = self.shown.iter().rev().find(|shown| shown.id <= request);
        let later = self.shown.iter().filter(|shown| shown.id > request);
        before.into_iter().chain(later).any(|shown| !shown.grant.covers(entity))
    }
}

impl Client {
    /// Makes the client send other tokens from now on.
    pub fn change_rights(&mut self, rng: &mut fastrand::Rng) {
        self.rights.wanted = Grant::draw(rng);
    }

    /// Makes its tokens cover these entities.
    pub fn entitle(&mut self, covered: impl IntoIterator<Item = EntityId>) {
        self.rights.wanted = Grant(covered.into_iter().collect());
    }

    /// Makes its tokens cover everything again.
    pub fn regain_rights(&mut self) {
        self.rights.wanted = Grant::all();
    }

    /// Makes its tokens last for ever.
    pub fn keep_tokens(&mut self) {
        self.rights.lifetime = None;
    }

    /// The token for the next request.
    pub(super) fn show_token(&mut self) -> String {
        let id = self.next_id + 1;
        let grant = self.rights.wanted.clone();
        let expires = self.rights.lifetime.map(|lifetime| self.now.1 + lifetime);
        let token = grant.token(&self.name, expires);
        self.rights.shown.push(Shown { id, grant, expires });
        self.rights.warned = false;
        token
    }

    /// Whether the client should send another token.
    pub fn is_outdated(&self) -> bool {
        let Rights { wanted, lifetime, warned, shown, .. } = &self.rights;
        *warned
            || shown.last().is_some_and(|shown| {
                shown.grant != *wanted || (lifetime.is_none() && shown.expires.is_some())
            })
    }

    /// Sends a new token on this connection.
    pub fn refresh(&mut self) -> Vec<u8> {
        let token = Some(self.show_token());
        self.request(
            Asked::Refresh,
            &Call::Connect(params::Connect { token, ..params::Connect::default() }),
        )
    }

    /// The token of this request is accepted. Checks that no subscription or presence remains that
    /// it does not cover.
    pub(super) fn rights_changed(&mut self, request: i64) -> Result<(), String> {
        self.rights.answered = request;
        let follow = self
            .follows
            .iter()
            .find(|(entity, follow)| follow.live.is_some() && self.rights.lacks(entity));
        // The presence of a resumed session is only known when it is resumed, and a newer token may
        // arrive before that.
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

    /// The server has ended a presence.
    pub(super) fn presence_ended(&mut self, ended: &notify::Left) -> Result<(), String> {
        self.places.entry(ended.entity.clone()).or_default().was_ended();
        self.stats.rights_lost += 1;
        self.rights
            .may_end(&ended.entity)
            .then_some(())
            .ok_or_else(|| format!("{ended:?}: it has the right to it"))
    }
}
