//! What operators, and the server itself, ask of the node.

use greenroom_actors::node::Status;
use greenroom_protocol::EntityId;
use tokio::sync::oneshot;

/// Something that the node is to do. Nodes go by their names or their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Receive no more slots.
    Cordon,
    /// Receive slots again.
    Uncordon,
    /// Give up all slots, and stay a member.
    Drain,
    /// Leave the cluster once all slots are given up.
    Leave,
    /// Hand some slots over to another node.
    Move { slots: usize, to: String },
    /// Hand an entity of this node over to a node, where it stays; or let it follow its slot again.
    Pin { entity: EntityId, to: Option<String> },
}

/// A question, and where the answer goes.
#[derive(Debug)]
pub enum Question {
    Status(oneshot::Sender<Status>),
    Request(Request, oneshot::Sender<Result<(), String>>),
}
