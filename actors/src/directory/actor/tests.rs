//! Shard, entities, journal and store together, as actors on one thread.

use std::cell::{Cell, RefCell};
use std::task::{Context as TaskContext, Waker};

use tokio::sync::Semaphore;

use super::*;
use crate::clock::Clock;
use crate::entity::Turns;
use crate::journal::{Committer, CommitterLimits, Journal, Outside};
use crate::kind::Settings;
use crate::messages::{Directory, RelayHandle, Relays, SubscribeRequest};
use crate::metrics::recorded::Recorded;
use crate::metrics::{
    COLD_START_SECONDS, COLD_STARTS, COLD_STARTS_WAITING, ENTITIES_AWAKE, OP_SECONDS,
};
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::testing::{Line, arrived, encoder, entity, kind_of, post, settings, spec, to_relay};

struct Rig {
    directory: Directory,
    store: MemoryStore,
    line: Line,
}

impl Rig {
    /// One worker whose relay's queue has space for `relay` messages, and an idle timeout that no
    /// test reaches.
    async fn start(relay: usize) -> Self {
        let store = MemoryStore::new();
        let term = store.acquire().await.unwrap();
        let (directory, mut queues) = Directory::channels(1, 100);
        let (handle, queue) = RelayHandle::channel(relay);
        let (journal, events) = Journal::channel(100);
        let limits =
            CommitterLimits { batch_ops: 100, batch_bytes: 100_000, linger: Duration::ZERO };
        let (committer, _) =
            Committer::new(Arc::new(store.clone()), term, events, limits, Outside::real());
        actix::spawn(committer.run());
        let env = EntityEnv {
            reads: tokio::sync::Semaphore::new(2),
            relays: Relays::new([handle.clone()]),
            exchange: None,
            journal,
            store: Arc::new(store.clone()),
            directory: directory.clone(),
            encoder: encoder(),
            cold_starts: Rc::new(Semaphore::new(1)),
            inbox: 10,
            loading: Cell::new(0),
            turns: Turns::new(100, Clock::REAL),
            corrupt: RefCell::default(),
            rng: RefCell::new(fastrand::Rng::new()),
        };
        let kinds = Kinds::new([kind_of(Settings {
            idle_timeout: Duration::from_secs(3600),
            ..settings()
        })]);
        let limits = DirectoryLimits { max_awake: 10, max_loading: 10 };
        DirectoryActor::start_on_thread(Shard {
            kinds,
            env: Rc::new(env),
            limits,
            queue: queues.remove(0),
            validity: None,
        });
        Self { directory, store, line: Line { handle, queue } }
    }

    fn op(&self, n: u64) {
        let request = post("alice", Some(n), "x", self.line.reply(0, i64::try_from(n).unwrap()));
        assert!(self.directory.route(entity("room:a"), ToEntity::Op(Box::new(request))).is_ok());
    }

    fn subscribe(&self) {
        let request =
            SubscribeRequest { spec: spec(1, 1), after: None, reply: self.line.reply(1, 100) };
        assert!(
            self.directory.route(entity("room:a"), ToEntity::Subscribe(Box::new(request))).is_ok()
        );
    }

    /// A summary of the next `count` parts that reach the relay.
    async fn next(&mut self, count: usize) -> Vec<String> {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(to_relay(&arrived(
                self.line.queue.recv().await.expect("the relay's queue is open"),
            )));
        }
        all
    }
}

#[actix::test]
async fn an_op_goes_to_the_disk_and_back() {
    let mut rig = Rig::start(10).await;
    rig.subscribe();
    assert_eq!(rig.next(1).await, ["1 joins at 0: #100 seq 0 reason no_position state []"]);
    rig.op(1);
    assert_eq!(rig.next(2).await, ["events 1 to 1", "#1 seq 1"]);
    let loaded = rig.store.load(&entity("room:a")).await.unwrap();
    assert_eq!(loaded.tail.iter().map(|event| event.n).collect::<Vec<_>>(), [Some(1)]);
}

#[actix::test]
async fn draining_waits_for_the_disk_and_saves_the_state() {
    let mut rig = Rig::start(10).await;
    rig.subscribe();
    rig.next(1).await;
    let faults = rig.store.faults();
    faults.stall_commits();
    rig.op(1);
    faults.commits_stalled(1).await;
    let directory = rig.directory.clone();
    let mut drained = Box::pin(async move { directory.drain().await });
    assert!(drained.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())).is_pending());
    faults.release_commits();
    assert_eq!(rig.next(2).await, ["events 1 to 1", "#1 seq 1"]);
    drained.await;
    rig.op(2);
    assert_eq!(rig.next(1).await, ["#2 shutting_down"]);
}

#[actix::test]
async fn messages_to_a_relay_keep_their_order_behind_a_full_queue() {
    let mut rig = Rig::start(1).await;
    rig.subscribe();
    rig.next(1).await;
    rig.store.faults().fail_commits(1);
    for n in 1..=3 {
        rig.op(n);
    }
    let told = rig.next(4).await;
    assert_eq!(
        told,
        ["#1 unavailable", "#2 unavailable", "#3 unavailable", "lost"],
        "answers first, then the audience is forgotten"
    );
    for n in 1..=8 {
        rig.op(n);
    }
    let told: Vec<_> = rig.next(8).await;
    assert_eq!(told, (1..=8).map(|n| format!("#{n} seq {n}")).collect::<Vec<_>>());
}

#[actix::test]
async fn an_entity_that_cannot_be_loaded_says_so_and_is_tried_again() {
    let mut rig = Rig::start(10).await;
    rig.store.faults().fail_reads(1);
    rig.op(1);
    assert_eq!(rig.next(1).await, ["#1 unavailable"]);
    assert_eq!(rig.next(1).await, ["lost"], "followers are told to resubscribe");
    rig.op(1);
    assert_eq!(rig.next(1).await, ["#1 seq 1"]);
}

/// Lets the other tasks of the thread run until the condition holds.
async fn until(what: &str, so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap_or_else(|_| panic!("not so: {what}"));
}

#[actix::test]
async fn a_loading_entity_does_not_count_as_waiting() {
    let recorded = Recorded::default();
    let _set = ::metrics::set_default_local_recorder(&recorded);
    let waiting = || recorded.value(&COLD_STARTS_WAITING);
    let mut rig = Rig::start(10).await;
    let faults = rig.store.faults();
    faults.stall_reads();
    rig.op(1);
    faults.reads_stalled(1).await;
    assert_eq!((waiting(), recorded.value(&ENTITIES_AWAKE)), (0.0, 1.0), "it has its turn");
    let other = rig.line.reply(0, 2);
    assert!(rig.directory.route(entity("room:b"), ToEntity::Read(other)).is_ok());
    until("the other one waits: there is one turn", || waiting() == 1.0).await;
    faults.release_reads();
    assert_eq!(rig.next(2).await.len(), 2);
    assert_eq!(waiting(), 0.0);
    assert_eq!(recorded.observed(&COLD_START_SECONDS).len(), 2);
    rig.op(2);
    assert_eq!(rig.next(1).await, ["#2 seq 2"]);
    assert_eq!(
        (waiting(), recorded.value(&COLD_STARTS), recorded.observed(&COLD_START_SECONDS).len()),
        (0.0, 2.0, 2),
        "it was awake"
    );
}

#[actix::test]
async fn an_ops_time_begins_when_its_entity_has_accepted_it() {
    let recorded = Recorded::default();
    let _set = ::metrics::set_default_local_recorder(&recorded);
    let mut rig = Rig::start(10).await;
    let faults = rig.store.faults();
    faults.stall_reads();
    rig.op(1);
    faults.reads_stalled(1).await;
    // The op waits until its entity is loaded. Its time has not begun.
    let loaded = std::time::Instant::now();
    faults.release_reads();
    assert_eq!(rig.next(1).await, ["#1 seq 1"]);
    let most = loaded.elapsed().as_secs_f64();
    let observed = recorded.observed(&OP_SECONDS);
    assert!(
        observed.len() == 1 && observed[0] <= most,
        "{observed:?}, and the load was over {most} s before the answer"
    );
    rig.op(1);
    assert_eq!(rig.next(1).await, ["#1 seq 1 duplicate"]);
    faults.fail_commits(1);
    rig.op(2);
    assert_eq!(rig.next(1).await, ["#2 unavailable"]);
    assert_eq!(
        recorded.observed(&OP_SECONDS).len(),
        1,
        "neither a repeat nor a failure was acknowledged"
    );
}
