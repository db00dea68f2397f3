//! What a test tells the store to do wrong.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::store::{Batch, CommitError, StoreError};

/// What became of a transaction whose answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostAnswer {
    /// It was written.
    Written,
    /// It never arrived.
    NotWritten,
    /// It arrives when [`MemoryStore::deliver`](super::MemoryStore::deliver) is called.
    OnItsWay,
}

/// How a commit goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Passes,
    Fails,
    Loses(LostAnswer),
}

/// The handle that makes a [`MemoryStore`](super::MemoryStore) fail. Clones are the same handle.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    plan: Mutex<Plan>,
    commits: Gate,
    reads: Gate,
}

#[derive(Debug, Default)]
struct Plan {
    /// Of the next commits, in order.
    commits: VecDeque<Fate>,
    /// How many of the next calls fail.
    acquires: usize,
    settles: usize,
    reads: usize,
    /// Transactions on their way.
    late: Vec<Batch>,
}

/// Holds callers back while it is shut, and counts them.
#[derive(Debug)]
struct Gate {
    shut: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Default for Faults {
    fn default() -> Self {
        Self(Arc::new(Inner { plan: Mutex::default(), commits: Gate::open(), reads: Gate::open() }))
    }
}

impl Faults {
    /// The next `count` commits, after those already planned, fail with nothing written.
    pub fn fail_commits(&self, count: usize) {
        self.plan().commits.extend(std::iter::repeat_n(Fate::Fails, count));
    }

    /// The next `count` commits, after those already planned, go well.
    pub fn pass_commits(&self, count: usize) {
        self.plan().commits.extend(std::iter::repeat_n(Fate::Passes, count));
    }

    /// The next `count` commits, after those already planned, end with an unknown outcome, which is
    /// `lost`.
    pub fn lose_answers(&self, count: usize, lost: LostAnswer) {
        self.plan().commits.extend(std::iter::repeat_n(Fate::Loses(lost), count));
    }

    /// The next `count` calls of `acquire` fail.
    pub fn fail_acquires(&self, count: usize) {
        self.plan().acquires = count;
    }

    /// The next `count` calls of `settle` stay without an answer.
    pub fn fail_settles(&self, count: usize) {
        self.plan().settles = count;
    }

    /// The next `count` calls of `load` and `events` fail.
    pub fn fail_reads(&self, count: usize) {
        self.plan().reads = count;
    }

    /// Commits wait from now on. What becomes of them is decided when they are released.
    pub fn stall_commits(&self) {
        self.0.commits.shut.send_replace(true);
    }

    /// Lets waiting commits, and all later ones, go on.
    pub fn release_commits(&self) {
        self.0.commits.shut.send_replace(false);
    }

    /// `load` and `events` wait from now on.
    pub fn stall_reads(&self) {
        self.0.reads.shut.send_replace(true);
    }

    /// Lets waiting reads, and all later ones, go on.
    pub fn release_reads(&self) {
        self.0.reads.shut.send_replace(false);
    }

    /// Returns when at least `count` commits wait.
    pub async fn commits_stalled(&self, count: usize) {
        self.0.commits.have_arrived(count).await;
    }

    /// Returns when at least `count` reads wait.
    pub async fn reads_stalled(&self, count: usize) {
        self.0.reads.have_arrived(count).await;
    }

    pub(super) async fn committing(&self, batch: &Batch) -> Option<Fate> {
        self.0.commits.pass().await;
        let mut plan = self.plan();
        let fate = plan.commits.pop_front();
        if fate == Some(Fate::Loses(LostAnswer::OnItsWay)) {
            plan.late.push(batch.clone());
        }
        fate
    }

    pub(super) async fn reading(&self) -> Result<(), StoreError> {
        self.0.reads.pass().await;
        planned_to_fail(&mut self.plan().reads).map_err(|why| StoreError::Unavailable(why.into()))
    }

    pub(super) fn acquiring(&self) -> Result<(), StoreError> {
        planned_to_fail(&mut self.plan().acquires)
            .map_err(|why| StoreError::Unavailable(why.into()))
    }

    pub(super) fn settling(&self) -> Result<(), CommitError> {
        planned_to_fail(&mut self.plan().settles).map_err(|why| CommitError::Unknown(why.into()))
    }

    pub(super) fn take_late(&self) -> Vec<Batch> {
        std::mem::take(&mut self.plan().late)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn planned_to_fail(left: &mut usize) -> Result<(), &'static str> {
    if *left == 0 {
        return Ok(());
    }
    *left -= 1;
    Err("told to fail")
}

impl Gate {
    fn open() -> Self {
        Self { shut: watch::Sender::new(false), waiting: watch::Sender::new(0) }
    }

    async fn pass(&self) {
        let mut shut = self.shut.subscribe();
        if !*shut.borrow_and_update() {
            return;
        }
        let _waiting = Waiting::new(&self.waiting);
        // The gate outlives its callers, so its sender is there.
        let _ = shut.wait_for(|shut| !*shut).await;
    }

    async fn have_arrived(&self, count: usize) {
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting >= count).await;
    }
}

/// Counts one caller until it passes or is dropped.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|count| *count += 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
