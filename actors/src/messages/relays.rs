//! The way to the relay of any place.

use std::sync::Arc;

use super::RelayHandle;
use crate::ids::{NodeIndex, Place, WorkerId};

/// The relays that this node knows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Relays {
    here: Arc<[RelayHandle]>,
}

impl Relays {
    /// The relays of this node's threads, by worker.
    pub fn new(here: impl IntoIterator<Item = RelayHandle>) -> Self {
        Self { here: here.into_iter().collect() }
    }

    /// The relay in this place, if there is one.
    pub fn get(&self, place: Place) -> Option<&RelayHandle> {
        let here = place.node == NodeIndex::HERE;
        self.here.get(usize::from(place.worker.0)).filter(|_| here)
    }

    /// The places of this node's relays.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        // There are as many as worker threads, and their ids are 16 bits.
        let workers = 0..self.here.len() as u16;
        workers.map(|worker| Place { node: NodeIndex::HERE, worker: WorkerId(worker) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_leads_to_its_own_relay_only() {
        let relays = Relays::new((0..2).map(|_| RelayHandle::channel(1).0));
        assert_eq!(relays.places().count(), 2);
        assert!(relays.places().all(|place| relays.get(place).is_some()));
        let elsewhere = Place { node: NodeIndex(1), worker: WorkerId(0) };
        let no_worker = Place { node: NodeIndex::HERE, worker: WorkerId(2) };
        assert!(relays.get(elsewhere).is_none() && relays.get(no_worker).is_none());
    }
}
