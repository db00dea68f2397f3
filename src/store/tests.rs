//! The store against real databases: in memory, on disk, and a server.

use std::time::Duration;

use greenroom_actors::cluster::map::NodeId;
use greenroom_actors::cluster::registry as cluster;
use greenroom_actors::record::EventRecord;
use greenroom_actors::store::{
    Batch, CommitError, Fence, JournalRow, Page, Settled, SnapshotRow, Store, StoreError, Trim,
    conformance,
};
use greenroom_protocol::{EntityId, Epoch, RawJson, Seq};
use surrealdb::types::Variables;

use super::failure::Failure;
use super::{LeaseKey, OpenError, SurrealStore, check, schema};
use crate::config::{StoreConfig, StoreUrl};
use greenroom_actors::kind::Kinds;

mod embedded;
mod errors;
mod pages;
mod remote;
mod server;

/// A configuration for `url` with a timeout long enough for a busy machine.
fn config(url: impl Into<String>) -> StoreConfig {
    StoreConfig { url: url.into(), timeout: Duration::from_secs(60), ..StoreConfig::default() }
}

fn on_disk(directory: &tempfile::TempDir) -> StoreConfig {
    config(format!("surrealkv://{}", directory.path().join("data").display()))
}

fn entity(name: &str) -> EntityId {
    EntityId::parse(&format!("room:{name}")).unwrap()
}

/// A call whose outcome is unknown.
fn lost(why: &str) -> Failure {
    Failure::Lost(surrealdb::Error::internal(why.into()))
}

fn event(seq: u64) -> EventRecord {
    EventRecord {
        seq: Seq::new(seq),
        at: 1_700_000_000_000 + seq,
        from: "alice".into(),
        r#type: "post".into(),
        body: RawJson::from_text(format!(r#"{{"text":"{seq}"}}"#)).unwrap(),
        deleted: None,
        client: None,
        n: None,
        began: None,
        tag: None,
        result: None,
    }
}

fn row(name: &str, seqs: std::ops::RangeInclusive<u64>) -> JournalRow {
    JournalRow {
        entity: entity(name),
        epoch: Epoch::from_bits(7),
        first_seq: Seq::new(*seqs.start()),
        last_seq: Seq::new(*seqs.end()),
        events: serde_json::to_string(&seqs.map(event).collect::<Vec<_>>()).unwrap(),
    }
}

fn snapshot(name: &str, seq: u64, trimmed: u64) -> SnapshotRow {
    SnapshotRow {
        entity: entity(name),
        epoch: Epoch::from_bits(7),
        seq: Seq::new(seq),
        state: RawJson::NULL,
        dedupe: RawJson::NULL,
        trimmed: Seq::new(trimmed),
        longest_row: 7,
    }
}

fn trim(name: &str, from: u64, through: u64) -> Trim {
    Trim { entity: entity(name), from: Seq::new(from), through: Seq::new(through), rows: 9 }
}

/// Writes batches under one term and numbers them.
struct Writer<'a> {
    store: &'a SurrealStore,
    last: Fence,
}

impl<'a> Writer<'a> {
    async fn acquire(store: &'a SurrealStore) -> Self {
        let term = store.acquire().await.unwrap();
        Self { store, last: Fence { term, number: 0, nonce: 0 } }
    }

    fn batch(&mut self, rows: Vec<JournalRow>) -> Batch {
        self.last =
            Fence { number: self.last.number + 1, nonce: self.last.nonce + 10, ..self.last };
        Batch {
            fence: self.last,
            rows,
            snapshots: Vec::new(),
            trims: Vec::new(),
            erasures: Vec::new(),
            rewrites: Vec::new(),
        }
    }

    async fn write(&mut self, rows: Vec<JournalRow>) {
        let batch = self.batch(rows);
        self.store.commit(&batch).await.unwrap();
    }
}

async fn seqs(store: &SurrealStore, name: &str, page: Page) -> Vec<u64> {
    store.events(&entity(name), page).await.unwrap().iter().map(|event| event.seq.get()).collect()
}
