//! The way to the exchange, through which the nodes of a cluster reach each other.

use std::sync::Arc;

use greenroom_protocol::EntityId;
use tokio::sync::mpsc;

use super::way::Way;
use super::{Resume, ToEntity, ToRelay, overloaded};
use crate::ids::Place;

/// A message to the exchange of this node.
#[derive(Debug)]
pub enum ToExchange {
    /// A message for an entity that this node does not serve, or not now.
    Elsewhere(EntityId, ToEntity),
    /// Answer this when everything that was sent before it has been taken: [`ToDirectory::Marked`].
    ///
    /// [`ToDirectory::Marked`]: super::ToDirectory::Marked
    Mark(EntityId),
    /// A message for a relay of another node.
    Relay(Place, ToRelay),
    /// A session asks for the place of one of the node with this id.
    Resume(u64, Box<Resume>),
}

/// A way to reach the exchange. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Exchange {
    way: Arc<Way<ToExchange>>,
}

impl Exchange {
    /// The exchange's queue of `capacity` messages.
    pub fn channel(capacity: usize) -> (Self, mpsc::Receiver<ToExchange>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Self { way: Way::new(sender) }, receiver)
    }

    /// Passes a message for an entity on. A request is refused if the queue is full; a control
    /// message waits.
    pub fn elsewhere(&self, entity: EntityId, message: ToEntity) {
        if message.is_control() {
            return self.way.tell(ToExchange::Elsewhere(entity, message));
        }
        match self.way.reserve() {
            Some(place) => place.send(ToExchange::Elsewhere(entity, message)),
            None => {
                if let Some(control) = message.refuse(overloaded("exchange")) {
                    self.way.tell(ToExchange::Elsewhere(entity, control));
                }
            }
        }
    }

    /// Puts a mark behind what was sent, which is answered to the shard of this entity.
    pub fn mark(&self, entity: EntityId) {
        self.way.tell(ToExchange::Mark(entity));
    }

    /// Asks for the place of a session of the node with this id. False if the queue is full; otherwise
    /// an answer always comes.
    pub fn resume(&self, node: u64, resume: Resume) -> bool {
        let space = self.way.reserve();
        space.map(|space| space.send(ToExchange::Resume(node, Box::new(resume)))).is_some()
    }

    /// Sends a message to a relay of another node, or returns it if the queue is full.
    pub(super) fn to_relay(&self, place: Place, message: ToRelay) -> Result<(), ToRelay> {
        match self.way.reserve() {
            Some(space) => {
                space.send(ToExchange::Relay(place, message));
                Ok(())
            }
            None => Err(message),
        }
    }

    /// The same, but waits for room.
    pub(super) async fn wait_to_relay(&self, place: Place, message: ToRelay) {
        self.way.send(ToExchange::Relay(place, message)).await;
    }
}
