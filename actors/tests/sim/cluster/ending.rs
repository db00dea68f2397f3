//! The end of a run of several nodes: everything is owned, everybody has everything, and then
//! everybody leaves.

use greenroom_actors::cluster::membership::{Order, Phase};
use greenroom_actors::cluster::slot::SLOTS;

use crate::client::Client;
use crate::world::World;

/// How long a cluster may take to come to rest, in ms.
const RESTS: u64 = 180_000;
/// How long nothing may happen before everything counts as at rest, in ms: longer than any grace,
/// window, or idle timeout.
const CALM: u64 = 2_500;
/// The time between two sweeps, in ms.
const SWEEP_EVERY: u64 = 250;

impl World {
    /// Ends all faults of nodes and wires.
    pub fn heal_cluster(&mut self) {
        let Some(cluster) = &mut self.cluster else { return };
        cluster.wire.heal();
        let now = self.clock.now();
        for running in &mut self.nodes {
            running.paused = None;
            // Somebody must receive the slots.
            let now = running.read(now);
            let _not_a_member = running.node.order(Order::Uncordon, now);
        }
        self.straggle();
    }

    /// Whether every slot is open at its owner by the map, and all nodes know that map.
    pub fn all_owned(&self) -> bool {
        let members: Vec<_> = self
            .nodes
            .iter()
            .filter(|running| !running.node.is_draining())
            .filter_map(|running| running.node.member.as_ref())
            .collect();
        let Some(first) = members.first() else { return false };
        let version = first.membership().map().version();
        let open: usize = members.iter().map(|member| member.membership().open().slots.len()).sum();
        open == usize::from(SLOTS)
            && members.iter().all(|member| {
                let membership = member.membership();
                membership.phase() == Phase::Member
                    && membership.map().version() == version
                    && membership.map().peers().len() == members.len()
                    && membership.open().slots == membership.map().slots_of(member.id())
            })
    }

    /// Goes on without faults until nothing is left to do but what goes on for ever.
    pub fn rest_together(&mut self) -> Result<(), String> {
        let began = self.clock.now().mono;
        let mut calm: Option<u64> = None;
        let mut swept = began;
        loop {
            self.begin_step();
            let now = self.clock.now().mono;
            if now - began > RESTS {
                return Err(format!(
                    "not at rest after {RESTS} ms: {} {}",
                    self.shares(),
                    self.unrest()
                ));
            }
            let worked = self.work_now()?;
            self.judge()?;
            if self.nodes.is_empty() {
                self.start();
            }
            if worked && self.rng.u8(..4) > 0 {
                continue;
            }
            self.bring_clients_back();
            if now - swept >= SWEEP_EVERY {
                swept = now;
                self.sweep_all();
                if self.erase_rest() {
                    calm = None;
                }
            }
            if !self.clients.iter().all(Client::is_settled) || !self.all_owned() {
                calm = None;
            } else if now - *calm.get_or_insert(now) > CALM {
                return Ok(());
            }
            if !worked {
                self.wait_for_timer()?;
            }
        }
    }

    /// Everybody has left: all entities must fall asleep.
    pub fn sleep_together(&mut self) -> Result<(), String> {
        let began = self.clock.now().mono;
        let mut swept = began;
        loop {
            self.begin_step();
            let worked = self.work_now()?;
            let now = self.clock.now().mono;
            if self.is_asleep() {
                return Ok(());
            }
            if now - began > 2 * CALM {
                return Err(self.still_awake());
            }
            if now - swept >= SWEEP_EVERY {
                swept = now;
                self.sweep_all();
            }
            if !worked {
                self.wait_for_timer()?;
            }
        }
    }
}
