//! Links to other nodes that are reset, as an entity sees them.

use super::{Effects, Entity};
use crate::ids::{NodeIndex, SessionKey};
use crate::messages::Subscriptions;

impl Entity {
    /// Sessions that came over this link follow no more: what was sent to them may be lost. Those
    /// that are still there subscribe and enter again, over the next link.
    pub(super) fn node_lost(&mut self, node: NodeIndex, fx: &mut Effects) {
        let people = &self.people;
        let joining = people.joining.iter().map(|(session, _)| *session);
        let following = people.audience.iter().map(|(session, _)| session);
        let lost: Vec<SessionKey> =
            joining.chain(following).filter(|session| session.node == node).collect();
        for session in lost {
            self.leave(session, Subscriptions::All, None, fx);
        }
    }

    /// Nobody is present over this link any more.
    pub(super) fn node_gone(&mut self, node: NodeIndex, fx: &mut Effects) {
        self.node_lost(node, fx);
        for session in self.people.presence.of_node(node) {
            fx.presence_due |= self.leave_presence(session);
        }
    }
}
