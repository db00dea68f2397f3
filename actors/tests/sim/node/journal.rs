//! The committer, its queue and its pauses.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use greenroom_actors::clock::{Clock, Mono};
use greenroom_actors::journal::{
    Committer, CommitterLimits, Health, Journal, Outside, Pause, Progress, Registered, ToJournal,
};
use tokio::sync::{mpsc, watch};

use crate::bugs::Bug;
use crate::seen::Wait;
use crate::sizes::Sizes;
use crate::store::SimStore;

/// No pause is under way.
const NEVER: u64 = u64::MAX;

/// A pause that ends by the simulated clock. `due` is the time when it ends.
fn pause(clock: Clock, due: Arc<AtomicU64>) -> Pause {
    Box::new(move |length| {
        let ms = u64::try_from(length.as_millis()).expect("pauses are short");
        let at = clock.mono().after(ms);
        due.store(at.since(Mono::ZERO), Ordering::Relaxed);
        let clock = clock.clone();
        let due = Arc::clone(&due);
        Box::pin(std::future::poll_fn(move |_| {
            if clock.mono() < at {
                return Poll::Pending;
            }
            due.store(NEVER, Ordering::Relaxed);
            Poll::Ready(())
        }))
    })
}

/// Whose lease the committer writes under.
pub(super) enum Leased {
    /// The only server's, with this term.
    Alone(u64),
    /// A node's of a cluster.
    Node(Registered),
}

pub(super) struct Writer {
    /// The queue for entities; one of the planted bugs puts another queue before the committer's.
    pub journal: Journal,
    hop: Option<(mpsc::Receiver<ToJournal>, Journal)>,
    committer: Pin<Box<dyn Future<Output = ()>>>,
    health: watch::Receiver<Health>,
    /// When the pause ends.
    due: Arc<AtomicU64>,
}

impl Writer {
    pub fn start(
        store: &SimStore,
        leased: Leased,
        sizes: Sizes,
        bug: Option<Bug>,
        clock: &Clock,
        rng: fastrand::Rng,
    ) -> Self {
        let (journal, queue) = Journal::channel(sizes.journal);
        let limits = CommitterLimits {
            batch_ops: sizes.batch_ops,
            batch_bytes: sizes.batch_bytes,
            linger: Duration::ZERO,
        };
        let due = Arc::new(AtomicU64::new(NEVER));
        let pause = pause(clock.clone(), Arc::clone(&due));
        let outside = Outside { clock: clock.clone(), pause, rng };
        let store = Arc::new(store.clone());
        let (committer, health) = match leased {
            Leased::Alone(term) => Committer::new(store, term, queue, limits, outside),
            Leased::Node(registered) => {
                let (committer, health) = Committer::new(store, 0, queue, limits, outside);
                (committer.of_node(registered), health)
            }
        };
        let (journal, hop) = if bug == Some(Bug::NoSkipAfterFailure) {
            let (front, behind) = Journal::channel(sizes.journal);
            (front, Some((behind, journal)))
        } else {
            (journal, None)
        };
        Self { journal, hop, committer: Box::pin(committer.run()), health, due }
    }

    pub fn poll(&mut self) {
        let done = self.committer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(done.is_pending(), "a committer runs while somebody can queue");
    }

    /// When the current pause ends, if there is one.
    pub fn pause_ends(&self) -> Option<u64> {
        Some(self.due.load(Ordering::Relaxed)).filter(|due| *due != NEVER)
    }

    /// The number of messages that the committer has not taken yet.
    pub fn waiting(&self) -> usize {
        self.journal.waiting() + self.hop.as_ref().map_or(0, |(_, behind)| behind.waiting())
    }

    /// Whether the committer can begin a transaction.
    pub fn can_commit(&self, store: &SimStore) -> bool {
        let waiting = self.hop.as_ref().map_or(&self.journal, |(_, journal)| journal).waiting() > 0;
        waiting && !store.is_committing() && self.pause_ends().is_none()
    }

    pub fn is_fenced(&self) -> bool {
        matches!(&*self.health.borrow(), Health::Fenced(_))
    }

    pub fn can_hop(&self) -> bool {
        self.hop.as_ref().is_some_and(|(queue, _)| !queue.is_empty())
    }

    /// A planted bug: events after a failure are passed on as if nothing had happened.
    pub fn hop(&mut self) {
        let Some((queue, behind)) = &mut self.hop else { return };
        let Some(permit) = behind.reserve() else { return };
        let Ok(message) = queue.try_recv() else { return };
        permit.send(match message {
            ToJournal::Event { entity, epoch, seq, text, erasure, progress }
                if progress.ended() =>
            {
                ToJournal::Event {
                    entity,
                    epoch,
                    seq,
                    text,
                    erasure,
                    progress: Progress::new(seq - 1).0,
                }
            }
            other => other,
        });
    }

    pub fn waits(&self, store: &SimStore) -> Option<Wait> {
        match (self.pause_ends(), store.is_committing()) {
            (Some(_), _) => Some(Wait::Pause),
            (None, false) => Some(Wait::Queue),
            (None, true) => None,
        }
    }
}
