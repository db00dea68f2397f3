//! What operators, and the server itself, ask of the node.

use greenroom_actors::clock;
use greenroom_actors::cluster::map::NodeId;
use greenroom_actors::cluster::membership::Order;
use greenroom_actors::cluster::slot::SlotSet;
use greenroom_actors::node::Status;
use greenroom_protocol::EntityId;
use tokio::sync::oneshot;

use super::runner::Runner;

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

impl Runner {
    pub(super) fn answer(&mut self, question: Question) {
        // Whoever asked may have gone.
        match question {
            Question::Status(reply) => {
                let _ = reply.send(self.node.status(clock::mono()));
            }
            Question::Request(request, reply) => {
                let _ = reply.send(self.request(request));
            }
        }
    }

    fn request(&mut self, request: Request) -> Result<(), String> {
        let order = match request {
            Request::Cordon => Order::Cordon,
            Request::Uncordon => Order::Uncordon,
            Request::Drain => Order::Drain,
            Request::Leave => Order::Drain,
            Request::Move { slots, to } => Order::Move(self.some_slots(slots), self.named(&to)?),
            Request::Pin { entity, to: Some(to) } => Order::Pin(entity, self.named(&to)?),
            Request::Pin { entity, to: None } => Order::Unpin(entity),
        };
        tracing::info!(?order, "ordered");
        self.node.order(order, clock::mono()).map_err(|error| error.to_string())
    }

    fn some_slots(&self, count: usize) -> SlotSet {
        self.node.membership().open().slots.iter().take(count).collect()
    }

    /// The member with this name or id.
    fn named(&self, name: &str) -> Result<NodeId, String> {
        let peers = self.node.membership().map().peers();
        let mut found =
            peers.iter().filter(|peer| peer.name == name || peer.id.to_string() == name);
        match (found.next(), found.next()) {
            (Some(peer), None) => Ok(peer.id),
            (Some(_), Some(_)) => Err(format!("several members are called `{name}`; use an id")),
            (None, _) => {
                let names: Vec<_> =
                    peers.iter().map(|peer| format!("{} ({})", peer.name, peer.id)).collect();
                Err(format!("no member is called `{name}`; there are {}", names.join(", ")))
            }
        }
    }
}
