//! Names of things inside one process; they mean nothing after it.

/// A node of the cluster. Each process numbers the nodes that it hears of itself, in the order in
/// which it does; a node that was restarted is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIndex(pub u16);

impl NodeIndex {
    /// This process.
    pub const HERE: Self = Self(0);
    /// All others: no node has this index.
    pub const OTHERS: Self = Self(u16::MAX);
}

/// A worker thread: 0, 1, 2, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u16);

/// Where a relay runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// On which node.
    pub node: NodeIndex,
    /// On which of its threads.
    pub worker: WorkerId,
}

/// A session: its node, its worker, and its place in that worker's table of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// The node that its connection is on.
    pub node: NodeIndex,
    /// The thread it lives on.
    pub worker: WorkerId,
    /// Its place in that thread's table; used again after the session has ended.
    pub slot: u32,
    /// Tells the sessions apart that had the same slot one after the other.
    pub generation: u32,
}

impl SessionKey {
    /// A session of this process.
    pub const fn here(worker: WorkerId, slot: u32, generation: u32) -> Self {
        Self { node: NodeIndex::HERE, worker, slot, generation }
    }

    /// Where its relay runs.
    pub const fn place(self) -> Place {
        Place { node: self.node, worker: self.worker }
    }
}

impl std::fmt::Display for SessionKey {
    /// As in the session's name on the wire, less what tells this process from others.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.worker.0, self.slot, self.generation)
    }
}
