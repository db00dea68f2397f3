//! How the server stops: entities first, so that what was accepted is answered, then the sessions.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use greenroom_actors::directory::Directory;
use greenroom_actors::journal::Journal;
use greenroom_actors::session::SessionEnv;
use greenroom_protocol::close::CloseCode;
use greenroom_protocol::codec::{Message, Method};
use greenroom_protocol::notify::{Goodbye, GoodbyeReason};
use tokio::signal::unix::{SignalKind, signal as unix_signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::DrainConfig;
use crate::ws::Gate;

/// How long sessions get to take their goodbye; where the deadline is short, a quarter of it.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often the open connections are counted meanwhile.
const COUNT_EVERY: Duration = Duration::from_millis(20);

/// Tells all workers when to say goodbye. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Shutdown {
    /// Not yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Waits, and then says goodbye to every session of this thread.
    pub async fn say_goodbye(self, env: Rc<SessionEnv>, config: DrainConfig) {
        let mut told = self.0.subscribe();
        if told.wait_for(|told| *told).await.is_err() {
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

    /// Puts all entities to sleep, flushes the journal and lets the sessions go. Returns when the
    /// deadline is, so that closing the store gets what is left of it.
    pub async fn drain(
        &self,
        config: &DrainConfig,
        directory: &Directory,
        journal: &Journal,
        gate: &Gate,
    ) -> Instant {
        let deadline = Instant::now() + config.deadline;
        let last_words = LAST_WORDS.min(config.deadline / 4);
        // A store that stalls must not take the time in which clients are told where they are.
        let flushed = timeout_at(deadline - last_words, async {
            directory.drain().await;
            journal.barrier().await;
        });
        if flushed.await.is_err() {
            tracing::warn!(deadline = ?config.deadline, "not everything was flushed in time; unanswered ops are for their clients to repeat");
        }
        self.0.send_replace(true);
        let said = timeout_at(Instant::now() + last_words, async {
            while gate.open() > 0 {
                sleep(COUNT_EVERY).await;
            }
        });
        if said.await.is_err() {
            tracing::warn!(open = gate.open(), "some clients did not take their goodbye");
        }
        deadline
    }
}

/// The name of the signal that asks the process to stop.
pub async fn signal() -> &'static str {
    let terminate = async {
        match unix_signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be handled");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = terminate => "SIGTERM",
        _ = tokio::signal::ctrl_c() => "SIGINT",
    }
}
