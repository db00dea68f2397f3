//! Requests of a node that wait, so that its link is filled with answers only as fast as it carries
//! them.
//!
//! Few requests whose answers may be large are looked at at once, and none while the link has much
//! to carry. What waits is bounded by what the other node may ask at once, and goes on in order. Its
//! answers to this node do not wait, or two busy nodes would wait for each other.

use std::collections::{HashMap, HashSet, VecDeque};

use foldhash::fast::RandomState;

use super::{Node, items};
use crate::clock::Mono;
use crate::cluster::link::frame::Item;
use crate::ids::NodeIndex;
use crate::messages::{Part, ToRelay};

/// The part of a link's bytes that may be taken when a request is looked at.
const PART: usize = 16;
/// Requests of one node whose answers may be large and are being made.
const LARGE: usize = 16;

/// What waits, by the link that it came over.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    waiting: HashMap<NodeIndex, VecDeque<Item>, RandomState>,
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
        if !matches!(item.kind, items::ASK | items::TELL) {
            return false;
        }
        if !self.deferred.waiting.contains_key(&from) && !self.is_crowded(from) {
            return false;
        }
        self.deferred.waiting.entry(from).or_default().push_back(item.clone());
        true
    }

    fn is_crowded(&self, node: NodeIndex) -> bool {
        let most = self.settings.link.link_bytes / PART;
        self.links.get(&node).is_some_and(|link| link.bytes_out() > most)
            || self.deferred.answering.get(&node).is_some_and(|asks| asks.len() >= LARGE)
    }

    /// Looks at what waited, as far as links have carried their answers away.
    pub(super) fn take_deferred(&mut self, now: Mono) {
        if self.deferred.waiting.is_empty() {
            return;
        }
        for from in self.deferred.waiting.keys().copied().collect::<Vec<_>>() {
            while !self.is_crowded(from)
                && let Some(item) =
                    self.deferred.waiting.get_mut(&from).and_then(VecDeque::pop_front)
            {
                self.take_item(from, &item, now);
            }
            if self.deferred.waiting.get(&from).is_some_and(VecDeque::is_empty) {
                self.deferred.waiting.remove(&from);
            }
        }
    }
}
