//! Storage in SurrealDB: embedded, on disk (SurrealKV) or in memory, or a server behind a
//! WebSocket.
//!
//! [`SurrealStore`] implements the core's [`Store`]. Each call goes through the [`Link`], which
//! opens a [`connection::Connection`] when there is none, and runs there as one statement on the
//! database's own threads. `docs/storage.md` describes the tables.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use greenroom_actors::kind::Kinds;
use greenroom_actors::record::EventRecord;
use greenroom_actors::store::{
    Batch, CommitError, Fence, Loaded, Page, Settled, Store, StoreError,
};
use greenroom_protocol::EntityId;

use crate::config::{StoreConfig, StoreUrl};

mod commit;
mod connection;
mod erase;
mod error;
mod failure;
mod kinds;
mod lease;
mod link;
mod lock;
mod log;
mod proof;
mod read;
mod registry;
mod rewrite;
mod rows;
mod runtime;
mod schema;
mod signin;
mod swap;
#[cfg(test)]
mod tests;

use commit::ExtraRows;
pub use error::OpenError;
use kinds::Unnoted;
pub use lease::LeaseKey;
use link::Link;
pub use proof::prove;
pub use registry::SurrealRegistry;
pub use rewrite::{RewriteError, rewrite};
pub use schema::VERSIONS as SCHEMA;
pub(crate) use schema::of_release as schema_of;

/// The pause between attempts to reach a server.
const SERVER_RETRY_PAUSE: Duration = Duration::from_millis(250);

/// A [`Store`] over SurrealDB. Dropping it closes the database in the background;
/// [`close`](Self::close) waits for that.
pub struct SurrealStore {
    link: Arc<Link>,
    lease: LeaseKey,
    unnoted: Unnoted,
}

impl SurrealStore {
    /// Opens what `store.url` names and brings its schema up to date.
    ///
    /// A server must answer within `store.timeout`. An embedded database may take longer, since it
    /// reads its log.
    ///
    /// # Errors
    /// What is wrong and how to fix it.
    pub async fn open(config: &StoreConfig) -> Result<Self, OpenError> {
        let link = Link::open(config).await?;
        Ok(Self { link, lease: LeaseKey::Single, unnoted: Unnoted::default() })
    }

    /// The same database over the same connection, as another writer.
    #[must_use]
    pub fn another(&self) -> Self {
        let link = Arc::clone(&self.link);
        Self { link, lease: self.lease, unnoted: Unnoted::default() }
    }

    /// The same store, with transactions that are fenced by another lease.
    #[must_use]
    pub fn with_lease(mut self, lease: LeaseKey) -> Self {
        self.lease = lease;
        self
    }

    /// Like [`open`](Self::open), but keeps trying an unreachable server for `patience`: it may have
    /// been started together with this process and be up in a moment. Errors that waiting cannot fix
    /// are returned at once.
    ///
    /// # Errors
    /// As for `open`.
    pub async fn open_patiently(
        config: &StoreConfig,
        patience: Duration,
    ) -> Result<Self, OpenError> {
        let mut give_up = None;
        loop {
            let error = match Self::open(config).await {
                Err(error @ OpenError::Unreachable { .. }) => error,
                result => return result,
            };
            let now = tokio::time::Instant::now();
            if give_up.is_none() {
                tracing::warn!(%error, ?patience, "waiting for the store");
            }
            if now >= *give_up.get_or_insert(now + patience) {
                return Err(error);
            }
            tokio::time::sleep(SERVER_RETRY_PAUSE).await;
        }
    }

    /// Checks that the stored entities of each kind have the configured behaviour. From now on, the
    /// behaviour of each kind that is new to the store is recorded with its first events.
    ///
    /// # Errors
    /// Which kind was stored with a different behaviour, and what to do about it.
    pub async fn keep_behaviours(&self, kinds: &Kinds) -> Result<(), OpenError> {
        self.unnoted.take_up(&self.link, kinds).await
    }

    /// The rows on which the nodes of a cluster agree, over this store's connection.
    pub fn registry(&self) -> SurrealRegistry {
        SurrealRegistry::new(Arc::clone(&self.link))
    }

    /// Why no call can succeed until the process restarts: an on-disk engine that could not be
    /// reopened after a failed write, for example on a full disk, keeps its files locked.
    pub fn dead(&self) -> Option<String> {
        self.link.dead()
    }

    /// Closes the database and waits until its files are closed. Later calls open it again.
    pub async fn close(&self) {
        self.link.close().await;
    }
}

/// Checks whether [`SurrealStore::open`] would succeed, and describes the store. It creates no data
/// directory, and leaves a store alone that a running server uses. Otherwise it does what `open`
/// does: it applies migrations, makes the directory private, recovers the log of a process that
/// died, and finishes an interrupted rewrite.
///
/// # Errors
/// As for `open`, or if a kind was stored with a different behaviour.
pub async fn check(config: &StoreConfig, kinds: &Kinds) -> Result<String, OpenError> {
    let target = config.target().map_err(OpenError::Url)?;
    if let StoreUrl::SurrealKv(directory) = &target
        && !directory.exists()
    {
        lock::can_be_created(directory)?;
        return Ok("there is no data yet; `greenroom serve` creates the directory".into());
    }
    match SurrealStore::open(config).await {
        Ok(store) => {
            let kept = store.keep_behaviours(kinds).await;
            store.close().await;
            kept?;
        }
        Err(OpenError::InUse { holder, .. }) => {
            let holder = holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            return Ok(format!(
                "a running process{holder} has it open, so its contents were not checked"
            ));
        }
        Err(error) => return Err(error),
    }
    let what = match target {
        StoreUrl::SurrealKv(_) => "SurrealKV, flushed on every commit".to_owned(),
        StoreUrl::Memory => "in memory, lost when the process ends".to_owned(),
        StoreUrl::Server(_) => format!(
            "a SurrealDB server, namespace `{}`, database `{}`",
            config.namespace, config.database
        ),
    };
    Ok(format!("{what}; schema version {}", schema::VERSION))
}

#[async_trait]
impl Store for SurrealStore {
    async fn acquire(&self) -> Result<u64, StoreError> {
        commit::acquire(&self.link, self.lease).await
    }

    async fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        let (rewritten, done) = erase::rewritten(&self.link, &batch.rewrites).await?;
        commit::commit(
            &self.link,
            self.lease,
            batch,
            ExtraRows { kinds: self.unnoted.rows(batch), rewritten, done },
        )
        .await?;
        self.unnoted.written(batch);
        Ok(())
    }

    async fn settle(&self, fence: Fence) -> Result<Settled, CommitError> {
        commit::settle(&self.link, self.lease, fence).await
    }

    async fn load(&self, entity: &EntityId) -> Result<Loaded, StoreError> {
        read::load(&self.link, entity).await
    }

    async fn events(&self, entity: &EntityId, page: Page) -> Result<Vec<EventRecord>, StoreError> {
        read::events(&self.link, entity, page).await
    }

    async fn erasing(
        &self,
        after: Option<&EntityId>,
        limit: usize,
    ) -> Result<Vec<EntityId>, StoreError> {
        read::erasing(&self.link, after, limit).await
    }
}
