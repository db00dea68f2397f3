//! What operators, and the server itself, ask of the node.

use greenroom_actors::cluster::map::Peer;
use greenroom_actors::node::Status;
use greenroom_protocol::EntityId;
use tokio::sync::oneshot;

/// Something that the node is to do. Nodes go by their names or their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Receive no more slots.
    Cordon,
    /// Receive slots again, also after [`Drain`](Self::Drain).
    Uncordon,
    /// Give up all slots, and stay a member.
    Drain,
    /// The same for good.
    Stop,
    /// Leave the cluster once all slots are given up.
    Leave,
    /// Keep the slot of an entity at a node, whoever owns it now.
    Pin { entity: EntityId, node: String },
    /// End that.
    Unpin(EntityId),
    /// Hand slots of this node over to another one.
    Move { what: What, to: String },
}

/// What is to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// This number of slots.
    Slots(usize),
    /// The slot of this entity, with whatever else is in it.
    SlotOf(EntityId),
}

/// A question, and where the answer goes.
#[derive(Debug)]
pub enum Question {
    Status(oneshot::Sender<Status>),
    /// Which node owns this entity, by the map that this one knows.
    Owner(EntityId, oneshot::Sender<Option<Peer>>),
    Request(Request, oneshot::Sender<Result<(), String>>),
}
