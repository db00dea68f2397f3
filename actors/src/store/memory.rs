//! A store in memory, for tests: it keeps the contract to the letter, and fails when it is told to.

use std::collections::HashMap;
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
    faults: Faults,
}

/// What would be on disk.
#[derive(Debug, Default)]
struct Disk {
    lease: Lease,
    logs: HashMap<EntityId, Log>,
    commits: u64,
}

/// The one row that every transaction writes.
#[derive(Debug, Default)]
struct Lease {
    term: u64,
    /// The last number used, by a commit or by `settle`.
    number: u64,
    /// Who committed at that number; nobody where `settle` used it up.
    committed: Option<u64>,
}

impl MemoryStore {
    /// An empty store without faults.
    pub fn new() -> Self {
        Self::default()
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
        late.iter().map(|batch| self.disk().commit(batch)).collect()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        // A test that panicked elsewhere is reported there; what the lock protects changes in one
        // go.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        let failed = |why: String| CommitError::Failed(why.into());
        self.admit(batch.fence)?;
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
        self.lease.number = batch.fence.number;
        self.lease.committed = Some(batch.fence.nonce);
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

    fn admit(&self, fence: Fence) -> Result<(), CommitError> {
        self.same_term(fence)?;
        if fence.number != self.lease.number + 1 {
            let why = format!("number {} does not follow {}", fence.number, self.lease.number);
            return Err(CommitError::Failed(why.into()));
        }
        Ok(())
    }

    fn same_term(&self, fence: Fence) -> Result<(), CommitError> {
        if fence.term == self.lease.term {
            Ok(())
        } else {
            let why = format!("the term is {}, not {}", self.lease.term, fence.term);
            Err(CommitError::Fenced(why.into()))
        }
    }

    fn settle(&mut self, fence: Fence) -> Result<Settled, CommitError> {
        self.same_term(fence)?;
        match self.lease.number {
            number if number == fence.number && self.lease.committed == Some(fence.nonce) => {
                Ok(Settled::Committed)
            }
            number if number == fence.number => Ok(Settled::NotCommitted),
            number if number + 1 == fence.number => {
                self.lease.number = fence.number;
                self.lease.committed = None;
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
        disk.lease = Lease { term: disk.lease.term + 1, number: 0, committed: None };
        Ok(disk.lease.term)
    }

    async fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        let unknown = |why: &str| Err(CommitError::Unknown(why.into()));
        match self.faults.committing(batch).await {
            None | Some(faults::Fate::Passes) => self.disk().commit(batch),
            Some(faults::Fate::Fails) => Err(CommitError::Failed("told to fail".into())),
            Some(faults::Fate::Loses(LostAnswer::Written)) => {
                self.disk().commit(batch)?;
                unknown("the answer was lost")
            }
            Some(faults::Fate::Loses(LostAnswer::NotWritten)) => unknown("the request was lost"),
            Some(faults::Fate::Loses(LostAnswer::OnItsWay)) => unknown("the request is late"),
        }
    }

    async fn settle(&self, fence: Fence) -> Result<Settled, CommitError> {
        self.faults.settling()?;
        self.disk().settle(fence)
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
