//! The nodes that this process has heard of, and the numbers that it gave them.

use std::collections::HashMap;

use crate::ids::NodeIndex;
use crate::messages::remote::Nodes;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Known {
    /// The id of each index; this node's own is the first.
    ids: Vec<u64>,
    /// The latest index of each node.
    latest: HashMap<u64, NodeIndex>,
}

impl Known {
    pub fn new(me: u64) -> Self {
        Self { ids: vec![me], latest: HashMap::from([(me, NodeIndex::HERE)]) }
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
    /// After 65,535 of them.
    pub fn renew(&mut self, id: u64) -> NodeIndex {
        let next = u16::try_from(self.ids.len()).expect("fewer links than that are ever reset");
        self.ids.push(id);
        self.latest.insert(id, NodeIndex(next));
        NodeIndex(next)
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
