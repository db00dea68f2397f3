//! What the clients of a drill share.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use greenroom_protocol::{EntityId, Seq, WireError};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::pause::Pause;
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
    /// A connection that is silent for this long while something is unanswered counts as lost.
    pub silent_for: Duration,
    /// Whether clients are at one of several nodes: they are present in what they follow, and after
    /// half of that time they ask for a sign of life.
    pub nodes: bool,
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
    /// Of each client.
    acks: Vec<AtomicU64>,
    /// Of each target.
    target_acks: Vec<AtomicU64>,
    acked: Notify,
    /// For each target, how long nobody has had an op acknowledged.
    pauses: Mutex<Vec<Pause>>,
    /// Why ops with a number were refused for the moment, or in doubt.
    refusals: Mutex<Vec<String>>,
    /// How often somebody was told that a client is not present any more.
    pub leaves: AtomicU64,
    phase: watch::Sender<Phase>,
}

impl Stage {
    /// A stage whose clients send.
    pub fn new(run: Run, targets: Vec<Target>, clients: usize, load: Load) -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        let (acks, target_acks) = (zeros(clients), zeros(targets.len()));
        Self {
            run,
            targets,
            load,
            clock: Clock::start(),
            acks,
            target_acks,
            acked: Notify::new(),
            pauses: Mutex::default(),
            refusals: Mutex::default(),
            leaves: AtomicU64::new(0),
            phase: watch::Sender::new(Phase::Send),
        }
    }

    pub fn clients(&self) -> usize {
        self.acks.len()
    }

    /// Counts an acknowledgement of a client, of an op for the target with this index.
    pub fn acknowledged(&self, client: usize, target: usize) {
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pause) = pauses.get_mut(target) {
            pause.heard(Instant::now(), true);
        }
        drop(pauses);
        for acks in self.acks.get(client).into_iter().chain(self.target_acks.get(target)) {
            acks.fetch_add(1, Ordering::Relaxed);
        }
        self.acked.notify_waiters();
    }

    /// The number of acknowledgements so far.
    pub fn acks(&self) -> u64 {
        self.acks.iter().map(|acks| acks.load(Ordering::Relaxed)).sum()
    }

    /// An op with a number was refused.
    pub fn refused(&self, error: &WireError) {
        let reason = error.data.reason.as_deref().unwrap_or("no reason");
        let why = format!("`{}` ({reason}): {}", error.data.code.as_str(), error.message);
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push(why);
    }

    /// Returns why ops with a number were refused since the last call.
    pub fn take_refusals(&self) -> Vec<String> {
        std::mem::take(&mut self.refusals.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the longest time since the last call in which one target had no op acknowledged.
    pub fn longest_pause(&self) -> Duration {
        let (now, mut fresh) = (Instant::now(), Vec::new());
        fresh.resize_with(self.targets.len(), Pause::default);
        fresh.iter_mut().for_each(|pause| pause.waits(now));
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *pauses, fresh);
        let followed = self.followed();
        let pauses = before.iter().enumerate().filter(|(target, _)| followed.contains(target));
        pauses.map(|(_, pause)| pause.longest(now)).max().unwrap_or_default()
    }

    /// The targets that anybody follows.
    fn followed(&self) -> BTreeSet<usize> {
        (0..self.clients()).flat_map(|client| self.targets_of(client)).collect()
    }

    /// Waits until every client has had so many more ops acknowledged, and every target that is
    /// followed.
    pub async fn served(&self, more: u64) {
        let followed = self.followed();
        let targets = || followed.iter().map(|target| &self.target_acks[*target]);
        let all = || self.acks.iter().chain(targets());
        let goals: Vec<_> = all().map(|acks| acks.load(Ordering::Relaxed) + more).collect();
        loop {
            // Created before the check, so that anything after the check wakes it.
            let acked = self.acked.notified();
            if all().zip(&goals).all(|(acks, goal)| acks.load(Ordering::Relaxed) >= *goal) {
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
