//! Changes of the [pins](super::super::map::pins). They move nothing: the owner of the slot hands it
//! over afterwards.

use greenroom_protocol::EntityId;

use super::super::map::ClusterMap;
use super::super::map::pins::{MAX_PINS, Pin};
use super::super::slot::slot_of;
use super::MapError;

impl ClusterMap {
    /// The slot of an entity is to stay at the node of this name, which must be in the map now.
    ///
    /// A pin to a name that no peer has is kept, since a node of that name may come back. It gives way
    /// to another one of its slot, and to any if there are as many as there may be.
    ///
    /// # Errors
    /// [`MapError::NobodyNamed`], [`MapError::SlotPinned`], [`MapError::PinsFull`], and
    /// [`MapError::Same`] if it is pinned there.
    pub fn pin(&self, entity: &EntityId, node: &str) -> Result<Self, MapError> {
        let known = |name: &str| self.peers().iter().any(|peer| peer.name == name);
        if !known(node) {
            return Err(MapError::NobodyNamed(node.into()));
        }
        let slot = slot_of(entity);
        let same_slot = |pin: &Pin| pin.entity != *entity && slot_of(&pin.entity) == slot;
        let mut next = self.next();
        next.pins.retain(|pin| !same_slot(pin) || known(&pin.node));
        if let Some(other) = next.pins.iter().find(|pin| same_slot(pin))
            && other.node != node
        {
            return Err(MapError::SlotPinned(other.entity.clone(), other.node.clone()));
        }
        if let Some(pin) = next.pins.iter_mut().find(|pin| pin.entity == *entity) {
            if pin.node == node {
                return Err(MapError::Same);
            }
            pin.node = node.into();
            return Ok(next);
        }
        if next.pins.len() >= MAX_PINS {
            let gone = next.pins.iter().position(|pin| !known(&pin.node));
            next.pins.remove(gone.ok_or(MapError::PinsFull)?);
        }
        next.pins.push(Pin { entity: entity.clone(), node: node.into() });
        Ok(next)
    }

    /// Ends a pin. The slot stays where it is until it is rebalanced.
    ///
    /// # Errors
    /// [`MapError::NotPinned`].
    pub fn unpin(&self, entity: &EntityId) -> Result<Self, MapError> {
        let mut next = self.next();
        next.pins.retain(|pin| pin.entity != *entity);
        if next.pins.len() == self.pins.len() {
            return Err(MapError::NotPinned(entity.clone()));
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests;
