//! What the rest of the server may know of its node.

use greenroom_actors::clock::Mono;
use greenroom_actors::cluster::map::PeerState;
use greenroom_actors::cluster::membership::{Ended, Phase, Scope};
use greenroom_actors::cluster::slot::{SlotId, SlotSet};
use greenroom_actors::node::Node;

/// A node as it is at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// Why no clients should be sent here; `None` if they may.
    pub not_ready: Option<&'static str>,
    /// The map names no slots of this node.
    pub owns_nothing: bool,
    /// It hears nobody, and others hear each other: clients are better off with them.
    pub cut_off: bool,
    /// What it serves.
    pub open: Scope,
    /// Slots that other members own.
    pub elsewhere: SlotSet,
    /// Why the node is not in the cluster any more.
    pub ended: Option<Ended>,
}

impl View {
    /// What `node` shows.
    pub fn of(node: &Node, now: Mono) -> Self {
        let membership = node.membership();
        let map = membership.map();
        let me = membership.id();
        let not_ready = match membership.phase() {
            Phase::Joining => Some("the node is joining the cluster"),
            Phase::Draining(_) | Phase::Leaving(_) | Phase::Out => Some("the node is draining"),
            Phase::Member if node.is_deaf(now) => {
                Some("the node does not hear the others: NATS cannot be reached")
            }
            Phase::Member => None,
        };
        let up = |slot: &SlotId| {
            map.owner(*slot).is_some_and(|peer| peer.id != me && peer.state != PeerState::Draining)
        };
        // What is to drain before it has joined has nothing yet.
        let member =
            membership.phase() != Phase::Joining || membership.me().state == PeerState::Draining;
        Self {
            not_ready,
            owns_nothing: member && Scope::owned_by(map, me).is_empty(),
            cut_off: membership.is_cut_off(now),
            open: membership.open().clone(),
            elsewhere: SlotId::all().filter(up).collect(),
            ended: None,
        }
    }
}
