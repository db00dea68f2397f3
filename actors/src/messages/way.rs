//! A bounded queue on which some messages must not be lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::backlog::Backlog;

/// The way to somebody's queue. What must not be lost waits behind a full queue, in order, so that
/// nobody who has gone seems to come afterwards.
#[derive(Debug)]
pub(super) struct Way<T> {
    queue: mpsc::Sender<T>,
    backlog: Mutex<Backlog<T>>,
    /// Whether the backlog is being worked off, for those who do not lock it.
    behind: AtomicBool,
}

impl<T: Send + 'static> Way<T> {
    pub fn new(queue: mpsc::Sender<T>) -> Arc<Self> {
        Arc::new(Self { queue, backlog: Mutex::default(), behind: AtomicBool::new(false) })
    }

    /// Room for a message, if there is any and nothing waits for it.
    pub fn reserve(&self) -> Option<mpsc::Permit<'_, T>> {
        if self.behind.load(Ordering::Acquire) {
            return None;
        }
        self.queue.try_reserve().ok()
    }

    /// Waits for room and sends a message.
    pub async fn send(&self, message: T) {
        // A receiver that has ended needs nothing more.
        let _ = self.queue.send(message).await;
    }

    /// Sends a message that must not be lost. If the queue is full, messages wait in order.
    pub fn tell(self: &Arc<Self>, message: T) {
        if self.push(message)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let way = Arc::clone(self);
            runtime.spawn(async move { way.work_off().await });
        }
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog<T>> {
        // Nothing panics while it is held.
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message, or lets it wait. True if the caller must have the backlog worked off.
    fn push(&self, message: T) -> bool {
        let message = if self.behind.load(Ordering::Acquire) {
            message
        } else {
            let Err(mpsc::error::TrySendError::Full(message)) = self.queue.try_send(message) else {
                return false;
            };
            message
        };
        let mut backlog = self.backlog();
        let is_first = backlog.push(message);
        self.behind.store(true, Ordering::Release);
        is_first
    }

    /// Hands over what waits until nothing does.
    async fn work_off(&self) {
        while let Some(message) = self.next() {
            self.send(message).await;
        }
    }

    fn next(&self) -> Option<T> {
        let mut backlog = self.backlog();
        let next = backlog.next();
        if next.is_none() {
            // Under the lock: what comes after this finds the queue itself, and what came before
            // was seen.
            self.behind.store(false, Ordering::Release);
        }
        next
    }
}
