//! A database of its own on disk, opened as `src/store/connection.rs` opens it, but for the flush,
//! which can be left out here.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use surrealdb::Surreal;
use surrealdb::engine::any::{Any, connect};
use surrealdb::opt::Config;

use super::Result;
use super::runtime::{OnDrop, OwnRuntime};
use super::shape::Shape;

/// Longer than any process runs.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The schema of the server's store.
const SCHEMA: &str = concat!(
    include_str!("../../src/store/migrations/0001_journal.surql"),
    include_str!("../../src/store/migrations/0002_retention.surql"),
    include_str!("../../src/store/migrations/0003_kinds.surql"),
    include_str!("../../src/store/migrations/0004_erasures.surql")
);

/// An embedded database and its threads.
pub struct Engine {
    // Before the runtime, so that the engine sees its last client go while there are threads to
    // close on.
    client: Surreal<Any>,
    runtime: OwnRuntime,
}

impl Engine {
    /// Opens a new database in `directory`, flushed with every commit or never, whose journal has
    /// rows of `shape`.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn open(directory: &Path, flush: bool, threads: usize, shape: Shape) -> Result<Self> {
        let runtime = OwnRuntime::start(threads, OnDrop::Finish)?;
        let address = format!(
            "surrealkv://{}?sync={}",
            directory.display(),
            if flush { "every" } else { "never" }
        );
        // Nothing is to be written but what is measured.
        let quiet = Config::new()
            .node_membership_refresh_interval(NEVER)
            .node_membership_check_interval(NEVER)
            .node_membership_cleanup_interval(NEVER)
            .changefeed_gc_interval(NEVER);
        let work = async move {
            let client = connect((address, quiet)).await?;
            client.query("DEFINE NAMESPACE greenroom").await?.check()?;
            client.use_ns("greenroom").await?;
            client.query("DEFINE DATABASE greenroom").await?.check()?;
            client.use_ns("greenroom").use_db("greenroom").await?;
            client.query(format!("BEGIN; {SCHEMA} {} COMMIT;", shape.schema())).await?.check()?;
            surrealdb::Result::Ok(client)
        };
        let client = runtime.spawn(work).await??;
        Ok(Self { client, runtime })
    }

    /// A client with a session of its own.
    pub fn client(&self) -> Surreal<Any> {
        self.client.clone()
    }

    /// Runs `work` on the database's threads, as the server does.
    ///
    /// # Errors
    /// What the database says.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = surrealdb::Result<T>> + Send + 'static,
    ) -> Result<T> {
        Ok(self.runtime.spawn(work).await??)
    }

    /// Closes the database and waits until its files are closed.
    pub async fn close(self) {
        let mut gone = self.runtime.gone();
        drop(self);
        // An error says that the sender, and with it the engine, is gone too.
        let _gone = gone.wait_for(|gone| *gone).await;
    }
}
