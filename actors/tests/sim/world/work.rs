//! Performs one of the possible steps.

use greenroom_actors::cluster::map::NodeId;
use greenroom_actors::store::memory::LostAnswer;

use super::World;
use crate::node::{Drained, Step};
use crate::store::{Call, Fate, Way};

/// A possible step.
enum Choice {
    Step(usize, Step),
    Call(usize, u64, Call, bool),
    Frame(usize),
    /// A message of one node for another.
    Arrival((NodeId, NodeId)),
    Tasks,
}

/// The longest jump in time, in ms. Connections must be swept in between, or they would all time
/// out.
const LONGEST_WAIT: u64 = 1000;

impl World {
    /// Performs one step, or else waits for the next timer. False if there is none.
    pub fn work(&mut self) -> Result<bool, String> {
        Ok(self.work_now()? || self.wait_for_timer()?)
    }

    /// Lets one thing happen that waits for no timer. False when there is none.
    pub fn work_now(&mut self) -> Result<bool, String> {
        self.poll()?;
        let now = self.clock.now();
        let mut choices = Vec::new();
        for (index, running) in self.nodes.iter().enumerate() {
            if running.is_paused() {
                continue;
            }
            let steps = running.node.steps(running.read(now)).into_iter();
            choices.extend(steps.map(|step| Choice::Step(index, step)));
            choices.extend(
                running
                    .node
                    .store
                    .calls()
                    .into_iter()
                    .map(|(number, call, fresh)| Choice::Call(index, number, call, fresh)),
            );
        }
        choices.extend(
            (0..self.clients.len()).filter(|client| self.has_news(*client)).map(Choice::Frame),
        );
        choices.extend(self.arrivals().into_iter().map(Choice::Arrival));
        choices.extend((self.runtime.metrics().num_alive_tasks() > 0).then_some(Choice::Tasks));
        let Some(choice) = self.rng.choice(choices) else { return Ok(false) };
        match choice {
            Choice::Step(index, step) => {
                let who = self.nodes[index].title();
                self.say(format!("{who}{step:?}"));
                let now = self.nodes[index].read(now);
                let node = &mut self.nodes[index].node;
                node.perform(step, now);
                let notes = std::mem::take(&mut node.notes);
                for note in notes {
                    self.say(format!("{who}{note}"));
                }
            }
            Choice::Call(index, number, call, fresh) => self.advance(index, number, call, fresh),
            Choice::Frame(client) => self.deliver(client)?,
            Choice::Arrival(way) => self.arrive(way),
            Choice::Tasks => self.runtime.block_on(async {
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
            }),
        }
        self.poll()?;
        Ok(true)
    }

    pub fn wait_for_timer(&mut self) -> Result<bool, String> {
        let now = self.clock.now().mono;
        let patience =
            self.clients.iter().map(|client| client.waits_until).filter(|until| *until > now);
        let timers = self.nodes.iter().filter_map(|running| match running.paused {
            Some(end) => Some(end),
            None => running.node.next_timer().map(|due| running.node.gauge.when(due)),
        });
        let wires = self.cluster.as_ref().and_then(|cluster| cluster.wire.next_due(now));
        let Some(due) = timers.chain(patience).chain(wires).min() else { return Ok(false) };
        self.clock.pass_until(due.min(now + LONGEST_WAIT));
        self.note_time();
        self.poll()?;
        Ok(true)
    }

    /// Polls everything that waits, and removes nodes that have stopped.
    pub fn poll(&mut self) -> Result<(), String> {
        let now = self.clock.now();
        let mut over = Vec::new();
        for running in &mut self.nodes {
            if running.paused.is_some_and(|end| now.mono < end) {
                continue;
            }
            running.paused = None;
            let now = running.read(now);
            running.node.poll_all(now);
            match running.node.poll_drain(now)? {
                Some(Drained::Flushed) => self.seen.drained += 1,
                Some(Drained::CutShort) => self.seen.drain_cut_short += 1,
                Some(Drained::Over) => over.push(running.term),
                None => {}
            }
        }
        self.mourn();
        self.send_out();
        for term in over {
            self.say(format!("the node of term {term} has stopped"));
            if let Some(index) = self.nodes.iter().position(|running| running.term == term) {
                let gone = self.nodes.remove(index);
                self.forget_node(&gone);
            }
        }
        Ok(())
    }

    /// Records the entities that have panicked.
    pub fn mourn(&mut self) {
        for running in &mut self.nodes {
            for (entity, waits) in std::mem::take(&mut running.node.crashed) {
                self.seen.crashed(&waits);
                self.seen.entities_crashed += 1;
                self.trace.push(format!("{}: `{entity}` panics", self.step));
            }
            let node = &mut running.node;
            self.seen.panics_in_encode += std::mem::take(&mut node.panics_in_encode);
            self.seen.panics_between += std::mem::take(&mut node.panics_between);
            self.seen.timers += std::mem::take(&mut node.timers_rung);
        }
    }

    fn advance(&mut self, index: usize, number: u64, call: Call, fresh: bool) {
        let slow = if matches!(call, Call::Load | Call::Page) {
            self.sizes.slow.1
        } else {
            self.sizes.slow.0
        };
        let slow = if self.resting && self.cluster.is_some() { 0 } else { slow };
        if self.rng.u8(..16) < slow {
            return;
        }
        let cut = self.nodes[index].node.store.way() == Way::Cut;
        let fate = match fresh {
            true if cut => self.cut_fate(call),
            true => self.fate(call),
            false => Fate::Fine,
        };
        let who = self.nodes[index].title();
        self.say(format!("{who}{call:?} {number} {fate:?}"));
        self.nodes[index].node.store.advance(number, fate);
    }

    fn fate(&mut self, call: Call) -> Fate {
        if self.resting || self.rng.u64(..150) >= self.faults {
            Fate::Fine
        } else {
            self.cut_fate(call)
        }
    }

    /// How a call fails.
    fn cut_fate(&mut self, call: Call) -> Fate {
        match (call, self.rng.u8(..6)) {
            (Call::Commit, 0..2) => {
                self.seen.commits_failed += 1;
                Fate::Fails
            }
            (Call::View, _) => Fate::Fails,
            (Call::Join | Call::Change, 0..2) => Fate::Fails,
            (Call::Commit | Call::Join | Call::Change, kind) => {
                self.seen.answers_lost += 1;
                Fate::Loses(match kind {
                    2..4 => LostAnswer::Written,
                    4 => LostAnswer::NotWritten,
                    _ => {
                        self.late += 1;
                        LostAnswer::OnItsWay
                    }
                })
            }
            (Call::Settle, _) => {
                self.seen.settles_failed += 1;
                Fate::Fails
            }
            (Call::Load | Call::Page, _) => {
                self.seen.reads_failed += 1;
                Fate::Fails
            }
        }
    }

    /// Sweeps a directory shard of a random node.
    pub fn sweep(&mut self) {
        let shard = self.rng.usize(..self.sizes.workers);
        let now = self.clock.now();
        let count = self.nodes.len();
        if count > 0 {
            let running = self.rng.choice(&mut self.nodes).expect("there is one");
            if !running.is_paused() {
                let now = running.read(now);
                running.node.perform(Step::Sweep(shard), now);
            }
        }
    }

    pub fn sweep_all(&mut self) {
        let now = self.clock.now();
        for running in &mut self.nodes {
            let now = running.read(now);
            for shard in 0..self.sizes.workers {
                running.node.perform(Step::Sweep(shard), now);
            }
        }
    }
}
