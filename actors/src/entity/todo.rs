//! What a life wants done.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::state::Effects;
use crate::clock::Mono;
use crate::journal::{Progress, Watch};
use crate::messages::ToEntity;

/// What a life wants done, in this order.
#[derive(Debug)]
pub struct Todo {
    /// What the entity wants done. Anything for the journal is already queued there.
    pub effects: Effects,
    /// Tell all relays that the entity has forgotten its followers.
    pub audience_forgotten: bool,
    /// Load after this pause, and call [`Life::loaded`](super::Life::loaded).
    pub load: Option<Duration>,
    /// Call [`Life::committed`](super::Life::committed) with what this shows from now on.
    pub watch: Option<Watch>,
    /// Wait for this, and call [`Life::rewritten`](super::Life::rewritten) with the progress that it
    /// returns, if any.
    pub rewriting: Option<Rewriting>,
    /// Tell the directory that there is nothing left to do, with the mark of its question.
    pub idle: Option<u64>,
    /// It could not load: end after a while, and tell the directory. Until then it refuses messages,
    /// so that nobody tries again at once.
    pub end: bool,
    /// Take these, one after the other: they waited for the load.
    pub waiting: Vec<ToEntity>,
}

impl Todo {
    /// Nothing yet, for something that happens now.
    pub fn at(now: Mono) -> Self {
        Self {
            effects: Effects::at(now),
            audience_forgotten: false,
            load: None,
            watch: None,
            rewriting: None,
            idle: None,
            end: false,
            waiting: Vec::new(),
        }
    }
}

/// What waits until erased bodies are gone from the disk.
#[derive(Debug)]
pub struct Rewriting {
    written: oneshot::Receiver<()>,
    progress: Arc<Progress>,
}

impl Rewriting {
    pub(super) fn new(written: oneshot::Receiver<()>, progress: Arc<Progress>) -> Self {
        Self { written, progress }
    }

    /// Resolves when the outcome is known: to the progress of its life if it is on disk.
    pub async fn written(self) -> Option<Arc<Progress>> {
        self.written.await.is_ok().then_some(self.progress)
    }
}
