//! Paused subscriptions that continue from the journal: they share the pages that are read.
//!
//! One page is read at a time. Every reader whose position lies within it gets the rest of it, so
//! readers that stalled together cost one read and one encoding per page. The next page is for the
//! reader that is furthest behind, so that readers at different positions meet. Now and then it is
//! for the reader that has waited longest, so that nobody waits for ever.

use std::collections::VecDeque;

use bytes::Bytes;
use greenroom_protocol::{CodecKind, Seq};

use crate::messages::CatchUp;
use crate::rare::Empty;

/// Most events in a page, and the size of the first one.
const MOST_EVENTS: usize = 128;
const FIRST_EVENTS: usize = 64;
/// Fewest events that are requested, however large the last ones were.
const FEWEST_EVENTS: usize = 4;
/// One page in this number is for the reader who has waited the longest.
const LONGEST_EVERY: u64 = 16;
/// Bytes of frames that one page may put into the outboxes of all its readers. A single reader may
/// exceed it.
const HAND_OUT_BYTES: usize = 1024 * 1024;

/// Who waits for a page. At most one request of each session.
#[derive(Debug)]
pub(super) struct Readers {
    waiting: VecDeque<CatchUp>,
    /// A page is being read.
    reading: bool,
    /// Pages so far.
    pages: u64,
    limit: usize,
}

impl Readers {
    /// No readers yet.
    pub const fn new() -> Self {
        Self { waiting: VecDeque::new(), reading: false, pages: 0, limit: FIRST_EVENTS }
    }

    /// Adds a reader. Of several requests of one session, the one with the highest position counts:
    /// a retry may arrive after a newer one. The presence list is sent if any of them asked for it.
    pub fn add(&mut self, mut request: CatchUp) {
        let Some(waiting) =
            self.waiting.iter_mut().find(|waiting| waiting.spec.session == request.spec.session)
        else {
            return self.waiting.push_back(request);
        };
        let came = |request: &CatchUp| (request.spec.number, request.after.seq);
        if came(&request) >= came(waiting) {
            std::mem::swap(waiting, &mut request);
        }
        waiting.presence |= request.presence;
    }

    /// Removes the readers that no longer follow.
    pub fn forget(&mut self, follows: impl Fn(&CatchUp) -> bool) -> Vec<CatchUp> {
        let (follow, gone) =
            std::mem::take(&mut self.waiting).into_iter().partition::<VecDeque<_>, _>(follows);
        self.waiting = follow;
        gone.into()
    }

    /// The reader whose page is to be read now, and the number of events. The caller must call
    /// [`arrived`](Self::arrived) afterwards.
    pub fn next(&mut self) -> Option<(CatchUp, usize)> {
        if self.reading {
            return None;
        }
        let (behind, _) =
            self.waiting.iter().enumerate().min_by_key(|(_, request)| request.after.seq)?;
        self.pages += 1;
        let index = if self.pages.is_multiple_of(LONGEST_EVERY) { 0 } else { behind };
        self.reading = true;
        self.waiting.remove(index).map(|request| (request, self.limit))
    }

    /// Whether nobody waits, and no page is being read.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.reading
    }

    /// The page has been read, or could not be.
    pub fn arrived(&mut self) {
        self.reading = false;
    }

    /// Of a page with `got` events, `kept` fit into the size limit: the next page requests a number
    /// that will fit.
    pub fn adapt(&mut self, got: usize, kept: usize) {
        if kept < got {
            self.limit = kept.clamp(FEWEST_EVENTS, MOST_EVENTS);
        } else if got >= self.limit {
            self.limit = (self.limit * 2).min(MOST_EVENTS);
        }
    }

    /// Removes and returns the readers that continue within the page from `first` to `last`: as many
    /// as may get a page of `bytes` besides its first reader.
    pub fn within(&mut self, first: Seq, last: Seq, bytes: usize) -> Vec<CatchUp> {
        let most = (HAND_OUT_BYTES / bytes.max(1)).saturating_sub(1);
        let mut found = Vec::new();
        for _ in 0..self.waiting.len() {
            let Some(request) = self.waiting.pop_front() else { break };
            if found.len() < most && (first..=last).contains(&request.after.seq.next()) {
                found.push(request);
            } else {
                self.waiting.push_back(request);
            }
        }
        found
    }

    /// Removes and returns all readers.
    pub fn take_all(&mut self) -> impl Iterator<Item = CatchUp> {
        std::mem::take(&mut self.waiting).into_iter()
    }
}

impl Empty for Readers {
    fn empty() -> &'static Self {
        const { &Self::new() }
    }

    /// True only if nothing was learnt about the length of pages either.
    fn is_empty(&self) -> bool {
        self.is_idle() && self.pages == 0
    }
}

/// A page's events, encoded one after the other.
pub(super) struct Encoded {
    pub codec: CodecKind,
    first: Seq,
    bytes: Bytes,
    /// Where each event begins.
    starts: Vec<usize>,
}

impl Encoded {
    /// Encodes `count` events from the seq `first` on; `append` adds the one at an index.
    pub fn new(
        codec: CodecKind,
        first: Seq,
        count: usize,
        append: impl Fn(usize, &mut Vec<u8>),
    ) -> Self {
        let mut bytes = Vec::new();
        let mut starts = Vec::with_capacity(count);
        for index in 0..count {
            starts.push(bytes.len());
            append(index, &mut bytes);
        }
        Self { codec, first, bytes: bytes.into(), starts }
    }

    /// How much all of them are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What follows `after`, which is in the page or directly before it.
    pub fn after(&self, after: Seq) -> Bytes {
        let index = after.next().saturating_since(self.first);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let start = self.starts.get(index).copied().unwrap_or(self.bytes.len());
        self.bytes.slice(start..)
    }
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::{Epoch, Position};

    use super::*;
    use crate::testing::spec;

    fn at(slot: u32, after: u64) -> CatchUp {
        let after = Position { epoch: Epoch::from_bits(7), seq: Seq::new(after) };
        CatchUp { spec: spec(slot, 1), codec: CodecKind::Json, after, presence: false }
    }

    fn next(readers: &mut Readers) -> Option<(u32, u64)> {
        readers.next().map(|(request, _)| (request.spec.session.slot, request.after.seq.get()))
    }

    #[test]
    fn pages_are_for_the_furthest_behind() {
        let mut readers = Readers::new();
        for request in [at(1, 50), at(2, 90), at(3, 10), at(4, 20)] {
            readers.add(request);
        }
        let mut order = Vec::new();
        while let Some((slot, _)) = next(&mut readers) {
            assert_eq!(next(&mut readers), None, "one page at a time");
            readers.arrived();
            order.push(slot);
        }
        assert_eq!(order, [3, 4, 1, 2]);
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut readers = Readers::new();
        readers.add(at(1, 1000));
        let mut behind = 0;
        let pages = (1..).find(|_| {
            readers.add(at(2, behind));
            behind += 1;
            let turn = next(&mut readers);
            readers.arrived();
            turn == Some((1, 1000))
        });
        assert_eq!(pages, Some(LONGEST_EVERY));
    }

    #[test]
    fn who_is_within_the_page_shares_it() {
        let mut readers = Readers::new();
        for request in [at(1, 9), at(2, 10), at(3, 15), at(4, 20), at(5, 21)] {
            readers.add(request);
        }
        let found = |readers: &mut Readers, bytes| {
            let found = readers.within(Seq::new(11), Seq::new(20), bytes);
            found.iter().map(|r| r.spec.session.slot).collect::<Vec<_>>()
        };
        assert_eq!(
            found(&mut readers, HAND_OUT_BYTES / 2),
            [2],
            "a page goes into two outboxes if it is half of what may be handed out"
        );
        assert_eq!(found(&mut readers, 1), [3]);
        assert_eq!(readers.take_all().count(), 3);
    }

    #[test]
    fn a_reader_has_one_place_and_only_while_it_follows() {
        let mut readers = Readers::new();
        for request in [at(1, 5), at(2, 6), at(1, 7)] {
            readers.add(request);
        }
        let gone: Vec<_> = readers
            .forget(|request| request.spec.session.slot == 1)
            .iter()
            .map(|gone| gone.after.seq)
            .collect();
        assert_eq!(
            (gone, readers.next().map(|(request, _)| request.after.seq)),
            (vec![Seq::new(6)], Some(Seq::new(7)))
        );
        assert_eq!(readers.take_all().count(), 0);
    }

    #[test]
    fn a_retry_does_not_take_the_place_of_a_newer_request() {
        let mut readers = Readers::new();
        readers.add(CatchUp { presence: true, ..at(1, 20) });
        readers.add(at(1, 10));
        let next = readers.next().map(|(request, _)| (request.after.seq, request.presence));
        assert_eq!(
            next,
            Some((Seq::new(20), true)),
            "the relay would take the older one's page for a late one, and wait for ever"
        );
        let newer = CatchUp { spec: spec(1, 2), ..at(1, 3) };
        readers.add(at(1, 30));
        readers.add(newer);
        assert_eq!(readers.take_all().map(|request| request.spec.number).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn pages_are_as_long_as_events_are_short() {
        let mut readers = Readers::new();
        readers.adapt(64, 64);
        assert_eq!(readers.limit, 128);
        readers.adapt(100, 100);
        assert_eq!(readers.limit, 128, "the log ended there");
        readers.adapt(128, 1);
        assert_eq!(readers.limit, FEWEST_EVENTS);
        for _ in 0..10 {
            readers.adapt(MOST_EVENTS, MOST_EVENTS);
        }
        assert_eq!(readers.limit, MOST_EVENTS);
    }

    #[test]
    fn what_follows_a_position_is_a_slice() {
        let page = Encoded::new(CodecKind::Json, Seq::new(11), 3, |index, out| {
            out.extend_from_slice(&[b'a' + index as u8; 2]);
        });
        let rests = [10, 11, 12, 13].map(|after| page.after(Seq::new(after)));
        assert_eq!(rests, ["aabbcc", "bbcc", "cc", ""]);
        assert_eq!(page.len(), 6);
    }
}
