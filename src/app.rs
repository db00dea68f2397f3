//! The one place that wires: every part of a running server, and who knows whom.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_http::{HttpService, KeepAlive};
use actix_service::{fn_service, map_config};
use actix_web::dev::{AppConfig, ServerHandle};
use greenroom_actors::clock::Millis;
use greenroom_actors::directory::Directory;
use greenroom_actors::identity::Identity;
use greenroom_actors::ids::WorkerId;
use greenroom_actors::journal::{Committer, CommitterLimits, Health, Journal};
use greenroom_actors::kind::Kinds;
use greenroom_actors::limits::{Accounts, Keyed};
use greenroom_actors::metrics::JOURNAL_QUEUE_OPS;
use greenroom_actors::relay::{ParkedLimits, RelayHandle};
use greenroom_actors::session::{Authenticate, SessionBounds};
use greenroom_actors::store::Store;
use greenroom_protocol::WireError;
use greenroom_protocol::results::{Rates, SessionLimits};
use tokio::sync::watch;

use crate::address::TrustedProxies;
use crate::admin::{self, Admin, Readiness, ReadinessHandle};
use crate::auth::Authenticator;
use crate::canary::{self, Canary};
use crate::cli::Failure;
use crate::config::{Config, JournalConfig};
use crate::metrics::{Exporter, UPKEEP_INTERVAL};
use crate::origin::OriginPolicy;
use crate::shutdown::{Shutdown, signal};
use crate::store::SurrealStore;
use crate::worker::{Seed, Shared};
use crate::ws::{Gate, GateLimits};
use crate::{accept, erasures, http, open_files, worker, ws};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// How often to look whether the store is beyond help.
const STORE_CHECK: Duration = Duration::from_secs(2);
/// tokio's timers count in these.
const TIMER: Duration = Duration::from_millis(1);
/// How long an HTTP connection without a request stays open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Serves until a signal, or until the lease or the store is lost.
///
/// # Errors
/// What keeps the server from starting, or from going on.
#[expect(clippy::too_many_lines, reason = "the one place that wires, in order")]
pub async fn serve(mut config: Config) -> Result<(), Failure> {
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
    let listener = listen(config.listen, config.socket.send_buffer_bytes)?;
    // Before the store is opened, which may take minutes: whoever watches the process sees that it
    // lives, and is not ready.
    let (readiness, ready) = ReadinessHandle::new(Readiness::not_ready("starting"));
    let (admin_address, admin_handle) = start_admin(&config, exporter.clone(), ready)?.unzip();
    let address = listener
        .local_addr()
        .map_err(|error| Failure::Runtime(format!("no local address: {error}")))?;
    let database = open_store(&config).await?;
    let kinds = config.kinds();
    let store: Arc<dyn Store> = database.clone();
    let term = store
        .acquire()
        .await
        .map_err(|error| Failure::Runtime(format!("cannot take the lease: {error}")))?;

    let workers = config.worker_count();
    let (directory, directory_queues) = Directory::channels(workers, config.directory.inbox);
    // One relay a worker, and the canary's.
    let (relays, mut relay_queues): (Vec<_>, Vec<_>) =
        (0..=workers).map(|_| RelayHandle::channel(config.relay.queue)).unzip();
    let canary_queue = relay_queues.pop().expect("there is one more than workers");
    let (journal, journal_queue) = Journal::channel(config.journal.queue_ops);
    sample_queue(&exporter, journal.clone());
    let JournalConfig { batch_ops, batch_bytes, linger, .. } = config.journal;
    let limits = CommitterLimits { batch_ops, batch_bytes, linger };
    let (committer, health) = Committer::new(Arc::clone(&store), term, journal_queue, limits);
    spawn_committer(committer)?;

    actix_rt::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            ticks.tick().await;
            exporter.run_upkeep();
        }
    });

    let gate = gate(&config)?;
    let shutdown = Shutdown::new();
    let shared = Shared {
        kinds: kinds.clone(),
        all_kinds: Kinds::new(kinds.iter().map(|kind| (**kind).clone()).chain([canary::kind()])),
        directory: directory.clone(),
        relays: relays.clone(),
        journal: journal.clone(),
        store: Arc::clone(&store),
        authenticate: Arc::new(Tokens(authenticator)),
        accounts: Arc::new(Accounts::new(config.limits.user(), config.limits.address())),
        bounds: bounds(&config, &kinds),
        parked: ParkedLimits {
            window: config.socket.resume_window,
            grace: config.socket.presence_grace,
            most: config.socket.max_parked.div_ceil(workers),
        },
        outbox_bytes: config.socket.total_outbox_bytes.div_ceil(workers),
        instance: fastrand::u32(..),
        cold_starts: config.directory.cold_starts.div_ceil(workers),
        cold_start_queue: config.directory.cold_start_queue.div_ceil(workers),
        entity_inbox: config.directory.entity_inbox,
        catch_up_percent: config.relay.catch_up_percent,
        max_awake: config.directory.max_awake.div_ceil(workers),
    };
    let ids = (0..).map(WorkerId);
    let seeds = ids.zip(relay_queues).zip(directory_queues).map(|((id, relay), directory)| Seed {
        id,
        relay,
        directory,
    });
    let server = start_workers(
        &config,
        listener,
        shared,
        seeds.collect(),
        Arc::clone(&gate),
        shutdown.clone(),
    )?;
    let server_handle = server.handle();
    actix_rt::spawn(server);

    let canary = Canary::new(
        directory.clone(),
        WorkerId(workers as u16),
        relays[workers].clone(),
        canary_queue,
    );
    let canary = actix_rt::spawn(canary.run(readiness.clone(), health.clone()));
    let erasures = actix_rt::spawn(erasures::wake(Arc::clone(&store), directory.clone()));
    announce(&config, address, admin_address);

    let failed = tokio::select! {
        name = signal() => {
            tracing::info!(signal = name, "stopping");
            None
        }
        why = lost_lease(health) => Some(format!("the lease is lost, another process writes to this store: {why}")),
        why = dead_store(&database) => Some(format!("the store cannot be used any more: {why}")),
    };
    [canary, erasures].iter().for_each(tokio::task::JoinHandle::abort);
    readiness.set(Readiness::not_ready("shutting down"));
    gate.shut();
    // Not accepting any more. To stop here would end the worker threads, and with them the sessions
    // that are still to hear their answers: the connections there are have been taken over, so the
    // server does not wait for them.
    server_handle.pause().await;
    let deadline = shutdown.drain(&config.drain, &directory, &journal, &gate).await;
    server_handle.stop(false).await;
    // Everything is on disk; closing writes it in another form, which the next start can do as
    // well.
    if tokio::time::timeout_at(deadline, database.close()).await.is_err() {
        tracing::warn!("the store is not closed in time: the next start reads its log");
    }
    if let Some(admin) = admin_handle {
        admin.stop(false).await;
    }
    match failed {
        None => {
            tracing::info!("stopped");
            Ok(())
        }
        Some(why) => Err(Failure::Runtime(why)),
    }
}

/// The queue's length as it is at each scrape: a committer that hangs in a transaction could not
/// tell it.
fn sample_queue(exporter: &Exporter, journal: Journal) {
    let waiting = JOURNAL_QUEUE_OPS.gauge_with([]);
    #[expect(clippy::cast_precision_loss, reason = "a queue holds far fewer than 2^52 messages")]
    exporter.sample(move || waiting.set(journal.waiting() as f64));
}

/// Starts the operators' listener, if there is one.
fn start_admin(
    config: &Config,
    exporter: Exporter,
    ready: watch::Receiver<Readiness>,
) -> Result<Option<(SocketAddr, ServerHandle)>, Failure> {
    let Some(listen) = config.metrics.listen else { return Ok(None) };
    let Admin { address, server, handle } =
        admin::serve(listen, exporter, ready).map_err(|error| cannot_listen(listen, &error))?;
    tracing::info!(%address, "`/live`, `/ready` and `/metrics` are served");
    actix_rt::spawn(server);
    Ok(Some((address, handle)))
}

async fn open_store(config: &Config) -> Result<Arc<SurrealStore>, Failure> {
    let store = SurrealStore::open_patiently(&config.store)
        .await
        .map_err(|error| Failure::Runtime(error.to_string()))?;
    if let Err(error) = store.keep_behaviours(&config.kinds()).await {
        store.close().await;
        return Err(Failure::Config(error.to_string()));
    }
    Ok(Arc::new(store))
}

/// The committer has a thread of its own, so that no session waits for it and it for no session.
fn spawn_committer(committer: Committer) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::Runtime(format!("cannot start the committer: {error}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let committer = committer.with_pause(Box::new(|length| {
        Box::pin(async move {
            if length < TIMER {
                // There is nothing else on this thread to be held up.
                std::thread::park_timeout(length);
            } else {
                tokio::time::sleep(length).await;
            }
        })
    }));
    std::thread::Builder::new()
        .name("committer".into())
        .spawn(move || runtime.block_on(committer.run()))
        .map_err(failed)?;
    Ok(())
}

fn start_workers(
    config: &Config,
    listener: TcpListener,
    shared: Shared,
    seeds: Vec<Seed>,
    gate: Arc<Gate>,
    shutdown: Shutdown,
) -> Result<actix_server::Server, Failure> {
    let workers = seeds.len();
    let seeds = Arc::new(Mutex::new(seeds));
    let config = config.clone();
    let (handshake_timeout, http_timeout) =
        (config.socket.handshake_timeout, config.socket.http_timeout);
    let max_pending = accept::per_worker(config.socket.max_pending, workers);
    let factory = move || {
        // Workers start one after the other, each on its own thread. One that is started again has
        // lost its sessions' relay and its entities' directory: only the process as a whole can
        // begin anew.
        let seed = seeds.lock().ok().and_then(|mut seeds| seeds.pop());
        let Some(seed) = seed else {
            tracing::error!(
                "a worker thread has failed; the process ends so that its supervisor starts it again"
            );
            std::process::exit(70);
        };
        let env = worker::start(shared.clone(), seed);
        actix_rt::spawn(ws::sweep_every_second(
            std::rc::Rc::clone(&env),
            std::rc::Rc::new(config.clone()),
        ));
        actix_rt::spawn(
            shutdown.clone().say_goodbye(std::rc::Rc::clone(&env), config.drain.clone()),
        );
        let gate = Arc::clone(&gate);
        let http = HttpService::build()
            .client_request_timeout(handshake_timeout)
            .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
            .tcp_nodelay(true)
            .upgrade(fn_service(move |(request, framed)| {
                let upgrade =
                    ws::upgrade(Arc::clone(&gate), std::rc::Rc::clone(&env), request, framed);
                async { upgrade.await.map_err(actix_web::error::ErrorInternalServerError) }
            }))
            .finish(map_config(actix_web::App::new().configure(http::routes), |()| {
                AppConfig::default()
            }))
            .tcp();
        accept::bounded(http, http_timeout)
    };
    let server = actix_server::Server::build()
        .workers(workers)
        .max_concurrent_connections(max_pending)
        .disable_signals()
        .shutdown_timeout(1)
        .listen("greenroom", listener, factory)
        .map_err(|error| Failure::Runtime(format!("cannot start the workers: {error}")))?;
    Ok(server.run())
}

/// Bytes that the system takes for a connection before it has sent them.
#[cfg(target_os = "linux")]
const NOT_SENT: u32 = 4 * 1024;

fn listen(address: SocketAddr, send_buffer: usize) -> Result<TcpListener, Failure> {
    let bind = || {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        if send_buffer > 0 {
            // Sockets that are accepted inherit it.
            socket.set_send_buffer_size(send_buffer)?;
        }
        // So is this. Otherwise the system tells us that a slow client reads only after each third
        // of that buffer.
        #[cfg(target_os = "linux")]
        socket.set_tcp_notsent_lowat(NOT_SENT)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    bind().map_err(|error| cannot_listen(address, &error))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::Runtime(format!(
        "cannot listen on `{address}`: {error}; stop what listens there, or choose another address"
    ))
}

fn gate(config: &Config) -> Result<Arc<Gate>, Failure> {
    let frames = ws::FrameLimits {
        max_frame: config.socket.max_frame_bytes as u64,
        max_message: config.socket.max_message_bytes as u64,
    };
    let limits = GateLimits {
        max_connections: config.socket.max_connections,
        max_per_address: config.limits.connections_per_address,
        frames,
    };
    let origins = OriginPolicy::new(&config.socket.allowed_origins, config.is_loopback())
        .map_err(|error| Failure::Config(error.to_string()))?;
    let proxies = TrustedProxies::new(config.limits.trusted_proxies.clone());
    Ok(Gate::new(limits, origins, proxies, Keyed::new(config.limits.connections())))
}

fn bounds(config: &Config, kinds: &Kinds) -> SessionBounds {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let max_body = kinds.iter().map(|kind| kind.max_body_bytes).max().unwrap_or(0);
    SessionBounds {
        told: SessionLimits {
            max_message_bytes: config.socket.max_message_bytes as u64,
            max_body_bytes: max_body as u64,
            max_subscriptions: count(config.socket.max_subscriptions),
            max_in_flight: count(config.socket.max_in_flight),
            ping_interval_ms: ms(config.socket.ping_interval),
            rates: Rates {
                requests: config.limits.requests().into(),
                bytes: config.limits.bytes().into(),
                user_requests: config.limits.user().requests.into(),
            },
        },
        outbox_bytes: config.socket.outbox_bytes,
        expiry_warning_ms: ms(config.auth.expiry_warning),
        connect_timeout_ms: ms(config.socket.connect_timeout),
        requests: config.limits.requests(),
        bytes: config.limits.bytes(),
        abuse_after: config.limits.abuse_after,
        abuse_window_ms: ms(config.limits.abuse_window),
    }
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

/// Resolves when only another process can open the store again, so that a supervisor starts one.
async fn dead_store(store: &SurrealStore) -> String {
    let mut ticks = tokio::time::interval(STORE_CHECK);
    loop {
        ticks.tick().await;
        if let Some(why) = store.dead() {
            return why;
        }
    }
}

fn announce(config: &Config, address: SocketAddr, admin: Option<SocketAddr>) {
    println!("greenroom {}", env!("CARGO_PKG_VERSION"));
    println!("  open      http://{address}/");
    println!("  socket    ws://{address}{}", ws::PATH);
    if let Some(admin) = admin {
        println!("  metrics   http://{admin}/metrics");
    }
    println!("  store     {}", config.store.url);
}

/// Tokens, as sessions ask about them.
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
