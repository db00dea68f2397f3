//! A thread for the slow readers alone: what pours in when they read on must not queue before their
//! neighbours' frames, whose latency is measured.

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// The thread; what still runs on it ends when this is dropped.
pub struct Aside {
    runtime: Option<Runtime>,
}

impl Aside {
    /// Starts it.
    pub fn start() -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("slow-readers")
            .enable_all()
            .build();
        Ok(Self { runtime: Some(runtime.context("there is no thread for the slow readers")?) })
    }

    /// Where to spawn.
    pub fn handle(&self) -> &Handle {
        self.runtime.as_ref().expect("it is only taken out in drop").handle()
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // To wait for it is not allowed on another runtime's thread.
            runtime.shutdown_background();
        }
    }
}
