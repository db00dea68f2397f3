//! Carries out what the node is asked for.

use greenroom_actors::clock;
use greenroom_actors::cluster::map::NodeId;
use greenroom_actors::cluster::membership::Order;
use greenroom_actors::cluster::slot::{SlotSet, slot_of};

use super::questions::{Question, Request, What};
use super::runner::Runner;

impl Runner {
    pub(super) fn answer(&mut self, question: Question) {
        // Whoever asked may have gone.
        match question {
            Question::Status(reply) => {
                let _ = reply.send(self.node.status(clock::mono()));
            }
            Question::Owner(entity, reply) => {
                let map = self.node.membership().map();
                let _ = reply.send(map.owner_of(&entity).cloned());
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
            Request::Stop => Order::Stop,
            Request::Leave => Order::Leave,
            Request::Pin { entity, node } => Order::Pin(entity, self.name_of(&node)?),
            Request::Unpin(entity) => Order::Unpin(entity),
            Request::Move { what, to } => Order::Move(self.slots(&what), self.named(&to)?),
        };
        tracing::info!(?order, "ordered");
        self.node.order(order, clock::mono()).map_err(|error| error.to_string())
    }

    fn slots(&self, what: &What) -> SlotSet {
        match what {
            What::Slots(count) => {
                let membership = self.node.membership();
                let own = membership.open().slots.iter();
                own.filter(|slot| membership.map().pin_of(*slot).is_none()).take(*count).collect()
            }
            What::SlotOf(entity) => [slot_of(entity)].into_iter().collect(),
        }
    }

    /// The name of the member with this name or id.
    fn name_of(&self, node: &str) -> Result<String, String> {
        let id = self.named(node)?;
        let peer = self.node.membership().map().peer(id);
        Ok(peer.map_or_else(|| node.to_owned(), |peer| peer.name.clone()))
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
