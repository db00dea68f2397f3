//! One connection to the database, embedded or remote, with the runtime that it lives on.

use std::sync::Arc;
use std::time::Duration;

use surrealdb::Surreal;
use surrealdb::engine::any::Any;
use surrealdb::opt::Config;
use surrealdb::types::{QueryError, Value, Variables};
use tokio::sync::watch;

use super::failure::Failure;
use super::runtime::{OnDrop, OwnRuntime};
use super::{OpenError, log, signin};
use crate::config::{StoreConfig, StoreUrl};

/// How many calls may wait for the socket to a server. The committer has one under way, and each
/// worker a few reads.
const CALLS_TO_SERVER: usize = 1024;

/// Longer than any process runs.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A client and its runtime. Dropping it closes both.
pub(super) struct Connection {
    // Before the runtime, so that the engine sees its last client go while there are threads to
    // close on.
    client: Surreal<Any>,
    runtime: OwnRuntime,
    /// Whether a statement may wait for ever: a server's answer can get lost on a connection that
    /// stands.
    remote: bool,
}

impl Connection {
    /// Opens what `target` names and chooses the namespace and the database.
    ///
    /// # Errors
    /// What is wrong with the configuration, or with what it names.
    pub(super) async fn open(config: &StoreConfig, target: &StoreUrl) -> Result<Self, OpenError> {
        if let StoreUrl::SurrealKv(directory) = target {
            log::remove_unfinished_repair(directory)?;
            if log::is_left(directory) {
                tracing::info!(directory = %directory.display(), "the store was not closed: writing its log back");
                let recovered = Self::open_once(config, target).await?;
                let mut gone = recovered.gone();
                drop(recovered);
                // An error says that the sender, and with it the engine, is gone too.
                let _gone = gone.wait_for(|gone| *gone).await;
                if log::is_left(directory) {
                    let reason =
                        "its log could not be written back; is there space on the disk?".to_owned();
                    return Err(OpenError::Engine { at: config.url.clone(), reason });
                }
            }
        }
        Self::open_once(config, target).await
    }

    async fn open_once(config: &StoreConfig, target: &StoreUrl) -> Result<Self, OpenError> {
        let embedded = !matches!(target, StoreUrl::Server(_));
        let on_drop = if embedded { OnDrop::Finish } else { OnDrop::Abort };
        let threads = if embedded { config.threads } else { 1 };
        let runtime = OwnRuntime::start(threads, on_drop).map_err(OpenError::Threads)?;
        let work = {
            let (config, target) = (config.clone(), target.clone());
            async move { connect(&config, &target).await }
        };
        let client = runtime.spawn(work).await.map_err(|panic| OpenError::Engine {
            at: config.url.clone(),
            reason: panic.to_string(),
        })??;
        Ok(Self { client, runtime, remote: !embedded })
    }

    /// Runs one statement and returns its value.
    ///
    /// The statement runs on when the caller stops waiting, and the embedded engine's even when its
    /// time is up.
    ///
    /// # Errors
    /// What is known of the outcome, and whether this connection should be given up.
    pub(super) async fn query(
        self: &Arc<Self>,
        statement: &'static str,
        variables: Variables,
        timeout: Duration,
    ) -> Result<Value, (Failure, bool)> {
        self.query_error(statement, variables, timeout)
            .await
            .map_err(|error| (Failure::from(&error), Failure::casts_doubt_on_connection(&error)))
    }

    /// As `query`, with the database's own error. That the time is up is a connection's error.
    pub(super) async fn query_error(
        self: &Arc<Self>,
        statement: &'static str,
        variables: Variables,
        timeout: Duration,
    ) -> surrealdb::Result<Value> {
        let connection = Arc::clone(self);
        let work = async move {
            let mut results = connection.client.query(statement).bind(variables).await?.check()?;
            results.take::<Value>(0)
        };
        self.run(work, timeout).await
    }

    /// Runs statements that are one transaction.
    pub(super) async fn script(
        self: &Arc<Self>,
        script: String,
        timeout: Duration,
    ) -> surrealdb::Result<()> {
        let connection = Arc::clone(self);
        let work = async move {
            let mut errors: Vec<_> =
                connection.client.query(script).await?.take_errors().into_iter().collect();
            errors.sort_by_key(|(statement, _)| *statement);
            // The statements around the one that failed only say that they were not executed.
            let told = errors.iter().position(|(_, error)| {
                !matches!(error.query_details(), Some(QueryError::NotExecuted))
            });
            match errors.into_iter().nth(told.unwrap_or(0)) {
                Some((_, error)) => Err(error),
                None => Ok(()),
            }
        };
        self.run(work, timeout).await
    }

    /// Does work that waits for nothing on this connection's threads.
    ///
    /// # Errors
    /// Where it panicked, or the connection was closed meanwhile.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        self.runtime.spawn(async move { work() }).await.map_err(|ended| ended.to_string())
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = surrealdb::Result<T>> + Send + 'static,
        timeout: Duration,
    ) -> surrealdb::Result<T> {
        let failed = |message: String| surrealdb::Error::connection(message, None);
        let late = move || Err(failed(format!("no answer from the database within {timeout:?}")));
        // The work holds this connection: without an end of its own it would keep one that was
        // given up, with its thread.
        let end = if self.remote { timeout } else { NEVER };
        let work = async move { tokio::time::timeout(end, work).await.unwrap_or_else(|_| late()) };
        match tokio::time::timeout(timeout, self.runtime.spawn(work)).await {
            Ok(Ok(result)) => result,
            Ok(Err(ended)) => Err(failed(format!("the call to the database ended early: {ended}"))),
            Err(_) => late(),
        }
    }

    /// Becomes true when everything is closed after this was dropped.
    pub(super) fn gone(&self) -> watch::Receiver<bool> {
        self.runtime.gone()
    }
}

async fn connect(config: &StoreConfig, target: &StoreUrl) -> Result<Surreal<Any>, OpenError> {
    let address = match target {
        // `sync=every` is SurrealKV's default today. It is the promise of this store, so it is
        // spelt out.
        StoreUrl::SurrealKv(directory) => format!("surrealkv://{}?sync=every", directory.display()),
        StoreUrl::Memory => "mem://".to_owned(),
        StoreUrl::Server(url) => return connect_to_server(config, url).await,
    };
    let engine = |error: surrealdb::Error| OpenError::Engine {
        at: config.url.clone(),
        reason: error.message().to_owned(),
    };
    let client = surrealdb::engine::any::connect((address, quiet())).await.map_err(engine)?;
    define_and_use(&client, config).await.map_err(engine)?;
    Ok(client)
}

/// Has the engine write nothing by itself. It announces its node every few seconds for the sake of
/// a cluster, which an embedded database is not; each time costs a flush, and one that failed would
/// tear the log without anybody's notice.
fn quiet() -> Config {
    Config::new()
        .node_membership_refresh_interval(NEVER)
        .node_membership_check_interval(NEVER)
        .node_membership_cleanup_interval(NEVER)
        .changefeed_gc_interval(NEVER)
}

async fn connect_to_server(config: &StoreConfig, url: &str) -> Result<Surreal<Any>, OpenError> {
    let unreachable = |reason: String| OpenError::Unreachable { url: url.to_owned(), reason };
    // Two providers of cryptography are compiled in, so rustls wants to be told which. Whoever told
    // it before is as right.
    let _told = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let work = async {
        let client = surrealdb::engine::any::connect(url)
            .with_capacity(CALLS_TO_SERVER)
            .await
            .map_err(|error| unreachable(error.message().to_owned()))?;
        signin::signin(&client, config, url).await?;
        define_and_use(&client, config)
            .await
            .map_err(|error| signin::refused(&error, config, url))?;
        Ok(client)
    };
    match tokio::time::timeout(config.timeout, work).await {
        Ok(result) => result,
        Err(_) => Err(unreachable(format!("no answer within {:?}", config.timeout))),
    }
}

/// Makes the namespace and the database where the user may, and enters them.
async fn define_and_use(client: &Surreal<Any>, config: &StoreConfig) -> surrealdb::Result<()> {
    let StoreConfig { namespace, database, .. } = config;
    // A user of the namespace or the database may not define it, but then it exists already.
    let defined =
        client.query(format!("DEFINE NAMESPACE IF NOT EXISTS `{namespace}`")).await?.check();
    tolerate_missing_rights(defined)?;
    client.use_ns(namespace).await?;
    let defined =
        client.query(format!("DEFINE DATABASE IF NOT EXISTS `{database}`")).await?.check();
    tolerate_missing_rights(defined)?;
    client.use_ns(namespace).use_db(database).await?;
    Ok(())
}

fn tolerate_missing_rights(
    result: surrealdb::Result<surrealdb::IndexedResults>,
) -> surrealdb::Result<()> {
    match result {
        Err(error) if !error.is_not_allowed() => Err(error),
        _ => Ok(()),
    }
}
