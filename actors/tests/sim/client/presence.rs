//! Presence: where a client has entered, and whom it sees.

use std::collections::BTreeMap;

use greenroom_protocol::params::{self, PresenceAction};
use greenroom_protocol::results::PresenceList;
use greenroom_protocol::{Call, EntityId, ErrorCode, WireError, notify};

use super::{Asked, Client};
use crate::truth::Truth;

/// Whether presence changes must fit the list so far. Not yet: after changes were skipped, further
/// ones may arrive before the whole list.
const CHANGES_FIT: bool = false;

/// A client's own place in an entity.
#[derive(Debug, Default)]
pub struct Place {
    wanted: bool,
    /// Whether the client is present, if that is certain.
    inside: Option<bool>,
    asked: bool,
    /// How often the client may have left so far.
    exits: u64,
    /// Whether the loss of the last connection counts as one of these.
    lost: bool,
}

/// The users in an entity with their numbers of sessions, as reported to a watcher.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Crowd(pub BTreeMap<String, u32>);

impl Crowd {
    pub(super) fn from_list(list: &PresenceList) -> Result<Self, String> {
        let Some(members) = &list.members else {
            return Err("a list of a few members is left out".into());
        };
        let crowd =
            Self(members.iter().map(|member| (member.user.clone(), member.sessions)).collect());
        if crowd.0.len() as u64 != list.count || crowd.0.len() != members.len() {
            return Err(format!("{list:?} does not add up"));
        }
        Ok(crowd)
    }
}

impl Place {
    /// Whether the client is present and has no request under way.
    pub(super) fn is_settled_inside(&self) -> bool {
        self.inside == Some(true) && !self.asked
    }

    /// The server has ended it.
    pub(super) fn was_ended(&mut self) {
        self.inside = Some(false);
        self.exits += 1;
    }

    /// The server may have ended it.
    pub(super) fn may_have_ended(&mut self) {
        self.inside = self.inside.filter(|inside| !inside);
        self.exits += 1;
    }

    /// The connection ended before its `connect` was answered, which may have entered nevertheless.
    pub(super) fn not_answered(&mut self) {
        if std::mem::take(&mut self.asked) {
            self.inside = None;
            self.exits += 1;
        }
    }

    pub(super) fn disconnected(&mut self) {
        // An unanswered request may have been executed.
        self.inside = self.inside.filter(|_| !self.asked);
        self.lost = self.inside != Some(false);
        self.exits += u64::from(self.lost);
        self.asked = false;
    }
}

impl Client {
    pub fn place(&mut self, entity: &EntityId, wanted: bool) {
        self.places
            .entry(entity.clone())
            .or_insert_with(|| Place { inside: Some(false), ..Place::default() })
            .wanted = wanted;
    }

    /// A new connection is admitted; `resumed` says whether it has the lost session's place.
    pub(super) fn came_back(&mut self, resumed: bool, truth: &Truth) {
        self.stats.resumed += u64::from(resumed);
        let lost = self.lost.take();
        // The presence may have ended because of the grace, or because an earlier attempt was lost
        // itself.
        let kept = lost.is_some_and(|lost| {
            // A node's time is rounded, perhaps up.
            let away = lost.wire.borrow().lost_at.map(|at| truth.now.mono.saturating_sub(at));
            lost.attempts == 1 && away.is_none_or(|away| away < truth.grace)
        });
        for place in self.places.values_mut() {
            if !resumed {
                place.inside = Some(false);
            } else if kept && place.lost {
                place.exits -= 1;
            }
            place.lost = false;
        }
    }

    /// An entity where the presence is not as wanted and about which no request is under way.
    pub fn unplaced(&self) -> Option<EntityId> {
        let may = |entity: &EntityId, place: &Place| !place.wanted || self.rights.may_ask(entity);
        let mut open = self.places.iter().filter(|(entity, place)| {
            !place.asked && place.inside != Some(place.wanted) && may(entity, place)
        });
        open.next().map(|(entity, _)| entity.clone())
    }

    /// Whether a request about its place in the entity is under way.
    pub fn asks_for_place(&self, entity: &EntityId) -> bool {
        self.places.get(entity).is_some_and(|place| place.asked)
    }

    /// The entities that a `connect` enters.
    pub(super) fn places_to_take(&mut self) -> Vec<EntityId> {
        let wanted = self.places.iter_mut().filter(|(_, place)| place.wanted);
        wanted.map(|(entity, place)| (place.asked = true, entity.clone()).1).collect()
    }

    pub fn settle_place(&mut self, entity: &EntityId) -> Vec<u8> {
        let place = self.places.entry(entity.clone()).or_default();
        place.asked = true;
        let action = if place.wanted { PresenceAction::Enter } else { PresenceAction::Leave };
        place.exits += u64::from(!place.wanted);
        self.presence(entity, action)
    }

    /// Makes the client request all presence lists again.
    pub fn want_lists(&mut self) {
        self.lists.clear();
        self.wants_lists = true;
    }

    /// An entity whose list is wanted and not requested.
    pub fn unlisted(&self) -> Option<EntityId> {
        let asked = |entity: &EntityId| {
            self.outstanding.values().any(|asked| matches!(asked, Asked::Presence(other, PresenceAction::List) if other == entity))
        };
        let mut missing = crate::sizes::entities()
            .into_iter()
            .filter(|entity| self.wants_lists && !self.lists.contains_key(entity));
        missing.find(|entity| !asked(entity))
    }

    pub fn list(&mut self, entity: &EntityId) -> Vec<u8> {
        self.presence(entity, PresenceAction::List)
    }

    fn presence(&mut self, entity: &EntityId, action: PresenceAction) -> Vec<u8> {
        let params = params::Presence { entity: entity.clone(), action, meta: None };
        self.request(Asked::Presence(entity.clone(), action), &Call::Presence(params))
    }

    pub(super) fn placed(
        &mut self,
        entity: &EntityId,
        action: PresenceAction,
        list: &PresenceList,
    ) -> Result<(), String> {
        let place = self.places.entry(entity.clone()).or_default();
        match action {
            PresenceAction::List => {
                let crowd = Crowd::from_list(list)?;
                self.lists.insert(entity.clone(), crowd);
                return Ok(());
            }
            PresenceAction::Enter => place.inside = Some(true),
            PresenceAction::Leave => place.inside = Some(false),
        }
        place.asked = false;
        Ok(())
    }

    pub(super) fn not_placed(
        &mut self,
        entity: &EntityId,
        action: PresenceAction,
        error: &WireError,
    ) {
        if action == PresenceAction::List {
            return;
        }
        let place = self.places.entry(entity.clone()).or_default();
        place.asked = false;
        place.exits += 1;
        match (error.data.code, action) {
            (ErrorCode::Overloaded, PresenceAction::Enter) => {}
            // A refused `leave` still takes effect.
            (ErrorCode::Overloaded | ErrorCode::Forbidden, _) => place.inside = Some(false),
            (ErrorCode::TooManySubscriptions | ErrorCode::RateLimited, _) => {}
            _ => place.inside = None,
        }
        if error.data.reason.as_deref() == Some("presence_full")
            || error.data.code == ErrorCode::TooManySubscriptions
        {
            place.wanted = false;
        }
    }

    /// Whether the client is present, as far as it knows.
    pub fn is_inside(&self, entity: &EntityId) -> bool {
        self.places.get(entity).is_some_and(|place| place.inside == Some(true))
    }

    pub(super) fn crowd_changed(&mut self, change: &notify::PresenceChange) -> Result<(), String> {
        let what = format!("{change:?}");
        let follow = self
            .follows
            .get_mut(&change.entity)
            .filter(|follow| follow.live.is_some_and(|terms| terms.presence));
        let Some((follow, mut crowd)) =
            follow.and_then(|follow| follow.crowd.take().map(|crowd| (follow, crowd)))
        else {
            return Err(format!("{what}: nobody wants to know of presence"));
        };
        if let Some(members) = &change.members {
            follow.crowd = Some(Crowd::from_list(&PresenceList {
                count: change.count,
                members: Some(members.clone()),
            })?);
            self.stats.presence_told += 1;
            return Ok(());
        }
        let mut odd = false;
        for member in &change.joined {
            odd |= crowd.0.insert(member.user.clone(), member.sessions).is_some();
        }
        for member in &change.updated {
            odd |= crowd.0.insert(member.user.clone(), member.sessions).is_none();
        }
        for user in &change.left {
            odd |= crowd.0.remove(user).is_none();
            *follow.lefts.entry(user.clone()).or_default() += 1;
        }
        odd |= crowd.0.len() as u64 != change.count;
        self.stats.presence_told += 1;
        let odd = (CHANGES_FIT && odd)
            .then(|| format!("{what} does not fit, and brings it to {crowd:?}"));
        follow.crowd = Some(crowd);
        odd.map_or(Ok(()), Err)
    }

    /// How often the client may have left an entity so far.
    pub fn exits(&self, entity: &EntityId) -> u64 {
        self.places.get(entity).map_or(0, |place| place.exits)
    }

    /// The most often that one subscription reported that a user left an entity, for each user.
    pub fn lefts(&self) -> impl Iterator<Item = (&EntityId, &str, u64)> {
        let now = self.follows.iter().flat_map(|(entity, follow)| {
            follow.lefts.iter().map(move |(user, count)| (entity, &**user, *count))
        });
        now.chain(self.lefts.iter().map(|((entity, user), count)| (entity, &**user, *count)))
    }

    /// The presence lists that the client requested.
    pub fn lists(&self) -> impl Iterator<Item = (&EntityId, &Crowd)> {
        self.lists.iter()
    }

    /// The presence that its subscriptions reported.
    pub fn watched(&self) -> impl Iterator<Item = (&EntityId, &Crowd)> {
        self.follows
            .iter()
            .filter_map(|(entity, follow)| follow.crowd.as_ref().map(|crowd| (entity, crowd)))
    }
}
