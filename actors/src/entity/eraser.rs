//! What is deleted, and not yet erased from the journal: hidden until it is.
//!
//! A delete is stored with a note that the bodies of its message are to be erased. From its commit
//! on they are hidden from whatever is read; then the journal is gone through, a page at a time,
//! and the events found are replaced by tombstones. When that is on disk, pages of before may still
//! be on their way here, so what was hidden stays hidden until those have arrived.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use greenroom_protocol::Seq;

use crate::rare::Empty;
use crate::store::{Erasure, Page, REWRITE_EVENTS};

/// Most messages of one entity that are being erased at a time.
const MAX_ERASURES: usize = 256;

/// A page is being read while a clone of this exists.
#[derive(Debug, Clone, Default)]
pub struct PagesOut(Option<Arc<()>>);

impl PagesOut {
    /// One more page is being read.
    pub(super) fn one(&mut self) -> Self {
        self.0.get_or_insert_default();
        self.clone()
    }

    /// Begins anew, and hands out what stands for the pages that are being read now.
    fn split(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Whether all of these pages have arrived.
    fn are_in(&self) -> bool {
        self.0.as_ref().is_none_or(|pages| Arc::strong_count(pages) == 1)
    }
}

#[derive(Debug)]
pub(super) struct Eraser {
    /// By message.
    jobs: BTreeMap<Seq, Job>,
    phase: Phase,
    /// What is erased, with the pages that were being read then; the earliest first.
    erased: VecDeque<(Vec<Seq>, PagesOut)>,
}

/// The bodies of one message.
#[derive(Debug, Clone, Copy)]
struct Job {
    /// The event that asked for it first.
    by: Seq,
    /// The event that asked for it last.
    asked: Seq,
    /// The journal is erased before this.
    next: Seq,
    /// Nothing is to be found behind this.
    through: Seq,
    /// The event that a snapshot must cover; [`Seq::ZERO`] where none has to.
    snapshot: Seq,
}

/// What is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Idle,
    /// A page of at most `limit` events is being read from this seq on. It was asked for when the
    /// log was on disk up to `durable`.
    Reads {
        from: Seq,
        limit: usize,
        durable: Seq,
    },
    /// The journal is being erased up to this seq, for these messages, each with the event that had
    /// asked last.
    Writes {
        to: Seq,
        jobs: Vec<(Seq, Seq)>,
    },
}

/// What a page leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: on to the next one.
    Nothing,
    /// These messages are done once nothing of them is left in the page.
    Erase {
        /// Those messages.
        done: Vec<Seq>,
        /// The seq that a snapshot must cover before.
        snapshot: Seq,
    },
}

impl Eraser {
    pub(super) const fn new() -> Self {
        Self { jobs: BTreeMap::new(), phase: Phase::Idle, erased: VecDeque::new() }
    }

    /// A message is to be erased; `elsewhere` tells whether other events may carry a body of it.
    pub(super) fn add(&mut self, erasure: &Erasure, elsewhere: bool) {
        let Erasure { message, by, purge } = *erasure;
        let through = if elsewhere { by } else { message };
        let snapshot = if purge { by } else { Seq::ZERO };
        let job = self.jobs.entry(message).or_insert(Job {
            by,
            asked: by,
            next: message,
            through,
            snapshot,
        });
        // One that is being erased already stays hidden, and is gone through again.
        job.asked = by;
        job.next = message;
        job.through = job.through.max(through);
        job.snapshot = job.snapshot.max(snapshot);
    }

    /// Whether there is no room for another message.
    pub(super) fn is_full(&self) -> bool {
        self.jobs.len() + self.erased.iter().map(|(seqs, _)| seqs.len()).sum::<usize>()
            >= MAX_ERASURES
    }

    /// Whether nothing is hidden.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.erased.is_empty()
    }

    /// Whether nothing is left to erase.
    pub(super) fn is_done(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether the bodies of `message` are hidden, when the log is on disk up to `durable`.
    pub(super) fn hides(&self, message: Seq, durable: Seq) -> bool {
        self.jobs.get(&message).is_some_and(|job| job.by <= durable)
            || self.erased.iter().any(|(seqs, _)| seqs.contains(&message))
    }

    /// The first message that may be hidden, if any.
    pub(super) fn first(&self) -> Option<Seq> {
        let erased = self.erased.iter().flat_map(|(seqs, _)| seqs.iter().copied());
        self.jobs.keys().copied().chain(erased).min()
    }

    /// Which page to read now, if any.
    pub(super) fn read(&mut self, durable: Seq) -> Option<Page> {
        if self.phase != Phase::Idle {
            return None;
        }
        let ready = self.jobs.values().filter(|job| job.by <= durable);
        let Job { next: from, through, .. } = *ready.min_by_key(|job| job.next)?;
        let limit = usize::try_from(through.saturating_since(from) + 1)
            .map_or(REWRITE_EVENTS, |width| width.min(REWRITE_EVENTS));
        self.phase = Phase::Reads { from, limit, durable };
        Some(Page::After { after: from - 1, limit })
    }

    /// The page could not be read, or its rewriting could not be queued.
    pub(super) fn failed(&mut self) {
        self.phase = Phase::Idle;
    }

    /// The page was read: it has these seqs, and `bodies` tells whether any of them still has a
    /// body that is to be erased.
    pub(super) fn found(&mut self, seqs: &[Seq], bodies: bool) -> Found {
        let Phase::Reads { from, limit, durable } = self.phase else { return Found::Nothing };
        // A page that is not full is the last one, for what was asked for before it was read.
        let to =
            if seqs.len() < limit { Seq::MAX - 1 } else { seqs.last().copied().unwrap_or(from) };
        let within = self
            .jobs
            .iter_mut()
            .filter(|(_, job)| job.by <= durable && (from..=to).contains(&job.next));
        let mut jobs = Vec::new();
        let mut done = Vec::new();
        let mut snapshot = Seq::ZERO;
        for (message, job) in within {
            jobs.push((*message, job.asked));
            if job.through <= to {
                done.push(*message);
                snapshot = snapshot.max(job.snapshot);
            } else if !bodies {
                job.next = to.next();
            }
        }
        if !bodies && done.is_empty() {
            self.phase = Phase::Idle;
            return Found::Nothing;
        }
        self.phase = Phase::Writes { to, jobs };
        Found::Erase { done, snapshot }
    }

    /// What was found is erased on disk. Returns how many messages are done with it.
    pub(super) fn written(&mut self, out: &mut PagesOut) -> usize {
        let Phase::Writes { to, jobs } = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return 0;
        };
        let mut done = Vec::new();
        for (message, asked) in jobs {
            // One that was asked for again meanwhile is gone through again.
            let Some(job) = self.jobs.get_mut(&message).filter(|job| job.asked == asked) else {
                continue;
            };
            job.next = to.next();
            if job.through <= to {
                self.jobs.remove(&message);
                done.push(message);
            }
        }
        let count = done.len();
        if count > 0 {
            self.erased.push_back((done, out.split()));
        }
        self.forget();
        count
    }

    /// Whether one of these events asked for something. What was asked for again is hidden from the
    /// first time on.
    pub(super) fn asked_within(&self, first: Seq, last: Seq) -> bool {
        self.jobs
            .values()
            .any(|job| [job.by, job.asked].iter().any(|seq| (first..=last).contains(seq)))
    }

    /// Forgets what no page can show any more.
    pub(super) fn forget(&mut self) {
        while self.erased.front().is_some_and(|(_, pages)| pages.are_in()) {
            self.erased.pop_front();
        }
    }
}

impl Empty for Eraser {
    fn empty() -> &'static Self {
        const { &Self::new() }
    }

    fn is_empty(&self) -> bool {
        self.is_idle() && self.phase == Phase::Idle
    }
}
