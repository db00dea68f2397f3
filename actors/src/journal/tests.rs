use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use greenroom_protocol::RawJson;

use super::batch::Gathered;
use tokio::sync::watch;

use super::*;
use crate::metrics::recorded::Recorded;
use crate::record::EventRecord;
use crate::store::memory::{LostAnswer, MemoryStore};
use crate::store::{Page, Store, Trim};
use crate::testing::entity;

mod control;

fn epoch() -> Epoch {
    Epoch::from_bits(7)
}

fn event(name: &str, seq: u64, progress: &Arc<Progress>) -> ToJournal {
    let seq = Seq::new(seq);
    let record = EventRecord {
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
    let text = record.to_text().into();
    ToJournal::Event {
        entity: entity(name),
        epoch: epoch(),
        seq,
        text,
        erasure: None,
        progress: Arc::clone(progress),
    }
}

fn snapshot(name: &str, seq: u64, progress: &Arc<Progress>) -> ToJournal {
    let row = SnapshotRow {
        entity: entity(name),
        epoch: epoch(),
        seq: Seq::new(seq),
        state: RawJson::from_text("{}").unwrap(),
        dedupe: RawJson::from_text("{}").unwrap(),
        trimmed: Seq::ZERO,
        longest_row: 0,
    };
    ToJournal::Snapshot { row: Box::new(row), progress: Arc::clone(progress) }
}

/// The next message, if several are queued at once.
fn trim(name: &str, through: u64, progress: &Arc<Progress>) -> ToJournal {
    let share = Journal::channel(1).0.may_trim().unwrap();
    let through = Seq::new(through);
    ToJournal::Trim {
        trim: Trim { entity: entity(name), from: Seq::FIRST, through, rows: 1 },
        share,
        progress: Arc::clone(progress),
    }
}

#[test]
fn an_entity_has_one_row_and_one_snapshot_in_a_batch() {
    let a = Progress::new(Seq::ZERO).0;
    let b = Progress::new(Seq::new(4)).0;
    let mut gathered = Gathered::default();
    let earlier = snapshot("room:a", 1, &a);
    let later = snapshot("room:a", 2, &a);
    for message in
        [event("room:a", 1, &a), event("room:b", 5, &b), event("room:a", 2, &a), earlier, later]
    {
        gathered.add(message);
    }
    let rows: Vec<_> = gathered
        .rows
        .iter()
        .map(|row| (row.entity.as_str(), row.first_seq.get(), row.last_seq.get()))
        .collect();
    assert_eq!(rows, [("room:a", 1, 2), ("room:b", 5, 5)]);
    let events: Vec<EventRecord> = serde_json::from_str(&gathered.rows[0].events).unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2].map(Seq::new));
    assert_eq!(
        gathered.snapshots.iter().map(|row| row.seq).collect::<Vec<_>>(),
        [Seq::new(2)],
        "the later one counts"
    );
    assert_eq!(
        gathered.tell.iter().map(|(_, through)| *through).collect::<Vec<_>>(),
        [2, 5].map(Seq::new)
    );
    assert_eq!(gathered.ops, 3);
    let bytes: usize = gathered.rows.iter().map(|row| row.events.len() - 1).sum();
    assert!(gathered.bytes >= bytes, "{} is at least {bytes}", gathered.bytes);
}

#[test]
fn what_belongs_to_an_ended_life_is_skipped() {
    let old = Progress::new(Seq::ZERO).0;
    let new = Progress::new(Seq::ZERO).0;
    old.end();
    let mut gathered = Gathered::default();
    for message in [event("room:a", 1, &old), snapshot("room:a", 1, &old), event("room:a", 1, &new)]
    {
        gathered.add(message);
    }
    assert_eq!((gathered.rows.len(), gathered.snapshots.len(), gathered.ops), (1, 0, 1));
    assert!(Arc::ptr_eq(&gathered.tell[0].0, &new));
}

#[tokio::test]
async fn nothing_is_deleted_where_the_snapshot_that_covers_it_has_failed() {
    for fails in [false, true] {
        let mut rig =
            Rig::new(CommitterLimits { batch_ops: 1, batch_bytes: 1, linger: Duration::ZERO })
                .await;
        let (progress, seen) = Progress::new(Seq::ZERO);
        rig.queue([event("room:a", 1, &progress), event("room:a", 2, &progress)]);
        rig.queue([
            snapshot("room:a", 2, &progress),
            trim("room:a", 1, &progress),
            trim("room:a", 2, &progress),
        ]);
        // The rows are one transaction each, then comes the snapshot's.
        rig.store.faults().pass_commits(2);
        rig.store.faults().fail_commits(usize::from(fails));
        rig.run().await;
        assert_eq!(rig.seqs("room:a").await, if fails { vec![1, 2] } else { vec![] });
        assert_eq!(shows(&seen), (2, fails), "the life ends and is loaded again from disk");
    }
}

#[tokio::test]
async fn only_so_much_is_deleted_at_once() {
    let mut rig = Rig::large().await;
    let (progress, _) = Progress::new(Seq::new(9));
    let journal = rig.journal.clone();
    for rows in [100, 100, 1000] {
        let share = journal.may_trim().expect("less than 256 rows are to be deleted").of(rows);
        let trim = Trim { entity: entity("room:a"), from: Seq::FIRST, through: Seq::ZERO, rows };
        rig.queue([ToJournal::Trim { trim, share, progress: Arc::clone(&progress) }]);
    }
    assert!(journal.may_trim().is_none());
    let trimming = Arc::clone(&journal.trimming);
    drop(journal);
    rig.run().await;
    assert_eq!(trimming.load(Ordering::Relaxed), 0, "the transaction is over");
}

#[tokio::test]
async fn a_life_whose_rows_were_not_deleted_is_loaded_again() {
    let mut rig = Rig::large().await;
    let (progress, seen) = Progress::new(Seq::new(9));
    rig.queue([trim("room:a", 4, &progress)]);
    rig.store.faults().fail_commits(1);
    rig.run().await;
    assert_eq!(shows(&seen), (9, true), "it would not ask for them again");
}

/// A committer over a memory store, and the pauses that it made.
struct Rig {
    store: MemoryStore,
    journal: Journal,
    health: watch::Receiver<Health>,
    committer: Option<Committer>,
    pauses: Arc<AtomicUsize>,
}

impl Rig {
    async fn new(limits: CommitterLimits) -> Self {
        let store = MemoryStore::new();
        let term = store.acquire().await.unwrap();
        let (journal, queue) = Journal::channel(100);
        let pauses = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&pauses);
        let pause: Pause = Box::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(std::future::ready(()))
        });
        let outside = Outside { pause, ..Outside::real() };
        let (committer, health) =
            Committer::new(Arc::new(store.clone()), term, queue, limits, outside);
        Self { store, journal, health, committer: Some(committer), pauses }
    }

    async fn large() -> Self {
        Self::new(CommitterLimits { batch_ops: 100, batch_bytes: 100_000, linger: Duration::ZERO })
            .await
    }

    fn queue(&self, messages: impl IntoIterator<Item = ToJournal>) {
        for message in messages {
            self.journal.reserve().unwrap().send(message);
        }
    }

    /// Lets the committer work until its queue is empty.
    async fn run(&mut self) {
        let Self { committer, journal, .. } = self;
        let (empty, _) = Journal::channel(1);
        drop(std::mem::replace(journal, empty));
        committer.take().unwrap().run().await;
    }

    async fn seqs(&self, name: &str) -> Vec<u64> {
        let events = self
            .store
            .events(&entity(name), Page::After { after: Seq::ZERO, limit: 1000 })
            .await
            .unwrap();
        events.iter().map(|event| event.seq.get()).collect()
    }
}

fn shows(watch: &Watch) -> (u64, bool) {
    let Committed { through, ended } = watch.shows();
    (through.get(), ended)
}

#[tokio::test]
async fn all_that_is_queued_is_one_transaction() {
    let mut rig = Rig::large().await;
    let ((a, seen_a), (b, seen_b)) = (Progress::new(Seq::ZERO), Progress::new(Seq::ZERO));
    rig.queue([event("room:a", 1, &a), event("room:b", 1, &b), event("room:a", 2, &a)]);
    assert_eq!(rig.journal.waiting(), 3);
    rig.run().await;
    assert_eq!(rig.store.commits(), 1);
    assert_eq!((rig.seqs("room:a").await, rig.seqs("room:b").await), (vec![1, 2], vec![1]));
    assert_eq!((shows(&seen_a), shows(&seen_b)), ((2, false), (1, false)));
    assert_eq!(*rig.health.borrow(), Health::Ok);
}

#[tokio::test]
async fn a_batch_is_bounded_in_ops_and_bytes() {
    for (limits, commits) in [
        (CommitterLimits { batch_ops: 2, batch_bytes: 100_000, linger: Duration::ZERO }, 5),
        (CommitterLimits { batch_ops: 100, batch_bytes: 1, linger: Duration::ZERO }, 10),
        (CommitterLimits { batch_ops: 100, batch_bytes: 100_000, linger: Duration::ZERO }, 1),
    ] {
        let mut rig = Rig::new(limits).await;
        let (progress, seen) = Progress::new(Seq::ZERO);
        rig.queue((1..=10).map(|seq| event("room:a", seq, &progress)));
        rig.run().await;
        assert_eq!(rig.store.commits(), commits, "{limits:?}");
        assert_eq!(shows(&seen), (10, false));
        assert_eq!(rig.seqs("room:a").await, (1..=10).collect::<Vec<_>>());
    }
}

/// Queues `first` events, and one more for each pause that the committer makes, up to `late`.
/// Returns how many pauses and commits there were.
async fn lingering(linger: Duration, first: u64, late: u64) -> (usize, u64) {
    let store = MemoryStore::new();
    let term = store.acquire().await.unwrap();
    let (journal, queue) = Journal::channel(100);
    let limits = CommitterLimits { batch_ops: 40, batch_bytes: 100_000, linger };
    let (progress, seen) = Progress::new(Seq::ZERO);
    for seq in 1..=first {
        journal.reserve().unwrap().send(event("room:a", seq, &progress));
    }
    let pauses = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pauses);
    let sender = journal.clone();
    let pause: Pause = Box::new(move |_| {
        let before = counted.fetch_add(1, Ordering::Relaxed) as u64;
        if before < late {
            sender.reserve().unwrap().send(event("room:a", first + 1 + before, &progress));
        }
        Box::pin(std::future::ready(()))
    });
    let outside = Outside { pause, ..Outside::real() };
    let (committer, _health) =
        Committer::new(Arc::new(store.clone()), term, queue, limits, outside);
    let committer = committer.run();
    tokio::select! {
        () = committer => unreachable!("its queue is open"),
        () = journal.barrier() => {}
    }
    assert_eq!(shows(&seen), (first + late, false));
    (pauses.load(Ordering::Relaxed), store.commits())
}

#[tokio::test]
async fn under_load_a_transaction_waits_while_more_comes() {
    let long = Duration::from_millis(100);
    assert_eq!(
        lingering(long, 43, 4).await,
        (5, 2),
        "the second one takes what comes, until nothing does"
    );
    assert_eq!(
        lingering(Duration::from_micros(500), 43, 2).await,
        (2, 2),
        "but no longer than it may"
    );
    assert_eq!(lingering(long, 5, 0).await, (0, 1), "few ops do not wait");
    assert_eq!(lingering(Duration::ZERO, 43, 0).await, (0, 2), "and nothing waits if it is off");
}

#[tokio::test]
async fn after_a_failure_the_rest_of_that_life_is_skipped_and_others_go_on() {
    let mut rig =
        Rig::new(CommitterLimits { batch_ops: 1, batch_bytes: 100_000, linger: Duration::ZERO })
            .await;
    let ((a, seen_a), (b, seen_b), (again, seen_again)) =
        (Progress::new(Seq::ZERO), Progress::new(Seq::ZERO), Progress::new(Seq::ZERO));
    rig.store.faults().fail_commits(1);
    rig.queue([
        event("room:a", 1, &a),
        event("room:a", 2, &a),
        event("room:b", 1, &b),
        snapshot("room:a", 2, &a),
        event("room:a", 1, &again),
    ]);
    rig.run().await;
    assert_eq!(
        (shows(&seen_a), shows(&seen_b), shows(&seen_again)),
        ((0, true), (1, false), (1, false))
    );
    assert_eq!((rig.seqs("room:a").await, rig.seqs("room:b").await), (vec![1], vec![1]));
    assert_eq!(*rig.health.borrow(), Health::Ok, "the latest transaction was fine");
}

#[tokio::test]
async fn an_unknown_outcome_is_asked_after_until_it_is_known() {
    for (lost, written) in [
        (LostAnswer::Written, true),
        (LostAnswer::NotWritten, false),
        (LostAnswer::OnItsWay, false),
    ] {
        let mut rig = Rig::new(CommitterLimits {
            batch_ops: 1,
            batch_bytes: 100_000,
            linger: Duration::ZERO,
        })
        .await;
        let ((a, seen_a), (b, seen_b)) = (Progress::new(Seq::ZERO), Progress::new(Seq::ZERO));
        rig.store.faults().lose_answers(1, lost);
        rig.store.faults().fail_settles(3);
        rig.queue([event("room:a", 1, &a), event("room:b", 1, &b)]);
        rig.run().await;
        assert_eq!(shows(&seen_a), (u64::from(written), !written), "{lost:?}");
        assert_eq!(shows(&seen_b), (1, false), "{lost:?}: the next number fits");
        assert_eq!(rig.pauses.load(Ordering::Relaxed), 3);
        assert!(rig.store.deliver().iter().all(Result::is_err), "a straggler comes too late");
        assert_eq!(rig.seqs("room:a").await.len(), usize::from(written));
        assert_eq!(*rig.health.borrow(), Health::Ok);
    }
}

#[tokio::test]
async fn a_lost_lease_is_final() {
    let mut rig = Rig::large().await;
    rig.store.acquire().await.unwrap();
    let (a, seen) = Progress::new(Seq::ZERO);
    rig.queue([event("room:a", 1, &a)]);
    rig.run().await;
    assert_eq!(shows(&seen), (0, true));
    assert!(matches!(*rig.health.borrow(), Health::Fenced(_)));
}

#[tokio::test]
async fn a_failing_store_is_reported() {
    let mut rig = Rig::large().await;
    rig.store.faults().fail_commits(1);
    let (a, _seen) = Progress::new(Seq::ZERO);
    rig.queue([event("room:a", 1, &a)]);
    rig.run().await;
    assert!(matches!(*rig.health.borrow(), Health::Failing(_)));
}

#[tokio::test]
async fn a_barrier_is_passed_when_all_before_it_is_decided() {
    let mut rig = Rig::large().await;
    let (a, seen) = Progress::new(Seq::ZERO);
    rig.store.faults().stall_commits();
    rig.queue([event("room:a", 1, &a)]);
    let journal = rig.journal.clone();
    let mut barrier = Box::pin(async move { journal.barrier().await });
    let mut run = Box::pin(rig.committer.take().unwrap().run());
    let mut both = || {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let passed = barrier.as_mut().poll(&mut context).is_ready();
        (passed, run.as_mut().poll(&mut context) == Poll::Ready(()))
    };
    assert_eq!(both(), (false, false), "the commit stalls");
    assert_eq!(both(), (false, false));
    assert_eq!(shows(&seen), (0, false));
    rig.store.faults().release_commits();
    assert_eq!(both(), (false, false), "it commits now");
    assert_eq!(shows(&seen), (1, false));
    assert!(both().0);
}

#[tokio::test]
async fn a_barrier_behind_an_ended_committer_ends_at_once() {
    let (journal, queue) = Journal::channel(1);
    drop(queue);
    journal.barrier().await;
}

/// Rows that a transaction did not store are not counted as stored, whatever its outcome.
#[tokio::test]
async fn failed_commits_are_not_counted_as_stored() {
    use crate::metrics::{COMMIT_BATCH_OPS, COMMIT_SECONDS, COMMITS, SNAPSHOTS, TRIMS};
    type Fails = fn(&MemoryStore);
    // The outcome, and then the counted ops, snapshots, trims and transactions.
    let table: [(&str, Fails, [f64; 4]); 5] = [
        ("stored", |_| {}, [2.0, 1.0, 1.0, 1.0]),
        ("failed", |store| store.faults().fail_commits(1), [0.0, 0.0, 0.0, 1.0]),
        (
            "lost, not written",
            |store| store.faults().lose_answers(1, LostAnswer::NotWritten),
            [0.0, 0.0, 0.0, 1.0],
        ),
        (
            "lost, written",
            |store| store.faults().lose_answers(1, LostAnswer::Written),
            [2.0, 1.0, 1.0, 1.0],
        ),
        ("nothing to store", |_| {}, [0.0; 4]),
    ];
    for (how, fails, [ops, snapshots, trims, transactions]) in table {
        let recorded = Recorded::default();
        let _set = metrics::set_default_local_recorder(&recorded);
        let mut rig = Rig::large().await;
        fails(&rig.store);
        if how == "nothing to store" {
            // A barrier is not a transaction, and neither are an ended life's messages in the
            // queue.
            let (ended, _) = Progress::new(Seq::ZERO);
            ended.end();
            rig.queue([event("room:a", 1, &ended), ToJournal::Barrier(oneshot::channel().0)]);
        } else {
            let (progress, _) = Progress::new(Seq::ZERO);
            rig.queue([event("room:a", 1, &progress), event("room:a", 2, &progress)]);
            rig.queue([snapshot("room:a", 2, &progress), trim("room:a", 1, &progress)]);
        }
        assert_eq!(recorded.value(&SNAPSHOTS), 0.0, "{how}: it is only queued");
        rig.run().await;
        assert_eq!(recorded.observed(&COMMIT_BATCH_OPS).iter().sum::<f64>(), ops, "{how}");
        assert_eq!(
            (recorded.value(&SNAPSHOTS), recorded.value(&TRIMS)),
            (snapshots, trims),
            "{how}"
        );
        assert_eq!(
            (recorded.value(&COMMITS), recorded.observed(&COMMIT_SECONDS).len()),
            (transactions, transactions as usize),
            "{how}"
        );
    }
}
