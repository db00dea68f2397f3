//! Changes of what the map knows of [slots on trial](super::super::map::trials).

use super::super::map::{ClusterMap, NodeId};
use super::super::slot::SlotSet;
use super::MapError;

impl ClusterMap {
    /// A node is about to open its slots that earlier owners died of.
    ///
    /// # Errors
    /// [`MapError::NotIn`], and [`MapError::Same`] if it has none.
    pub fn opening(&self, node: NodeId) -> Result<Self, MapError> {
        let slots = self.slots_of(self.known(node)?.id);
        let mut next = self.next();
        let news = next.trials.opening(&slots, next.version);
        if news { Ok(next) } else { Err(MapError::Same) }
    }

    /// A node has served these slots for long enough: their trial is over.
    ///
    /// # Errors
    /// [`MapError::NotIn`], [`MapError::NotOwner`], and [`MapError::Same`] if none of them is on
    /// trial.
    pub fn passed(&self, node: NodeId, slots: &SlotSet) -> Result<Self, MapError> {
        let own = self.slots_of(self.known(node)?.id);
        if let Some(slot) = slots.without(&own).iter().next() {
            return Err(MapError::NotOwner(slot, node));
        }
        let mut next = self.next();
        if next.trials.passed(slots) { Ok(next) } else { Err(MapError::Same) }
    }

    /// The quarantine of these slots is over: they are given to those who are to own them.
    ///
    /// # Errors
    /// [`MapError::Same`] if none of them is in quarantine.
    pub fn end_quarantine(&self, slots: &SlotSet) -> Result<Self, MapError> {
        let mut next = self.next();
        if !next.trials.end_quarantine(slots, next.version) {
            return Err(MapError::Same);
        }
        next.fill(&[]);
        Ok(next)
    }
}

#[cfg(test)]
mod tests;
