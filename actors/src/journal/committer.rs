//! The committer: one transaction after the other, each with everything that has gathered.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::Reign;
use super::ToJournal;
use super::batch::Gathered;
use super::control::{Control, Registered};
use crate::clock::Clock;
use crate::metrics::{JournalMetrics, Stored};
use crate::store::{Batch, Cause, CommitError, Fence, Settled, Store};
use crate::trail;

mod control;

/// The first pause before asking again about the outcome of a transaction; it doubles up to
/// [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause before asking again.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// A transaction with at least this number of ops is a sign of load. A lone op, or a few, never
/// wait for others.
const LOAD: usize = 32;
/// How often to check whether more is still coming.
const LINGER_STEP: Duration = Duration::from_micros(250);

/// How much one transaction may hold.
#[derive(Debug, Clone, Copy)]
pub struct CommitterLimits {
    /// Messages.
    pub batch_ops: usize,
    /// Bytes of events and snapshots; the message that reaches it is the last.
    pub batch_bytes: usize,
    /// How long a transaction may wait for more under load. A row costs as much as a dozen ops in
    /// it, so fewer transactions with longer rows have a higher throughput.
    pub linger: Duration,
}

/// A way to wait.
pub type Pause = Box<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What a committer needs from outside besides its queue and its store.
pub struct Outside {
    /// Measures how long transactions take.
    pub clock: Clock,
    /// Waits.
    pub pause: Pause,
    /// Draws the nonces of transactions.
    pub rng: fastrand::Rng,
}

impl Outside {
    /// The process's clock, the runtime's timers, and a random seed.
    pub fn real() -> Self {
        Self {
            clock: Clock::REAL,
            pause: Box::new(|length| Box::pin(tokio::time::sleep(length))),
            rng: fastrand::Rng::new(),
        }
    }
}

/// The state of the store, according to the latest transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It commits.
    Ok,
    /// The latest transaction failed, or its outcome is not known yet.
    Failing(String),
    /// Another process owns the lease: this one must stop.
    Fenced(String),
}

/// See the module's head.
pub struct Committer {
    store: Arc<dyn Store>,
    queue: mpsc::Receiver<ToJournal>,
    waiting: VecDeque<ToJournal>,
    limits: CommitterLimits,
    health: watch::Sender<Health>,
    metrics: JournalMetrics,
    outside: Outside,
    term: u64,
    number: u64,
    reign: Reign,
    /// Set for a node of a cluster.
    registered: Option<Registered>,
    /// Ops of the latest transaction.
    last_ops: usize,
}

impl Committer {
    /// A committer that writes under the lease's `term`.
    pub fn new(
        store: Arc<dyn Store>,
        term: u64,
        queue: mpsc::Receiver<ToJournal>,
        limits: CommitterLimits,
        outside: Outside,
    ) -> (Self, watch::Receiver<Health>) {
        let (health, watch) = watch::channel(Health::Ok);
        let metrics = JournalMetrics::new();
        (
            Self {
                store,
                queue,
                waiting: VecDeque::new(),
                limits,
                health,
                metrics,
                outside,
                term,
                number: 1,
                reign: 0,
                registered: None,
                last_ops: 0,
            },
            watch,
        )
    }

    /// A committer of a node of a cluster. Until it is given a term, it commits nothing.
    #[must_use]
    pub fn of_node(self, registered: Registered) -> Self {
        Self { registered: Some(registered), ..self }
    }

    /// Commits until every sender is gone and the queue is empty.
    pub async fn run(mut self) {
        let mut inbox = Vec::new();
        loop {
            if self.waiting.is_empty()
                && self.queue.recv_many(&mut inbox, self.limits.batch_ops).await == 0
            {
                return;
            }
            self.waiting.extend(inbox.drain(..));
            self.linger().await;
            // Messages that have arrived meanwhile are included.
            while self.waiting.len() < self.limits.batch_ops {
                let Ok(message) = self.queue.try_recv() else { break };
                self.waiting.push_back(message);
            }
            match self.waiting.pop_front() {
                Some(ToJournal::Control(
                    control @ (Control::Term { .. } | Control::Change { .. }),
                )) => {
                    self.control(control).await;
                }
                Some(other) => {
                    self.waiting.push_front(other);
                    let gathered = self.gather();
                    self.commit(gathered).await;
                }
                None => {}
            }
        }
    }

    /// Under load, waits for more messages as long as they keep coming and there is room for them.
    async fn linger(&mut self) {
        let mut left = self.limits.linger;
        while self.last_ops >= LOAD
            && !left.is_zero()
            && self.waiting.len() + self.queue.len() < self.limits.batch_ops
        {
            let before = self.queue.len();
            let step = left.min(LINGER_STEP);
            (self.outside.pause)(step).await;
            left -= step;
            if self.queue.len() == before {
                return;
            }
        }
    }

    fn gather(&mut self) -> Gathered {
        let mut gathered = Gathered::of_reign(self.reign);
        while gathered.bytes < self.limits.batch_bytes
            && gathered.ops < self.limits.batch_ops
            && !matches!(self.waiting.front(), Some(ToJournal::Control(control)) if control.is_alone())
        {
            let Some(message) = self.waiting.pop_front() else { break };
            gathered.add(message);
        }
        self.last_ops = gathered.ops;
        gathered
    }

    async fn commit(&mut self, mut gathered: Gathered) {
        if !gathered.is_empty() {
            let nonce = self.outside.rng.u64(1..1 << 53);
            let fence = Fence { term: self.term, number: self.number, nonce };
            let rows = std::mem::take(&mut gathered.rows);
            let snapshots = std::mem::take(&mut gathered.snapshots);
            let trims = std::mem::take(&mut gathered.trims);
            let erasures = std::mem::take(&mut gathered.erasures);
            let rewrites = std::mem::take(&mut gathered.rewrites);
            let batch = Batch { fence, rows, snapshots, trims, erasures, rewrites };
            let committed = self.attempt(&batch, gathered.ops).await;
            if committed {
                for row in &batch.rows {
                    trail::at("on disk", &row.entity, || trail::Ids {
                        seq: Some(row.last_seq),
                        ..trail::Ids::default()
                    });
                }
            }
            for (progress, through) in &gathered.tell {
                if committed { progress.reach(*through) } else { progress.end() }
            }
            if committed {
                // The receiver may have ended meanwhile.
                for written in gathered.written.drain(..) {
                    let _ = written.send(());
                }
            } else {
                // Their next messages may rely on the lost snapshot, such as the deletion of rows
                // that it covers.
                for progress in &gathered.others {
                    progress.end();
                }
            }
        }
        for barrier in gathered.barriers {
            // The receiver may have stopped waiting.
            let _ = barrier.send(());
        }
    }

    /// Whether the batch is on disk; waits until that is known.
    async fn attempt(&mut self, batch: &Batch, ops: usize) -> bool {
        let holds = Stored { ops, snapshots: batch.snapshots.len(), trims: batch.trims.len() };
        let begun = self.outside.clock.mono();
        let committed = self.store.commit(batch).await;
        let took = self.outside.clock.mono().elapsed_since(begun);
        match committed {
            Ok(()) => {
                self.number += 1;
                self.metrics.committed(holds, took);
                self.set_health(Health::Ok);
                self.show(begun);
                true
            }
            Err(CommitError::Failed(why)) => {
                self.metrics.failed(took);
                tracing::error!(%why, ops, "a transaction failed; its ops are answered `unavailable`");
                self.set_health(Health::Failing(why.to_string()));
                false
            }
            Err(CommitError::Fenced(why)) => {
                self.metrics.failed(took);
                self.fenced(&why);
                false
            }
            Err(CommitError::Unknown(why)) => {
                self.metrics.unknown(took);
                tracing::warn!(%why, ops, "a transaction's outcome is unknown; asking the store");
                self.set_health(Health::Failing(why.to_string()));
                let stored = self.settle(batch.fence).await == Some(Settled::Committed);
                if stored {
                    self.metrics.stored(holds);
                }
                stored
            }
        }
    }

    /// `None` if the lease is lost.
    async fn settle(&mut self, fence: Fence) -> Option<Settled> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.store.settle(fence).await {
                Ok(settled) => {
                    self.number += 1;
                    self.set_health(Health::Ok);
                    return Some(settled);
                }
                Err(CommitError::Fenced(why)) => {
                    self.fenced(&why);
                    return None;
                }
                Err(why) => tracing::warn!(%why, "the store does not tell yet"),
            }
            (self.outside.pause)(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A new term: what was lost with the old one is over.
    fn recovered(&self) {
        self.health.send_replace(Health::Ok);
    }

    fn fenced(&self, why: &Cause) {
        tracing::error!(%why, "the lease is lost; nothing more can be committed under this term");
        self.set_health(Health::Fenced(why.to_string()));
        if let Some(Registered { standing, .. }) = &self.registered {
            standing.send_modify(|standing| standing.fenced = Some(self.term));
        }
    }

    fn set_health(&self, health: Health) {
        self.health.send_if_modified(|now| {
            let changed = *now != health && !matches!(now, Health::Fenced(_));
            if changed {
                *now = health;
            }
            changed
        });
    }
}
