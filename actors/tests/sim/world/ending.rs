//! The end of a run: there are no more faults, and everything must converge.

use std::collections::BTreeMap;

use greenroom_actors::ids::{NodeIndex, SessionKey};
use greenroom_actors::messages::ToEntity;
use greenroom_actors::store::Store;
use greenroom_protocol::EntityId;

use super::{Running, World};
use crate::client::{Client, Crowd, check_ops};
use crate::log::now;
use crate::sizes::entities;
use crate::store::Way;

/// The number of steps within which everything must come to rest.
const REST_STEPS: u64 = 20_000;
/// The number of sweeps that must find nothing to do before everything counts as at rest.
const QUIET_SWEEPS: u64 = 3;
/// The time between two sweeps, in ms. Together these are longer than any idle timeout.
const SWEEP_EVERY: u64 = 2_500;

impl World {
    /// Ends all faults: heals what was cut, crashes nodes without the lease and corrects the clock.
    pub fn calm_down(&mut self) {
        self.say("no more faults".into());
        self.resting = true;
        while let Some(index) = self
            .nodes
            .iter()
            .position(|running| running.term != self.newest && self.cluster.is_none())
        {
            self.crash_node(index);
        }
        self.heal_cluster();
        for running in &self.nodes {
            running.node.store.set_way(Way::Open);
            for connection in running.node.connections.values() {
                connection.wire.borrow_mut().heal();
            }
        }
        for (_, wire) in self.lines.iter().flatten() {
            wire.borrow_mut().heal();
        }
        let dial = self.clock.correct();
        for running in &mut self.nodes {
            running.node.dial = dial;
        }
        // Every client now wants everything, and must get it.
        for client in &mut self.clients {
            client.want_all(&mut self.rng);
            client.regain_rights();
            client.keep_tokens();
        }
    }

    /// Continues without faults until nothing is left to do.
    pub fn rest(&mut self) -> Result<(), String> {
        if self.cluster.is_some() {
            return self.rest_together();
        }
        let began = self.step;
        let mut quiet = 0;
        loop {
            self.begin_step();
            if self.step - began > REST_STEPS {
                return Err(format!("not at rest after {REST_STEPS} steps: {}", self.unrest()));
            }
            let worked = self.work()?;
            self.judge()?;
            if worked && self.rng.u8(..3) > 0 {
                continue;
            }
            self.bring_clients_back();
            if !self.clients.iter().all(Client::is_settled) {
                quiet = 0;
            }
            if !worked {
                if self.erase_rest() {
                    quiet = 0;
                }
                quiet += 1;
                if quiet > QUIET_SWEEPS {
                    return Ok(());
                }
                // A sweep retries entities that could not be woken. It must not put entities with
                // followers to sleep.
                self.clock.pass(SWEEP_EVERY);
                self.note_time();
                self.sweep_all();
            }
        }
    }

    /// Describes what is still under way.
    pub fn unrest(&self) -> String {
        let now = self.clock.now();
        let steps: Vec<_> =
            self.nodes.iter().map(|running| running.node.steps(running.read(now))).collect();
        let open: Vec<_> = self.clients.iter().map(Client::open).collect();
        format!("{steps:?} {open:?}")
    }

    /// Wakes entities that still have something to erase, as the server does at intervals.
    pub fn erase_rest(&mut self) -> bool {
        let left = now(self.disk.erasing(None, 100)).expect("reads are not told to fail");
        for entity in &left {
            let of_cluster = self.cluster.is_some();
            let mut owners = self.nodes.iter().rev();
            let owner = owners.find(|running| !of_cluster || running.node.owns(entity));
            if let Some(running) = owner {
                running.node.directory.route_control(entity, ToEntity::Erase);
            }
        }
        !left.is_empty()
    }

    pub fn converged(&mut self) -> Result<(), String> {
        for client in &self.clients {
            for (entity, epoch, seq) in client.positions() {
                let log = &self.truth.logs.0[entity];
                if seq != log.last_seq()
                    || log.epoch.as_ref().is_some_and(|written| written != epoch)
                {
                    return Err(format!(
                        "{} rests at {seq} of `{entity}`, which has {} events",
                        client.name,
                        log.last_seq()
                    ));
                }
            }
        }
        check_ops(&self.clients, &self.truth)?;
        for (entity, log) in &self.truth.logs.0 {
            log.is_erased(entity, &self.disk)?;
        }
        self.agreement()?;
        for client in &mut self.clients {
            client.want_lists();
        }
        self.rest()?;
        self.presence()
    }

    /// Checks that relays and entities agree about subscriptions and that every request is
    /// answered.
    fn agreement(&self) -> Result<(), String> {
        for entity in entities() {
            let (mut by_entity, mut by_relay) = (Vec::new(), Vec::new());
            for running in &self.nodes {
                let (entity, relays) = running.node.followers(&entity);
                // Each node has its own numbers for the others.
                let here = |(key, number)| (SessionKey { node: NodeIndex::HERE, ..key }, number);
                by_entity.extend(entity.into_iter().map(here));
                by_relay.extend(relays);
            }
            by_entity.sort_unstable();
            by_relay.sort_unstable();
            if by_entity != by_relay {
                return Err(format!(
                    "`{entity}`: the entity knows {by_entity:?}, the relays {by_relay:?}"
                ));
            }
        }
        self.nodes.iter().try_for_each(|running| running.node.all_answered())
    }

    /// Checks that exactly the clients that have entered and not left are present, and that every
    /// list and watcher shows them.
    fn presence(&mut self) -> Result<(), String> {
        let mut there: BTreeMap<_, Crowd> =
            entities().into_iter().map(|entity| (entity, Crowd::default())).collect();
        for (entity, crowd) in &mut there {
            for client in self.clients.iter().filter(|client| client.is_inside(entity)) {
                *crowd.0.entry(client.name.clone()).or_default() += 1;
            }
        }
        for client in &self.clients {
            for (entity, crowd) in client.lists().chain(client.watched()) {
                // A client that returns to a full entity is not admitted, and is not notified.
                let full = self.sizes.max_present < self.clients.len();
                let within = full
                    && crowd.0.iter().all(|(user, sessions)| {
                        there[entity].0.get(user).is_some_and(|most| sessions <= most)
                    });
                if *crowd != there[entity] && !within {
                    return Err(format!(
                        "{} sees {crowd:?} in `{entity}`, and {:?} are there; {}",
                        client.name,
                        there[entity],
                        self.present(entity),
                    ));
                }
                self.seen.presence_checked += u64::from(!crowd.0.is_empty());
            }
        }
        // A new owner does not know at once who is there.
        let steady = self.cluster.is_none();
        let lefts = self.clients.iter().filter(|_| steady).flat_map(Client::lefts);
        for (entity, user, lefts) in lefts {
            let exits = self
                .clients
                .iter()
                .filter(|client| client.name == user)
                .map(|client| client.exits(entity))
                .sum();
            if lefts > exits {
                return Err(format!(
                    "{user} was said to have left `{entity}` {lefts} times, and has gone {exits} times at the most"
                ));
            }
        }
        Ok(())
    }

    /// Every client dials again, or asks for what it has missed.
    pub fn bring_clients_back(&mut self) {
        for client in 0..self.clients.len() {
            if self.lines[client].is_none() {
                self.dial(client);
            } else {
                self.catch_up(client);
            }
        }
    }

    /// Which sessions are present, as the entity knows and as the relays know, on each node.
    fn present(&self, entity: &EntityId) -> String {
        let known = |running: &Running| {
            let (by_entity, by_relay) = running.node.present(entity);
            format!("{}entity {by_entity:?}, relays {by_relay:?}", running.title())
        };
        self.nodes.iter().map(known).collect::<Vec<_>>().join("; ")
    }

    /// All clients leave. Then all entities must fall asleep, or one still believes that a client
    /// is there.
    pub fn leave(&mut self) -> Result<(), String> {
        for client in 0..self.clients.len() {
            self.hang_up(client);
        }
        if self.cluster.is_some() {
            return self.sleep_together();
        }
        let mut sweeps = 0;
        for _ in 0..REST_STEPS {
            self.begin_step();
            if self.work()? {
                continue;
            }
            if self.is_asleep() {
                return Ok(());
            }
            sweeps += 1;
            if sweeps > 10 {
                break;
            }
            self.clock.pass(SWEEP_EVERY);
            self.sweep_all();
        }
        Err(self.still_awake())
    }

    /// Whether no entity is awake and nobody is connected.
    pub fn is_asleep(&self) -> bool {
        self.nodes.iter().all(|running| running.node.awake() == 0 && running.node.is_deserted())
    }

    pub fn still_awake(&self) -> String {
        let awake: Vec<_> = self
            .nodes
            .iter()
            .flat_map(|running| running.node.procs.values())
            .map(|proc| format!("{:?}", proc.life()))
            .collect();
        format!("entities stay awake when everybody has left: {awake:?}")
    }
}
