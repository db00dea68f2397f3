//! Whatever happened before a crash, what comes back is the committed prefix: its state, its log,
//! its outcomes.

use proptest::prelude::*;

use super::*;
use crate::journal::{Gathered, Progress, ToJournal};
use crate::store::memory::MemoryStore;
use crate::store::{Batch, Fence, Store};

/// What may happen to a living entity.
#[derive(Debug, Clone)]
enum Step {
    /// A post by one of two users, numbered; a number that was used is a repeat.
    Post { user: u8, n: u64 },
    /// All that is queued becomes one transaction, which commits.
    Commit,
    /// A snapshot is queued.
    Snapshot,
    /// What is due to be deleted is queued.
    Trim,
    /// The process ends and begins anew.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..2, 1u64..20).prop_map(|(user, n)| Step::Post { user, n }),
        3 => Just(Step::Commit),
        1 => Just(Step::Snapshot),
        2 => Just(Step::Trim),
        1 => Just(Step::Crash),
    ]
}

/// What an op says: the same with every repeat.
fn text(user: u8, n: u64) -> String {
    "x".repeat((n as usize * 37 + user as usize) % 300)
}

fn name(user: u8) -> &'static str {
    ["alice", "bob"][user as usize]
}

/// An entity over a store, with a queue between them.
struct Living {
    rig: Rig,
    store: MemoryStore,
    queue: Vec<ToJournal>,
    progress: Arc<Progress>,
    term: u64,
    number: u64,
}

impl Living {
    async fn wake(store: MemoryStore, kind: Kind) -> Self {
        let term = store.acquire().await.unwrap();
        let loaded = store.load(&entity("room:a")).await.unwrap();
        let rig = Rig::of(kind, loaded);
        let progress = Progress::new(rig.entity.released()).0;
        Self { rig, store, queue: Vec::new(), progress, term, number: 0 }
    }

    /// What has been written or asked for goes to the queue.
    fn queue(&mut self) {
        let entity = entity("room:a");
        let epoch = self.rig.entity.epoch().clone();
        for event in self.rig.written.drain(..) {
            let text = event.to_text().into();
            let progress = Arc::clone(&self.progress);
            self.queue.push(ToJournal::Event {
                entity: entity.clone(),
                epoch: epoch.clone(),
                seq: event.seq,
                text,
                erasure: None,
                progress,
            });
        }
        for row in self.rig.snapshots.drain(..) {
            self.queue.push(ToJournal::Snapshot {
                row: Box::new(row),
                progress: Arc::clone(&self.progress),
            });
            self.rig.entity.snapshot_queued();
        }
    }

    async fn commit(&mut self) {
        let mut gathered = Gathered::default();
        for message in self.queue.drain(..) {
            gathered.add(message);
        }
        if gathered.is_empty() {
            return;
        }
        self.number += 1;
        let fence = Fence { term: self.term, number: self.number, nonce: self.number };
        let Gathered { rows, snapshots, trims, erasures, rewrites, tell, .. } = gathered;
        self.store
            .commit(&Batch { fence, rows, snapshots, trims, erasures, rewrites })
            .await
            .unwrap();
        for (_, through) in tell {
            self.rig.commit(through.get());
        }
    }
}

async fn recovers(steps: Vec<Step>, kind: Kind) -> Result<(), TestCaseError> {
    let mut living = Living::wake(MemoryStore::new(), kind.clone()).await;
    // What must be there after any crash: who posted what, in order.
    let mut committed: Vec<(u8, u64)> = Vec::new();
    let mut pending: Vec<(u8, u64)> = Vec::new();
    for step in steps {
        match step {
            Step::Post { user, n } => {
                let known = committed.iter().chain(&pending).position(|op| *op == (user, n));
                let mut request =
                    post(name(user), Some(n), &text(user, n), living.rig.line.reply(0, 1));
                request.sender.client = client(1000 + u64::from(user));
                let seq = committed.len() + pending.len() + 1;
                let out = living.rig.op(request);
                match known {
                    // Repeats of what is on disk are answered at once where nothing is pending.
                    Some(place) if pending.is_empty() => {
                        prop_assert_eq!(out, [format!("#1 seq {} duplicate", place + 1)]);
                    }
                    Some(_) => prop_assert_eq!(out, nothing()),
                    None => {
                        prop_assert_eq!(out, nothing());
                        prop_assert_eq!(
                            living.rig.written.last().map(|event| event.seq),
                            Some(Seq::new(seq as u64))
                        );
                        pending.push((user, n));
                    }
                }
                living.queue();
            }
            Step::Commit => {
                living.commit().await;
                committed.append(&mut pending);
            }
            Step::Snapshot => {
                living.rig.entity.snapshot(&mut living.rig.fx);
                living.rig.out();
                living.queue();
            }
            Step::Trim => {
                let progress = Arc::clone(&living.progress);
                let share = crate::journal::Journal::channel(1).0.may_trim().unwrap();
                living.queue.extend(living.rig.entity.trim().map(|trim| ToJournal::Trim {
                    trim,
                    share,
                    progress,
                }));
            }
            Step::Crash => {
                pending.clear();
                living = Living::wake(living.store, kind.clone()).await;
                prop_assert_eq!(living.rig.entity.released().get(), committed.len() as u64);
                prop_assert!(living.rig.entity.settled());
            }
        }
    }
    // One more crash, and everything is compared with an entity that has lived through the
    // committed ops alone.
    let mut again = Living::wake(living.store, kind.clone()).await;
    let mut model = Rig::of(kind, Loaded::default());
    for (place, (user, n)) in committed.iter().enumerate() {
        let mut request = post(name(*user), Some(*n), &text(*user, *n), model.line.reply(0, 1));
        request.sender.client = client(1000 + u64::from(*user));
        model.op(request);
        model.commit(place as u64 + 1);
    }
    prop_assert_eq!(again.rig.read(), model.read());
    for (place, (user, n)) in committed.iter().enumerate() {
        let mut request = post(name(*user), Some(*n), &text(*user, *n), again.rig.line.reply(0, 1));
        request.sender.client = client(1000 + u64::from(*user));
        prop_assert_eq!(
            again.rig.op(request),
            [format!("#1 seq {} duplicate", place + 1)],
            "never executed twice"
        );
        let mut request = post(name(*user), Some(*n), "another", again.rig.line.reply(0, 1));
        request.sender.client = client(1000 + u64::from(*user));
        prop_assert_eq!(again.rig.op(request), ["#1 invalid_params n_reused"]);
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_comes_back_is_the_committed_prefix(steps in proptest::collection::vec(step(), 0..60), keep_events in 0u64..6) {
        let kind = kind_of(Settings { dedupe_ops: 100, max_pending_ops: 100, snapshot_every: 2, keep_events: NonZeroU64::new(keep_events), resume_events: keep_events, ..settings() });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(recovers(steps, kind))?;
    }
}
