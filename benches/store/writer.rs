//! Writes one transaction after the other, like the committer.

use std::time::{Duration, Instant};

use greenroom::store::SurrealStore;
use greenroom_actors::store::{Batch, Fence, Store};

use super::Result;
use super::log::Log;
use super::variant::Variant;

/// Writes the transactions of a variant.
pub struct Writer {
    variant: Variant,
    logs: Vec<Log>,
    term: u64,
    /// The number of transactions so far.
    pub transactions: u64,
    /// How long each transaction took since this was last cleared.
    pub took: Vec<Duration>,
}

impl Writer {
    /// Takes the lease of `store`, to write ops of `bytes` bytes.
    ///
    /// # Errors
    /// The store's error.
    pub async fn start(variant: &Variant, bytes: usize, store: &SurrealStore) -> Result<Self> {
        let run = fastrand::u64(..1 << 32);
        let logs = (0..variant.entities)
            .map(|index| Log::new(run, index, variant.entities, bytes, variant.snapshots))
            .collect::<Result<_>>()?;
        let term = store.acquire().await?;
        Ok(Self { variant: variant.clone(), logs, term, transactions: 0, took: Vec::new() })
    }

    /// Commits transactions for `length`.
    ///
    /// # Errors
    /// The store's error.
    pub async fn run(&mut self, store: &SurrealStore, length: Duration) -> Result<()> {
        let end = Instant::now() + length;
        while Instant::now() < end {
            let batch = self.batch();
            let begun = Instant::now();
            store.commit(&batch).await?;
            self.took.push(begun.elapsed());
        }
        Ok(())
    }

    /// Reads back what was written last.
    ///
    /// # Errors
    /// If the store contains something else.
    pub async fn check(&self, store: &SurrealStore) -> Result<()> {
        for log in &self.logs {
            let loaded = store.load(log.entity()).await?;
            let snapshot = loaded.snapshot.map(|snapshot| snapshot.seq);
            let found = loaded.tail.last().map(|event| event.seq).or(snapshot);
            if found != Some(log.last_seq()) {
                let entity = log.entity();
                let wanted = log.last_seq();
                return Err(
                    format!("{entity}: committed up to seq {wanted}, but found {found:?}").into()
                );
            }
        }
        Ok(())
    }

    fn batch(&mut self) -> Batch {
        self.transactions += 1;
        let nonce = fastrand::u64(1..1 << 53);
        let fence = Fence { term: self.term, number: self.transactions, nonce };
        let mut batch = Batch {
            fence,
            rows: Vec::new(),
            snapshots: Vec::new(),
            trims: Vec::new(),
            erasures: Vec::new(),
            rewrites: Vec::new(),
        };
        for log in &mut self.logs {
            batch.rows.push(log.pack(self.variant.ops_each));
            let snapshots = self.variant.snapshots;
            batch.snapshots.extend(snapshots.and_then(|snapshots| log.snapshot(snapshots)));
        }
        batch
    }
}
