//! Who enters and leaves, and what is told about it.

use std::sync::Arc;
use std::time::Duration;

use greenroom_protocol::codec::Method;
use greenroom_protocol::params::PresenceAction;
use greenroom_protocol::results::{Member, PresenceList};
use greenroom_protocol::{ErrorCode, RawJson, WireError, limits, notify};

use super::people::People;
use super::{Effects, Entity};
use crate::ids::SessionKey;
use crate::messages::{Part, Responder};
use crate::presence::News;

/// Most members in one presence notification.
const PRESENCE_MEMBERS: usize = 256;

impl Entity {
    /// Changes who is here.
    pub(super) fn with_people<R>(&mut self, change: impl FnOnce(&mut People) -> R) -> R {
        self.people.change(|| People::new(&self.nature.kind), change)
    }

    /// Removes a session from the presence; false if it was not present.
    pub(super) fn leave_presence(&mut self, session: SessionKey) -> bool {
        self.people.change_if_any(|people| people.presence.leave(session)).unwrap_or(false)
    }

    pub(super) fn presence(
        &mut self,
        action: PresenceAction,
        meta: Option<RawJson>,
        user: &Arc<str>,
        mut reply: Responder,
        fx: &mut Effects,
    ) {
        let session = reply.session();
        let members = match action {
            PresenceAction::List => {
                let members = self.people.presence.list();
                if let Err(refused) = reply.reserve(members.iter().flatten().map(weight).sum()) {
                    return fx.answer(reply.error(refused));
                }
                members
            }
            PresenceAction::Enter => {
                let meta = meta.unwrap_or_else(RawJson::empty_object);
                if let Err(full) =
                    self.with_people(|people| people.presence.enter(session, user, meta))
                {
                    let error = WireError::new(ErrorCode::Overloaded, full.to_string())
                        .reason("presence_full")
                        .retry_after_ms(5000);
                    return fx.answer(reply.error(error));
                }
                fx.presence_due = true;
                None
            }
            PresenceAction::Leave => {
                fx.presence_due |= self.leave_presence(session);
                None
            }
        };
        fx.answer(
            reply.present(PresenceList { count: self.people.presence.count() as u64, members }),
        );
    }

    /// Sends who entered and left since the last time.
    pub fn flush_presence(&mut self, fx: &mut Effects) {
        let changes =
            match self.people.change_if_any(|people| people.presence.take_news()).flatten() {
                None => return,
                Some(News::Changes(changes)) => changes,
                Some(News::Count(count)) => {
                    return self.tell_presence(
                        &self.who_is_here(PresenceList { count, members: None }),
                        fx,
                    );
                }
                Some(News::List(members)) => {
                    let list = PresenceList { count: members.len() as u64, members: Some(members) };
                    return self.tell_presence(&self.who_is_here(list), fx);
                }
            };
        self.nature.metrics.presence.joined.increment(changes.joined.len() as u64);
        self.nature.metrics.presence.updated.increment(changes.updated.len() as u64);
        self.nature.metrics.presence.left.increment(changes.left.len() as u64);
        for part in changes.split(PRESENCE_MEMBERS) {
            let params = notify::PresenceChange {
                entity: self.nature.id.clone(),
                joined: part.joined,
                updated: part.updated,
                left: part.left,
                count: part.count,
                members: None,
            };
            self.tell_presence(&params, fx);
        }
    }

    fn tell_presence(&self, params: &notify::PresenceChange, fx: &mut Effects) {
        let frames = self.nature.encoder.notification(
            self.people.audience.wants(),
            Method::Presence,
            params,
        );
        self.publish(fx, || Part::Presence(frames.clone()));
    }

    /// How long presence changes are collected: longer with more users, so that notifying all of
    /// them costs no more.
    pub fn presence_interval(&self) -> Duration {
        let longer = self.people.presence.count() / limits::MAX_MEMBERS;
        self.nature.kind.presence_interval
            * u32::try_from(longer).unwrap_or(u32::MAX).saturating_add(1)
    }

    pub(super) fn present(&self) -> PresenceList {
        let (count, members) = self.people.presence.as_announced();
        PresenceList { count, members }
    }

    /// A list as a notification, which replaces what its receivers had.
    pub(super) fn who_is_here(&self, list: PresenceList) -> notify::PresenceChange {
        let PresenceList { count, members } = list;
        let (joined, updated, left) = Default::default();
        notify::PresenceChange {
            entity: self.nature.id.clone(),
            joined,
            updated,
            left,
            count,
            members,
        }
    }
}

/// The approximate size of a member in a list, in bytes.
pub(super) fn weight(member: &Member) -> usize {
    const FRAME: usize = 40;
    FRAME + member.user.len() + member.meta.len()
}
