//! The nodes that this process has heard of, and the numbers that it gave them.

use std::collections::{HashMap, VecDeque};

use crate::ids::NodeIndex;
use crate::messages::remote::Nodes;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Known {
    /// The id of each index; this node's own is the first.
    ids: Vec<u64>,
    /// The latest index of each node.
    latest: HashMap<u64, NodeIndex>,
    /// Indexes that nobody holds any more, the oldest first. They are used again only when there are
    /// no others, so that whatever is late has long passed.
    free: VecDeque<NodeIndex>,
}

impl Known {
    pub fn new(me: u64) -> Self {
        Self {
            ids: vec![me],
            latest: HashMap::from([(me, NodeIndex::HERE)]),
            free: VecDeque::new(),
        }
    }

    pub fn id_of(&self, node: NodeIndex) -> u64 {
        self.ids.get(usize::from(node.0)).copied().unwrap_or_default()
    }

    /// The latest index of a node, if it has one.
    pub fn get(&self, id: u64) -> Option<NodeIndex> {
        self.latest.get(&id).copied()
    }

    /// A new index for a node, after a reset or because it is new.
    ///
    /// # Panics
    /// If 65,534 are in use, which takes thousands of resets a second.
    pub fn renew(&mut self, id: u64) -> NodeIndex {
        // The last one stands for all.
        let next = u16::try_from(self.ids.len()).ok().map(NodeIndex);
        let index = match next.filter(|next| *next != NodeIndex::OTHERS) {
            Some(next) => {
                self.ids.push(id);
                next
            }
            None => {
                let index = self.free.pop_front().expect("links are few, and leave in seconds");
                self.ids[usize::from(index.0)] = id;
                index
            }
        };
        self.latest.insert(id, index);
        index
    }

    /// Nobody holds this index any more.
    pub fn release(&mut self, index: NodeIndex) {
        if self.latest.get(&self.id_of(index)) != Some(&index) {
            self.free.push_back(index);
        }
    }
}

impl Nodes for Known {
    fn id(&self, node: NodeIndex) -> u64 {
        self.id_of(node)
    }

    fn index(&mut self, id: u64) -> NodeIndex {
        match self.get(id) {
            Some(index) => index,
            None => self.renew(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_used_again_only_when_there_are_no_others() {
        let mut known = Known::new(1);
        let mut last = known.renew(2);
        let first = last;
        for _ in 0..65_533 {
            let next = known.renew(2);
            assert!(next > last);
            known.release(last);
            last = next;
        }
        assert_eq!((last, known.renew(2)), (NodeIndex(u16::MAX - 1), first));
        known.release(first);
        assert_ne!(known.renew(3), first, "it is the latest of its node");
        assert_eq!((known.get(1), known.id_of(NodeIndex(0))), (Some(NodeIndex::HERE), 1));
    }
}
