//! A tokio runtime for the database alone.
//!
//! The embedded engine and a server's client spawn onto the runtime they are created in. On a
//! worker's single thread they would hold up its sockets.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long the engine may take on closing to write what it holds in memory, which can be a
/// gigabyte. If that is too short, nothing is lost.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(120);

/// How often to check whether the engine has closed.
const CLOSE_POLL: Duration = Duration::from_millis(2);

/// What happens to tasks that are still running when their runtime is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDrop {
    /// They may finish, within a time limit: the embedded engine closes its files.
    Finish,
    /// They are aborted: a server's client would try to reconnect for ever.
    Abort,
}

/// A runtime that may be dropped on any thread and reports when its last task and thread have
/// ended.
pub(super) struct OwnRuntime {
    runtime: Option<Runtime>,
    on_drop: OnDrop,
    gone: watch::Sender<bool>,
}

impl OwnRuntime {
    /// Starts a runtime with `threads` threads.
    ///
    /// # Errors
    /// If the system cannot start them.
    pub(super) fn start(threads: usize, on_drop: OnDrop) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("greenroom-store")
            // SurrealDB's executor recurses; the default of 2 MiB is known to be tight for it.
            .thread_stack_size(8 << 20)
            .enable_all()
            .build()?;
        Ok(Self { runtime: Some(runtime), on_drop, gone: watch::Sender::new(false) })
    }

    /// Runs `future` on this runtime's threads. It keeps running if the handle is dropped.
    pub(super) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.runtime.as_ref().expect("the runtime is only taken out in drop").spawn(future)
    }

    /// Becomes true when the last task and the last thread have ended.
    pub(super) fn gone(&self) -> watch::Receiver<bool> {
        self.gone.subscribe()
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let closing = Closing { runtime: Some(runtime), gone: self.gone.clone() };
        match self.on_drop {
            OnDrop::Abort => drop(closing),
            OnDrop::Finish => {
                // Waiting here would block whichever thread drops a store. If no thread can be
                // started, `Closing` is dropped at once and cuts the tasks off, as a crash would.
                let waiting = std::thread::Builder::new()
                    .name("greenroom-store-close".into())
                    .spawn(move || closing.finish());
                if let Err(error) = waiting {
                    tracing::warn!(%error, "the store closes without writing back what it holds in memory");
                }
            }
        }
    }
}

/// A runtime that is shutting down. Dropping it never blocks, so it is safe on any thread.
struct Closing {
    runtime: Option<Runtime>,
    gone: watch::Sender<bool>,
}

impl Closing {
    fn finish(mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let started = Instant::now();
        let metrics = runtime.metrics();
        while metrics.num_alive_tasks() > 0 && started.elapsed() < CLOSE_TIMEOUT {
            std::thread::park_timeout(CLOSE_POLL);
        }
        runtime.shutdown_timeout(CLOSE_TIMEOUT);
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.gone.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_may_be_dropped_in_an_async_context_and_finishes_its_tasks() {
        let runtime = OwnRuntime::start(1, OnDrop::Finish).unwrap();
        let mut gone = runtime.gone();
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let task = runtime.spawn(async move { released.await.is_ok() });
        drop(runtime);
        assert!(!*gone.borrow());
        release.send(()).unwrap();
        assert!(task.await.unwrap());
        gone.wait_for(|gone| *gone).await.unwrap();
    }

    #[tokio::test]
    async fn it_may_be_dropped_in_an_async_context_and_aborts_its_tasks() {
        let runtime = OwnRuntime::start(1, OnDrop::Abort).unwrap();
        let task = runtime.spawn(std::future::pending::<()>());
        drop(runtime);
        assert!(task.await.unwrap_err().is_cancelled());
    }
}
