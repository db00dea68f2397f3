//! One run: clients, nodes, a disk, and faults, all drawn from a seed.

use greenroom_actors::kind::Kinds;
use greenroom_actors::store::Store;
use greenroom_actors::store::memory::MemoryStore;
use greenroom_protocol::CodecKind;

use super::bugs::Bug;
use super::client::Client;
use super::clock::{Clock, Gauge, Now};
use super::cluster::Cluster;
use super::log::{Logs, now};
use super::net::Wire;
use super::node::{Birth, Node};
use super::seen::Seen;
use super::sizes::{Sizes, entities};
use super::store::{Ledger, SimStore};
use super::truth::Truth;

mod ending;
mod faults;
mod people;
mod scripted;
mod work;

/// The number of steps with new requests and faults.
const BUSY_STEPS: u64 = 400;

/// A node and its lease.
pub(super) struct Running {
    /// In a cluster, the number of its process instead.
    pub term: u64,
    pub node: Node,
    /// Whether it was found to have lost its lease.
    fenced: bool,
    /// Until when it does nothing.
    pub paused: Option<u64>,
}

impl Running {
    /// A moment by the node's timers.
    pub fn read(&self, now: Now) -> Now {
        self.node.gauge.read(now)
    }

    pub const fn is_paused(&self) -> bool {
        self.paused.is_some()
    }
}

pub struct World {
    pub(super) rng: fastrand::Rng,
    pub(super) sizes: Sizes,
    kinds: Kinds,
    pub(super) bug: Option<Bug>,
    pub(super) disk: MemoryStore,
    pub(super) ledger: Ledger,
    pub(super) clock: Clock,
    /// If several nodes share the entities.
    pub(super) cluster: Option<Cluster>,
    /// Oldest first. Without a cluster, new connections go to the newest.
    pub(super) nodes: Vec<Running>,
    /// The term of the node that has the lease.
    newest: u64,
    pub(super) clients: Vec<Client>,
    /// Each client's connection, with the term of its node.
    pub(super) lines: Vec<Option<(u64, Wire)>>,
    pub(super) truth: Truth,
    /// The number of transactions that the checker has judged.
    judged: u64,
    pub(super) step: u64,
    /// The number of faults in a thousand steps.
    pub(super) faults: u64,
    pub(super) resting: bool,
    pub trace: Vec<String>,
    pub(super) seen: Seen,
    runtime: tokio::runtime::Runtime,
    /// The number of transactions under way from crashed nodes.
    late: u64,
    /// The number of nodes that a cluster begins with.
    pub(super) first_nodes: usize,
}

/// The codec that a client speaks.
fn codec(index: usize) -> CodecKind {
    if index.is_multiple_of(3) { CodecKind::MsgPack } else { CodecKind::Json }
}

impl World {
    pub fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let sizes = Sizes::draw(&mut rng);
        Self::drawn(sizes, rng, bug)
    }

    pub(super) fn drawn(sizes: Sizes, mut rng: fastrand::Rng, bug: Option<Bug>) -> Self {
        let count = rng.usize(2..5);
        let clients = (1..=count)
            .map(|index| {
                // Some clients share a user, and some clocks are wrong.
                let user = if rng.u8(..4) == 0 { 1 } else { index };
                let skew = [0, 0, -3_600_000, 50_000][rng.usize(..4)];
                Client::new(index, user, codec(index), skew, sizes.token)
            })
            .collect();
        let faults = if rng.u8(..4) == 0 { 0 } else { rng.u64(1..60) };
        Self::with(sizes, clients, faults, rng, bug)
    }

    fn with(
        sizes: Sizes,
        clients: Vec<Client>,
        faults: u64,
        rng: fastrand::Rng,
        bug: Option<Bug>,
    ) -> Self {
        let kinds = sizes.kinds();
        let clock = Clock::default();
        Self {
            lines: clients.iter().map(|_| None).collect(),
            truth: Truth::new(Logs::new(&entities(), &kinds), sizes, clock.now()),
            judged: 0,
            rng,
            sizes,
            kinds,
            bug,
            disk: MemoryStore::new(),
            ledger: Ledger::default(),
            clock,
            cluster: None,
            nodes: Vec::new(),
            newest: 0,
            clients,
            step: 0,
            faults,
            resting: false,
            trace: Vec::new(),
            seen: Seen::default(),
            // Messages for full queues wait in tasks, which need a runtime. The seed decides when
            // it runs them.
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime without drivers starts"),
            late: 0,
            first_nodes: 1,
        }
    }

    /// Runs to the end.
    pub fn run(&mut self) -> Result<(), String> {
        self.run_with(Self::play)
    }

    pub(super) fn run_with(
        &mut self,
        play: impl FnOnce(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        let handle = self.runtime.handle().clone();
        let _inside = handle.enter();
        self.say(format!("{:?}", self.sizes));
        let done = play(self).map_err(|why| format!("step {}: {why}", self.step));
        // Dropping the nodes may still need the runtime.
        self.nodes.clear();
        done
    }

    fn play(&mut self) -> Result<(), String> {
        while self.step < BUSY_STEPS {
            self.busy_step()?;
        }
        self.calm_down();
        // Sometimes the node is stopped once more.
        if self.rng.u8(..3) == 0 {
            self.drain();
        }
        self.end()
    }

    /// Goes on without faults until everybody has everything, and has left.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.rest()?;
        self.converged()?;
        self.leave()
    }

    /// The counts of this run and all its clients.
    pub fn seen(&self) -> Seen {
        let mut seen = self.seen;
        for client in &self.clients {
            seen.add(&client.stats);
        }
        seen
    }

    pub(super) fn say(&mut self, what: String) {
        self.trace.push(format!("{}: {what}", self.step));
    }

    /// Starts a node, which takes the lease.
    pub(super) fn start(&mut self) {
        if self.cluster.is_some() {
            return self.start_member();
        }
        let store = SimStore::new(self.disk.clone(), self.ledger.clone(), self.bug);
        let term = now(store.acquire()).expect("acquiring is not told to fail");
        self.say(format!("a node starts, term {term}"));
        self.newest = term;
        let rng = fastrand::Rng::with_seed(self.rng.u64(..));
        let mut dial = self.clock.dial;
        if !self.resting && self.rng.u8(..3) == 0 {
            dial.turn(self.rng.i64(-3000..3000));
        }
        self.clock.shows(dial);
        let birth = Birth { store, term, dial, gauge: Gauge::default(), entry: None, rng };
        self.give_birth(birth);
    }

    pub(super) fn give_birth(&mut self, birth: Birth) {
        let (term, now) = (birth.term, birth.gauge.read(self.clock.now()));
        let node = Node::start(birth, &self.kinds, self.sizes, self.bug, now);
        self.nodes.push(Running { term, node, fenced: false, paused: None });
    }

    /// Passes the time to the checker and the clients.
    pub(super) fn note_time(&mut self) {
        self.truth.now = self.clock.now();
        self.truth.latest = self.clock.latest();
        let wall = self.wall();
        for client in &mut self.clients {
            client.tell_time(self.truth.now.mono, wall);
        }
    }

    /// The time by the newest node's wall clock.
    fn wall(&self) -> u64 {
        let dial = self.nodes.last().map_or(self.clock.dial, |running| running.node.dial);
        self.clock.now().on(dial).wall
    }

    pub(super) fn busy_step(&mut self) -> Result<(), String> {
        self.begin_step();
        if self.rng.u64(..1000) < self.faults {
            self.fault();
        } else if self.late > 0 && self.rng.u8(..20) == 0 {
            self.straggle();
        } else if self.rng.u8(..4) == 0 {
            self.client_step();
        } else if self.rng.u8(..12) == 0 {
            self.sweep();
        } else {
            self.work()?;
        }
        self.recover();
        self.judge()
    }

    pub(super) fn begin_step(&mut self) {
        self.step += 1;
        // Nodes of a cluster have something to do at every time. At rest they must be fast enough.
        let longest = match (self.cluster.is_some(), self.resting) {
            (true, true) => 3,
            (true, false) => 10,
            (false, _) => 40,
        };
        if self.rng.u8(..3) == 0 {
            let ms = self.rng.u64(..longest);
            self.clock.pass(ms);
        }
        self.truth.step = self.step;
        self.note_time();
    }

    /// Reads what is on disk now, and checks that it may be there.
    pub(super) fn judge(&mut self) -> Result<(), String> {
        let written = self.disk.commits();
        if written != self.judged {
            self.judged = written;
            for (entity, from) in self.truth.logs.read(&self.disk)? {
                self.truth.judge(&entity, from, &self.clients)?;
            }
        }
        for running in &self.nodes {
            running.node.within_limits()?;
        }
        self.ledger.take_surprises().into_iter().next().map_or(Ok(()), Err)
    }
}
