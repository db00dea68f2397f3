use greenroom_protocol::{Epoch, RawJson, Seq};

use super::*;
use crate::store::{JournalRow, SnapshotRow, Trim, conformance};

fn lobby() -> EntityId {
    EntityId::parse("room:lobby").unwrap()
}

/// Transaction `number` of term 1, with event `seq`.
fn batch(number: u64, seq: u64) -> Batch {
    let seq = Seq::new(seq);
    let event = EventRecord {
        seq,
        at: 5,
        from: "alice".into(),
        r#type: "post".into(),
        body: RawJson::from_text("{}").unwrap(),
        deleted: None,
        client: None,
        n: None,
        began: None,
        tag: None,
        result: None,
    };
    let events = serde_json::to_string(&[event]).unwrap();
    let row = JournalRow {
        entity: lobby(),
        epoch: Epoch::from_bits(1),
        first_seq: seq,
        last_seq: seq,
        events,
    };
    Batch {
        fence: Fence { term: 1, number, nonce: number * 7 },
        rows: vec![row],
        snapshots: Vec::new(),
        trims: Vec::new(),
        erasures: Vec::new(),
        rewrites: Vec::new(),
    }
}

async fn acquired() -> MemoryStore {
    let store = MemoryStore::new();
    assert_eq!(store.acquire().await.unwrap(), 1);
    store
}

async fn seqs(store: &MemoryStore) -> Vec<u64> {
    store.load(&lobby()).await.unwrap().tail.iter().map(|event| event.seq.get()).collect()
}

#[tokio::test]
async fn keeps_the_contract() {
    conformance::run(&MemoryStore::new()).await;
}

#[tokio::test]
async fn rows_that_no_snapshot_covers_are_not_deleted() {
    let store = acquired().await;
    let trims = vec![Trim { entity: lobby(), from: Seq::FIRST, through: Seq::FIRST, rows: 1 }];
    let refused = store.commit(&Batch { trims: trims.clone(), ..batch(1, 1) }).await;
    assert!(
        matches!(refused, Err(CommitError::Failed(why)) if why.to_string().contains("through 1"))
    );
    assert_eq!(seqs(&store).await, [0; 0], "nothing of it is written");
    let state = RawJson::NULL;
    let dedupe = RawJson::NULL;
    let snapshot = SnapshotRow {
        entity: lobby(),
        epoch: Epoch::from_bits(1),
        seq: Seq::FIRST,
        state,
        dedupe,
        trimmed: Seq::ZERO,
        longest_row: 1,
    };
    store.commit(&Batch { trims, snapshots: vec![snapshot], ..batch(1, 1) }).await.unwrap();
}

#[tokio::test]
async fn failed_commits_write_nothing_and_keep_their_number() {
    let store = acquired().await;
    store.faults().fail_commits(2);
    for _ in 0..2 {
        assert!(matches!(store.commit(&batch(1, 1)).await, Err(CommitError::Failed(_))));
        assert_eq!(seqs(&store).await, [0; 0]);
    }
    store.commit(&batch(1, 1)).await.unwrap();
    assert_eq!((seqs(&store).await, store.commits()), (vec![1], 1));
}

#[tokio::test]
async fn a_lost_answer_settles_as_what_happened() {
    for (lost, settled, want) in [
        (LostAnswer::Written, Settled::Committed, vec![1]),
        (LostAnswer::NotWritten, Settled::NotCommitted, vec![]),
    ] {
        let store = acquired().await;
        store.faults().lose_answers(1, lost);
        assert!(matches!(store.commit(&batch(1, 1)).await, Err(CommitError::Unknown(_))));
        assert_eq!(seqs(&store).await, want, "{lost:?}");
        assert_eq!(store.settle(batch(1, 1).fence).await.unwrap(), settled, "{lost:?}");
        let next = store.commit(&batch(2, want.len() as u64 + 1)).await;
        assert!(next.is_ok(), "{lost:?}: the number is used either way, {next:?}");
    }
}

#[tokio::test]
async fn a_straggler_is_refused_once_its_number_is_used_up() {
    let store = acquired().await;
    store.faults().lose_answers(1, LostAnswer::OnItsWay);
    assert!(matches!(store.commit(&batch(1, 1)).await, Err(CommitError::Unknown(_))));
    assert_eq!(store.settle(batch(1, 1).fence).await.unwrap(), Settled::NotCommitted);
    let arrived = store.deliver();
    assert!(matches!(arrived[..], [Err(CommitError::Failed(_))]), "{arrived:?}");
    assert_eq!(seqs(&store).await, [0; 0]);
    assert!(store.deliver().is_empty(), "it arrives once");
}

#[tokio::test]
async fn a_straggler_that_comes_before_settling_is_written() {
    let store = acquired().await;
    store.faults().lose_answers(1, LostAnswer::OnItsWay);
    assert!(matches!(store.commit(&batch(1, 1)).await, Err(CommitError::Unknown(_))));
    assert!(matches!(store.deliver()[..], [Ok(())]));
    assert_eq!(store.settle(batch(1, 1).fence).await.unwrap(), Settled::Committed);
    assert_eq!(seqs(&store).await, [1]);
}

#[tokio::test]
async fn stalled_commits_wait_for_their_release() {
    let store = acquired().await;
    let faults = store.faults();
    faults.stall_commits();
    let writer = tokio::spawn({
        let store = store.clone();
        async move { store.commit(&batch(1, 1)).await }
    });
    faults.commits_stalled(1).await;
    assert!(!writer.is_finished());
    assert_eq!(seqs(&store).await, [0; 0], "reads go on meanwhile");
    faults.release_commits();
    writer.await.unwrap().unwrap();
    assert_eq!(seqs(&store).await, [1]);
}

#[tokio::test]
async fn a_stalled_commit_that_is_dropped_is_not_written() {
    let store = acquired().await;
    let faults = store.faults();
    faults.stall_commits();
    let writer = tokio::spawn({
        let store = store.clone();
        async move { store.commit(&batch(1, 1)).await }
    });
    faults.commits_stalled(1).await;
    writer.abort();
    assert!(writer.await.unwrap_err().is_cancelled());
    faults.release_commits();
    assert_eq!(seqs(&store).await, [0; 0]);
}

#[tokio::test]
async fn reads_stall_and_fail() {
    let store = acquired().await;
    store.commit(&batch(1, 1)).await.unwrap();
    let faults = store.faults();
    faults.fail_reads(2);
    assert!(matches!(store.load(&lobby()).await, Err(StoreError::Unavailable(_))));
    let page = Page::After { after: Seq::ZERO, limit: 9 };
    assert!(matches!(store.events(&lobby(), page).await, Err(StoreError::Unavailable(_))));
    assert_eq!(seqs(&store).await, [1]);

    faults.stall_reads();
    let reader = tokio::spawn({
        let store = store.clone();
        async move { store.events(&lobby(), page).await.map(|events| events.len()) }
    });
    faults.reads_stalled(1).await;
    assert!(!reader.is_finished());
    faults.release_reads();
    assert_eq!(reader.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn acquiring_and_settling_fail_when_told_to() {
    let store = acquired().await;
    store.faults().fail_settles(1);
    assert!(matches!(store.settle(batch(1, 1).fence).await, Err(CommitError::Unknown(_))));
    assert_eq!(
        store.settle(batch(1, 1).fence).await.unwrap(),
        Settled::NotCommitted,
        "asked again, it answers"
    );
    store.faults().fail_acquires(1);
    assert!(matches!(store.acquire().await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.acquire().await.unwrap(), 2, "a failed attempt takes no term");
}

#[tokio::test]
async fn rows_that_do_not_continue_the_log_are_refused_with_the_whole_batch() {
    let store = acquired().await;
    store.commit(&batch(1, 1)).await.unwrap();
    let other = EntityId::parse("room:other").unwrap();
    let mut gap = batch(2, 3);
    gap.rows.insert(0, JournalRow { entity: other.clone(), ..batch(2, 1).rows.remove(0) });
    assert!(matches!(store.commit(&gap).await, Err(CommitError::Failed(_))));
    assert_eq!(
        store.load(&other).await.unwrap(),
        Loaded::default(),
        "nothing of the batch is written"
    );

    let mut torn = batch(2, 2);
    torn.rows[0].events = "[]".into();
    assert!(matches!(store.commit(&torn).await, Err(CommitError::Failed(_))));
    store.commit(&batch(2, 2)).await.unwrap();
}

/// Remembers what was asked of it, and how much it gave.
struct Counts(MemoryStore, std::sync::Mutex<Vec<usize>>);

#[async_trait::async_trait]
impl Store for Counts {
    async fn acquire(&self) -> Result<u64, StoreError> {
        self.0.acquire().await
    }

    async fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        self.0.commit(batch).await
    }

    async fn settle(&self, fence: Fence) -> Result<crate::store::Settled, CommitError> {
        self.0.settle(fence).await
    }

    async fn load(&self, entity: &EntityId) -> Result<Loaded, StoreError> {
        self.0.load(entity).await
    }

    async fn events(&self, entity: &EntityId, page: Page) -> Result<Vec<EventRecord>, StoreError> {
        let events = self.0.events(entity, page).await?;
        self.1.lock().unwrap().push(events.len());
        Ok(events)
    }

    async fn erasing(
        &self,
        after: Option<&EntityId>,
        limit: usize,
    ) -> Result<Vec<EntityId>, StoreError> {
        self.0.erasing(after, limit).await
    }
}

#[tokio::test]
async fn a_page_of_large_events_is_not_read_whole() {
    for (body, most, reads) in
        [(10, 100_000, vec![32, 968]), (1000, 100_000, vec![32, 68]), (30_000, 100_000, vec![32])]
    {
        let store = Counts(acquired().await, std::sync::Mutex::default());
        let text = RawJson::from_value(&"x".repeat(body)).unwrap();
        for seq in 1..=1000 {
            let mut batch = batch(seq, seq);
            batch.rows[0].events = batch.rows[0].events.replace("{}", text.as_str());
            store.commit(&batch).await.unwrap();
        }
        let read: usize = reads.iter().sum();
        for (page, want) in [
            (
                Page::After { after: Seq::ZERO, limit: 1000 },
                (1..=1000).take(read).collect::<Vec<_>>(),
            ),
            (
                Page::Before { before: Seq::new(1001), limit: 1000 },
                (1..=1000).skip(1000 - read).collect(),
            ),
        ] {
            let got = crate::store::events_within(&store, &lobby(), page, most).await.unwrap();
            assert_eq!(
                got.iter().map(|event| event.seq.get()).collect::<Vec<_>>(),
                want,
                "{body} {page:?}"
            );
            assert_eq!(std::mem::take(&mut *store.1.lock().unwrap()), reads, "{body} {page:?}");
        }
        let short = crate::store::events_within(
            &store,
            &lobby(),
            Page::After { after: Seq::new(990), limit: 1000 },
            most,
        )
        .await
        .unwrap();
        assert_eq!(short.len(), 10);
    }
}
