//! A store in memory, for tests: it keeps the contract to the letter, and fails when it is told to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use greenroom_protocol::EntityId;

use super::{Batch, CommitError, Fence, Loaded, Page, Settled, Store, StoreError};
use crate::record::EventRecord;

pub use faults::{Faults, LostAnswer};
use log::Log;

mod faults;
mod log;
#[cfg(test)]
mod tests;

/// A store in memory. Clones share their contents, so that one can outlive the node that a test
/// crashes.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    disk: Arc<Mutex<Disk>>,
    /// The node whose lease fences its transactions; none for the only writer.
    node: Option<u64>,
    faults: Faults,
}

/// What would be on disk.
#[derive(Debug, Default)]
struct Disk {
    /// By node, as in [`MemoryStore`].
    leases: BTreeMap<Option<u64>, Lease>,
    /// The row of the cluster's map.
    map: Option<String>,
    logs: HashMap<EntityId, Log>,
    commits: u64,
}

/// The row that every transaction of one writer writes.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    pub term: u64,
    /// The last number used, by a commit or by `settle`.
    pub number: u64,
    /// Who committed at that number; nobody where `settle` used it up.
    pub committed: Option<u64>,
}

impl MemoryStore {
    /// An empty store without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same contents, as a node of a cluster writes them. Its faults are its own.
    #[must_use]
    pub fn of_node(&self, node: u64) -> Self {
        Self { disk: Arc::clone(&self.disk), node: Some(node), faults: Faults::default() }
    }

    /// One transaction over the leases, by node, and the row of the map.
    pub(crate) fn agree<T>(
        &self,
        happen: impl FnOnce(&mut BTreeMap<Option<u64>, Lease>, &mut Option<String>) -> T,
    ) -> T {
        let disk = &mut *self.disk();
        happen(&mut disk.leases, &mut disk.map)
    }

    /// The handle that makes it fail.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// How many transactions were written since it was made.
    pub fn commits(&self) -> u64 {
        self.disk().commits
    }

    /// Lets the transactions arrive whose answers were lost by [`LostAnswer::OnItsWay`], in their order.
    /// Each tells whether it was written after all.
    ///
    /// # Errors
    /// Each refused one has its own.
    pub fn deliver(&self) -> Vec<Result<(), CommitError>> {
        let late = self.faults.take_late();
        late.iter().map(|batch| self.disk().commit(self.node, batch)).collect()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        // A test that panicked elsewhere is reported there; what the lock protects changes in one
        // go.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    fn commit(&mut self, node: Option<u64>, batch: &Batch) -> Result<(), CommitError> {
        let failed = |why: String| CommitError::Failed(why.into());
        self.leases.entry(node).or_default().admit(batch.fence)?;
        // All is checked before anything changes.
        for row in &batch.rows {
            Log::check(self.logs.get(&row.entity), row).map_err(failed)?;
        }
        for rewrite in &batch.rewrites {
            Log::check_rewrite(self.logs.get(&rewrite.entity), rewrite).map_err(failed)?;
        }
        for trim in &batch.trims {
            let coming = batch.snapshots.iter().find(|row| row.entity == trim.entity);
            Log::check_trim(self.logs.get(&trim.entity), coming, trim).map_err(failed)?;
        }
        self.leases.entry(node).or_default().take(batch.fence);
        for row in &batch.rows {
            self.logs.entry(row.entity.clone()).or_default().append(row.clone());
        }
        for snapshot in &batch.snapshots {
            self.logs
                .entry(snapshot.entity.clone())
                .or_default()
                .replace_snapshot(snapshot.clone());
        }
        for rewrite in &batch.rewrites {
            self.logs.entry(rewrite.entity.clone()).or_default().rewrite(rewrite);
        }
        for (entity, erasure) in &batch.erasures {
            self.logs.entry(entity.clone()).or_default().erasures.insert(erasure.message, *erasure);
        }
        for trim in &batch.trims {
            self.logs.entry(trim.entity.clone()).or_default().trim(trim);
        }
        self.commits += 1;
        Ok(())
    }
}

impl Lease {
    /// Whether a transaction with this fence may be written.
    pub fn admit(&self, fence: Fence) -> Result<(), CommitError> {
        self.same_term(fence)?;
        if fence.number != self.number + 1 {
            let why = format!("number {} does not follow {}", fence.number, self.number);
            return Err(CommitError::Failed(why.into()));
        }
        Ok(())
    }

    /// It is written.
    pub const fn take(&mut self, fence: Fence) {
        self.number = fence.number;
        self.committed = Some(fence.nonce);
    }

    fn same_term(&self, fence: Fence) -> Result<(), CommitError> {
        if fence.term == self.term {
            Ok(())
        } else {
            let why = format!("the term is {}, not {}", self.term, fence.term);
            Err(CommitError::Fenced(why.into()))
        }
    }

    fn settle(&mut self, fence: Fence) -> Result<Settled, CommitError> {
        self.same_term(fence)?;
        match self.number {
            number if number == fence.number && self.committed == Some(fence.nonce) => {
                Ok(Settled::Committed)
            }
            number if number == fence.number => Ok(Settled::NotCommitted),
            number if number + 1 == fence.number => {
                self.number = fence.number;
                self.committed = None;
                Ok(Settled::NotCommitted)
            }
            number => {
                let why = format!("number {} cannot be settled at {number}", fence.number);
                Err(CommitError::Failed(why.into()))
            }
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn acquire(&self) -> Result<u64, StoreError> {
        self.faults.acquiring()?;
        let mut disk = self.disk();
        let lease = disk.leases.entry(self.node).or_default();
        *lease = Lease { term: lease.term + 1, number: 0, committed: None };
        Ok(lease.term)
    }

    async fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        let unknown = |why: &str| Err(CommitError::Unknown(why.into()));
        match self.faults.committing(batch).await {
            None | Some(faults::Fate::Passes) => self.disk().commit(self.node, batch),
            Some(faults::Fate::Fails) => Err(CommitError::Failed("told to fail".into())),
            Some(faults::Fate::Loses(LostAnswer::Written)) => {
                self.disk().commit(self.node, batch)?;
                unknown("the answer was lost")
            }
            Some(faults::Fate::Loses(LostAnswer::NotWritten)) => unknown("the request was lost"),
            Some(faults::Fate::Loses(LostAnswer::OnItsWay)) => unknown("the request is late"),
        }
    }

    async fn settle(&self, fence: Fence) -> Result<Settled, CommitError> {
        self.faults.settling()?;
        self.disk().leases.entry(self.node).or_default().settle(fence)
    }

    async fn load(&self, entity: &EntityId) -> Result<Loaded, StoreError> {
        self.faults.reading().await?;
        self.disk().logs.get(entity).map_or_else(|| Ok(Loaded::default()), Log::load)
    }

    async fn events(&self, entity: &EntityId, page: Page) -> Result<Vec<EventRecord>, StoreError> {
        self.faults.reading().await?;
        self.disk().logs.get(entity).map_or_else(|| Ok(Vec::new()), |log| log.page(page))
    }

    async fn erasing(
        &self,
        after: Option<&EntityId>,
        limit: usize,
    ) -> Result<Vec<EntityId>, StoreError> {
        self.faults.reading().await?;
        let disk = self.disk();
        let mut found: Vec<_> = disk
            .logs
            .iter()
            .filter(|(_, log)| !log.erasures.is_empty())
            .map(|(entity, _)| entity.clone())
            .collect();
        found.retain(|entity| after.is_none_or(|after| entity.as_str() > after.as_str()));
        found.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        found.truncate(limit);
        Ok(found)
    }
}
