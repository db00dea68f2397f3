//! The world of the model: time, the database's rows and logs, faults, clients, and what they check.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::bugs::Bug;
use super::node::Node;
use crate::cluster::change::{Change, Fence, MapChange};
use crate::cluster::map::{ClusterMap, LeaseRow, NodeId, Term};
use crate::cluster::membership::{Join, Order};
use crate::cluster::slot::{SlotId, SlotSet};

/// Microseconds of the world's own time.
pub(super) type Time = u64;
/// A millisecond of it.
pub(super) const MS: Time = 1000;
/// How long a run lasts.
const RUN: Time = 40_000 * MS;
/// Hosts; each runs one node at a time.
pub(super) const HOSTS: usize = 3;
/// Slots with clients; the others are only in the map.
const WATCHED: usize = 3;

type Event = Box<dyn FnOnce(&mut World)>;

/// A numbered transaction as the database sees it.
#[derive(Debug, Clone)]
pub(super) struct Numbered {
    pub node: NodeId,
    pub term: Term,
    pub number: u64,
    pub nonce: u64,
    pub what: Work,
}

/// What it does besides writing the lease row.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// Appends ops to logs: the log, the position that the node counted, and the op.
    Ops(Vec<(usize, u64, u64)>),
    Control(Box<Change>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ran {
    Done,
    Refused,
    Fenced,
}

/// What happened in a run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Seen(pub BTreeMap<&'static str, u64>);

impl Seen {
    pub(super) fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

/// The log of one slot, and what clients know of it.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub ops: Vec<u64>,
    acked: BTreeMap<u64, u64>,
    /// When acknowledgements arrived.
    pub acks: Vec<Time>,
    /// The highest position that some client knows of.
    floor: u64,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// To append this op.
    Write(u64),
    /// The length of the log.
    Read,
}

/// An ask on its way, and what its client knew when it asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub log: usize,
    pub ask: Ask,
    pub floor: u64,
}

pub(super) struct World {
    pub random: fastrand::Rng,
    pub bug: Option<Bug>,
    /// Nothing is slow and nothing fails, unless a test says so.
    calm: bool,
    /// In some worlds slots move all the time, and little else goes wrong.
    restless: bool,
    pub now: Time,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    events: BTreeMap<u64, Event>,
    numbered: u64,
    pub seen: Seen,
    /// What is wrong.
    pub wrong: Option<String>,
    pub trace: Vec<String>,
    pub nodes: Vec<Node>,
    pub leases: BTreeMap<NodeId, (LeaseRow, u64)>,
    pub map: ClusterMap,
    pub watched: Vec<SlotId>,
    pub logs: Vec<Log>,
    /// Until when commits hang, though reads do not.
    pub writes_stall: Time,
    ops: u64,
}

impl World {
    pub(super) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut watched: Vec<SlotId> = SlotId::all().collect();
        random.shuffle(&mut watched);
        watched.truncate(WATCHED);
        let mut world = Self {
            random,
            bug,
            calm: false,
            restless: seed % 4 == 1,
            now: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            numbered: 0,
            seen: Seen::default(),
            wrong: None,
            trace: Vec::new(),
            nodes: Vec::new(),
            leases: BTreeMap::new(),
            map: ClusterMap::empty(),
            watched,
            logs: (0..WATCHED).map(|_| Log::default()).collect(),
            writes_stall: 0,
            ops: 0,
        };
        for host in 0..HOSTS {
            let node = Node::new(host, &mut world.random, 0, 0);
            world.nodes.push(node);
            Node::start(&mut world, host);
        }
        for log in 0..WATCHED {
            for _ in 0..4 {
                let delay = world.random.u64(..1000 * MS);
                world.at(delay, move |world| world.client(log));
            }
        }
        let delay = world.random.u64(..6000 * MS);
        world.at(delay, Self::fault);
        world
    }

    /// A world in which nothing is slow and nothing fails by itself, with clients that ask often.
    pub(super) fn calm(seed: u64) -> Self {
        let mut world = Self::new(seed, None);
        world.calm = true;
        world
    }

    /// Runs to the end, or until something is wrong.
    pub(super) fn run(&mut self) -> Result<(), String> {
        self.run_until(RUN)
    }

    /// Runs until some time, or until something is wrong.
    pub(super) fn run_until(&mut self, end: Time) -> Result<(), String> {
        while let Some(Reverse((time, event))) = self.queue.pop() {
            if time > end {
                self.queue.push(Reverse((time, event)));
                break;
            }
            self.now = time;
            if let Some(event) = self.events.remove(&event) {
                event(self);
            }
            if let Some(wrong) = self.wrong.take() {
                return Err(format!("at {} ms: {wrong}", self.now / MS));
            }
        }
        Ok(())
    }

    pub(super) fn at(&mut self, delay: Time, event: impl FnOnce(&mut Self) + 'static) {
        self.numbered += 1;
        self.queue.push(Reverse((self.now + delay, self.numbered)));
        self.events.insert(self.numbered, Box::new(event));
    }

    pub(super) fn fail(&mut self, wrong: String) {
        self.wrong.get_or_insert(wrong);
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        let line = format!("{:>6} {}", self.now / MS, what());
        self.trace.push(line);
    }

    /// How long a message or a call takes.
    pub(super) fn latency(&mut self) -> Time {
        if self.calm {
            [MS / 2, MS, 2 * MS, 5 * MS][self.random.usize(..4)]
        } else if self.random.u8(..100) < 97 {
            [MS, 2 * MS, 5 * MS, 50 * MS][self.random.usize(..4)]
        } else {
            self.random.u64(..3000 * MS)
        }
    }

    /// Whether a message that nobody repeats arrives.
    pub(super) fn is_delivered(&mut self) -> bool {
        self.calm || self.random.u8(..10) < 8
    }

    fn fault(&mut self) {
        if self.calm {
            return;
        }
        let host = self.random.usize(..HOSTS);
        let long = [300, 1000, 2200, 4000][self.random.usize(..4)] * MS;
        let until = self.now + long;
        let moves = self.restless && self.random.u8(..10) < 9;
        match if moves { 11 } else { self.random.u8(..12) } {
            0 | 1 => {
                self.seen.count("pauses");
                self.nodes[host].paused_until = until;
            }
            2 | 3 => {
                self.seen.count("cuts");
                self.nodes[host].cut_until = until;
            }
            4 => {
                self.seen.count("crashes");
                Node::restart(self, host);
            }
            5 => {
                self.seen.count("database away");
                for node in &mut self.nodes {
                    node.cut_until = until;
                }
            }
            6 => {
                self.seen.count("writes stalled");
                self.writes_stall = until;
            }
            7 => {
                if self.random.bool() {
                    Node::order(self, host, Order::Drain);
                }
                let delay = self.random.u64(..3000 * MS);
                self.at(delay, move |world| Node::order(world, host, Order::Leave));
            }
            8 => {
                let order =
                    [Order::Cordon, Order::Uncordon, Order::Yield][self.random.usize(..3)].clone();
                Node::order(self, host, order);
            }
            _ => self.move_slots(host),
        }
        let most = if self.restless { 500 } else { 3000 };
        let delay = self.random.u64(most / 15 * MS..most * MS);
        self.at(delay, Self::fault);
    }

    /// An operator moves watched slots of a node to another one.
    pub(super) fn move_slots(&mut self, host: usize) {
        let from = self.nodes[host].id();
        let to = self.nodes[(host + self.random.usize(1..HOSTS)) % HOSTS].id();
        let own = self.map.slots_of(from);
        let slots: SlotSet =
            self.watched.iter().copied().filter(|slot| own.contains(*slot)).collect();
        Node::order(self, host, Order::Move(slots, to));
    }

    /// One client of a log: it asks someone, again and again. It knows what all clients know.
    fn client(&mut self, log: usize) {
        let owner = self.map.owner(self.watched[log]).map(|peer| peer.id);
        let owner = self.nodes.iter().position(|node| Some(node.id()) == owner);
        let likely = self.random.u8(..10) < 7;
        let any = self.random.usize(..HOSTS);
        let host = owner.filter(|_| likely).unwrap_or(any);
        let ask = if self.random.bool() {
            self.ops += 1;
            Ask::Write(self.ops)
        } else {
            Ask::Read
        };
        let request = Request { log, ask, floor: self.logs[log].floor };
        let delay = self.latency();
        self.at(delay, move |world| Node::receive(world, host, request));
        let next = if self.calm { 10 } else { 450 };
        let next = self.random.u64(next / 9 * MS..next * MS);
        self.at(next, move |world| world.client(log));
    }

    /// A client hears that its request was served, at or up to this position.
    pub(super) fn answered(&mut self, request: Request, position: u64) {
        let Request { log: name, ask, floor } = request;
        let log = &mut self.logs[name];
        let wrong = match ask {
            Ask::Write(op) if position <= floor => {
                Some(format!("op {op} is at {position}, though {floor} was known before"))
            }
            Ask::Write(op) if log.acked.contains_key(&position) => {
                Some(format!("op {op} is acknowledged at {position}, as another one was"))
            }
            Ask::Write(op) if log.ops.get(position as usize - 1) != Some(&op) => {
                Some(format!("op {op} is acknowledged, and is not at {position}"))
            }
            Ask::Read if position < floor => {
                Some(format!("a stale read: {position}, though {floor} was known before"))
            }
            Ask::Read if position as usize > log.ops.len() => {
                Some(format!("a read of {position}, which is not on disk"))
            }
            Ask::Write(op) => {
                log.acks.push(self.now);
                log.acked.insert(position, op);
                self.seen.count("acks");
                None
            }
            Ask::Read => {
                self.seen.count("reads");
                None
            }
        };
        log.floor = log.floor.max(position);
        if let Some(wrong) = wrong {
            self.fail(format!("log {name}: {wrong}"));
        }
    }

    /// Executes a numbered transaction.
    pub(super) fn execute(&mut self, tx: &Numbered) -> Ran {
        let Some((row, nonce)) = self.leases.get_mut(&tx.node) else { return Ran::Fenced };
        if row.term != tx.term || row.number + 1 != tx.number {
            return Ran::Fenced;
        }
        if let Work::Control(change) = &tx.what {
            let blind = self.bug == Some(Bug::MapIsNotCompared);
            if self.map.version() != change.expects && !blind {
                return Ran::Refused;
            }
        }
        let own = (LeaseRow { term: tx.term, number: tx.number }, tx.nonce);
        match &tx.what {
            Work::Ops(ops) => {
                (*row, *nonce) = own;
                for (log, position, op) in ops {
                    let length = self.logs[*log].ops.len() as u64;
                    if *position != length + 1 {
                        let node = tx.node;
                        self.fail(format!(
                            "hole or double: {node} writes {position} of log {log}, which has {length}"
                        ));
                    }
                    self.logs[*log].ops.push(*op);
                }
            }
            Work::Control(change) => {
                if self.bug != Some(Bug::NoFence) {
                    for (node, fence) in &change.fences {
                        let Fence::Raise(seen) = fence else { continue };
                        let Some((row, _)) = self.leases.get_mut(node) else { return Ran::Refused };
                        if row != seen {
                            return Ran::Refused;
                        }
                        *row = LeaseRow { term: seen.term.next(), number: 0 };
                    }
                }
                self.leases.insert(tx.node, own);
                self.map = change.map.clone();
                if self.bug == Some(Bug::GivenIsOpened) {
                    let version = self.map.version();
                    self.map.trials.opening(&SlotId::all().collect(), version);
                }
                self.seen.count(match change.what {
                    MapChange::TakeOver { .. } => "takeovers",
                    MapChange::HandOver { .. } => "hand-offs",
                    MapChange::Yield { .. } => "yields",
                    MapChange::Leave(_) => "departures",
                    _ => "other changes",
                });
                let map = self.map.clone();
                self.note(|| format!("{} {:?}: {map:?}", tx.node, change.what));
            }
        }
        Ran::Done
    }

    /// Finds out what became of a transaction, and makes sure that it cannot commit later. `None`: the
    /// term is over.
    pub(super) fn settle(&mut self, tx: &Numbered) -> Option<bool> {
        let (row, nonce) = self.leases.get_mut(&tx.node)?;
        if row.term != tx.term {
            return None;
        }
        if row.number == tx.number {
            return Some(*nonce == tx.nonce);
        }
        *row = LeaseRow { term: tx.term, number: tx.number };
        *nonce = 0;
        Some(false)
    }

    /// Executes an attempt to join.
    pub(super) fn execute_join(&mut self, join: &Join) -> Ran {
        let Some(peer) = join.change.map.peers().iter().find(|peer| match &join.change.what {
            MapChange::Join(newcomer, _) => newcomer.peer.id == peer.id,
            _ => false,
        }) else {
            return Ran::Refused;
        };
        let row = self.leases.get(&peer.id).map(|(row, _)| *row);
        if self.map.version() != join.change.expects || row != join.lease {
            return Ran::Refused;
        }
        self.seen.count(if row.is_some() { "rejoins" } else { "joins" });
        self.leases.insert(peer.id, (LeaseRow { term: join.term, number: 0 }, 0));
        let id = peer.id;
        self.map = join.change.map.clone();
        let map = self.map.clone();
        self.note(|| format!("{id} joins: {map:?}"));
        Ran::Done
    }
}
