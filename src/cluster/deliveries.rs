//! Messages for this node's relays. The runner may not wait for a relay, so what one does not take
//! waits here, in order. While anything does, no frames are read, so other nodes are slowed down.

use std::collections::VecDeque;

use greenroom_actors::ids::WorkerId;
use greenroom_actors::messages::{RelayHandle, ToRelay};

/// See the module's head.
pub struct Deliveries {
    relays: Vec<(RelayHandle, VecDeque<ToRelay>)>,
}

impl Deliveries {
    /// For these relays, by worker.
    pub fn new(relays: Vec<RelayHandle>) -> Self {
        Self { relays: relays.into_iter().map(|relay| (relay, VecDeque::new())).collect() }
    }

    /// Sends a message to one relay. One that does not exist is not of this process: an answer to it
    /// is dropped.
    pub fn send(&mut self, worker: WorkerId, message: ToRelay) {
        if let Some((relay, waiting)) = self.relays.get_mut(usize::from(worker.0)) {
            deliver(relay, waiting, message);
        }
    }

    /// Sends a message to all of them.
    pub fn send_all(&mut self, message: impl Fn() -> ToRelay) {
        for (relay, waiting) in &mut self.relays {
            deliver(relay, waiting, message());
        }
    }

    /// Whether anything waits.
    pub fn is_behind(&self) -> bool {
        self.relays.iter().any(|(_, waiting)| !waiting.is_empty())
    }

    /// Tries again what waits.
    pub fn retry(&mut self) {
        for (relay, waiting) in &mut self.relays {
            while let Some(message) = waiting.pop_front() {
                if let Err(message) = relay.try_send(message) {
                    waiting.push_front(message);
                    break;
                }
            }
        }
    }
}

fn deliver(relay: &RelayHandle, waiting: &mut VecDeque<ToRelay>, message: ToRelay) {
    if !waiting.is_empty() {
        return waiting.push_back(message);
    }
    if let Err(message) = relay.try_send(message) {
        waiting.push_back(message);
    }
}

#[cfg(test)]
mod tests {
    use greenroom_actors::messages::ToRelay;
    use greenroom_protocol::EntityId;

    use super::*;

    fn message(n: u32) -> ToRelay {
        let entity = EntityId::parse(&format!("room:{n}")).unwrap();
        ToRelay::AudienceForgotten { entity, ended: true }
    }

    #[test]
    fn what_a_relay_does_not_take_waits_in_order() {
        let (relay, mut queue) = RelayHandle::channel(1);
        let mut deliveries = Deliveries::new(vec![relay]);
        deliveries.send(WorkerId(7), message(9));
        for n in 0..3 {
            deliveries.send(WorkerId(0), message(n));
        }
        let mut got = Vec::new();
        while let Ok(ToRelay::AudienceForgotten { entity, .. }) = queue.try_recv() {
            got.push((entity.id().to_owned(), deliveries.is_behind()));
            deliveries.retry();
        }
        let expected = [("0", true), ("1", true), ("2", false)];
        assert_eq!(got, expected.map(|(id, behind)| (id.to_owned(), behind)));
    }
}
