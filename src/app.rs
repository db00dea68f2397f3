//! Wires the server together. This is the only place that knows all parts and how they are
//! connected.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use greenroom_actors::clock::Millis;
use greenroom_actors::identity::Identity;
use greenroom_actors::ids::WorkerId;
use greenroom_actors::journal::{Health, Journal};
use greenroom_actors::kind::Kinds;
use greenroom_actors::limits::Accounts;
use greenroom_actors::messages::{Directory, RelayHandle, Relays};
use greenroom_actors::metrics::JOURNAL_QUEUE_OPS;
use greenroom_actors::session::Authenticate;
use greenroom_actors::store::Store;
use greenroom_protocol::{EntityId, WireError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin::{Operated, Readiness, ReadinessHandle};
use crate::auth::Authenticator;
use crate::canary::{self, Canary};
use crate::cluster::{self, Cluster, Handle, View};
use crate::config::Config;
use crate::failure::Failure;
use crate::metrics::{Exporter, UPKEEP_INTERVAL, expect_kinds};
use crate::shutdown::Shutdown;
use crate::static_files::StaticDir;
use crate::store::SurrealStore;
use crate::worker::{Seed, Shared};
use crate::ws::Gate;
use crate::{erasures, open_files};

mod bounds;
mod listen;
mod stored;
mod threads;

pub use listen::listen;
use stored::Stored;

/// How often to check whether the store can only be reopened by another process.
const STORE_CHECK: Duration = Duration::from_secs(2);

/// A server whose store is open and whose committer runs, but which accepts no connections yet.
///
/// It runs on the actix `System` of the thread that built it.
pub struct App {
    config: Config,
    kinds: Kinds,
    authenticator: Authenticator,
    gate: Arc<Gate>,
    readiness: ReadinessHandle,
    admin: Option<(SocketAddr, ServerHandle)>,
    operated: Operated,
    stored: Stored,
    cluster: Option<Cluster>,
    page: Option<StaticDir>,
}

/// A server that accepts connections.
pub struct Running {
    config: Config,
    address: SocketAddr,
    admin: Option<(SocketAddr, ServerHandle)>,
    readiness: ReadinessHandle,
    gate: Arc<Gate>,
    directory: Directory,
    stored: Stored,
    cluster: Option<Handle>,
    workers: ServerHandle,
    shutdown: Shutdown,
    /// The canary, and the task that wakes entities that were erasing.
    tasks: Vec<JoinHandle<()>>,
}

impl App {
    /// Checks the configuration, starts the operators' listener, opens the store, takes its lease
    /// and starts the committer.
    ///
    /// Opening a large store can take minutes. The operators' listener starts before that, so that
    /// monitoring sees a process that is alive and not ready.
    ///
    /// # Errors
    /// If the configuration is wrong, or the server cannot start.
    pub async fn build(mut config: Config) -> Result<Self, Failure> {
        if let Some(warning) =
            open_files::limit().and_then(|limit| open_files::fit(&mut config.socket, limit))
        {
            tracing::warn!("{warning}");
        }
        let exporter = Exporter::install().map_err(|error| Failure::Runtime(error.to_string()))?;
        let admission = config.admission();
        let authenticator = Authenticator::new(&config.auth, admission.anonymous)
            .map_err(|error| Failure::Config(error.to_string()))?;
        tracing::info!("who is admitted: {}", authenticator.admits(&admission.why));
        let gate = bounds::gate(&config)?;
        let (readiness, ready) = ReadinessHandle::new(Readiness::not_ready("starting"));
        let operated = Operated::default();
        let admin = listen::start_admin(&config, exporter.clone(), ready, operated.clone())?;
        let kinds = config.kinds().map_err(|error| Failure::Config(error.to_string()))?;
        expect_kinds(kinds.iter().map(|kind| kind.name()));
        let patience = config.store.timeout;
        if let Some(cluster) = &config.cluster {
            config.store = cluster.store(&config.store);
        }
        let cluster = config.cluster.as_ref().map(|cluster| Cluster::new(&config, cluster));
        let stored = Stored::open(&config, &kinds, cluster.as_ref(), patience).await?;
        sample_queue(&exporter, stored.journal.clone());
        keep_up(exporter);
        Ok(Self {
            config,
            kinds,
            authenticator,
            gate,
            readiness,
            admin,
            operated,
            stored,
            cluster,
            page: None,
        })
    }

    /// Serves your own page at `/` instead of the demo, for development.
    #[must_use]
    pub fn with_page(self, page: StaticDir) -> Self {
        Self { page: Some(page), ..self }
    }

    /// Serves connections from `listener` until `shutdown` resolves (to the reason, for the log),
    /// or until the lease or the store is lost; then says goodbye to every client and closes the
    /// store.
    ///
    /// # Errors
    /// If the server cannot start or cannot continue.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = &'static str>,
    ) -> Result<(), Failure> {
        self.start(listener).await?.until(shutdown).await
    }

    /// Starts the worker threads, which accept connections from `listener`.
    ///
    /// # Errors
    /// If they cannot start, or a node of a cluster cannot reach NATS.
    pub async fn start(self, listener: TcpListener) -> Result<Running, Failure> {
        let Self {
            config,
            kinds,
            authenticator,
            gate,
            readiness,
            admin,
            operated,
            stored,
            cluster,
            page,
        } = self;
        let address = listener
            .local_addr()
            .map_err(|error| Failure::Runtime(format!("no local address: {error}")))?;
        let store: Arc<dyn Store> = stored.database.clone();
        let workers = config.worker_count();
        let (directory, directory_queues) = Directory::channels(workers, config.directory.inbox);
        let (relays, relay_queues): (Vec<_>, Vec<_>) =
            (0..workers).map(|_| RelayHandle::channel(config.relay.queue)).unzip();
        let (canary_relay, canary_queue) = RelayHandle::channel(config.relay.queue);
        let with_canary: Vec<_> = relays.iter().chain([&canary_relay]).cloned().collect();
        let others = |relays: Relays| match &cluster {
            Some(cluster) => relays.with_others(cluster.exchange()),
            None => relays,
        };
        let accounts = Arc::new(Accounts::new(config.limits.user(), config.limits.address()));
        let canary = canary::kind().map_err(|error| Failure::Runtime(error.to_string()))?;
        let shutdown = Shutdown::new();
        let shared = Shared {
            kinds: kinds.clone(),
            all_kinds: Kinds::new(kinds.iter().map(|kind| (**kind).clone()).chain([canary])),
            directory: directory.clone(),
            relays: others(Relays::new(relays)),
            relays_and_canary: others(Relays::new(with_canary.iter().cloned())),
            journal: stored.journal.clone(),
            store: Arc::clone(&store),
            authenticate: Arc::new(Tokens(authenticator)),
            accounts: Arc::clone(&accounts),
            bounds: bounds::bounds(&config, &kinds),
            parked: bounds::parked(&config, workers),
            outbox_bytes: config.socket.total_outbox_bytes.div_ceil(workers),
            instance: cluster.as_ref().map_or_else(|| fastrand::u64(1..), |node| node.id().0),
            exchange: cluster.as_ref().map(Cluster::exchange),
            validity: cluster.as_ref().map(Cluster::validity),
            cold_starts: config.directory.cold_starts.div_ceil(workers),
            cold_start_queue: config.directory.cold_start_queue.div_ceil(workers),
            entity_inbox: config.directory.entity_inbox,
            catch_up_percent: config.relay.catch_up_percent,
            max_awake: config.directory.max_awake.div_ceil(workers),
        };
        let seeds = Seed::of_each(relay_queues, directory_queues);
        let server = threads::start_workers(
            &config,
            listener,
            shared,
            seeds,
            Arc::clone(&gate),
            shutdown.clone(),
            page,
        )?;
        let handle = server.handle();
        actix_rt::spawn(server);

        let parts = cluster::Parts {
            journal: stored.journal.clone(),
            directory: directory.clone(),
            relays: with_canary,
            accounts,
        };
        let cluster = match cluster {
            None => None,
            Some(cluster) => {
                let node = cluster.start(&config.store, parts).await?;
                Some(operated.get_or_init(|| node).clone())
            }
        };
        let id = WorkerId(workers as u16);
        let view = cluster.as_ref().map(Handle::view);
        let canary = Canary::new(directory.clone(), id, canary_relay, canary_queue, view.clone());
        let canary = actix_rt::spawn(canary.run(readiness.clone(), stored.health.clone()));
        let away = view
            .clone()
            .map(|view| actix_rt::spawn(shutdown.clone().send_away_while_cut_off(view)));
        let erasures = wake_erasing(store, directory.clone(), view);
        Ok(Running {
            config,
            address,
            admin,
            readiness,
            gate,
            directory,
            stored,
            cluster,
            workers: handle,
            shutdown,
            tasks: [canary, erasures].into_iter().chain(away).collect(),
        })
    }
}

impl Running {
    /// The address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of `/live`, `/ready` and `/metrics`, unless they are turned off.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(address, _)| *address)
    }

    /// Serves until `shutdown` resolves or the server cannot continue, and then stops it.
    ///
    /// # Errors
    /// If the lease or the store was lost.
    pub async fn until(self, shutdown: impl Future<Output = &'static str>) -> Result<(), Failure> {
        let failed = tokio::select! {
            reason = shutdown => {
                tracing::info!(signal = reason, "stopping");
                None
            }
            why = lost_lease(self.stored.health.clone()), if self.cluster.is_none() => Some(format!("the lease is lost, another process writes to this store: {why}")),
            why = left_cluster(self.cluster.as_ref()) => Some(why),
            why = dead_store(&self.stored.database) => Some(format!("the store cannot be used any more: {why}")),
        };
        self.stop().await;
        match failed {
            None => {
                tracing::info!("stopped");
                Ok(())
            }
            Some(why) => Err(Failure::Runtime(why)),
        }
    }

    async fn stop(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.readiness.set(Readiness::not_ready("shutting down"));
        if let Some(cluster) = &self.cluster {
            cluster.give_up_slots().await;
        }
        self.gate.shut();
        // Only stop accepting for now. Stopping the server here would end the worker threads and
        // with them sessions that still wait for answers, because the server does not wait for
        // connections that were taken over from it.
        self.workers.pause().await;
        if let Some(cluster) = &self.cluster {
            self.shutdown.send_elsewhere(&self.config.drain, &self.gate).await;
            cluster.leave().await;
        }
        let deadline = self
            .shutdown
            .drain(&self.config.drain, &self.directory, &self.stored.journal, &self.gate)
            .await;
        self.workers.stop(false).await;
        // Everything is on disk. Closing only moves it to its final place, which the next start can
        // also do.
        if tokio::time::timeout_at(deadline, self.stored.database.close()).await.is_err() {
            tracing::warn!("the store is not closed in time: the next start reads its log");
        }
        if let Some((_, admin)) = self.admin {
            admin.stop(false).await;
        }
    }
}

/// Wakes this node's entities that were erasing.
fn wake_erasing(
    store: Arc<dyn Store>,
    directory: Directory,
    view: Option<watch::Receiver<View>>,
) -> JoinHandle<()> {
    let is_here = move |entity: &EntityId| {
        view.as_ref().is_none_or(|view| view.borrow().open.contains(entity))
    };
    actix_rt::spawn(erasures::wake(store, directory, is_here))
}

/// Samples the queue's length at each scrape, because a committer that hangs in a transaction could
/// not report it.
fn sample_queue(exporter: &Exporter, journal: Journal) {
    let waiting = JOURNAL_QUEUE_OPS.gauge_with([]);
    #[expect(clippy::cast_precision_loss, reason = "a queue holds far fewer than 2^52 messages")]
    exporter.sample(move || waiting.set(journal.waiting() as f64));
}

/// Runs the recorder's upkeep at regular intervals.
fn keep_up(exporter: Exporter) {
    actix_rt::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            ticks.tick().await;
            exporter.run_upkeep();
        }
    });
}

/// Resolves when another process has taken the lease.
async fn lost_lease(mut health: watch::Receiver<Health>) -> String {
    loop {
        if let Health::Fenced(why) = &*health.borrow_and_update() {
            return why.clone();
        }
        if health.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Resolves when this node is not in its cluster any more, with the reason.
async fn left_cluster(cluster: Option<&Handle>) -> String {
    match cluster {
        Some(cluster) => cluster.ended().await.to_string(),
        None => std::future::pending().await,
    }
}

/// Resolves when the store can only be reopened by another process, which the supervisor will
/// start.
async fn dead_store(store: &SurrealStore) -> String {
    let mut ticks = tokio::time::interval(STORE_CHECK);
    loop {
        ticks.tick().await;
        if let Some(why) = store.dead() {
            return why;
        }
    }
}

/// Connects the [`Authenticator`] to the core.
struct Tokens(Authenticator);

impl Authenticate for Tokens {
    fn authenticate(
        &self,
        token: Option<&str>,
        client: &str,
        now: Millis,
    ) -> Result<Identity, WireError> {
        self.0
            .authenticate(token, client, now)
            .map_err(|error| WireError::new(error.code(), error.to_string()))
    }
}
