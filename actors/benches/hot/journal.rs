//! The committer: how queued events become one transaction.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use greenroom_actors::journal::{Committer, CommitterLimits, Journal, Progress, ToJournal};
use greenroom_actors::record::EventRecord;
use greenroom_actors::store::{
    Batch, CommitError, Fence, Loaded, Page, Settled, Store, StoreError,
};
use greenroom_protocol::EntityId;

use crate::rig;

const ENTITIES: u64 = 64;
const EVENTS: u64 = 1024;

/// A store that takes everything and keeps nothing.
struct Takes;

#[async_trait]
impl Store for Takes {
    async fn acquire(&self) -> Result<u64, StoreError> {
        Ok(1)
    }

    async fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        assert_eq!(batch.rows.len() as u64, ENTITIES, "all of it is one transaction");
        Ok(())
    }

    async fn settle(&self, _: Fence) -> Result<Settled, CommitError> {
        Ok(Settled::NotCommitted)
    }

    async fn load(&self, _: &EntityId) -> Result<Loaded, StoreError> {
        Ok(Loaded::default())
    }

    async fn events(&self, _: &EntityId, _: Page) -> Result<Vec<EventRecord>, StoreError> {
        Ok(Vec::new())
    }

    async fn erasing(&self, _: Option<&EntityId>, _: usize) -> Result<Vec<EntityId>, StoreError> {
        Ok(Vec::new())
    }
}

/// A committer before a queue of 1,024 events, 16 of each entity, which came in turn.
fn committer(store: &Arc<Takes>, text: &Bytes) -> Committer {
    let (journal, queue) = Journal::channel(EVENTS as usize);
    let lives: Vec<_> =
        (0..ENTITIES).map(|i| (rig::room(i as usize), Progress::new(0).0)).collect();
    for event in 0..EVENTS {
        let (entity, progress) = &lives[(event % ENTITIES) as usize];
        let (entity, progress, seq) = (entity.clone(), Arc::clone(progress), event / ENTITIES + 1);
        let message = ToJournal::Event {
            entity,
            epoch: rig::epoch(),
            seq,
            text: text.clone(),
            erasure: None,
            progress,
        };
        journal.reserve().expect("the queue has room for all").send(message);
    }
    let limits =
        CommitterLimits { batch_ops: 4096, batch_bytes: 4 * 1024 * 1024, linger: Duration::ZERO };
    Committer::new(Arc::clone(store) as Arc<dyn Store>, 1, queue, limits).0
}

/// One iteration takes 1,024 queued events of 64 entities, gathers them in one transaction of 64
/// rows, hands that to a store which does nothing, and tells the entities.
#[divan::bench]
fn commit_1024_events(bencher: Bencher<'_, '_>) {
    let record = EventRecord {
        seq: 1,
        at: 1_763_800_000_000,
        from: "alice".into(),
        r#type: "post".into(),
        body: rig::body(),
        deleted: None,
        client: Some("01JD8Z3V7Q0000000000000000".into()),
        n: Some(1),
        began: None,
        tag: None,
        result: None,
    };
    let text = Bytes::from(serde_json::to_vec(&record).expect("it serializes"));
    let store = Arc::new(Takes);
    bencher
        .counter(ItemsCount::new(EVENTS))
        .with_inputs(|| committer(&store, &text))
        .bench_local_values(|committer| {
            // Nothing in it waits: the queue is full and has no other end, and the store answers at
            // once.
            let done = pin!(committer.run()).poll(&mut Context::from_waker(Waker::noop()));
            assert!(done.is_ready(), "it commits until the queue is empty");
        });
}
