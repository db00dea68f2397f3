//! The end of a run: there are no more faults, and everything must converge.

use std::collections::BTreeMap;

use greenroom_actors::messages::ToEntity;
use greenroom_actors::store::Store;

use super::World;
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
    pub(super) fn calm_down(&mut self) {
        self.say("no more faults".into());
        self.resting = true;
        while let Some(index) = self.nodes.iter().position(|running| running.term != self.newest) {
            self.crash_node(index);
        }
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
    pub(super) fn rest(&mut self) -> Result<(), String> {
        let began = self.step;
        let mut quiet = 0;
        loop {
            self.begin_step();
            if self.step - began > REST_STEPS {
                let now = self.clock.now();
                let steps: Vec<_> =
                    self.nodes.iter().map(|running| running.node.steps(now)).collect();
                let open: Vec<_> = self.clients.iter().map(Client::open).collect();
                return Err(format!("not at rest after {REST_STEPS} steps: {steps:?} {open:?}"));
            }
            let worked = self.work()?;
            self.judge()?;
            if worked && self.rng.u8(..3) > 0 {
                continue;
            }
            for client in 0..self.clients.len() {
                if self.lines[client].is_none() {
                    self.dial(client);
                } else {
                    self.catch_up(client);
                }
            }
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

    /// Wakes entities that still have something to erase, as the server does at intervals.
    fn erase_rest(&mut self) -> bool {
        let left = now(self.disk.erasing(None, 100)).expect("reads are not told to fail");
        for (running, entity) in self
            .nodes
            .last()
            .into_iter()
            .flat_map(|running| left.iter().map(move |entity| (running, entity)))
        {
            running.node.directory.route_control(entity, ToEntity::Erase);
        }
        !left.is_empty()
    }

    pub(super) fn converged(&mut self) -> Result<(), String> {
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
        check_ops(&self.clients, &self.truth.logs)?;
        for (entity, log) in &self.truth.logs.0 {
            log.is_erased(entity, &self.disk)?;
        }
        for running in &self.nodes {
            running.node.agreement()?;
        }
        for client in &mut self.clients {
            client.want_lists();
        }
        self.rest()?;
        self.presence()
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
                        "{} sees {crowd:?} in `{entity}`, and {:?} are there",
                        client.name, there[entity]
                    ));
                }
                self.seen.presence_checked += u64::from(!crowd.0.is_empty());
            }
        }
        for (entity, user, lefts) in self.clients.iter().flat_map(Client::lefts) {
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

    /// All clients leave. Then all entities must fall asleep, or one still believes that a client
    /// is there.
    pub(super) fn leave(&mut self) -> Result<(), String> {
        for client in 0..self.clients.len() {
            self.hang_up(client);
        }
        let mut sweeps = 0;
        for _ in 0..REST_STEPS {
            self.begin_step();
            if self.work()? {
                continue;
            }
            if self
                .nodes
                .iter()
                .all(|running| running.node.awake() == 0 && running.node.is_deserted())
            {
                return Ok(());
            }
            sweeps += 1;
            if sweeps > 10 {
                break;
            }
            self.clock.pass(SWEEP_EVERY);
            self.sweep_all();
        }
        let awake: Vec<_> = self
            .nodes
            .iter()
            .flat_map(|running| running.node.procs.values())
            .map(|proc| format!("{:?}", proc.life()))
            .collect();
        Err(format!("entities stay awake when everybody has left: {awake:?}"))
    }
}
