//! Where a client of a drill over several nodes is present: in the first entity that it follows.

use greenroom_protocol::params::{Enter, Presence, PresenceAction};
use greenroom_protocol::results::PresenceOutcome;
use greenroom_protocol::{Call, EntityId};
use tokio::time::Instant;

use super::Member;
use crate::client::Wire;

impl Member {
    fn home(&self) -> Option<EntityId> {
        let view = self.views.first().filter(|_| self.stage.load.nodes)?;
        Some(self.target(view.target).clone())
    }

    /// What a new connection enters.
    pub(super) fn enters(&self) -> Vec<Enter> {
        self.home().map(|entity| Enter { entity, meta: None }).into_iter().collect()
    }

    /// Takes what `connect` says of that.
    pub(super) fn entered(&mut self, outcomes: &[PresenceOutcome]) {
        for error in outcomes.iter().filter_map(|outcome| outcome.error.as_ref()) {
            self.presence.refused(error.data.retry_after_ms);
        }
    }

    /// Queues to enter again, if that is due; returns whether it is.
    pub(super) fn enter_due(&mut self, wire: &mut Wire, now: Instant) -> bool {
        let is_due = self.presence.due.take_if(|due| *due <= now).is_some();
        if let Some(entity) = self.home().filter(|_| is_due) {
            let (action, meta) = (PresenceAction::Enter, None);
            let id = wire.feed(&Call::Presence(Presence { entity, action, meta }));
            self.presence.entering = Some(id);
        }
        is_due
    }
}
