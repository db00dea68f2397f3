//! Links to other nodes that are reset, as an entity sees them.

use super::{Effects, Entity};
use crate::ids::{NodeIndex, SessionKey};
use crate::messages::Subscriptions;

impl Entity {
    /// Sessions that came over this link follow no more: what was sent to them may be lost. Those
    /// that are still there subscribe and enter again, over the next link.
    pub(super) fn link_reset(&mut self, node: NodeIndex, fx: &mut Effects) {
        let people = &self.people;
        let joining = people.joining.iter().map(|(session, _)| *session);
        let following = people.audience.iter().map(|(session, _)| session);
        let concerned: Vec<SessionKey> =
            joining.chain(following).filter(|session| session.node == node).collect();
        for session in concerned {
            self.leave(session, Subscriptions::All, None, fx);
        }
    }

    /// Nobody is present over this link any more.
    pub(super) fn link_over(&mut self, node: NodeIndex, fx: &mut Effects) {
        self.link_reset(node, fx);
        for session in self.people.presence.of_node(node) {
            fx.presence_due |= self.leave_presence(session);
        }
    }
}
