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
        if self.is_followed_over(node) {
            // Behind the subscriptions that wait for a commit.
            self.put(Output::InOrder(InOrder::LinkReset(node)), fx);
        }
    }

    /// Whether anybody follows over this link, or will when everything that waits has gone out.
    fn is_followed_over(&self, node: NodeIndex) -> bool {
        let last = self.gate.iter().rev().find_map(|(_, output)| {
            let Output::InOrder(output) = output else { return None };
            match output {
                InOrder::LinkReset(over) => (*over == node).then_some(false),
                InOrder::Join(join) => (join.request.spec.session.node == node).then_some(true),
                InOrder::Live(request) | InOrder::Reset(request, ..) => {
                    (request.spec.session.node == node).then_some(true)
                }
                InOrder::Left { .. } => None,
            }
        });
        last.unwrap_or_else(|| self.people.audience.iter().any(|(session, _)| session.node == node))
    }

    /// Nobody is present over this link any more.
    pub(super) fn link_over(&mut self, node: NodeIndex, fx: &mut Effects) {
        self.link_reset(node, fx);
        for session in self.people.presence.of_node(node) {
            fx.presence_due |= self.leave_presence(session);
        }
    }
}
