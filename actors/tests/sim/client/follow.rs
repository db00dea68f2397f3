//! A client's subscriptions.

use std::collections::BTreeMap;

use greenroom_protocol::params::{self, EventPolicy, SignalPolicy};
use greenroom_protocol::results::{SnapshotReason, Subscribed};
use greenroom_protocol::{Call, EntityId, Epoch, Position, Seq};

use super::checks::{check_run, check_state};
use super::presence::Crowd;
use super::{Asked, Client};
use crate::truth::Truth;

/// The options of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    pub events: EventPolicy,
    pub signals: SignalPolicy,
    pub presence: bool,
}

/// The subscription to one entity.
#[derive(Debug, Clone, Default)]
pub struct Follow {
    /// The options that the client wants.
    wanted: Option<Terms>,
    /// The options on this connection.
    pub(super) live: Option<Terms>,
    pub(super) position: Option<Position>,
    pub(super) crowd: Option<Crowd>,
    /// How often this subscription reported that a user left.
    pub(super) lefts: BTreeMap<String, u64>,
}

impl Terms {
    pub fn draw(rng: &mut fastrand::Rng) -> Self {
        Self {
            events: [
                EventPolicy::Replay,
                EventPolicy::Replay,
                EventPolicy::Disconnect,
                EventPolicy::None,
            ][rng.usize(..4)],
            signals: [SignalPolicy::DropOldest, SignalPolicy::Latest, SignalPolicy::None]
                [rng.usize(..3)],
            presence: rng.bool(),
        }
    }

    fn of(params: &params::Subscribe) -> Self {
        Self { events: params.events, signals: params.signals, presence: params.presence }
    }
}

impl Follow {
    pub(super) fn request(&self, entity: &EntityId) -> Option<params::Subscribe> {
        let Terms { events, signals, presence } = self.wanted?;
        Some(params::Subscribe {
            entity: entity.clone(),
            after: self.position.clone(),
            events,
            signals,
            presence,
        })
    }
}

impl Client {
    /// Sets what the client wants.
    pub fn want(&mut self, entity: &EntityId, wanted: Option<Terms>) {
        self.follows.entry(entity.clone()).or_default().wanted = wanted;
    }

    /// Makes the client want to follow everything, with random options where it does not yet.
    pub fn want_all(&mut self, rng: &mut fastrand::Rng) {
        for entity in crate::sizes::entities() {
            let follow = self.follows.entry(entity).or_default();
            follow.wanted = follow.wanted.or_else(|| Some(Terms::draw(rng)));
        }
    }

    /// An entity whose subscription is not as wanted and about which no request is under way.
    pub fn unsettled(&self) -> Option<EntityId> {
        let about = |asked: &Asked| match asked {
            Asked::Subscribe(params) => Some(params.entity.clone()),
            Asked::Unsubscribe(entity) => Some(entity.clone()),
            _ => None,
        };
        let busy = |entity: &EntityId| {
            self.outstanding.values().any(|asked| about(asked).as_ref() == Some(entity))
        };
        let may = |entity: &EntityId, follow: &Follow| {
            follow.wanted.is_none() || self.rights.may_ask(entity)
        };
        let mut open = self.follows.iter().filter(|(entity, follow)| {
            follow.wanted != follow.live && !busy(entity) && may(entity, follow)
        });
        open.next().map(|(entity, _)| entity.clone())
    }

    /// Requests the wanted subscription, or its end.
    pub fn settle(&mut self, entity: &EntityId) -> Vec<u8> {
        match self.follows.entry(entity.clone()).or_default().request(entity) {
            Some(params) => {
                self.may_be_slow |= params.events == EventPolicy::Disconnect;
                self.request(Asked::Subscribe(params.clone()), &Call::Subscribe(params))
            }
            None => self.request(
                Asked::Unsubscribe(entity.clone()),
                &Call::Unsubscribe(params::Target { entity: entity.clone() }),
            ),
        }
    }

    pub(super) fn subscribed(
        &mut self,
        params: &params::Subscribe,
        result: &Subscribed,
        truth: &Truth,
    ) -> Result<(), String> {
        let entity = &params.entity;
        let after = &params.after;
        let log = &truth.logs.0[entity];
        let what = format!("`{entity}` subscribed after {after:?}");
        let floor = self.floor_of(entity);
        if result.seq < floor {
            return Err(format!("{what}: is at {} after {floor} had been seen", result.seq));
        }
        match (&result.events, &result.snapshot, result.reason) {
            (Some(events), None, None) => {
                let Some(after) = after.as_ref().filter(|after| after.epoch == result.epoch) else {
                    return Err(format!("{what}: events of another log"));
                };
                check_run(log, after.seq, events, self.floor_of(entity), &what)?;
                if after.seq + events.len() as u64 != result.seq {
                    return Err(format!(
                        "{what}: {} events bring it to {}",
                        events.len(),
                        result.seq
                    ));
                }
            }
            (None, Some(snapshot), Some(reason)) => {
                let expected = match after {
                    None => reason == SnapshotReason::NoPosition,
                    Some(position) => match reason {
                        SnapshotReason::NoPosition => false,
                        // A log without events has no lasting epoch.
                        SnapshotReason::EpochChanged => position.seq == Seq::ZERO,
                        SnapshotReason::TooOld => true,
                    },
                };
                if !expected {
                    return Err(format!("{what}: the reason is {reason:?}"));
                }
                check_state(log, result.seq, snapshot, &what)?;
            }
            _ => return Err(format!("{what}: neither events nor a snapshot: {result:?}")),
        }
        let follow = self.follows.entry(entity.clone()).or_default();
        if follow.live.is_some() && follow.position.as_ref().is_some_and(|old| old.seq > result.seq)
        {
            return Err(format!("{what}: goes back to {} from {:?}", result.seq, follow.position));
        }
        if result.presence.is_some() != params.presence {
            return Err(format!("{what}: presence is {:?}", result.presence));
        }
        follow.live = Some(Terms::of(params));
        for (user, count) in std::mem::take(&mut follow.lefts) {
            let most = self.lefts.entry((entity.clone(), user)).or_default();
            *most = count.max(*most);
        }
        follow.crowd = result.presence.as_ref().map(Crowd::from_list).transpose()?;
        follow.position = Some(Position { epoch: result.epoch.clone(), seq: result.seq });
        self.saw(entity, result.seq);
        Ok(())
    }

    /// Requests the end of a subscription, whether there is one or not.
    pub fn drop_subscription(&mut self, entity: &EntityId) -> Vec<u8> {
        self.want(entity, None);
        self.request(
            Asked::Unsubscribe(entity.clone()),
            &Call::Unsubscribe(params::Target { entity: entity.clone() }),
        )
    }

    /// The client has reached its limit of subscriptions.
    pub(super) fn cannot_follow(&mut self, entity: &EntityId) -> Result<(), String> {
        let follow = self.follows.entry(entity.clone()).or_default();
        follow.wanted = None;
        self.stats.too_many += 1;
        if follow.live.is_some() {
            Err(format!("one subscription too many, and it follows `{entity}`"))
        } else {
            Ok(())
        }
    }

    pub(super) fn unsubscribed(&mut self, entity: EntityId) {
        let mut follow = self.follows.remove(&entity).unwrap_or_default();
        self.ends_watching(&entity, &mut follow);
        self.follows.insert(entity, follow);
    }

    /// A subscription has ended.
    pub(super) fn ends_watching(&mut self, entity: &EntityId, follow: &mut Follow) {
        follow.live = None;
        follow.crowd = None;
        for (user, count) in std::mem::take(&mut follow.lefts) {
            let most = self.lefts.entry((entity.clone(), user)).or_default();
            *most = count.max(*most);
        }
    }

    /// The positions in the entities whose events the client follows.
    pub fn positions(&self) -> impl Iterator<Item = (&EntityId, &Epoch, Seq)> {
        let live = self.follows.iter().filter(|(_, follow)| {
            follow.live.is_some_and(|terms| terms.events != EventPolicy::None)
        });
        live.filter_map(|(entity, follow)| {
            follow.position.as_ref().map(|position| (entity, &position.epoch, position.seq))
        })
    }
}
