//! Pins: slots that stay at a node of some name, since people want an entity there.
//!
//! A pin names an entity, for people, and holds for its slot, since requests are routed by slots. It
//! names a node by its name, which outlives a restart, as ids do not. Whoever owns the slot hands it
//! over to that node once it is a member that is up; until then the slot is like any other.

use greenroom_protocol::EntityId;
use serde::{Deserialize, Serialize};

use super::super::slot::{SlotId, slot_of};
use super::{ClusterMap, Peer, PeerState};

/// The largest number of pins in a map.
pub const MAX_PINS: usize = 64;

/// An entity whose slot stays at a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The entity.
    pub entity: EntityId,
    /// The node's name.
    pub node: String,
}

impl ClusterMap {
    /// The pins.
    pub fn pins(&self) -> &[Pin] {
        &self.pins
    }

    /// The pin of a slot.
    pub fn pin_of(&self, slot: SlotId) -> Option<&Pin> {
        self.pins.iter().find(|pin| slot_of(&pin.entity) == slot)
    }

    /// The member that a slot is pinned to, if it is up and may own slots. Of several with that name
    /// it is the one with the lowest id.
    pub fn pinned_to(&self, slot: SlotId) -> Option<&Peer> {
        let pin = self.pin_of(slot)?;
        let may = |peer: &&Peer| peer.state == PeerState::Up && peer.weight > 0;
        self.peers
            .iter()
            .filter(may)
            .filter(|peer| peer.name == pin.node)
            .min_by_key(|peer| peer.id)
    }
}
