//! Requests of a node that does not take its answers fast enough. They wait here until what was
//! answered has gone, so that a link is filled by answers only as fast as it carries them.
//!
//! What waits is bounded by what the other node may ask at once, and goes on in order. Its answers to
//! this node do not wait, or two busy nodes would wait for each other.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::{Node, items};
use crate::clock::Mono;
use crate::cluster::link::frame::Item;
use crate::ids::NodeIndex;

/// The part of a link's bytes that may be taken when a request is looked at.
const PART: usize = 16;

/// What waits, by the link that it came over.
pub(super) type Deferred = HashMap<NodeIndex, VecDeque<Item>, RandomState>;

impl Node {
    /// Whether this item must wait for what the link still has to carry, and does so now.
    pub(super) fn defers(&mut self, from: NodeIndex, item: &Item) -> bool {
        if !matches!(item.kind, items::ASK | items::TELL) {
            return false;
        }
        if !self.deferred.contains_key(&from) && !self.is_crowded(from) {
            return false;
        }
        self.deferred.entry(from).or_default().push_back(item.clone());
        true
    }

    fn is_crowded(&self, node: NodeIndex) -> bool {
        let most = self.settings.link.link_bytes / PART;
        self.links.get(&node).is_some_and(|link| link.bytes_out() > most)
    }

    /// Looks at what waited, as far as links have carried their answers away.
    pub(super) fn take_deferred(&mut self, now: Mono) {
        for from in self.deferred.keys().copied().collect::<Vec<_>>() {
            while !self.is_crowded(from)
                && let Some(item) = self.deferred.get_mut(&from).and_then(VecDeque::pop_front)
            {
                self.take_item(from, &item, now);
            }
            if self.deferred.get(&from).is_some_and(VecDeque::is_empty) {
                self.deferred.remove(&from);
            }
        }
    }
}
