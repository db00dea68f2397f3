//! What a node opens and closes: slots, and entities that are pinned to it.

use std::collections::BTreeSet;

use greenroom_protocol::EntityId;

use super::super::map::{ClusterMap, NodeId};
use super::super::slot::{SlotSet, slot_of};

/// Slots, and single entities. A slot stands for its entities that are not pinned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// The slots.
    pub slots: SlotSet,
    /// Entities that are pinned to the node, or are about to be pinned elsewhere.
    pub pins: BTreeSet<EntityId>,
}

impl Scope {
    /// Nothing.
    pub const EMPTY: Self = Self { slots: SlotSet::EMPTY, pins: BTreeSet::new() };

    /// Slots alone.
    pub fn of_slots(slots: SlotSet) -> Self {
        Self { slots, pins: BTreeSet::new() }
    }

    /// One entity.
    pub fn of_entity(entity: EntityId) -> Self {
        Self { slots: SlotSet::EMPTY, pins: BTreeSet::from([entity]) }
    }

    /// All that a map gives to a node.
    pub fn owned_by(map: &ClusterMap, node: NodeId) -> Self {
        Self::of_slots(map.slots_of(node))
    }

    /// Whether an entity is in it, by itself or with its slot.
    pub fn contains(&self, entity: &EntityId) -> bool {
        self.slots.contains(slot_of(entity)) || self.pins.contains(entity)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.pins.is_empty()
    }

    /// What is in either.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self {
            slots: self.slots.with(&other.slots),
            pins: self.pins.union(&other.pins).cloned().collect(),
        }
    }

    /// What is in both.
    #[must_use]
    pub fn both(&self, other: &Self) -> Self {
        Self {
            slots: self.slots.both(&other.slots),
            pins: self.pins.intersection(&other.pins).cloned().collect(),
        }
    }

    /// What is in this one alone.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            slots: self.slots.without(&other.slots),
            pins: self.pins.difference(&other.pins).cloned().collect(),
        }
    }
}
