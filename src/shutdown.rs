//! Stops the server: first the entities, so that accepted ops are answered, then the sessions.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use greenroom_actors::journal::Journal;
use greenroom_actors::messages::Directory;
use greenroom_actors::session::SessionEnv;
use greenroom_protocol::close::CloseCode;
use greenroom_protocol::codec::{Message, Method};
use greenroom_protocol::notify::{Goodbye, GoodbyeReason};
use tokio::signal::unix::{SignalKind, signal as unix_signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::DrainConfig;
use crate::ws::Gate;

/// How long clients get to receive their goodbye; at most a quarter of the deadline.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often to count the open connections meanwhile.
const COUNT_EVERY: Duration = Duration::from_millis(20);

/// Signals all workers to say goodbye. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Shutdown {
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Waits for the signal, then says goodbye to every session of this thread.
    pub async fn say_goodbye(self, env: Rc<SessionEnv>, config: DrainConfig) {
        let mut signalled = self.0.subscribe();
        if signalled.wait_for(|signalled| *signalled).await.is_err() {
            return;
        }
        let [after, spread] = [config.reconnect_after, config.reconnect_spread]
            .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        for seat in env.relay.borrow().seats() {
            let reconnect_after_ms = Some(after.saturating_add(fastrand::u64(0..=spread)));
            let params = Goodbye {
                reason: GoodbyeReason::ShuttingDown,
                closes_in_ms: 0,
                reconnect_after_ms,
            };
            seat.outbox.push(env.encoder.encode(
                seat.codec,
                &Message::Notification { method: Method::Goodbye, params: &params },
            ));
            seat.outbox.close(CloseCode::ShuttingDown);
        }
    }

    /// Puts all entities to sleep, flushes the journal and lets the sessions go. Returns the
    /// deadline of the whole shutdown, so that closing the store gets the time that is left.
    pub async fn drain(
        &self,
        config: &DrainConfig,
        directory: &Directory,
        journal: &Journal,
        gate: &Gate,
    ) -> Instant {
        let deadline = Instant::now() + config.deadline;
        let last_words = LAST_WORDS.min(config.deadline / 4);
        // A store that hangs must not use up the time for telling clients goodbye.
        let flushed = timeout_at(deadline - last_words, async {
            directory.drain().await;
            journal.barrier().await;
        });
        if flushed.await.is_err() {
            tracing::warn!(deadline = ?config.deadline, "not everything was flushed in time; clients must repeat their unanswered ops");
        }
        self.0.send_replace(true);
        let said = timeout_at(Instant::now() + last_words, async {
            while gate.open() > 0 {
                sleep(COUNT_EVERY).await;
            }
        });
        if said.await.is_err() {
            tracing::warn!(open = gate.open(), "some clients did not receive their goodbye");
        }
        deadline
    }
}

/// Waits for a signal to stop and returns its name.
pub async fn signal() -> &'static str {
    let terminate = async {
        match unix_signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot handle SIGTERM");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = terminate => "SIGTERM",
        _ = tokio::signal::ctrl_c() => "SIGINT",
    }
}
