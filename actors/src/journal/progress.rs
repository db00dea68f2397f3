//! How much of one life of an entity is on disk: the committer reports it, the entity watches it.
//!
//! It is one number, with one waker for its only watcher. tokio's watch channel does the same for
//! any number of watchers, but takes 350 bytes more for each entity that is awake, and several locks
//! for each update.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::task::AtomicWaker;
use greenroom_protocol::Seq;

use super::Reign;

/// The progress of a life. Both the committer and the entity may end it.
#[derive(Debug)]
pub struct Progress {
    /// Twice the seq reached, plus one once the life has ended. Seqs are below 2^53.
    reported: AtomicU64,
    /// When it began.
    reign: Reign,
    watcher: AtomicWaker,
}

/// What a [`Progress`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Everything up to here is on disk.
    pub through: Seq,
    /// A transaction failed, or this life is over: nothing more of it will be stored.
    pub ended: bool,
}

/// Watches a [`Progress`]: a stream of its changes, which ends with the life.
#[derive(Debug)]
pub struct Watch {
    progress: Arc<Progress>,
    seen: u64,
}

impl Committed {
    fn from_bits(reported: u64) -> Self {
        Self { through: Seq::new(reported >> 1), ended: reported & 1 == 1 }
    }
}

impl Progress {
    /// The progress of a life that begins at `through` in the first reign, and its watcher.
    pub fn new(through: Seq) -> (Arc<Self>, Watch) {
        Self::of_reign(through, 0)
    }

    /// The same for a life that began in this reign.
    pub fn of_reign(through: Seq, reign: Reign) -> (Arc<Self>, Watch) {
        let reported = through.get() << 1;
        let progress = Arc::new(Self {
            reported: AtomicU64::new(reported),
            reign,
            watcher: AtomicWaker::new(),
        });
        (Arc::clone(&progress), Watch { progress, seen: reported })
    }

    /// Ends this life: what it has queued is skipped from now on.
    pub fn end(&self) {
        self.reported.fetch_or(1, Ordering::AcqRel);
        self.watcher.wake();
    }

    /// Ends this life if it did not begin in `reign`, and tells whether it has ended.
    pub(super) fn is_over(&self, reign: Reign) -> bool {
        if self.reign != reign {
            self.end();
        }
        self.ended()
    }

    /// Whether this life has ended.
    pub fn ended(&self) -> bool {
        self.reported.load(Ordering::Acquire) & 1 == 1
    }

    /// Everything up to `through` is on disk.
    pub(super) fn reach(&self, through: Seq) {
        // The last bit is kept, even if it is set concurrently.
        let through = through.get();
        let further = |reported| (reported >> 1 < through).then_some(through << 1 | reported & 1);
        if self.reported.fetch_update(Ordering::AcqRel, Ordering::Acquire, further).is_ok() {
            self.watcher.wake();
        }
    }
}

impl Watch {
    /// Its current value.
    pub fn shows(&self) -> Committed {
        let reported = self.progress.reported.load(Ordering::Acquire);
        Committed::from_bits(reported)
    }

    /// Its current value, if that is new.
    pub fn news(&mut self) -> Option<Committed> {
        let reported = self.progress.reported.load(Ordering::Acquire);
        (std::mem::replace(&mut self.seen, reported) != reported)
            .then_some(Committed::from_bits(reported))
    }

    /// Whether its value is new.
    pub fn has_changed(&self) -> bool {
        self.progress.reported.load(Ordering::Acquire) != self.seen
    }
}

impl Stream for Watch {
    type Item = Committed;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Committed>> {
        if self.seen & 1 == 1 {
            return Poll::Ready(None);
        }
        // The waker is registered before the value is read, so that no later update is missed.
        self.progress.watcher.register(cx.waker());
        self.news().map_or(Poll::Pending, |news| Poll::Ready(Some(news)))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_watcher_misses_nothing_and_hears_of_the_end() {
        let (progress, mut watch) = Progress::new(Seq::new(7));
        assert!(!watch.has_changed() && watch.news().is_none());
        let committer = tokio::spawn(async move {
            for through in Seq::new(8).through(Seq::new(10_000)) {
                progress.reach(through);
                progress.reach(through - 1);
            }
            progress.end();
            progress.reach(Seq::new(10_001));
        });
        let mut last = Seq::new(7);
        let mut ended = false;
        while let Some(news) = watch.next().await {
            assert!(news.through >= last && !ended, "{news:?} after {last}");
            last = news.through;
            ended = news.ended;
        }
        assert!(ended && last >= Seq::new(10_000), "it ended at {last}");
        committer.await.unwrap();
        assert_eq!(
            watch.shows(),
            Committed { through: Seq::new(10_001), ended: true },
            "the end is not taken back"
        );
    }
}
