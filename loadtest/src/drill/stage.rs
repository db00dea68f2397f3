//! What the clients of a drill share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use greenroom_protocol::{EntityId, Seq};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::history::{Clock, Shape};
use crate::run::Run;

/// What clients are to do.
#[derive(Debug, Clone, Default)]
pub enum Phase {
    #[default]
    Send,
    /// Send nothing new; have answered what was sent.
    Settle,
    /// Listen until everything up to each target's last seq has arrived, or until the deadline.
    Listen {
        /// The last seq of each target.
        heads: Arc<[Seq]>,
        /// When to give up.
        deadline: Instant,
    },
}

#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub every: Duration,
    pub in_flight: usize,
    /// The time between two reads of a client, which has one unanswered at most; none without it.
    pub read_every: Option<Duration>,
    /// The time between two tokens of a client, if a right comes and goes.
    pub revoke_every: Option<Duration>,
    /// Whether every other client sends requests behind `connect`.
    pub pipelines: bool,
}

/// An entity that clients send to and follow.
#[derive(Debug, Clone)]
pub struct Target {
    pub id: EntityId,
    pub shape: Shape,
}

/// What the clients of a drill share.
pub struct Stage {
    pub run: Run,
    pub targets: Vec<Target>,
    pub load: Load,
    pub clock: Arc<Clock>,
    acks: Vec<AtomicU64>,
    acked: Notify,
    phase: watch::Sender<Phase>,
}

impl Stage {
    /// A stage whose clients send.
    pub fn new(run: Run, targets: Vec<Target>, clients: usize, load: Load) -> Self {
        let acks = (0..clients).map(|_| AtomicU64::new(0)).collect();
        Self {
            run,
            targets,
            load,
            clock: Clock::start(),
            acks,
            acked: Notify::new(),
            phase: watch::Sender::new(Phase::Send),
        }
    }

    pub fn clients(&self) -> usize {
        self.acks.len()
    }

    /// Counts an acknowledgement of a client.
    pub fn acknowledged(&self, client: usize) {
        if let Some(acks) = self.acks.get(client) {
            acks.fetch_add(1, Ordering::Relaxed);
        }
        self.acked.notify_waiters();
    }

    /// Waits until every client has had so many more ops acknowledged.
    pub async fn served(&self, more: u64) {
        let goals: Vec<_> =
            self.acks.iter().map(|acks| acks.load(Ordering::Relaxed) + more).collect();
        loop {
            // Created before the check, so that anything after the check wakes it.
            let acked = self.acked.notified();
            if self
                .acks
                .iter()
                .zip(&goals)
                .all(|(acks, goal)| acks.load(Ordering::Relaxed) >= *goal)
            {
                return;
            }
            acked.await;
        }
    }

    /// Changes what clients are to do.
    pub fn turn_to(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// What clients are to do, now and later.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// The targets of a client, by index: two neighbours, so that it resumes more than one
    /// subscription.
    pub fn targets_of(&self, client: usize) -> Vec<usize> {
        let count = self.targets.len();
        (client..client + 2.min(count)).map(|target| target % count).collect()
    }
}
