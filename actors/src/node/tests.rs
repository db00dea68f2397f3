//! Several nodes in one process: real memberships, links, tables of asks and rows in memory; their
//! entities and sessions are played by the tests.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use greenroom_protocol::{CodecKind, EntityId, ErrorCode, RawJson, RequestId, params};
use tokio::sync::mpsc;

use super::*;
use crate::cluster::lease::Lease;
use crate::cluster::map::Term;
use crate::cluster::membership::{BadOrder, Joined, Order, Outcome};
use crate::cluster::registry::conformance::peer;
use crate::cluster::registry::{ChangeError, MemoryRegistry, Note, Registry};
use crate::frames::Frames;
use crate::ids::{Place, SessionKey};
use crate::limits::{Allowance, Rate};
use crate::messages::{
    Asker, CatchUp, OpRequest, Part, RelayHandle, Relays, Responder, Sender, SignalRequest,
    SubSpec, ToExchange, Workers, overloaded,
};
use crate::store::memory::MemoryStore;
use crate::store::{Batch, CommitError, Fence, Store};
use crate::testing::{encoder, entity, spec};
use greenroom_protocol::{Epoch, Position, Seq};

mod leaving;
mod rows;
mod scenes;
mod watching;

/// Milliseconds between two steps of the simulated time.
const STEP: u64 = 5;

/// A node, and what surrounds it.
struct Machine {
    node: Node,
    id: NodeId,
    store: MemoryStore,
    validity: Arc<Validity>,
    /// What its entities and relays send.
    queue: mpsc::Receiver<ToExchange>,
    exchange: Exchange,
    term: u64,
    number: u64,
    /// Whether its transactions arrive.
    commits: bool,
    /// Whether its polls are answered.
    polls: bool,
    /// Whether what it puts to sleep does.
    flushes: bool,
    /// Whether it does nothing, as if it were stopped or dead.
    stopped: bool,
    /// What arrived for its entities, and was not answered yet.
    local: Vec<(EntityId, ToEntity)>,
    /// What its relays were sent.
    relayed: Vec<(WorkerId, ToRelay)>,
    owned: Vec<Own>,
    changed: Vec<Scope>,
    /// The entities that forgot their audience.
    forgotten: Vec<(EntityId, bool)>,
    marked: Vec<(EntityId, bool)>,
    ended: Option<Ended>,
}

/// All nodes, the wire between them, and the time.
struct World {
    now: u64,
    registry: MemoryRegistry,
    store: MemoryStore,
    machines: Vec<Machine>,
    /// Frames on their way: to a node, or to all.
    flying: Vec<(Option<NodeId>, Bytes)>,
    /// Pairs of nodes that do not hear each other.
    cut: Vec<(NodeId, NodeId)>,
}

fn now_or_panic<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("rows in memory are read at once")
}

impl World {
    fn new(nodes: usize) -> Self {
        let store = MemoryStore::new();
        let mut world = Self {
            now: 1000,
            registry: MemoryRegistry::new(store.clone()),
            store,
            machines: Vec::new(),
            flying: Vec::new(),
            cut: Vec::new(),
        };
        for _ in 0..nodes {
            world.start();
        }
        world
    }

    /// Starts another node.
    fn start(&mut self) {
        let number = self.machines.len() as u64 + 1;
        let id = NodeId(number * 1000);
        let (exchange, queue) = Exchange::channel(1000);
        let validity = Arc::new(Validity::new(Lease::default()));
        let rate = Rate {
            per_second: 1_000_000.try_into().unwrap(),
            burst: 1_000_000.try_into().unwrap(),
        };
        let allowance = Allowance { requests: rate, wakes: rate, awake: 1_000_000 };
        let settings = Settings {
            membership: membership::Settings { settle: 200, ..membership::Settings::default() },
            beat: 250,
            grace: 15_000,
            ..Settings::default()
        };
        let me = peer(id, Term(0));
        let setup = Setup {
            me,
            settings,
            validity: Arc::clone(&validity),
            encoder: encoder(),
            accounts: Arc::new(Accounts::alike(allowance)),
            exchange: exchange.clone(),
            rng: fastrand::Rng::with_seed(number),
        };
        self.machines.push(Machine {
            node: Node::new(setup, Mono::at(self.now)),
            id,
            store: self.store.of_node(id.0),
            validity,
            queue,
            exchange,
            term: 0,
            number: 0,
            commits: true,
            polls: true,
            flushes: true,
            stopped: false,
            local: Vec::new(),
            relayed: Vec::new(),
            owned: Vec::new(),
            changed: Vec::new(),
            forgotten: Vec::new(),
            marked: Vec::new(),
            ended: None,
        });
    }

    fn hear_each_other(&self, a: NodeId, b: NodeId) -> bool {
        !self.cut.iter().any(|cut| *cut == (a, b) || *cut == (b, a))
    }

    /// One step of time for everybody.
    fn step(&mut self) {
        self.now += STEP;
        let now = Mono::at(self.now);
        for at in 0..self.machines.len() {
            if !self.machines[at].stopped {
                self.machines[at].node.tick(now);
                self.carry_out(at);
            }
        }
        // What the steps caused, until nothing more happens at this time.
        loop {
            let flying = std::mem::take(&mut self.flying);
            let quiet = flying.is_empty();
            for (to, message) in flying {
                for at in 0..self.machines.len() {
                    let machine = &mut self.machines[at];
                    if machine.stopped {
                        continue;
                    }
                    match to {
                        Some(id) if id == machine.id => machine.node.receive(message.clone(), now),
                        None => machine.node.heard(&message, now),
                        Some(_) => continue,
                    }
                    self.carry_out(at);
                }
            }
            if quiet && !self.take_queues() {
                return;
            }
        }
    }

    /// Whether there was anything in a queue.
    fn take_queues(&mut self) -> bool {
        let now = Mono::at(self.now);
        let mut any = false;
        for at in 0..self.machines.len() {
            while !self.machines[at].stopped
                && let Ok(message) = self.machines[at].queue.try_recv()
            {
                any = true;
                self.machines[at].node.take(message, now);
                self.machines[at].node.flush_links(now);
                self.carry_out(at);
            }
        }
        any
    }

    fn carry_out(&mut self, at: usize) {
        loop {
            let all = self.machines[at].node.take_out();
            if all.is_empty() {
                return;
            }
            for one in all {
                self.carry_out_one(at, one);
            }
        }
    }

    fn carry_out_one(&mut self, at: usize, one: Do) {
        let now = Mono::at(self.now);
        let id = self.machines[at].id;
        let note = Note { by: id, what: String::new(), at: self.now };
        match one {
            Do::Poll(_) if !self.machines[at].polls => {}
            Do::Poll(poll) => {
                let view = now_or_panic(self.registry.view()).unwrap();
                self.machines[at].node.viewed(poll, view, now);
            }
            Do::Join(join) => {
                let joined = now_or_panic(self.registry.join(id, &join, &note));
                let outcome = if joined.is_ok() { Outcome::Done } else { Outcome::Refused };
                self.machines[at].node.joined(Joined { id: join.id, sent: now, outcome }, now);
            }
            Do::BeginTerm(term) => {
                self.machines[at].term = term;
                self.machines[at].number = 0;
            }
            Do::Change(change_id, change, _) => {
                let fence = self.machines[at].fence();
                let changed = now_or_panic(self.registry.change(id, fence, &change, &note));
                let machine = &mut self.machines[at];
                let outcome = match changed {
                    Ok(()) => {
                        machine.number += 1;
                        machine.node.committed(machine.term, now, now);
                        Outcome::Done
                    }
                    Err(ChangeError::Commit(CommitError::Fenced(_))) => Outcome::Fenced,
                    Err(_) => Outcome::Refused,
                };
                machine.node.decided(change_id, outcome, now);
            }
            Do::Commit if self.machines[at].commits => self.commit(at),
            Do::Commit => {}
            Do::Own(own) => self.machines[at].owned.push(own),
            Do::Flush(hand_off, _) if self.machines[at].flushes => {
                self.machines[at].node.flushed(hand_off, now);
            }
            Do::Flush(..) => {}
            Do::Abandon => {
                // Its lives end, and with them what waits for them.
                self.machines[at].local.clear();
                self.machines[at].node.lives_ended(now);
            }
            Do::Local(entity, message) => self.machines[at].local.push((entity, message)),
            Do::Marked(entity, settled) => self.machines[at].marked.push((entity, settled)),
            Do::Relay(worker, message) => self.machines[at].relayed.push((worker, message)),
            Do::OwnerChanged(scope) => self.machines[at].changed.push(scope),
            Do::AudienceForgotten(entity, ended) => {
                self.machines[at].forgotten.push((entity, ended));
            }
            Do::Publish(to, frame) => {
                if self.hear_each_other(id, to) {
                    self.flying.push((Some(to), frame));
                }
            }
            Do::Broadcast(message) => {
                let everybody: Vec<_> = self.machines.iter().map(|machine| machine.id).collect();
                for to in everybody {
                    if self.hear_each_other(id, to)
                        && let Some(other) =
                            self.machines.iter().position(|machine| machine.id == to)
                        && !self.machines[other].stopped
                        && other != at
                    {
                        self.machines[other].node.heard(&message, now);
                        self.carry_out(other);
                    }
                }
                self.machines[at].node.heard(&message, now);
            }
            Do::Ended(why) => {
                self.machines[at].ended = Some(why);
                self.machines[at].stopped = true;
            }
        }
    }

    fn commit(&mut self, at: usize) {
        let now = Mono::at(self.now);
        let machine = &mut self.machines[at];
        let (rows, snapshots, trims, erasures, rewrites) = Default::default();
        let batch = Batch { fence: machine.fence(), rows, snapshots, trims, erasures, rewrites };
        match now_or_panic(machine.store.commit(&batch)) {
            Ok(()) => {
                machine.number += 1;
                machine.node.committed(machine.term, now, now);
            }
            Err(CommitError::Fenced(_)) => machine.node.fenced(machine.term, now),
            Err(other) => panic!("{other}"),
        }
    }

    /// Steps until something is so.
    ///
    /// # Panics
    /// If it is not within `ms` milliseconds.
    fn until(&mut self, ms: u64, what: &str, is_so: impl Fn(&Self) -> bool) -> u64 {
        let begun = self.now;
        while !is_so(self) {
            assert!(self.now - begun < ms, "not within {ms} ms: {what}");
            self.step();
        }
        self.now - begun
    }

    fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.now < end {
            self.step();
        }
    }

    /// How many slots each node serves.
    fn shares(&self) -> Vec<usize> {
        self.machines.iter().map(|machine| machine.node.membership().open().slots.len()).collect()
    }

    /// All slots are served, and each node has its share of them.
    fn is_balanced(&self) -> bool {
        let alive: Vec<_> = self
            .machines
            .iter()
            .filter(|machine| !machine.stopped)
            .map(|machine| machine.node.membership().open().slots.len())
            .collect();
        let share = 1024 / alive.len();
        alive.iter().sum::<usize>() == 1024 && alive.iter().all(|slots| *slots >= share)
    }

    /// An entity that this node owns.
    fn entity_of(&self, at: usize) -> EntityId {
        let open = self.machines[at].node.membership().open();
        (0..).map(|n| entity(&format!("room:{n}"))).find(|entity| open.contains(entity)).unwrap()
    }
}

impl Machine {
    fn fence(&self) -> Fence {
        let number = self.number + 1;
        Fence { term: self.term, number, nonce: self.id.0 + number }
    }

    /// A request of a session of this node, and what its relay receives.
    fn asker(&self, worker: u16) -> (Arc<Asker>, mpsc::Receiver<ToRelay>) {
        let key = SessionKey::here(WorkerId(worker), 4, 1);
        let (relay, queue) = RelayHandle::channel(16);
        (Arc::new(Asker::new(key, CodecKind::Json, encoder(), relay)), queue)
    }

    /// Sends a request as the shard does that does not serve its entity.
    fn ask(&self, entity: &EntityId, id: i64) {
        let (asker, _) = self.asker(0);
        let reply = Responder::request(&asker, "read", Some(RequestId::Number(id)));
        self.exchange.elsewhere(entity.clone(), ToEntity::Read(reply));
    }

    /// The answers that reached its relays, as text.
    fn answers(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        for (_, message) in self.relayed.drain(..) {
            match message {
                ToRelay::Answer(answer) => texts.push(format!("{answer:?}")),
                ToRelay::Parts { parts, .. } => {
                    texts.extend(parts.iter().map(|part| format!("{part:?}")));
                }
                other => panic!("{other:?}"),
            }
        }
        texts
    }

    /// Answers every request that waits here with `value`.
    fn answer_all(&mut self, value: u32) -> usize {
        let local = std::mem::take(&mut self.local);
        local
            .into_iter()
            .filter_map(|(_, message)| message.into_reply())
            .map(|reply| reply.send_ok(&value))
            .count()
    }
}
