//! A waker for one half of a task: it wakes the task, which can then tell whether this half was
//! woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// One half of a task, to be polled only if it was woken.
pub struct Side {
    shared: Arc<Shared>,
    waker: Waker,
}

#[derive(Default)]
struct Shared {
    /// Whether it was woken since the task last asked.
    meant: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.meant.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Side {
    /// Woken from the beginning, so that it gets a first turn.
    pub fn new() -> Self {
        let shared = Arc::new(Shared { meant: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { waker: Waker::from(Arc::clone(&shared)), shared }
    }

    /// Whether it was woken since it was last asked. From now on its wakes reach the task of `cx`.
    pub fn was_meant(&self, cx: &Context<'_>) -> bool {
        self.shared.task.register(cx.waker());
        self.shared.meant.swap(false, Ordering::Acquire)
    }

    /// The waker to poll this half with.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_wake_says_which_half_was_meant() {
        let side = Side::new();
        let task = Arc::new(Task::default());
        let waker = Waker::from(Arc::clone(&task));
        let cx = Context::from_waker(&waker);
        assert!(side.was_meant(&cx), "it begins with a turn");
        assert!(!side.was_meant(&cx));
        waker.wake_by_ref();
        assert!(!side.was_meant(&cx), "the other half was");
        side.waker().wake_by_ref();
        assert_eq!(task.0.load(Ordering::Relaxed), 2);
        assert!(side.was_meant(&cx));
    }
}
