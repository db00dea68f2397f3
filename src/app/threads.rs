//! Starts the committer's thread and the worker threads.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_http::{HttpService, KeepAlive};
use actix_service::{fn_service, map_config};
use actix_web::dev::AppConfig;
use greenroom_actors::journal::{Committer, Pause};

use crate::config::Config;
use crate::failure::Failure;
use crate::shutdown::Shutdown;
use crate::static_files::StaticDir;
use crate::worker::{self, Seed, Shared};
use crate::ws::{self, Gate};
use crate::{accept, http};

/// The resolution of tokio's timers.
const TIMER: Duration = Duration::from_millis(1);
/// How long an idle HTTP connection stays open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A way to pause for code that has its own thread.
pub(super) fn pause_of_own_thread() -> Pause {
    Box::new(|length| {
        Box::pin(async move {
            if length < TIMER {
                // Blocking is fine, because nothing else runs on this thread.
                std::thread::park_timeout(length);
            } else {
                tokio::time::sleep(length).await;
            }
        })
    })
}

/// Starts the committer on its own thread, so that it and the sessions do not wait for each other.
pub(super) fn spawn_committer(committer: Committer) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::Runtime(format!("cannot start the committer: {error}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    std::thread::Builder::new()
        .name("committer".into())
        .spawn(move || runtime.block_on(committer.run()))
        .map_err(failed)?;
    Ok(())
}

/// Starts the worker threads, which accept connections from `listener` immediately.
pub(super) fn start_workers(
    config: &Config,
    listener: TcpListener,
    shared: Shared,
    seeds: Vec<Seed>,
    gate: Arc<Gate>,
    shutdown: Shutdown,
    page: Option<StaticDir>,
) -> Result<actix_server::Server, Failure> {
    let workers = seeds.len();
    let seeds = Arc::new(Mutex::new(seeds));
    let config = config.clone();
    let handshake_timeout = config.socket.handshake_timeout;
    let http_timeout = config.socket.http_timeout;
    let max_pending = accept::per_worker(config.socket.max_pending, workers);
    let factory = move || {
        // Workers start one after the other, each on its own thread. A worker cannot be restarted,
        // because its relay and its directory shard are lost, so the whole process must restart.
        let seed = seeds.lock().ok().and_then(|mut seeds| seeds.pop());
        let Some(seed) = seed else {
            tracing::error!(
                "a worker thread has failed; the process ends so that its supervisor starts it again"
            );
            std::process::exit(70);
        };
        let env = worker::start(shared.clone(), seed);
        actix_rt::spawn(ws::sweep_every_second(Rc::clone(&env), Rc::new(config.clone())));
        actix_rt::spawn(shutdown.clone().say_goodbye(Rc::clone(&env), config.drain.clone()));
        let gate = Arc::clone(&gate);
        let page = page.clone();
        let http = HttpService::build()
            .client_request_timeout(handshake_timeout)
            .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
            .tcp_nodelay(true)
            .upgrade(fn_service(move |(request, framed)| {
                let upgrade = ws::upgrade(Arc::clone(&gate), Rc::clone(&env), request, framed);
                async { upgrade.await.map_err(actix_web::error::ErrorInternalServerError) }
            }))
            .finish(map_config(
                actix_web::App::new().configure(move |routes| http::routes(routes, page)),
                |()| AppConfig::default(),
            ))
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
