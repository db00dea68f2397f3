//! The committer: turns queued events into one transaction.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use greenroom_actors::journal::{
    Committer, CommitterLimits, Journal, Outside, Progress, ToJournal,
};
use greenroom_actors::record::EventRecord;
use greenroom_actors::store::{
    Batch, CommitError, Fence, Loaded, Page, Settled, Store, StoreError,
};
use greenroom_protocol::{EntityId, Seq};

use crate::rig;

const ENTITIES: u64 = 64;
const EVENTS: u64 = 1024;

/// A store that accepts everything and keeps nothing.
struct AcceptsAll;

#[async_trait]
impl Store for AcceptsAll {
    async fn acquire(&self) -> Result<u64, StoreError> {
        Ok(1)
    }

    async fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        assert_eq!(batch.rows.len() as u64, ENTITIES, "everything is in one transaction");
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

/// A committer with a queue of 1,024 events, 16 from each entity in turn.
fn committer(store: &Arc<AcceptsAll>, text: &Bytes) -> Committer {
    let (journal, queue) = Journal::channel(EVENTS as usize);
    let lives: Vec<_> =
        (0..ENTITIES).map(|i| (rig::room(i as usize), Progress::new(Seq::ZERO).0)).collect();
    for event in 0..EVENTS {
        let (entity, progress) = &lives[(event % ENTITIES) as usize];
        let message = ToJournal::Event {
            entity: entity.clone(),
            epoch: rig::epoch(),
            seq: Seq::new(event / ENTITIES + 1),
            text: text.clone(),
            erasure: None,
            progress: Arc::clone(progress),
        };
        journal.reserve().expect("the queue has room for all").send(message);
    }
    let limits =
        CommitterLimits { batch_ops: 4096, batch_bytes: 4 * 1024 * 1024, linger: Duration::ZERO };
    Committer::new(Arc::clone(store) as Arc<dyn Store>, 1, queue, limits, Outside::real()).0
}

/// One iteration takes 1,024 queued events of 64 entities, gathers them into one transaction of 64
/// rows, passes it to a store that does nothing, and notifies the entities.
#[divan::bench]
fn commit_1024_events(bencher: Bencher<'_, '_>) {
    let record = EventRecord {
        seq: Seq::FIRST,
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
    let store = Arc::new(AcceptsAll);
    bencher
        .counter(ItemsCount::new(EVENTS))
        .with_inputs(|| committer(&store, &text))
        .bench_local_values(|committer| {
            // It never waits: the queue is full and has no other end, and the store answers at
            // once.
            let done = pin!(committer.run()).poll(&mut Context::from_waker(Waker::noop()));
            assert!(done.is_ready(), "it commits until the queue is empty");
        });
}
