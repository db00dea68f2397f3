//! Restarts the server again and again, each time once all clients are served again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tokio::time::{sleep, timeout};

use super::stage::Stage;
use crate::server::{Server, Setup};

/// How long clients may take, from the moment that the server is ready, until each has had an op
/// acknowledged.
const SERVED_WITHIN: Duration = Duration::from_secs(60);

/// The server, and what became of it so far.
pub struct Restarts {
    setup: Arc<Setup>,
    server: Option<Server>,
    kill: bool,
    pub done: u64,
    pub longest_stop: Duration,
    pub longest_down: Duration,
    pub failures: Vec<String>,
    /// The processes of all servers so far.
    pub pids: Vec<u32>,
}

impl Restarts {
    /// Starts the server for the first time; `kill` tells whether it will be killed or asked to
    /// stop.
    pub async fn begin(setup: Setup, kill: bool) -> Result<Self> {
        let setup = Arc::new(setup);
        let first = Arc::clone(&setup);
        let server = Some(blocking(move || Server::start(&first)).await?);
        let pids = server.iter().map(Server::pid).collect();
        Ok(Self {
            setup,
            server,
            kill,
            done: 0,
            longest_stop: Duration::ZERO,
            longest_down: Duration::ZERO,
            failures: Vec::new(),
            pids,
        })
    }

    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// Restarts the server `count` times, each after about `up_for`; gives up where it does not
    /// come back.
    pub async fn all(&mut self, stage: &Stage, count: u64, up_for: Duration) {
        self.all_served(stage, "at the start").await;
        for round in 1..=count {
            stage.run.progress.say(format!("restart {round} of {count}"));
            // Random, so that restarts find the server in different states.
            sleep(up_for.mul_f64(0.5 + fastrand::f64())).await;
            if let Err(error) = self.once(round).await {
                self.failures.push(format!("restart {round}: {error:#}"));
                return;
            }
            self.done = round;
            self.all_served(stage, &format!("after restart {round}")).await;
        }
        sleep(up_for).await;
    }

    /// Restarts it once. A bad exit is only recorded; it is an error if the server does not come
    /// back.
    async fn once(&mut self, round: u64) -> Result<()> {
        let mut server = self.server.take().context("there is no server")?;
        let (kill, place, began) = (self.kill, server.place(), Instant::now());
        let ended = match server.ended()? {
            Some(status) => Err(anyhow!("the server had ended by itself: {status}")),
            None => blocking(move || if kill { server.kill() } else { server.stop() }).await,
        };
        if let Err(error) = ended {
            self.failures.push(format!("restart {round}: {error:#}"));
        }
        self.longest_stop = self.longest_stop.max(began.elapsed());
        let setup = Arc::clone(&self.setup);
        self.server = Some(blocking(move || Server::start_at(&setup, place)).await?);
        self.pids.extend(self.server.iter().map(Server::pid));
        self.longest_down = self.longest_down.max(began.elapsed());
        Ok(())
    }

    async fn all_served(&mut self, stage: &Stage, when: &str) {
        self.failures.extend(all_served(stage, when).await);
    }

    pub async fn end(&mut self) {
        if let Some(server) = self.server.take()
            && let Err(error) = blocking(move || server.stop()).await
        {
            self.failures.push(format!("at the end: {error:#}"));
        }
    }
}

/// Waits until each client has had an op acknowledged from now on; returns what is wrong if that
/// does not happen.
pub async fn all_served(stage: &Stage, when: &str) -> Option<String> {
    let within = SERVED_WITHIN.as_secs();
    let served = timeout(SERVED_WITHIN, stage.served(1)).await;
    served.err().map(|_| format!("{when}, some clients had no op acknowledged within {within} s"))
}

/// Runs what waits for processes on a thread of its own.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("a task that handles the server failed")?
}
