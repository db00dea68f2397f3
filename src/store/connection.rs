//! One connection to the database, embedded or remote, and the runtime it lives on.

use std::sync::Arc;
use std::time::Duration;

use surrealdb::Surreal;
use surrealdb::engine::any::Any;
use surrealdb::opt::Config;
use surrealdb::types::{QueryError, Value, Variables};
use tokio::sync::watch;
use tokio::task::JoinError;

use super::error::Cause;
use super::runtime::{OnDrop, OwnRuntime};
use super::{OpenError, log, signin};
use crate::config::{StoreConfig, StoreUrl};

/// How many calls may wait for the socket to a server. The committer has one in flight, each worker
/// a few reads.
const CALLS_TO_SERVER: usize = 1024;

/// An interval longer than any process runs.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A client and its runtime. Dropping it closes both.
pub(super) struct Connection {
    // Declared before the runtime, so that the engine sees its last client dropped while there are
    // still threads to close on.
    client: Surreal<Any>,
    runtime: OwnRuntime,
    /// Statements on a server end with their timeout, because an answer can get lost on a
    /// connection that otherwise works. An embedded engine always answers.
    remote: bool,
}

impl Connection {
    /// Opens what `target` names and selects the namespace and the database.
    ///
    /// # Errors
    /// What is wrong with the configuration, or with what it names.
    pub(super) async fn open(config: &StoreConfig, target: &StoreUrl) -> Result<Self, OpenError> {
        if let StoreUrl::SurrealKv(directory) = target {
            log::remove_unfinished_repair(directory)?;
            if log::is_left(directory) {
                tracing::info!(directory = %directory.display(), "the store was not closed cleanly: writing its log back");
                let recovered = Self::open_once(config, target).await?;
                let mut gone = recovered.gone();
                drop(recovered);
                // An error means that the sender, and with it the engine, is already gone.
                let _gone = gone.wait_for(|gone| *gone).await;
                if log::is_left(directory) {
                    let source = "its log could not be written back; is there space on the disk?";
                    return Err(OpenError::Engine {
                        at: config.url.clone(),
                        source: source.into(),
                    });
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
            let config = config.clone();
            let target = target.clone();
            async move { connect(&config, &target).await }
        };
        let client = runtime.spawn(work).await.map_err(|panic| OpenError::Engine {
            at: config.url.clone(),
            source: panic.into(),
        })??;
        Ok(Self { client, runtime, remote: !embedded })
    }

    /// Runs one statement and returns its value. A timeout is reported as a connection error.
    ///
    /// The statement keeps running if the caller stops waiting; on an embedded engine it does so
    /// even after the timeout.
    pub(super) async fn query(
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

    /// Runs a script that is one transaction.
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
            // The statements around the one that failed only report that they were not executed.
            let failed = errors.iter().position(|(_, error)| {
                !matches!(error.query_details(), Some(QueryError::NotExecuted))
            });
            match errors.into_iter().nth(failed.unwrap_or(0)) {
                Some((_, error)) => Err(error),
                None => Ok(()),
            }
        };
        self.run(work, timeout).await
    }

    /// Runs CPU-bound work on this connection's threads.
    ///
    /// # Errors
    /// If the work panicked, or the connection was closed meanwhile.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        self.runtime.spawn(async move { work() }).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = surrealdb::Result<T>> + Send + 'static,
        timeout: Duration,
    ) -> surrealdb::Result<T> {
        let failed = |message: String| surrealdb::Error::connection(message, None);
        let late = move || Err(failed(format!("no answer from the database within {timeout:?}")));
        // The work holds this connection. On a server it must end by itself, or it would keep alive
        // a connection that was given up, and its thread.
        let limit = self.remote.then_some(timeout);
        let work = async move {
            match limit {
                Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or_else(|_| late()),
                None => work.await,
            }
        };
        match tokio::time::timeout(timeout, self.runtime.spawn(work)).await {
            Ok(Ok(result)) => result,
            Ok(Err(ended)) => Err(failed(format!("the call to the database ended early: {ended}"))),
            Err(_) => late(),
        }
    }

    /// Becomes true once this has been dropped and everything is closed.
    pub(super) fn gone(&self) -> watch::Receiver<bool> {
        self.runtime.gone()
    }
}

async fn connect(config: &StoreConfig, target: &StoreUrl) -> Result<Surreal<Any>, OpenError> {
    let address = match target {
        // `sync=every` is SurrealKV's default today. This store's promise depends on it, so it is
        // spelt out.
        StoreUrl::SurrealKv(directory) => format!("surrealkv://{}?sync=every", directory.display()),
        StoreUrl::Memory => "mem://".to_owned(),
        StoreUrl::Server(url) => return connect_to_server(config, url).await,
    };
    let engine = |error: surrealdb::Error| OpenError::Engine {
        at: config.url.clone(),
        source: error.into(),
    };
    let client = surrealdb::engine::any::connect((address, quiet())).await.map_err(engine)?;
    define_and_use(&client, config).await.map_err(engine)?;
    Ok(client)
}

/// Stops the engine from writing anything of its own accord. It announces its node every few
/// seconds for the sake of a cluster, which an embedded database is not; each announcement costs a
/// flush, and one that failed would damage the log without anybody noticing.
fn quiet() -> Config {
    Config::new()
        .node_membership_refresh_interval(NEVER)
        .node_membership_check_interval(NEVER)
        .node_membership_cleanup_interval(NEVER)
        .changefeed_gc_interval(NEVER)
}

async fn connect_to_server(config: &StoreConfig, url: &str) -> Result<Surreal<Any>, OpenError> {
    let unreachable = |source: Cause| OpenError::Unreachable { url: url.to_owned(), source };
    // Two crypto providers are compiled in, so rustls must be told which to use. If one is already
    // installed, that one is fine too.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let work = async {
        let client = surrealdb::engine::any::connect(url)
            .with_capacity(CALLS_TO_SERVER)
            .await
            .map_err(|error| unreachable(error.into()))?;
        signin::signin(&client, config, url).await?;
        define_and_use(&client, config)
            .await
            .map_err(|error| signin::refused(error, config, url))?;
        Ok(client)
    };
    match tokio::time::timeout(config.timeout, work).await {
        Ok(result) => result,
        Err(_) => Err(unreachable(format!("no answer within {:?}", config.timeout).into())),
    }
}

/// Creates the namespace and the database if the user may, and selects them.
async fn define_and_use(client: &Surreal<Any>, config: &StoreConfig) -> surrealdb::Result<()> {
    let StoreConfig { namespace, database, .. } = config;
    // A user defined on the namespace or the database may not define it, but then it already
    // exists.
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
