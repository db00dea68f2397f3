//! Links to other nodes that are reset, as an entity sees them.

use super::outputs::{InOrder, Output};
use super::{Effects, Entity};
use crate::ids::NodeIndex;

impl Entity {
    /// Sessions that came over this link follow no more: what was sent to them may be lost. Those
    /// that are still there subscribe and enter again, over the next link.
    pub(super) fn link_reset(&mut self, node: NodeIndex, fx: &mut Effects) {
        self.people.change_if_any(|people| {
            let joining = people.joining.iter().map(|(session, _)| *session);
            let over: Vec<_> = joining.filter(|session| session.node == node).collect();
            for session in over {
                people.joining.remove(&session);
            }
        });
        // Behind the subscriptions that wait for a commit.
        self.put(Output::InOrder(InOrder::LinkReset(node)), fx);
    }

    /// Nobody is present over this link any more.
    pub(super) fn link_over(&mut self, node: NodeIndex, fx: &mut Effects) {
        self.link_reset(node, fx);
        for session in self.people.presence.of_node(node) {
            fx.presence_due |= self.leave_presence(session);
        }
    }
}
