//! The way to the relay of any place.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Exchange, RelayHandle};
use crate::ids::{NodeIndex, Place, WorkerId};

/// The relays that this node knows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Relays {
    here: Arc<[RelayHandle]>,
    there: Option<Exchange>,
}

impl Relays {
    /// The relays of this node's threads, by worker.
    pub fn new(here: impl IntoIterator<Item = RelayHandle>) -> Self {
        Self { here: here.into_iter().collect(), there: None }
    }

    /// The same, and those of other nodes through the exchange.
    #[must_use]
    pub fn with_others(self, exchange: Exchange) -> Self {
        Self { there: Some(exchange), ..self }
    }

    /// The relay in this place, if there is one.
    pub fn get(&self, place: Place) -> Option<Cow<'_, RelayHandle>> {
        if place.node == NodeIndex::HERE {
            self.here(place.worker).map(Cow::Borrowed)
        } else {
            let exchange = self.there.clone()?;
            Some(Cow::Owned(RelayHandle::elsewhere(exchange, place)))
        }
    }

    /// The way to the relays of other nodes, in a cluster.
    pub const fn others(&self) -> Option<&Exchange> {
        self.there.as_ref()
    }

    /// The relay of one of this node's workers.
    pub fn here(&self, worker: WorkerId) -> Option<&RelayHandle> {
        self.here.get(usize::from(worker.0))
    }

    /// The places of this node's relays.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        // There are as many as worker threads, and their ids are 16 bits.
        let workers = 0..self.here.len() as u16;
        workers.map(|worker| Place { node: NodeIndex::HERE, worker: WorkerId(worker) })
    }

    /// The same, and one that stands for the relays of all other nodes, if there may be any.
    pub fn everywhere(&self) -> impl Iterator<Item = Place> + use<> {
        let others = Place { node: NodeIndex::OTHERS, worker: WorkerId(0) };
        self.places().chain(self.there.as_ref().map(|_| others))
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
        assert!(relays.everywhere().eq(relays.places()));
        let relays = relays.with_others(Exchange::channel(1).0);
        assert!(relays.everywhere().all(|place| relays.get(place).is_some()));
        assert_eq!(relays.everywhere().last().map(|place| place.node), Some(NodeIndex::OTHERS));
    }
}
