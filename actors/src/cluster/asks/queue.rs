//! What waits or is in flight of one slot, in first order.

use std::collections::VecDeque;

use super::Retry;
use crate::clock::Mono;

/// A queue is not compacted before it has this many places.
const COMPACT: usize = 32;

/// One ask or control message.
#[derive(Debug)]
pub(super) struct Entry<M> {
    pub kind: Kind,
    pub state: State,
    pub weight: usize,
    pub asked: Mono,
    /// It was sent to a node that may have taken it, and may not have answered.
    pub unsure: bool,
    pub message: M,
}

/// Whether something is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ask(Retry),
    Tell,
}

/// Where something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Sent,
}

/// Entries by ascending place. A place is never used again. An entry can be taken out from
/// anywhere; it leaves a gap, and gaps are removed when they are more than half of the list.
#[derive(Debug)]
pub(super) struct Queue<M> {
    list: VecDeque<(u64, Option<Entry<M>>)>,
    next: u64,
    gaps: usize,
}

impl<M> Default for Queue<M> {
    fn default() -> Self {
        Self { list: VecDeque::new(), next: 0, gaps: 0 }
    }
}

impl<M> Queue<M> {
    /// Adds an entry at the end.
    pub fn push(&mut self, entry: Entry<M>) -> u64 {
        let place = self.next;
        self.next += 1;
        self.list.push_back((place, Some(entry)));
        place
    }

    /// Without gaps, an entry is as far from the first one as its place is; with gaps that were
    /// removed, it is nearer.
    fn index(&self, place: u64) -> Option<usize> {
        let first = self.list.front()?.0;
        let far = usize::try_from(place.checked_sub(first)?).ok()?;
        match self.list.get(far) {
            Some((found, _)) if *found == place => Some(far),
            _ => self.list.binary_search_by_key(&place, |(place, _)| *place).ok(),
        }
    }

    /// The entry at a place.
    pub fn get_mut(&mut self, place: u64) -> Option<&mut Entry<M>> {
        let index = self.index(place)?;
        self.list[index].1.as_mut()
    }

    /// Takes an entry out.
    pub fn remove(&mut self, place: u64) -> Option<Entry<M>> {
        let index = self.index(place)?;
        let entry = self.list[index].1.take()?;
        self.gaps += 1;
        self.tidy();
        Some(entry)
    }

    /// Calls `each` with every entry in order, and keeps what it gives back.
    pub fn walk(&mut self, mut each: impl FnMut(Entry<M>) -> Option<Entry<M>>) {
        for (_, place) in &mut self.list {
            if let Some(entry) = place.take() {
                *place = each(entry);
                self.gaps += usize::from(place.is_none());
            }
        }
        self.tidy();
    }

    /// The entries with their places, in order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut Entry<M>)> {
        self.list.iter_mut().filter_map(|(place, entry)| Some((*place, entry.as_mut()?)))
    }

    /// Takes the first entry out if it is like that.
    pub fn pop_if(&mut self, like: impl FnOnce(&Entry<M>) -> bool) -> Option<Entry<M>> {
        let (_, first) = self.list.front_mut()?;
        let entry = first.take_if(|entry| like(entry))?;
        self.gaps += 1;
        self.tidy();
        Some(entry)
    }

    /// Leaves an entry at the front, and not too many gaps.
    fn tidy(&mut self) {
        while self.list.pop_front_if(|(_, entry)| entry.is_none()).is_some() {
            self.gaps -= 1;
        }
        if self.list.len() >= COMPACT && self.gaps > self.list.len() / 2 {
            self.list.retain(|(_, entry)| entry.is_some());
            self.gaps = 0;
        }
        if self.list.is_empty() && self.list.capacity() > COMPACT {
            self.list = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(message: u64) -> Entry<u64> {
        let (kind, state) = (Kind::Tell, State::Waiting);
        Entry { kind, state, weight: 0, asked: Mono::ZERO, unsure: false, message }
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_map(steps in proptest::collection::vec((0_u8..8, 0_u64..200), 0..400)) {
            let (mut queue, mut map) = (Queue::default(), BTreeMap::new());
            for (step, n) in steps {
                match step {
                    0..4 => {
                        let place = queue.push(entry(n));
                        assert!(map.insert(place, n).is_none());
                    }
                    4..6 => assert_eq!(queue.remove(n).map(|entry| entry.message), map.remove(&n)),
                    6 => assert_eq!(queue.get_mut(n).map(|entry| entry.message), map.get(&n).copied()),
                    _ => {
                        queue.walk(|entry| (entry.message % 7 > 2).then_some(entry));
                        map.retain(|_, message| *message % 7 > 2);
                    }
                }
                let all: Vec<_> = queue.iter_mut().map(|(place, e)| (place, e.message)).collect();
                prop_assert_eq!(&all, &map.iter().map(|(place, n)| (*place, *n)).collect::<Vec<_>>());
                prop_assert!(queue.gaps < COMPACT || queue.gaps <= map.len());
                prop_assert_eq!(queue.list.len() - queue.gaps, map.len());
            }
        }
    }
}
