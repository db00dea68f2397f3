//! The state of a node, for the checker.

use greenroom_actors::ids::SessionKey;
use greenroom_protocol::EntityId;

use super::{Connection, Entity, Node};
use crate::seen::Wait;

/// A session and the number of its subscription.
pub type Following = (SessionKey, u32);

impl Node {
    /// The number of entities that the directory knows as awake.
    pub fn awake(&self) -> usize {
        self.shards.iter().map(|(slots, _)| slots.awake()).sum()
    }

    /// Whether there are no connections.
    pub fn is_deserted(&self) -> bool {
        self.connections.is_empty()
    }

    /// The sessions that are present in an entity, as it knows and as the relays know.
    pub fn present(&self, entity: &EntityId) -> (Vec<SessionKey>, Vec<SessionKey>) {
        let procs = self.procs.values().filter(|proc| proc.id == *entity);
        let by_entity = procs.filter_map(|proc| proc.life().awake());
        let relays = self.envs.iter().map(|env| env.relay.borrow());
        (
            by_entity.flat_map(Entity::present_sessions).collect(),
            relays.flat_map(|relay| relay.present_sessions(entity)).collect(),
        )
    }

    /// The subscriptions that the entity knows, if it is awake here, and (second) those that the
    /// relays know.
    pub fn followers(&self, entity: &EntityId) -> (Vec<Following>, Vec<Following>) {
        let procs = self.procs.values().filter(|proc| proc.id == *entity);
        let by_entity =
            procs.filter_map(|proc| proc.life().awake()).flat_map(Entity::followers).collect();
        let mut by_relay = Vec::new();
        for env in &self.envs {
            by_relay.extend(env.relay.borrow().followers(entity));
        }
        (by_entity, by_relay)
    }

    /// Whether this node of a cluster serves an entity.
    pub fn owns(&self, entity: &EntityId) -> bool {
        self.member.as_ref().is_some_and(|member| member.membership().open().contains(entity))
    }

    /// Checks that every request is answered.
    pub fn all_answered(&self) -> Result<(), String> {
        for connection in self.connections.values() {
            if connection.seat.admission.in_flight() != 0 {
                return Err(format!(
                    "{} requests of client {} count as in flight",
                    connection.seat.admission.in_flight(),
                    connection.client
                ));
            }
        }
        Ok(())
    }

    /// Checks that every session is within its limits.
    pub fn within_limits(&self) -> Result<(), String> {
        if let Some(wrong) = &self.wrong {
            return Err(wrong.clone());
        }
        let most = self.sizes.most_subscriptions as usize;
        let most_in_flight = self.sizes.most_in_flight;
        for Connection { client, seat, .. } in self.connections.values() {
            let follows = seat.membership.follows().len();
            let present = seat.membership.present().len();
            let in_flight = seat.admission.in_flight();
            if follows > most || present > most || in_flight > most_in_flight {
                return Err(format!(
                    "client {client} has {follows} subscriptions, {present} presence entries, {in_flight} in flight"
                ));
            }
        }
        Ok(())
    }

    /// What the parts of the node wait for, for a crash of the whole node.
    pub fn waits(&self, spawned: bool) -> Vec<Wait> {
        let mut waits = self.store.waits();
        waits.extend(self.writer.waits(&self.store));
        waits.extend(self.drain.as_ref().and_then(super::Drain::wait));
        waits.extend((!self.later.is_empty()).then_some(Wait::MailboxRoom));
        waits.extend(spawned.then_some(Wait::SpawnedSend));
        waits.extend(self.procs.values().flat_map(|proc| self.waits_of(proc)));
        waits
    }
}
