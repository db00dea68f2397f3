//! The parts of each worker thread: a relay, a directory shard, and the sessions of its sockets.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use greenroom_actors::clock::Clock;
use greenroom_actors::cluster::lease::Validity;
use greenroom_actors::directory::{DirectoryActor, DirectoryLimits, Shard};
use greenroom_actors::entity::{EntityEnv, Turns};
use greenroom_actors::frames::Encoder;
use greenroom_actors::ids::WorkerId;
use greenroom_actors::journal::Journal;
use greenroom_actors::kind::Kinds;
use greenroom_actors::limits::Accounts;
use greenroom_actors::messages::{Directory, Exchange, Relays, ToDirectory, ToRelay};
use greenroom_actors::relay::{ParkedLimits, Relay, RelayActor};
use greenroom_actors::session::{Authenticate, SessionBounds, SessionEnv, unguessable};
use greenroom_actors::store::Store;
use tokio::sync::{Semaphore, mpsc};

use crate::ws;

/// How many pages each worker reads at a time for `subscribe` and `history`. Each is about a
/// megabyte at most.
const READS: usize = 32;

/// What all workers share at the start.
#[derive(Clone)]
pub struct Shared {
    /// The kinds that clients can use.
    pub kinds: Kinds,
    /// Those kinds and the server's own.
    pub all_kinds: Kinds,
    pub directory: Directory,
    /// The relay of each worker.
    pub relays: Relays,
    /// Those and the canary's, which has no sessions.
    pub relays_and_canary: Relays,
    pub journal: Journal,
    pub store: Arc<dyn Store>,
    pub authenticate: Arc<dyn Authenticate>,
    /// The rate limits of users and addresses.
    pub accounts: Arc<Accounts>,
    pub bounds: SessionBounds,
    /// The limits for each worker's parked sessions.
    pub parked: ParkedLimits,
    /// How many bytes the outboxes of each worker may hold together.
    pub outbox_bytes: usize,
    /// Distinguishes this process's sessions from those of other processes.
    pub instance: u64,
    /// The way to other nodes, in a cluster.
    pub exchange: Option<Exchange>,
    /// In a cluster: until when this node may serve what it owns.
    pub validity: Option<Arc<Validity>>,
    /// How many entities may load at the same time on each worker.
    pub cold_starts: usize,
    /// How many entities may wait for their turn to load on each worker.
    pub cold_start_queue: usize,
    /// How many messages may wait for one entity.
    pub entity_inbox: usize,
    /// How much of each worker's time reads for paused subscriptions may take, in percent.
    pub catch_up_percent: u32,
    /// How many entities may be awake at once on each worker.
    pub max_awake: usize,
}

/// What belongs to one worker alone.
pub struct Seed {
    pub id: WorkerId,
    pub relay: mpsc::Receiver<ToRelay>,
    pub directory: mpsc::Receiver<ToDirectory>,
}

impl Seed {
    /// One for each worker, from the queues of all.
    pub fn of_each(
        relays: Vec<mpsc::Receiver<ToRelay>>,
        directories: Vec<mpsc::Receiver<ToDirectory>>,
    ) -> Vec<Self> {
        let ids = (0..).map(WorkerId);
        ids.zip(relays)
            .zip(directories)
            .map(|((id, relay), directory)| Self { id, relay, directory })
            .collect()
    }
}

/// Starts a worker's actors on the current thread.
pub fn start(shared: Shared, seed: Seed) -> Rc<SessionEnv> {
    let encoder = Encoder::new(ws::frame);
    let relay = Relay::with_bounds(
        seed.id,
        shared.directory.clone(),
        encoder,
        shared.parked,
        shared.outbox_bytes,
    );
    RelayActor::start_on_thread(Rc::clone(&relay), seed.relay);
    let env = EntityEnv {
        relays: shared.relays_and_canary,
        exchange: shared.exchange,
        journal: shared.journal,
        store: shared.store,
        directory: shared.directory.clone(),
        encoder,
        cold_starts: Rc::new(Semaphore::new(shared.cold_starts)),
        reads: Semaphore::new(READS),
        inbox: shared.entity_inbox,
        loading: Cell::new(0),
        turns: Turns::new(shared.catch_up_percent, Clock::REAL),
        corrupt: RefCell::default(),
        rng: RefCell::new(fastrand::Rng::new()),
    };
    DirectoryActor::start_on_thread(Shard {
        kinds: shared.all_kinds,
        env: Rc::new(env),
        limits: DirectoryLimits {
            max_awake: shared.max_awake,
            max_loading: shared.cold_starts + shared.cold_start_queue,
        },
        queue: seed.directory,
        validity: shared.validity,
    });
    Rc::new(SessionEnv {
        relay,
        relays: shared.relays,
        worker: seed.id,
        instance: shared.instance,
        directory: shared.directory,
        kinds: shared.kinds,
        encoder,
        authenticate: shared.authenticate,
        accounts: shared.accounts,
        bounds: shared.bounds,
        random: unguessable,
        server: concat!("greenroom/", env!("CARGO_PKG_VERSION")).into(),
    })
}
