//! Requests of a node that wait, so that its link is filled with answers only as fast as it carries
//! them.
//!
//! Few requests whose answers may be large are looked at at once, and none while the link has much
//! to carry. Others wait only once it has very much to carry, so that ops do not queue behind large
//! answers; but nothing overtakes what is for the same slot. What waits is bounded by what the other
//! node may ask at once. Its answers to this node do not wait, or two busy nodes would wait for each
//! other.

use std::collections::{HashMap, HashSet, VecDeque};

use foldhash::fast::RandomState;

use super::{Node, items};
use crate::clock::Mono;
use crate::cluster::link::frame::Item;
use crate::cluster::slot::{SlotId, slot_of};
use crate::ids::NodeIndex;
use crate::messages::remote::{Ask, Tell, tell_from_item};
use crate::messages::{Part, ToEntity, ToRelay};

/// The part of a link's bytes that may be taken when a request whose answer may be large is looked
/// at, and when any other is.
const PART_FOR_LARGE: usize = 16;
const PART_FOR_SMALL: usize = 2;
/// Requests of one node whose answers may be large and are being made.
const LARGE: usize = 16;

/// What waits of one link.
#[derive(Debug, Default)]
struct Waiting {
    /// Looked at only while `small` is empty, so that has what is for the same slots and came later.
    large: VecDeque<(SlotId, Item)>,
    /// The slots of these.
    slots: SlotCounts,
    small: VecDeque<Item>,
}

/// How much of each slot waits.
type SlotCounts = HashMap<SlotId, usize, RandomState>;

impl Waiting {
    fn push(&mut self, Wish { slot, large }: Wish, item: Item) {
        if large || self.slots.contains_key(&slot) {
            *self.slots.entry(slot).or_default() += 1;
            self.large.push_back((slot, item));
        } else {
            self.small.push_back(item);
        }
    }

    fn pop_large(&mut self) -> Option<Item> {
        let (slot, item) = self.large.pop_front()?;
        if let Some(count) = self.slots.get_mut(&slot) {
            *count -= 1;
            if *count == 0 {
                self.slots.remove(&slot);
            }
        }
        Some(item)
    }

    fn is_empty(&self) -> bool {
        self.large.is_empty() && self.small.is_empty()
    }
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
struct Wish {
    slot: SlotId,
    /// The answer may be large.
    large: bool,
}

/// What waits, by the link that it came over.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    waiting: HashMap<NodeIndex, Waiting, RandomState>,
    /// The numbers of requests whose answers may be large.
    answering: HashMap<NodeIndex, HashSet<u64, RandomState>, RandomState>,
}

impl Deferred {
    /// A request whose answer may be large was taken.
    pub fn taken(&mut self, from: NodeIndex, ask: u64) {
        self.answering.entry(from).or_default().insert(ask);
    }

    /// A request is answered, or was not taken after all.
    pub fn over(&mut self, from: NodeIndex, ask: u64) {
        if let Some(asks) = self.answering.get_mut(&from) {
            asks.remove(&ask);
        }
    }

    /// The requests that are answered by this.
    pub fn answered(&mut self, node: NodeIndex, message: &ToRelay) {
        if self.answering.get(&node).is_none_or(HashSet::is_empty) {
            return;
        }
        let mut part = |part: &Part| {
            if let Part::Answer(answer) | Part::Joined { answer, .. } = part {
                self.over(node, answer.asked());
            }
        };
        match message {
            ToRelay::Parts { parts, .. } => {
                for one in parts {
                    part(one);
                }
            }
            ToRelay::PartsByWorker { parts, .. } => {
                for (_, one) in parts {
                    part(one);
                }
            }
            ToRelay::Answer(answer) => self.over(node, answer.asked()),
            _ => {}
        }
    }

    /// The link is over.
    pub fn forget(&mut self, node: NodeIndex) {
        self.waiting.remove(&node);
        self.answering.remove(&node);
    }
}

impl Node {
    /// Whether this item must wait, and does so now.
    pub(super) fn defers(&mut self, from: NodeIndex, item: &Item) -> bool {
        let waits = self.deferred.waiting.contains_key(&from);
        // While nothing waits and nothing is crowded, items are not read twice.
        if !waits && !self.is_crowded(from, true) {
            return false;
        }
        let Some(wish) = self.wish(from, item) else { return false };
        if let Some(waiting) = self.deferred.waiting.get(&from) {
            let behind = wish.large || waiting.slots.contains_key(&wish.slot);
            if !behind && waiting.small.is_empty() && !self.is_crowded(from, false) {
                return false;
            }
        } else if !self.is_crowded(from, wish.large) {
            return false;
        }
        self.deferred.waiting.entry(from).or_default().push(wish, item.clone());
        true
    }

    /// What an item asks for; `None` for one that does not wait.
    fn wish(&mut self, from: NodeIndex, item: &Item) -> Option<Wish> {
        match item.kind {
            items::ASK => {
                let ask = Ask::from_item(&item.body).ok()?;
                Some(Wish { slot: slot_of(&ask.entity), large: ask.may_be_large() })
            }
            items::TELL => match tell_from_item(&item.body, from, &mut self.known).ok()? {
                Tell::Entity(entity, message, _) => {
                    let large = matches!(message, ToEntity::CatchUp(_));
                    Some(Wish { slot: slot_of(&entity), large })
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn is_crowded(&self, node: NodeIndex, large: bool) -> bool {
        let part = if large { PART_FOR_LARGE } else { PART_FOR_SMALL };
        let most = self.settings.link.link_bytes / part;
        let asks = self.deferred.answering.get(&node);
        self.links.get(&node).is_some_and(|link| link.bytes_out() > most)
            || (large && asks.is_some_and(|asks| asks.len() >= LARGE))
    }

    /// Looks at what waited, as far as links have carried their answers away.
    pub(super) fn take_deferred(&mut self, now: Mono) {
        if self.deferred.waiting.is_empty() {
            return;
        }
        for from in self.deferred.waiting.keys().copied().collect::<Vec<_>>() {
            while let Some(item) = self.next_deferred(from) {
                self.take_item(from, &item, now);
            }
            if self.deferred.waiting.get(&from).is_some_and(Waiting::is_empty) {
                self.deferred.waiting.remove(&from);
            }
        }
    }

    /// The next item that need not wait any more.
    fn next_deferred(&mut self, from: NodeIndex) -> Option<Item> {
        let (small, large) = (self.is_crowded(from, false), self.is_crowded(from, true));
        let waiting = self.deferred.waiting.get_mut(&from)?;
        if !waiting.small.is_empty() {
            return if small { None } else { waiting.small.pop_front() };
        }
        if large { None } else { waiting.pop_large() }
    }
}
