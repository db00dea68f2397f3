//! The steps that a node can perform.

use super::{Node, host::Later};
use crate::clock::Now;

/// One thing that can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Relay(usize),
    Directory(usize),
    Sweep(usize),
    Letter(u64),
    News(u64),
    Timer(u64),
    Outgoing(u64),
    Later(usize),
    Commit,
    Hop,
    Receive(u64),
    Pump(u64),
    Hangup(u64),
    Tick,
    Exchange,
    Forward(usize),
}

impl Node {
    /// All possible next steps except sweeps.
    pub fn steps(&self, now: Now) -> Vec<Step> {
        let mut steps = Vec::new();
        let queued = |empty: bool, step| (!empty).then_some(step);
        steps.extend(
            self.relay_queues
                .iter()
                .enumerate()
                .filter_map(|(w, queue)| queued(queue.is_empty(), Step::Relay(w))),
        );
        steps.extend(
            self.shards
                .iter()
                .enumerate()
                .filter_map(|(w, (_, queue))| queued(queue.is_empty(), Step::Directory(w))),
        );
        for (uid, proc) in &self.procs {
            if !proc.is_free() {
                steps.push(Step::Outgoing(*uid));
                continue;
            }
            if proc.has_letters() {
                steps.push(Step::Letter(*uid));
            }
            if proc.has_news() {
                steps.push(Step::News(*uid));
            }
            if proc.rings().is_some_and(|due| due <= now.mono) {
                steps.push(Step::Timer(*uid));
            }
        }
        steps.extend(
            self.later
                .iter()
                .enumerate()
                .filter(|(_, later)| later.is_ready())
                .map(|(index, _)| Step::Later(index)),
        );
        if self.writer.can_commit(&self.store)
            || self.writer.pause_ends().is_some_and(|due| due <= now.mono)
        {
            steps.push(Step::Commit);
        }
        if self.writer.can_hop() {
            steps.push(Step::Hop);
        }
        for (id, connection) in &self.connections {
            if connection.can_receive() {
                steps.push(Step::Receive(*id));
            }
            if connection.can_pump(self.sizes.link) {
                steps.push(Step::Pump(*id));
            }
            if connection.can_close() || connection.wire.borrow().is_over(self.sizes.link) {
                steps.push(Step::Hangup(*id));
            }
        }
        if let Some(member) = &self.member {
            member.steps(now, &mut steps);
            let room = |worker: &usize| self.relay_queues[*worker].len() < self.sizes.relay;
            steps.extend(member.forwards().filter(room).map(Step::Forward));
        }
        steps
    }

    /// The time of the next timer.
    pub fn next_timer(&self) -> Option<u64> {
        let timers = self.procs.values().filter_map(super::Proc::rings);
        let rests = self.rests.iter().map(|(due, _)| *due);
        let tick = self.member.as_ref().and_then(|member| member.next_tick());
        let others = self.writer.pause_ends().into_iter().chain(self.drain_ends()).chain(tick);
        timers.chain(rests).chain(others).min()
    }

    pub fn perform(&mut self, step: Step, now: Now) {
        self.tick(now);
        match step {
            Step::Relay(worker) => {
                let most = self.rng.usize(1..5);
                let mut messages = Vec::new();
                while messages.len() < most
                    && let Ok(message) = self.relay_queues[worker].try_recv()
                {
                    self.note(&message);
                    messages.push(self.spoil(worker, message));
                }
                self.envs[worker].relay.borrow_mut().receive_all(messages);
            }
            Step::Directory(shard) => {
                if let Ok(message) = self.shards[shard].1.try_recv() {
                    self.note(&message);
                    self.with_shard(shard, now, |slots, host| {
                        slots.receive(message, host.now.clock().mono, host);
                    });
                }
            }
            Step::Sweep(shard) => {
                if shard < self.shards.len() {
                    self.sweep_connections(shard, now);
                    self.with_shard(shard, now, |slots, host| {
                        slots.sweep(host.now.clock().mono, host);
                    });
                }
            }
            Step::Letter(uid) => self.letter(uid, now),
            Step::News(uid) => self.news(uid, now),
            Step::Timer(uid) => self.timer(uid, now),
            Step::Outgoing(uid) => self.outgoing(uid, now),
            Step::Later(index) => {
                let Later { entity, shard, incarnation, inbox, message } = self.later.remove(index);
                // An ended mailbox drops the message.
                inbox.borrow_mut().letters.push_back(super::host::Letter::Take(message));
                self.with_shard(shard, now, |slots, host| {
                    slots.worked_off(&entity, incarnation, host);
                });
            }
            Step::Commit => self.writer.poll(),
            Step::Hop => self.writer.hop(),
            Step::Receive(id) => self.receive(id, now),
            Step::Pump(id) => self.pump(id),
            Step::Hangup(id) => self.hang_up(id, now),
            Step::Tick => self.member_ticks(now),
            Step::Exchange => self.exchange(now),
            Step::Forward(worker) => self.forward(worker),
        }
    }
}
