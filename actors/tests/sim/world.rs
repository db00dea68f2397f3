//! One run: clients, a node, a disk, and what goes wrong, all drawn from a seed.

use std::collections::VecDeque;

use greenroom_actors::store::Store;
use greenroom_actors::store::memory::{Lost, MemoryStore};
use greenroom_protocol::CodecKind;
use greenroom_protocol::params::PresenceAction;

use super::client::{Client, check_ops};
use super::log::{Logs, now};
use super::node::{Node, Step};
use super::store::{Call, Fate, SimStore};
use super::{Bug, Sizes, entities};

/// Steps in which clients ask for new things and things go wrong.
const BUSY_STEPS: u64 = 400;
/// Steps within which everything must have come to rest after that.
const REST_STEPS: u64 = 20_000;

/// Sweeps that must find nothing to do before everything counts as at rest.
const QUIET_SWEEPS: u64 = 3;

/// What happened, to know that the rare cases were met.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    pub commits_failed: u64,
    pub answers_lost: u64,
    pub stragglers: u64,
    pub reads_failed: u64,
    pub connections_cut: u64,
    pub entities_crashed: u64,
    pub nodes_crashed: u64,
    pub ops: u64,
}

impl Seen {
    fn each(&self) -> [u64; 8] {
        let Self { commits_failed, answers_lost, stragglers, reads_failed, connections_cut, entities_crashed, nodes_crashed, ops } = *self;
        [commits_failed, answers_lost, stragglers, reads_failed, connections_cut, entities_crashed, nodes_crashed, ops]
    }

    pub fn add(&mut self, other: &Self) {
        self.commits_failed += other.commits_failed;
        self.answers_lost += other.answers_lost;
        self.stragglers += other.stragglers;
        self.reads_failed += other.reads_failed;
        self.connections_cut += other.connections_cut;
        self.entities_crashed += other.entities_crashed;
        self.nodes_crashed += other.nodes_crashed;
        self.ops += other.ops;
    }

    pub fn all_at_least(&self, least: u64) -> bool {
        self.each().iter().all(|count| *count >= least)
    }
}

pub struct World {
    rng: fastrand::Rng,
    sizes: Sizes,
    bug: Option<Bug>,
    disk: MemoryStore,
    node: Option<Node>,
    store: SimStore,
    clients: Vec<Client>,
    /// Which connection each client has.
    lines: Vec<Option<u64>>,
    logs: Logs,
    /// How many transactions the checker has looked at.
    judged: u64,
    step: u64,
    /// How often things go wrong, in a thousand steps.
    faults: u64,
    resting: bool,
    pub trace: Vec<String>,
    pub seen: Seen,
    runtime: tokio::runtime::Runtime,
    /// Transactions under way from nodes that are gone.
    late: u64,
}

impl World {
    pub fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        // The committer draws its nonces from the thread's generator.
        fastrand::seed(seed);
        let sizes = Sizes::draw(&mut rng);
        let disk = MemoryStore::new();
        let codec = |index: u64| if index.is_multiple_of(3) { CodecKind::MsgPack } else { CodecKind::Json };
        let clients: Vec<_> = (1..=rng.u64(2..5)).map(|index| Client::new(index, codec(index))).collect();
        let faults = if rng.u8(..4) == 0 { 0 } else { rng.u64(1..60) };
        Self {
            lines: clients.iter().map(|_| None).collect(),
            logs: Logs::new(&entities(), &sizes.kinds()),
            judged: 0,
            store: SimStore::new(disk.clone(), bug == Some(Bug::OutcomesNotStored)),
            rng,
            sizes,
            bug,
            disk,
            node: None,
            clients,
            step: 0,
            faults,
            resting: false,
            trace: Vec::new(),
            seen: Seen::default(),
            // Queues that are full are waited for in tasks: they need a runtime, and it runs them when it is their turn.
            runtime: tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers starts"),
            late: 0,
        }
    }

    /// Runs to the end.
    pub fn run(&mut self) -> Result<(), String> {
        let handle = self.runtime.handle().clone();
        let _inside = handle.enter();
        self.trace.push(format!("{:?}", self.sizes));
        while self.step < BUSY_STEPS {
            self.busy_step()?;
        }
        self.trace.push("no more faults".into());
        self.resting = true;
        // Everybody wants everything now, and must come to have it.
        for client in &mut self.clients {
            entities().iter().for_each(|entity| client.want(entity, true));
        }
        self.rest()?;
        self.converged()?;
        self.leave()
    }

    fn node(&mut self) -> &mut Node {
        if self.node.is_none() {
            let term = now(self.store.acquire()).expect("acquiring is not told to fail");
            self.trace.push(format!("{}: a node starts, term {term}", self.step));
            let rng = fastrand::Rng::with_seed(self.rng.u64(..));
            self.node = Some(Node::start(self.store.clone(), term, self.sizes.kinds(), self.sizes, self.bug, rng));
        }
        self.node.as_mut().expect("it was started a line above")
    }

    fn busy_step(&mut self) -> Result<(), String> {
        self.step += 1;
        if self.rng.u64(..1000) < self.faults {
            self.fault();
        } else if self.late > 0 && self.rng.u8(..20) == 0 {
            self.straggle();
        } else if self.rng.u8(..4) == 0 {
            self.client_step();
        } else if self.rng.u8(..12) == 0 {
            let shard = self.rng.usize(..self.sizes.workers);
            let step = self.step;
            self.node().perform(Step::Sweep(shard), step);
        } else {
            self.work()?;
        }
        self.judge()
    }

    /// One thing of all that can happen. False when there is none.
    fn work(&mut self) -> Result<bool, String> {
        let (step, now) = (self.step, self.step);
        let calls = self.store.calls();
        let tasks = self.runtime.metrics().num_alive_tasks();
        self.node().poll_all(now);
        let steps = self.node().steps();
        let frames: Vec<usize> = (0..self.clients.len()).filter(|client| self.has_frame(*client)).collect();
        let total = steps.len() + calls.len() + frames.len() + usize::from(tasks > 0);
        if total == 0 {
            return Ok(false);
        }
        let mut pick = self.rng.usize(..total);
        if pick < steps.len() {
            self.trace.push(format!("{step}: {:?}", steps[pick]));
            self.node().perform(steps[pick], now);
            self.node().poll_all(now);
            let notes = std::mem::take(&mut self.node().notes);
            self.trace.extend(notes.into_iter().map(|note| format!("{step}:   {note}")));
            return Ok(true);
        }
        pick -= steps.len();
        if pick < calls.len() {
            let (number, call, fresh) = calls[pick];
            let slow = if call == Call::Read { self.sizes.slow.1 } else { self.sizes.slow.0 };
            if self.rng.u8(..16) < slow {
                return Ok(true);
            }
            let fate = if fresh { self.fate(call) } else { Fate::Fine };
            self.trace.push(format!("{step}: {call:?} {number} {fate:?}"));
            self.store.advance(number, fate);
            self.node().poll_all(now);
            return Ok(true);
        }
        pick -= calls.len();
        if pick < frames.len() {
            self.deliver(frames[pick])?;
        } else {
            self.runtime.block_on(async {
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
            });
            self.node().poll_all(now);
        }
        Ok(true)
    }

    fn fate(&mut self, call: Call) -> Fate {
        if self.resting || self.rng.u64(..150) >= self.faults {
            return Fate::Fine;
        }
        match (call, self.rng.u8(..6)) {
            (Call::Commit, 0..2) => {
                self.seen.commits_failed += 1;
                Fate::Fails
            }
            (Call::Commit, kind) => {
                self.seen.answers_lost += 1;
                Fate::Loses(match kind {
                    2..4 => Lost::Written,
                    4 => Lost::NotWritten,
                    _ => {
                        self.late += 1;
                        Lost::OnItsWay
                    }
                })
            }
            (Call::Settle | Call::Read, _) => {
                self.seen.reads_failed += 1;
                Fate::Fails
            }
        }
    }

    fn fault(&mut self) {
        let kind = self.rng.u8(..10);
        self.trace.push(format!("{}: fault {kind}", self.step));
        match kind {
            0..4 => {
                let client = self.rng.usize(..self.clients.len());
                self.cut(client);
            }
            4..7 => {
                let crashable: Vec<u64> = self.node().procs.iter().filter(|(_, proc)| proc.can_crash()).map(|(uid, _)| *uid).collect();
                if let Some(uid) = self.rng.choice(crashable) {
                    self.seen.entities_crashed += 1;
                    self.node().crash(uid);
                }
            }
            7..9 => self.straggle(),
            _ => self.crash_node(),
        }
    }

    /// Transactions whose answers are lost arrive now. Refused or written, that is the disk's affair.
    fn straggle(&mut self) {
        if self.late > 0 {
            self.seen.stragglers += 1;
            self.late = 0;
            drop(self.disk.deliver());
        }
    }

    /// The whole process ends; only the disk is left, and perhaps a transaction on its way there.
    fn crash_node(&mut self) {
        self.seen.nodes_crashed += 1;
        let asked = self.store.calls().into_iter().find(|(_, call, fresh)| *call == Call::Commit && *fresh);
        if let Some((number, ..)) = asked.filter(|_| self.rng.bool()) {
            self.late += 1;
            self.store.advance(number, Fate::Loses(Lost::OnItsWay));
            let now = self.step;
            self.node().poll_all(now);
        }
        (0..self.clients.len()).for_each(|client| self.cut(client));
        self.node = None;
        if self.rng.bool() {
            self.straggle();
        }
    }

    /// Ends a client's connection.
    fn cut(&mut self, client: usize) {
        if let Some(line) = self.lines[client].take() {
            self.seen.connections_cut += 1;
            self.clients[client].disconnected();
            drop(self.node().connections.remove(&line));
        }
    }

    /// A client does something of its own accord.
    fn client_step(&mut self) {
        let client = self.rng.usize(..self.clients.len());
        if self.lines[client].is_none() {
            return self.dial(client);
        }
        let entity = self.rng.choice(entities()).expect("there are entities");
        if !self.resting && self.rng.u8(..3) > 0 {
            let (pad, if_seq) = (self.rng.usize(..400), self.rng.u8(..10) == 0);
            match self.rng.u8(..12) {
                0..6 => self.clients[client].new_op(&entity, pad, if_seq),
                6 => self.clients[client].want(&entity, true),
                7 => self.clients[client].want(&entity, false),
                _ if !self.clients[client].is_connected() || self.clients[client].in_flight() > 6 => {}
                8 => {
                    let request = self.clients[client].read(&entity);
                    self.post(client, request);
                }
                9 => {
                    let at = Some(self.rng.u64(..30));
                    let (before, after) = [(at, None), (None, at), (None, None)][self.rng.usize(..3)];
                    let limit = self.rng.u32(1..9);
                    let request = self.clients[client].history(&entity, before, after, limit);
                    self.post(client, request);
                }
                10 => {
                    let action = [PresenceAction::Enter, PresenceAction::Leave, PresenceAction::List][self.rng.usize(..3)];
                    let request = self.clients[client].presence(&entity, action);
                    self.post(client, request);
                }
                _ => {
                    let request = self.clients[client].signal(&entity);
                    self.post(client, request);
                }
            }
        }
        self.catch_up(client);
    }

    /// Sends what is still to be sent. Ops may follow `connect` at once.
    fn catch_up(&mut self, client: usize) {
        if self.clients[client].in_flight() > 8 {
            return;
        }
        if let Some(op) = self.clients[client].unsent() {
            self.seen.ops += 1;
            let request = self.clients[client].send(op, self.step);
            self.post(client, request);
        }
        let unsettled = self.clients[client].unsettled().filter(|_| self.clients[client].is_connected());
        if let Some(entity) = unsettled {
            let request = self.clients[client].settle(&entity);
            self.post(client, request);
        }
    }

    fn dial(&mut self, client: usize) {
        let (first, codec, now) = (self.clients[client].connect(), self.clients[client].codec, self.step);
        self.lines[client] = Some(self.node().accept(client, codec, first, now));
    }

    fn post(&mut self, client: usize, request: Vec<u8>) {
        let Some(line) = self.lines[client] else { return };
        if let Some(connection) = self.node().connections.get_mut(&line) {
            connection.to_server.push_back(request);
        }
    }

    fn has_frame(&self, client: usize) -> bool {
        let connection = self.lines[client].and_then(|line| self.node.as_ref()?.connections.get(&line));
        connection.is_some_and(|connection| !connection.to_client.is_empty() || connection.seat.outbox.closing().is_some())
    }

    /// A client takes one frame off its socket; it may hold several messages.
    fn deliver(&mut self, client: usize) -> Result<(), String> {
        let Some(line) = self.lines[client] else { return Ok(()) };
        let step = self.step;
        let Some(connection) = self.node().connections.get_mut(&line) else { return Ok(()) };
        let Some(frame) = connection.to_client.pop_front() else {
            let code = connection.seat.outbox.closing();
            return Err(format!("the connection of client {client} was closed with {code:?}"));
        };
        let mut rest: VecDeque<u8> = frame.to_vec().into();
        while !rest.is_empty() {
            let length: Vec<u8> = rest.drain(..4).collect();
            let length = u32::from_be_bytes(length.try_into().expect("four bytes were taken"));
            let payload: Vec<u8> = rest.drain(..length as usize).collect();
            self.trace.push(format!("{step}: client {client} gets {}", String::from_utf8_lossy(&payload)));
            self.clients[client].receive(&payload, &self.logs, step).map_err(|why| format!("step {step}, client {client}: {why}"))?;
        }
        Ok(())
    }

    /// What is on disk by now may be told, and was written as it should be.
    fn judge(&mut self) -> Result<(), String> {
        let written = self.disk.commits();
        if written != self.judged {
            self.judged = written;
            self.logs.read(&self.disk).map_err(|why| format!("step {}: {why}", self.step))?;
        }
        match self.store.take_surprises().first() {
            Some(why) => Err(format!("step {}: the disk refused a transaction: {why}", self.step)),
            None => Ok(()),
        }
    }

    /// Goes on without faults until nothing is left to do.
    fn rest(&mut self) -> Result<(), String> {
        let began = self.step;
        let mut quiet = 0;
        loop {
            self.step += 1;
            if self.step - began > REST_STEPS {
                return Err(format!("not at rest after {REST_STEPS} steps: {:?}", self.node().steps()));
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
                quiet += 1;
                if quiet > QUIET_SWEEPS {
                    return Ok(());
                }
                // What could not be woken is tried again by the sweep; it must not put to sleep what is followed.
                let step = self.step;
                (0..self.sizes.workers).for_each(|shard| self.node().perform(Step::Sweep(shard), step));
            }
        }
    }

    fn converged(&mut self) -> Result<(), String> {
        for client in &self.clients {
            for (entity, epoch, seq) in client.positions() {
                let log = &self.logs.0[entity];
                if seq != log.len() || log.epoch.as_ref().is_some_and(|written| written != epoch) {
                    return Err(format!("{} rests at {seq} of `{entity}`, which has {} events", client.name, log.len()));
                }
            }
        }
        check_ops(&self.clients, &self.logs)?;
        self.node().agreement()
    }

    /// Everybody leaves: everything must fall asleep, or somebody is still thought to be there.
    fn leave(&mut self) -> Result<(), String> {
        (0..self.clients.len()).for_each(|client| self.cut(client));
        for _ in 0..REST_STEPS {
            self.step += 1;
            if self.work()? {
                continue;
            }
            if self.node().awake() == 0 {
                return Ok(());
            }
            let step = self.step;
            (0..self.sizes.workers).for_each(|shard| self.node().perform(Step::Sweep(shard), step));
            if self.node().steps().is_empty() {
                break;
            }
        }
        let awake: Vec<_> = self.node().procs.values().map(|proc| format!("{:?}", proc.life)).collect();
        Err(format!("entities stay awake when everybody has left: {awake:?}"))
    }
}
