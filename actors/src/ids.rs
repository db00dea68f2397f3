//! Names of things inside one process; they mean nothing after it.

/// A worker thread: 0, 1, 2, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u16);

/// A session: its worker, and its place in that worker's table of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// The thread it lives on.
    pub worker: WorkerId,
    /// Its place in that thread's table; used again after the session has ended.
    pub slot: u32,
    /// Tells the sessions apart that had the same slot one after the other.
    pub generation: u32,
}

impl std::fmt::Display for SessionKey {
    /// As in the session's name on the wire, less what tells this process from others.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.worker.0, self.slot, self.generation)
    }
}
