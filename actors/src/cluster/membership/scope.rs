//! What a node opens and closes together.

use greenroom_protocol::EntityId;

use super::super::map::{ClusterMap, NodeId};
use super::super::slot::{SlotSet, slot_of};

/// Slots, with all their entities.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// The slots.
    pub slots: SlotSet,
}

impl Scope {
    /// Nothing.
    pub const EMPTY: Self = Self { slots: SlotSet::EMPTY };

    /// These slots.
    pub const fn of_slots(slots: SlotSet) -> Self {
        Self { slots }
    }

    /// All that a map gives to a node.
    pub fn owned_by(map: &ClusterMap, node: NodeId) -> Self {
        Self::of_slots(map.slots_of(node))
    }

    /// Whether an entity's slot is in it.
    pub fn contains(&self, entity: &EntityId) -> bool {
        self.slots.contains(slot_of(entity))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What is in either.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self::of_slots(self.slots.with(&other.slots))
    }

    /// What is in both.
    #[must_use]
    pub fn both(&self, other: &Self) -> Self {
        Self::of_slots(self.slots.both(&other.slots))
    }

    /// What is in this one alone.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self::of_slots(self.slots.without(&other.slots))
    }
}
