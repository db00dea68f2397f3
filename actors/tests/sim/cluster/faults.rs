//! Faults of nodes and of the wires between them.

use greenroom_actors::cluster::membership::Order;

use crate::store::Way;
use crate::world::{Running, World};

/// A fault of a wire ends in one of this many steps.
const HEALS: u16 = 250;
/// Nodes at a time, at most.
const MOST_NODES: usize = 4;

impl World {
    pub fn cluster_fault(&mut self) {
        match self.rng.u8(..16) {
            0..3 => self.disturb_wire(),
            3..5 => self.cut_wire(),
            5 => self.restart_wire(),
            6..8 => self.pause(),
            8..10 => self.cut_store(),
            10 => self.cut_all_stores(),
            11 => self.turn_clock(),
            12 => self.leave_cluster(),
            13 => self.order(),
            14 => self.join(),
            _ => {
                if !self.nodes.is_empty() {
                    let index = self.rng.usize(..self.nodes.len());
                    self.crash_node(index);
                }
            }
        }
    }

    fn disturb_wire(&mut self) {
        let ids: Vec<_> = self.nodes.iter().filter_map(Running::id).collect();
        let rng = &mut self.rng;
        let Some(cluster) = &mut self.cluster else { return };
        let (Some(from), Some(to)) = (rng.choice(&ids), rng.choice(&ids)) else { return };
        let way = cluster.wire.way(*from, *to);
        match rng.u8(..4) {
            0 => way.delay = rng.u64(1..400),
            1 => way.lost = rng.u8(1..12),
            2 => way.twice = rng.u8(1..12),
            _ => way.late = rng.u8(1..8),
        }
        self.seen.cluster_disturbed += 1;
    }

    /// Cuts one direction, or both, or a node off from all others.
    fn cut_wire(&mut self) {
        let ids: Vec<_> = self.nodes.iter().filter_map(Running::id).collect();
        let rng = &mut self.rng;
        let Some(cluster) = &mut self.cluster else { return };
        let (Some(from), Some(to)) = (rng.choice(&ids), rng.choice(&ids)) else { return };
        match rng.u8(..3) {
            0 => cluster.wire.way(*from, *to).cut = true,
            1 => {
                cluster.wire.way(*from, *to).cut = true;
                cluster.wire.way(*to, *from).cut = true;
            }
            _ => {
                for other in &ids {
                    cluster.wire.way(*from, *other).cut = true;
                    cluster.wire.way(*other, *from).cut = true;
                }
            }
        }
        self.seen.cluster_cut += 1;
    }

    /// The server between the nodes is started again: what is under way is lost.
    fn restart_wire(&mut self) {
        let now = self.clock.now();
        let Some(cluster) = &mut self.cluster else { return };
        cluster.wire.drop_all();
        for running in self.nodes.iter_mut().filter(|running| !running.is_paused()) {
            let now = running.read(now);
            running.node.reconnected(now);
        }
        self.seen.cluster_restarted += 1;
    }

    /// A node does nothing for a while, and then goes on with what has waited.
    fn pause(&mut self) {
        let end = self.clock.now().mono + self.rng.u64(200..4000);
        let Some(running) = self.rng.choice(&mut self.nodes) else { return };
        running.paused = Some(end);
        let term = running.term;
        self.seen.cluster_paused += 1;
        self.say(format!("node {term} pauses until {end}"));
    }

    /// The database is away for everybody.
    fn cut_all_stores(&mut self) {
        let way = if self.rng.bool() { Way::Cut } else { Way::Held };
        for running in &self.nodes {
            running.node.store.set_way(way);
        }
        self.seen.cluster_databases += 1;
    }

    /// A node gives up its slots and leaves.
    pub fn leave_cluster(&mut self) {
        let now = self.clock.now();
        let Some(running) = self.rng.choice(&mut self.nodes) else { return };
        if running.is_paused() || running.node.is_draining() {
            return;
        }
        let (term, now) = (running.term, running.read(now));
        if running.node.order(Order::Leave, now).is_ok() {
            self.seen.cluster_left += 1;
            self.say(format!("node {term} is told to leave"));
        }
    }

    /// An operator asks a node for something.
    fn order(&mut self) {
        let now = self.clock.now();
        let ids: Vec<_> = self.nodes.iter().filter_map(Running::id).collect();
        let (kind, to) = (self.rng.u8(..4), self.rng.choice(ids));
        let (Some(running), Some(to)) = (self.rng.choice(&mut self.nodes), to) else { return };
        if running.is_paused() {
            return;
        }
        let order = match kind {
            0 => Order::Cordon,
            1 => Order::Uncordon,
            2 => Order::Yield,
            _ => {
                let slots = running
                    .node
                    .member
                    .as_ref()
                    .map(|member| member.membership().open().slots.iter().take(100).collect());
                Order::Move(slots.unwrap_or_default(), to)
            }
        };
        let (term, now) = (running.term, running.read(now));
        let what = format!("node {term} is asked for {kind}");
        let done = running.node.order(order, now);
        self.seen.cluster_orders += u64::from(done.is_ok());
        self.say(format!("{what}: {done:?}"));
    }

    fn join(&mut self) {
        if self.nodes.len() < MOST_NODES {
            self.start();
        }
    }

    /// Heals wires after a while, and starts nodes in place of others.
    pub fn recover_cluster(&mut self) {
        let Some(cluster) = &mut self.cluster else { return };
        cluster.wire.heal_some(&mut self.rng, HEALS);
        self.crash_where_it_is_rare();
        if self.nodes.is_empty() || (self.nodes.len() == 1 && self.rng.u8(..100) == 0) {
            self.start();
        }
    }

    /// Lets changes of the map and transactions arrive whose answers were lost.
    pub fn straggle_of_members(&mut self) {
        let Some(cluster) = &self.cluster else { return };
        cluster.late.deliver(&cluster.rows);
        for disk in &cluster.disks {
            drop(disk.deliver());
        }
    }
}
