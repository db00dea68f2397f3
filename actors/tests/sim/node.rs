//! A node: the real relays, sessions, directory shards, entities and committer with their real
//! channels. Where the server has actors, a shell performs one step at a time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use greenroom_actors::clock::{self, Clock, Mono};
use greenroom_actors::cluster::lease::Validity;
use greenroom_actors::directory::{DirectoryLimits, Ownership, Slots};
use greenroom_actors::entity::{Entity, EntityEnv, Rest, Shell, Turns};
use greenroom_actors::ids::{SessionKey, WorkerId};
use greenroom_actors::kind::Kinds;
use greenroom_actors::limits::{Accounts, Allowance};
use greenroom_actors::messages::{Directory, Exchange, RelayHandle, Relays, ToDirectory, ToRelay};
use greenroom_actors::relay::{ParkedLimits, Relay};
use greenroom_actors::session::{SessionBounds, SessionEnv};
use greenroom_protocol::EntityId;
use greenroom_protocol::results::{Rates, SessionLimits};
use tokio::sync::{Semaphore, mpsc};

use super::bugs::Bug;
use super::clock::{Dial, Gauge, Now};
use super::panics::encoder;
use super::seen::Wait;
use super::sizes::{Sizes, ample};
use super::store::SimStore;

use connection::{Believes, Connection, Granted};
use host::{Hosting, Later, Mailbox};
use journal::{Leased, Writer};
use member::Member;
use proc::Proc;
use shutdown::Drain;

mod connection;
mod host;
mod journal;
mod member;
mod proc;
mod shutdown;
mod spoil;
mod state;
mod steps;

pub use member::Entry;
pub use proc::Panic;
pub use shutdown::Drained;
pub use steps::Step;

pub struct Node {
    pub store: SimStore,
    sizes: Sizes,
    bug: Option<Bug>,
    pub directory: Directory,
    shards: Vec<(Slots<Mailbox>, mpsc::Receiver<ToDirectory>)>,
    /// The state that the entities of each shard share.
    entity_envs: Vec<Rc<EntityEnv>>,
    relay_queues: Vec<mpsc::Receiver<ToRelay>>,
    envs: Vec<Rc<SessionEnv>>,
    /// The clock for parts that do not get the time as an argument.
    clock: Clock,
    /// The node's wall clock.
    pub dial: Dial,
    /// The node's timers. All times that it is given are by these.
    pub gauge: Gauge,
    /// Its part in a cluster.
    pub member: Option<Box<Member>>,
    /// The expiry of the latest token that was accepted.
    granted: Granted,
    /// A violation that the node itself has noticed.
    wrong: Option<String>,
    /// Readers that rest, each with the time when that ends.
    rests: Vec<(u64, Rest)>,
    writer: Writer,
    pub procs: BTreeMap<u64, Proc>,
    pub connections: BTreeMap<u64, Connection>,
    later: Vec<Later>,
    /// Ended lives that one of the planted bugs keeps.
    unanswered: Vec<Shell>,
    /// Sessions for which one of the planted bugs has a page of an older subscription in transit.
    misdirected: Vec<SessionKey>,
    drain: Option<Drain>,
    next: u64,
    rng: fastrand::Rng,
    /// Whether to record a note about each step.
    verbose: bool,
    pub notes: Vec<String>,
    pub timers_rung: u64,
    pub panics_in_encode: u64,
    pub panics_between: u64,
    /// Entities that have panicked, and what they waited for.
    pub crashed: Vec<(EntityId, Vec<Wait>)>,
}

/// What distinguishes a node from others of its run.
pub struct Birth {
    pub store: SimStore,
    /// The term of its lease; in a cluster, the number of its process.
    pub term: u64,
    pub dial: Dial,
    pub gauge: Gauge,
    /// How it enters the cluster, if there is one.
    pub entry: Option<Entry>,
    pub rng: fastrand::Rng,
}

impl Node {
    pub fn start(birth: Birth, kinds: &Kinds, sizes: Sizes, bug: Option<Bug>, now: Now) -> Self {
        let Birth { store, term, dial, gauge, entry, mut rng } = birth;
        let (directory, queues) = Directory::channels(sizes.workers, sizes.directory);
        let (relays, relay_queues): (Vec<_>, Vec<_>) =
            (0..sizes.workers).map(|_| RelayHandle::channel(sizes.relay)).unzip();
        let mut relays = Relays::new(relays);
        let (exchange, exchange_queue) = Exchange::channel(sizes.directory);
        if entry.is_some() {
            relays = relays.with_others(exchange.clone());
        }
        let clock = Clock::manual();
        let granted = Granted::default();
        let accounts = accounts(sizes, &clock);
        let grace = if bug == Some(Bug::NoGrace) { 0 } else { sizes.grace };
        let parked = ParkedLimits {
            window: Duration::from_millis(sizes.window),
            grace: Duration::from_millis(grace),
            most: 10,
        };
        let env = |worker: usize| {
            let id = WorkerId(u16::try_from(worker).expect("there are a few workers"));
            Rc::new(SessionEnv {
                relay: Relay::with_bounds(id, directory.clone(), encoder(), parked, sizes.budget),
                relays: relays.clone(),
                worker: id,
                instance: term,
                directory: directory.clone(),
                kinds: kinds.clone(),
                encoder: encoder(),
                authenticate: Arc::new(Believes { bug, granted: granted.clone() }),
                accounts: Arc::clone(&accounts),
                bounds: bounds(sizes, bug),
                random: || 0,
                server: "sim".into(),
            })
        };
        let envs = (0..sizes.workers).map(env).collect();
        let limits = DirectoryLimits { max_awake: 100, max_loading: sizes.max_loading };
        let validity = entry.as_ref().map(Entry::validity);
        let slots = || slots(kinds, limits, validity.as_ref());
        let shards = queues.into_iter().map(|queue| (slots(), queue)).collect();
        let chance = |rng: &mut fastrand::Rng| fastrand::Rng::with_seed(rng.u64(..));
        let lease = entry.as_ref().map_or(Leased::Alone(term), Entry::leased);
        let writer = Writer::start(&store, lease, sizes, bug, &clock, chance(&mut rng));
        let entity_env = |_| {
            Rc::new(EntityEnv {
                relays: relays.clone(),
                exchange: entry.is_some().then(|| exchange.clone()),
                journal: writer.journal.clone(),
                store: Arc::new(store.clone()),
                directory: directory.clone(),
                encoder: encoder(),
                cold_starts: Rc::new(Semaphore::new(sizes.cold_starts)),
                reads: Semaphore::new(sizes.reads),
                inbox: sizes.inbox,
                loading: Cell::default(),
                turns: Turns::new(sizes.percent, clock.clone()),
                corrupt: RefCell::default(),
                rng: RefCell::new(chance(&mut rng)),
            })
        };
        let entity_envs = (0..sizes.workers).map(entity_env).collect();
        let next = rng.u64(..1000);
        let member = entry.zip(validity).map(|(entry, validity)| {
            let rng = chance(&mut rng);
            let queue = (exchange, exchange_queue);
            Box::new(Member::new(entry, validity, queue, accounts, sizes, rng, now))
        });
        Self {
            store,
            sizes,
            bug,
            directory,
            shards,
            entity_envs,
            relay_queues,
            envs,
            clock,
            dial,
            gauge,
            member,
            granted,
            wrong: None,
            rests: Vec::new(),
            writer,
            procs: BTreeMap::new(),
            connections: BTreeMap::new(),
            later: Vec::new(),
            misdirected: Vec::new(),
            unanswered: Vec::new(),
            drain: None,
            next,
            rng,
            verbose: super::number("SIM_SEED").is_some(),
            notes: Vec::new(),
            timers_rung: 0,
            panics_in_encode: 0,
            panics_between: 0,
            crashed: Vec::new(),
        }
    }

    fn with_shard(
        &mut self,
        shard: usize,
        now: Now,
        happen: impl FnOnce(&mut Slots<Mailbox>, &mut Hosting<'_>),
    ) {
        let mut host = Hosting {
            shard,
            now,
            next: &mut self.next,
            env: &self.entity_envs[shard],
            procs: &mut self.procs,
            later: &mut self.later,
        };
        happen(&mut self.shards[shard].0, &mut host);
    }

    /// The time for entities.
    fn entity_time(&self, now: Now) -> clock::Now {
        let time = now.on(self.dial).clock();
        if self.bug == Some(Bug::EntitiesNeverRefill) {
            clock::Now { mono: Mono::ZERO, ..time }
        } else {
            time
        }
    }

    /// Adds a note about a step to the trace.
    fn note(&mut self, message: &impl std::fmt::Debug) {
        if self.verbose {
            self.notes.push(format!("{message:?}"));
        }
    }

    /// Whether the node knows that it has lost its lease.
    pub fn is_fenced(&self) -> bool {
        self.writer.is_fenced()
    }
}

fn accounts(sizes: Sizes, clock: &Clock) -> Arc<Accounts> {
    let allowance = Allowance { requests: sizes.user, wakes: sizes.wakes, awake: 1_000_000 };
    Arc::new(Accounts::alike(allowance).with_clock(clock.clone()))
}

fn slots(
    kinds: &Kinds,
    limits: DirectoryLimits,
    validity: Option<&Arc<Validity>>,
) -> Slots<Mailbox> {
    let slots = Slots::new(kinds.clone(), limits);
    match validity {
        Some(validity) => slots.owning(Ownership::new(Arc::clone(validity))),
        None => slots,
    }
}

fn bounds(sizes: Sizes, bug: Option<Bug>) -> SessionBounds {
    SessionBounds {
        announced: SessionLimits {
            max_message_bytes: 65536,
            max_body_bytes: 32768,
            max_subscriptions: sizes.most_subscriptions + u32::from(bug == Some(Bug::OneTooMany)),
            max_in_flight: sizes.most_in_flight,
            ping_interval_ms: 25000,
            rates: Rates::default(),
        },
        outbox_bytes: sizes.outbox,
        expiry_warning_ms: 30_000,
        connect_timeout_ms: 10_000,
        requests: sizes.requests,
        bytes: ample(),
        abuse_after: sizes.abuse_after.into(),
        abuse_window_ms: 1000,
    }
}
