//! What lives on each worker thread: a relay, a directory shard, and the sessions that its sockets
//! bring.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use greenroom_actors::directory::{Directory, DirectoryActor, DirectoryLimits, Shard, ToDirectory};
use greenroom_actors::entity::{EntityEnv, Turns};
use greenroom_actors::frames::Encoder;
use greenroom_actors::ids::WorkerId;
use greenroom_actors::journal::Journal;
use greenroom_actors::kind::Kinds;
use greenroom_actors::limits::Accounts;
use greenroom_actors::relay::{ParkedLimits, Relay, RelayActor, RelayHandle, ToRelay};
use greenroom_actors::session::{Authenticate, SessionBounds, SessionEnv};
use greenroom_actors::store::Store;
use tokio::sync::{Semaphore, mpsc};

use crate::ws;

/// Pages that are read at a time on each worker for `subscribe` and `history`: each is about a
/// megabyte at the most.
const READS: usize = 32;

/// What all workers are started with.
#[derive(Clone)]
pub struct Shared {
    /// The kinds that clients may ask for.
    pub kinds: Kinds,
    /// Those and the server's own.
    pub all_kinds: Kinds,
    /// The way to entities.
    pub directory: Directory,
    /// The way to every thread's sessions, by worker.
    pub relays: Vec<RelayHandle>,
    /// The queue to the disk.
    pub journal: Journal,
    /// Where logs are read.
    pub store: Arc<dyn Store>,
    /// Who checks identities.
    pub authenticate: Arc<dyn Authenticate>,
    /// What each user and each address may ask for.
    pub accounts: Arc<Accounts>,
    /// Each session's bounds.
    pub bounds: SessionBounds,
    /// Bounds of each worker's lost sessions.
    pub parked: ParkedLimits,
    /// Bytes that the outboxes of each worker may hold together.
    pub outbox_bytes: usize,
    /// Tells this process's sessions from others'.
    pub instance: u32,
    /// Entities that may load at a time, on each worker.
    pub cold_starts: usize,
    /// Entities that may wait for that, on each worker.
    pub cold_start_queue: usize,
    /// Messages that wait for one entity.
    pub entity_inbox: usize,
    /// How much of each worker's time paused subscriptions may take to read on, in percent.
    pub catch_up_percent: u32,
    /// Entities awake at once, on each worker.
    pub max_awake: usize,
}

/// What one worker alone has.
pub struct Seed {
    /// Which worker.
    pub id: WorkerId,
    /// What its relay receives.
    pub relay: mpsc::Receiver<ToRelay>,
    /// What its directory shard receives.
    pub directory: mpsc::Receiver<ToDirectory>,
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
        relays: shared.relays.clone(),
        journal: shared.journal,
        store: shared.store,
        directory: shared.directory.clone(),
        encoder,
        cold_starts: Rc::new(Semaphore::new(shared.cold_starts)),
        reads: Semaphore::new(READS),
        inbox: shared.entity_inbox,
        loading: Cell::new(0),
        turns: Turns::new(shared.catch_up_percent),
        corrupt: RefCell::default(),
    };
    DirectoryActor::start_on_thread(Shard {
        kinds: shared.all_kinds,
        env: Rc::new(env),
        limits: DirectoryLimits {
            max_awake: shared.max_awake,
            max_loading: shared.cold_starts + shared.cold_start_queue,
        },
        queue: seed.directory,
    });
    Rc::new(SessionEnv {
        relay,
        // The last one is the canary's, which has no sessions.
        relays: shared.relays[..shared.relays.len() - 1].into(),
        worker: seed.id,
        instance: shared.instance,
        directory: shared.directory,
        kinds: shared.kinds,
        encoder,
        authenticate: shared.authenticate,
        accounts: shared.accounts,
        bounds: shared.bounds,
        server: concat!("greenroom/", env!("CARGO_PKG_VERSION")).into(),
    })
}
