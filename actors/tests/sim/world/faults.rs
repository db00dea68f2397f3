//! Faults.

use std::rc::Rc;

use super::World;
use crate::net::{Cut, Link};
use crate::node::Panic;
use crate::seen::Wait;
use crate::store::{Call, Fate, Way};
use greenroom_actors::store::memory::LostAnswer;

/// A cut wire or path to the disk heals in one of this many steps.
const HEALS: u16 = 60;

impl World {
    pub fn fault(&mut self) {
        let kind = self.rng.u8(..26);
        if self.cluster.is_some() && kind >= 18 {
            return self.cluster_fault();
        }
        self.say(format!("fault {kind}"));
        match kind {
            0..4 => {
                let client = self.rng.usize(..self.clients.len());
                self.give_up(client);
            }
            4..6 => self.drop_connection(),
            6..9 => self.hold_wire(),
            9..12 => self.crash_entity(),
            12..16 => self.plan_panic(),
            16..18 => self.straggle(),
            18..20 => self.cut_store(),
            20 => self.turn_clock(),
            21 | 22 => self.drain(),
            23 => self.take_over(),
            _ => {
                if let Some(newest) = self.nodes.len().checked_sub(1) {
                    self.crash_node(newest);
                }
            }
        }
    }

    /// Heals held wires and cut paths after a while, and ends nodes that have lost their lease.
    pub fn recover(&mut self) {
        let rng = &mut self.rng;
        for running in &mut self.nodes {
            if running.node.store.way() != Way::Open && rng.u16(..HEALS) == 0 {
                running.node.store.set_way(Way::Open);
            }
            for connection in running.node.connections.values() {
                let mut wire = connection.wire.borrow_mut();
                if wire.is_held() && rng.u16(..HEALS) == 0 {
                    wire.heal();
                }
            }
        }
        for (_, wire) in self.lines.iter().flatten() {
            let mut wire = wire.borrow_mut();
            if wire.is_held() && rng.u16(..HEALS) == 0 {
                wire.heal();
            }
        }
        if self.cluster.is_some() {
            return self.recover_cluster();
        }
        for running in &mut self.nodes {
            if running.node.is_fenced() && !running.fenced {
                running.fenced = true;
                self.seen.fenced += 1;
            }
        }
        self.crash_where_it_is_rare();
        let fenced = self.nodes.iter().position(|running| running.fenced);
        if let Some(index) = fenced.filter(|_| self.rng.u8(..20) == 0) {
            self.crash_node(index);
        }
    }

    /// Makes crashes more likely at points that are rarely waited at.
    pub fn crash_where_it_is_rare(&mut self) {
        if self.faults == 0 || self.rng.u8(..40) > 0 {
            return;
        }
        let rare = |wait: &Wait| {
            matches!(wait, Wait::Pause | Wait::PageAsked | Wait::PageDone | Wait::DrainBarrier)
        };
        let index =
            self.nodes.iter().position(|running| running.node.waits(false).iter().any(rare));
        if let Some(index) = index {
            self.crash_node(index);
        }
    }

    /// A client gives up its connection: the node is notified, or the messages on the wire are
    /// lost, or the connection stays half-open and they arrive later.
    fn give_up(&mut self, client: usize) {
        if self.lines[client].is_some() {
            let cut = match self.rng.u8(..4) {
                0 => Cut::Lossy,
                1 | 2 => Cut::HalfOpen,
                _ => Cut::Clean,
            };
            self.cut(client, cut);
        }
    }

    pub fn cut(&mut self, client: usize, cut: Cut) {
        let Some((_, wire)) = self.lines[client].take() else { return };
        self.seen.connections_cut += 1;
        self.clients[client].disconnected(&wire);
        let mut wire = wire.borrow_mut();
        wire.client_gone = true;
        match cut {
            Cut::Clean => {}
            Cut::Lossy => {
                self.seen.wires_lost += 1;
                wire.up.clear();
            }
            Cut::HalfOpen => {
                self.seen.half_open += 1;
                wire.vanished = true;
            }
        }
    }

    /// A node drops a connection, which its client may not notice for a while.
    fn drop_connection(&mut self) {
        let Some(running) = self.rng.choice(&mut self.nodes) else { return };
        let ids: Vec<u64> = running.node.connections.keys().copied().collect();
        let Some(id) = self.rng.choice(ids) else { return };
        if let Some(wire) =
            running.node.connections.get(&id).map(|connection| Rc::clone(&connection.wire))
        {
            self.seen.connections_cut += 1;
            let now = running.read(self.clock.now());
            running.node.hang_up(id, now);
            lose_some(&mut wire.borrow_mut(), &mut self.rng);
        }
    }

    fn hold_wire(&mut self) {
        let client = self.rng.usize(..self.clients.len());
        let Some((_, wire)) = &self.lines[client] else { return };
        let kind = self.rng.u8(1..4);
        let mut wire = wire.borrow_mut();
        wire.up_held = kind & 1 != 0;
        wire.down_held = kind & 2 != 0;
        self.seen.wires_held += 1;
    }

    fn crash_entity(&mut self) {
        let Some(running) = self.rng.choice(&mut self.nodes) else { return };
        let crashable: Vec<u64> = running
            .node
            .procs
            .iter()
            .filter(|(_, proc)| proc.can_crash())
            .map(|(uid, _)| *uid)
            .collect();
        if let Some(uid) = self.rng.choice(crashable) {
            running.node.crash(uid);
        }
        self.mourn();
    }

    /// Plans a panic in a later handler.
    fn plan_panic(&mut self) {
        let left = self.rng.u32(..4);
        let panic = if self.rng.bool() { Panic::Encoding(left) } else { Panic::Doing(left) };
        let Some(running) = self.rng.choice(&mut self.nodes) else { return };
        if let Some(proc) = self.rng.choice(running.node.procs.values_mut()) {
            proc.plan(panic);
        }
    }

    /// Delivers transactions whose answers were lost. The disk decides whether it writes or refuses
    /// them.
    pub fn straggle(&mut self) {
        if self.late > 0 {
            self.seen.stragglers += 1;
            self.late = 0;
            drop(self.disk.deliver());
            self.straggle_of_members();
        }
    }

    /// Cuts the path between a node and the disk, for longer than a retry takes.
    pub fn cut_store(&mut self) {
        let way = if self.rng.bool() { Way::Cut } else { Way::Held };
        let Some(running) = self.rng.choice(&mut self.nodes) else { return };
        running.node.store.set_way(way);
        self.seen.store_cut += 1;
    }

    /// Sets the clock of a node.
    pub fn turn_clock(&mut self) {
        // By a little, or by more than a client's clock may be ahead.
        let ms = self.rng.i64(0..1000) * self.rng.i64(1..600);
        let back = self.rng.bool();
        let Some(running) = self.rng.choice(&mut self.nodes) else { return };
        if back {
            self.seen.clock_back += 1;
            running.node.dial.turn(-ms);
        } else {
            self.seen.clock_forward += 1;
            running.node.dial.turn(ms);
        }
        self.clock.shows(running.node.dial);
        self.note_time();
    }

    /// Begins to stop the newest node.
    pub fn drain(&mut self) {
        if self.cluster.is_some() {
            return self.leave_cluster();
        }
        let now = self.clock.now();
        let with_deadline = !self.resting && self.rng.bool();
        if let Some(running) = self.nodes.last_mut().filter(|running| !running.node.is_draining()) {
            running.node.begin_drain(with_deadline, now);
            self.say("the node is told to stop".into());
        }
    }

    /// Starts another node, which takes the lease from the current one without its knowledge.
    fn take_over(&mut self) {
        if self.nodes.len() == 1 {
            self.seen.takeovers += 1;
            self.start();
        }
    }

    /// Crashes a whole process. Only the disk is left, and perhaps a transaction on the way to it.
    pub fn crash_node(&mut self, index: usize) {
        self.seen.nodes_crashed += 1;
        let spawned = self.runtime.metrics().num_alive_tasks() > 0;
        let now = self.nodes[index].read(self.clock.now());
        let node = &mut self.nodes[index].node;
        self.seen.crashed(&node.waits(spawned));
        let asked =
            node.store.calls().into_iter().find(|(_, call, fresh)| *call == Call::Commit && *fresh);
        if let Some((number, ..)) = asked.filter(|_| self.rng.bool()) {
            self.late += 1;
            node.store.advance(number, Fate::Loses(LostAnswer::OnItsWay));
            node.poll_all(now);
        }
        for connection in node.connections.values() {
            lose_some(&mut connection.wire.borrow_mut(), &mut self.rng);
        }
        let gone = self.nodes.remove(index);
        self.forget_node(&gone);
        let term = gone.term;
        self.say(format!("the node of term {term} crashes"));
        if self.rng.bool() {
            self.straggle();
        }
    }
}

/// Decides what happens to frames in transit from a node that has ended: they arrive, are lost, or
/// are delayed.
fn lose_some(wire: &mut Link, rng: &mut fastrand::Rng) {
    match rng.u8(..4) {
        0 => {
            wire.down.clear();
            wire.torn = true;
        }
        1 => wire.down_held = true,
        _ => {}
    }
}
