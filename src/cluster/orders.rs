//! Carries out what the node is asked for.

use greenroom_actors::clock;
use greenroom_actors::cluster::map::NodeId;
use greenroom_actors::cluster::membership::Order;
use greenroom_actors::cluster::slot::SlotSet;

use super::questions::{Question, Request};
use super::runner::Runner;

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
            Request::Leave => Order::Leave,
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
