//! Several nodes that share the entities: each is a whole [`Node`](crate::node::Node) with its part
//! in the cluster, and between them are a wire and one database.

use greenroom_actors::cluster::asks;
use greenroom_actors::cluster::lease::Lease;
use greenroom_actors::cluster::link;
use greenroom_actors::cluster::map::NodeId;
use greenroom_actors::cluster::membership;
use greenroom_actors::cluster::registry::MemoryRegistry;
use greenroom_actors::journal::Standing;
use greenroom_actors::node::Settings;
use greenroom_actors::store::memory::MemoryStore;
use tokio::sync::watch;

use super::bugs::Bug;
use super::clock::Gauge;
use super::node::{Birth, Entry};
use super::sizes::Sizes;
use super::store::{Late, SimRegistry, SimStore};
use super::world::{Running, World};

use wire::{Sent, Wire};

mod ending;
mod faults;
#[cfg(test)]
mod tests;
mod wire;

/// The number of steps with new requests and faults.
const BUSY_STEPS: u64 = 1500;
/// The time within which the first nodes must own everything, in ms.
const SETTLES: u64 = 20_000;

/// What nodes share beside the disk.
pub struct Cluster {
    pub wire: Wire,
    rows: MemoryRegistry,
    late: Late,
    /// The path of every node that there was to the disk.
    disks: Vec<MemoryStore>,
    settings: Settings,
    /// The number of nodes that there were.
    started: u64,
}

impl World {
    /// A world of 2 to 4 nodes.
    pub fn of_nodes(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let sizes = Sizes::draw(&mut rng).in_cluster(&mut rng);
        let settings = draw_settings(&mut rng, sizes);
        let nodes = rng.usize(2..5);
        let mut world = Self::drawn(sizes, rng, bug);
        world.cluster = Some(Cluster {
            wire: Wire::default(),
            rows: MemoryRegistry::new(world.disk.clone()),
            late: Late::default(),
            disks: Vec::new(),
            settings,
            started: 0,
        });
        world.first_nodes = nodes;
        world.truth.repeats = true;
        for client in &mut world.clients {
            // What passed before the answer arrived is longer by them as well.
            client.drift = 5;
        }
        world
    }

    /// Runs to the end.
    pub fn run_nodes(&mut self) -> Result<(), String> {
        self.run_with(|world| {
            world.say(format!("{:?}", world.cluster.as_ref().map(|cluster| cluster.settings)));
            for _ in 0..world.first_nodes {
                world.start();
            }
            world.resting = true;
            world.settle()?;
            world.resting = false;
            let end = world.step + BUSY_STEPS;
            while world.step < end {
                world.busy_step()?;
            }
            world.calm_down();
            world.end()
        })
    }

    /// Waits until the first nodes own everything.
    fn settle(&mut self) -> Result<(), String> {
        let end = self.clock.now().mono + SETTLES;
        while !self.all_owned() {
            self.begin_step();
            self.work()?;
            if self.clock.now().mono > end {
                return Err(format!("the nodes do not own everything: {}", self.shares()));
            }
        }
        Ok(())
    }

    /// Starts a node that joins the cluster.
    pub(super) fn start_member(&mut self) {
        let id = NodeId(self.rng.u64(1..));
        let rng = fastrand::Rng::with_seed(self.rng.u64(..));
        let gauge = Gauge::draw(&mut self.rng);
        let mut dial = self.clock.dial;
        if !self.resting && self.rng.u8(..3) == 0 {
            dial.turn(self.rng.i64(-3000..3000));
        }
        self.clock.shows(dial);
        let store = SimStore::new(self.disk.clone(), self.ledger.clone(), self.bug).of_node(id);
        let Some(cluster) = &mut self.cluster else { return };
        cluster.started += 1;
        cluster.disks.push(store.disk().clone());
        let registry = SimRegistry {
            store: store.clone(),
            rows: cluster.rows.clone(),
            late: cluster.late.clone(),
        };
        let entry = Entry {
            id,
            registry,
            settings: cluster.settings,
            standing: watch::channel(Standing::default()),
        };
        let term = cluster.started;
        self.say(format!("node {term} starts: `{id}`, {gauge:?}"));
        self.give_birth(Birth { store, term, dial, gauge, entry: Some(entry), rng });
    }

    /// Connects a client to some node, often to the one that it was connected to.
    pub(super) fn dial_member(&mut self, client: usize) {
        self.rename(client);
        let may = |index: &usize| {
            let running = &self.nodes[*index];
            !running.node.is_draining() && !running.is_paused()
        };
        let nodes: Vec<_> = (0..self.nodes.len()).filter(may).collect();
        if let Some(node) = self.rng.choice(nodes) {
            self.connect(client, node);
        }
    }

    /// The directions of the wire from which something can arrive.
    pub(super) fn arrivals(&self) -> Vec<(NodeId, NodeId)> {
        let Some(cluster) = &self.cluster else { return Vec::new() };
        let listens =
            |id| self.nodes.iter().any(|running| !running.is_paused() && running.id() == Some(id));
        cluster.wire.arrivals(self.clock.now().mono, listens)
    }

    pub(super) fn arrive(&mut self, way: (NodeId, NodeId)) {
        let now = self.clock.now();
        let Some(cluster) = &mut self.cluster else { return };
        let Some(flying) = cluster.wire.take(way, now.mono) else { return };
        let Some(running) = self.nodes.iter_mut().find(|running| running.id() == Some(flying.to))
        else {
            return;
        };
        let now = running.read(now);
        running.node.hear(&flying.message, flying.for_all, now);
    }

    /// Puts what the nodes publish on the wire.
    pub(super) fn send_out(&mut self) {
        let Some(cluster) = &mut self.cluster else { return };
        let now = self.clock.now().mono;
        let ids: Vec<_> = self.nodes.iter().filter_map(Running::id).collect();
        for running in &mut self.nodes {
            let Some(from) = running.id() else { continue };
            let Some(member) = &mut running.node.member else { continue };
            for (to, message) in std::mem::take(&mut member.outgoing) {
                let all = to.is_none();
                for to in ids.iter().copied().filter(|id| to.is_none_or(|to| to == *id)) {
                    match cluster.wire.send((from, to), all, &message, now, &mut self.rng) {
                        Sent::Fine => {}
                        Sent::Lost => self.seen.cluster_lost += 1,
                        Sent::Twice => self.seen.cluster_twice += 1,
                        Sent::Late => self.seen.cluster_late += 1,
                    }
                }
            }
        }
    }

    /// A node has ended: nobody takes what is still under way to it.
    pub(super) fn forget_node(&mut self, gone: &Running) {
        if let (Some(cluster), Some(id)) = (&mut self.cluster, gone.id()) {
            cluster.wire.forget(id);
        }
    }

    /// How many slots each node serves.
    fn shares(&self) -> String {
        let share = |running: &Running| {
            let member = running.node.member.as_ref()?;
            let membership = member.membership();
            Some((
                running.term,
                membership.phase(),
                membership.open().slots.len(),
                membership.map().slots_of(member.id()).len(),
            ))
        };
        let shares: Vec<_> = self.nodes.iter().filter_map(share).collect();
        format!("{shares:?}")
    }
}

impl Running {
    /// Which node it is, for the log.
    pub fn title(&self) -> String {
        if self.node.member.is_some() { format!("node {}: ", self.term) } else { String::new() }
    }

    pub fn id(&self) -> Option<NodeId> {
        self.node.member.as_ref().map(|member| member.id())
    }
}

/// The times and sizes of a run, with relations to each other as in the server.
fn draw_settings(rng: &mut fastrand::Rng, sizes: Sizes) -> Settings {
    let length = [600, 1000, 2000][rng.usize(..3)];
    let membership = membership::Settings {
        lease: Lease { length, margin: length / 10 },
        beat: length / 5,
        poll: length / 8,
        poll_timeout: length / 2,
        rank: length / 20,
        rejoin: length / 10,
        give_up: 120_000,
        settle: length / 4,
        moves_at_once: rng.usize(100..700),
        offer: length / 2,
        flush: 2 * length,
        drain: 5 * length,
        trial: 5 * length,
        quarantine: 3 * length,
    };
    let narrow = rng.u8(..4) == 0;
    let link = link::Settings {
        link_bytes: if narrow { 30_000 } else { 1 << 20 },
        window_bytes: if narrow { 8000 } else { 1 << 20 },
        frame_bytes: if narrow { rng.usize(400..2000) } else { 65_536 },
        ack_bytes: if narrow { 1000 } else { 262_144 },
        resend: rng.u64(50..=length / 4),
        silence: length / 2,
        stall: 2 * length,
        ..link::Settings::default()
    };
    let asks = asks::Settings {
        hold: rng.u64(1..4) * length,
        hold_count: if rng.u8(..4) == 0 { 200 } else { 65_536 },
        ..asks::Settings::default()
    };
    Settings { membership, link, asks, beat: length / 8, grace: sizes.grace }
}
