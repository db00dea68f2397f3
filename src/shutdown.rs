//! Stops the server: first the entities, so that accepted ops are answered, then the sessions.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use greenroom_actors::journal::Journal;
use greenroom_actors::messages::Directory;
use greenroom_actors::relay::Seat;
use greenroom_actors::session::SessionEnv;
use greenroom_protocol::close::CloseCode;
use greenroom_protocol::codec::{Message, Method};
use greenroom_protocol::notify::{Goodbye, GoodbyeReason};
use tokio::signal::unix::{SignalKind, signal as unix_signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::cluster::View;
use crate::config::DrainConfig;
use crate::ws::Gate;

/// How long clients get to receive their goodbye; at most a quarter of the deadline.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long after all sessions were sent to other nodes those are that have come since.
const AGAIN: Duration = Duration::from_secs(1);
/// How often to count the open connections meanwhile.
const COUNT_EVERY: Duration = Duration::from_millis(20);

/// What the sessions are to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Farewell {
    NotYet,
    /// The same as `Elsewhere` for as long as this node does not hear the others.
    CutOff,
    /// To reconnect at once, to another node: one session after the other.
    Elsewhere,
    /// To reconnect when this server is back.
    Now,
}

/// Signals all workers to say goodbye. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<watch::Sender<Farewell>>);

impl Shutdown {
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Farewell::NotYet)))
    }

    /// Waits for the signal, then says goodbye to every session of this thread.
    pub async fn say_goodbye(self, env: Rc<SessionEnv>, config: DrainConfig) {
        let mut signalled = self.0.subscribe();
        loop {
            let farewell = *signalled.borrow_and_update();
            let is_over = match farewell {
                Farewell::Now => break,
                Farewell::NotYet => signalled.changed().await,
                Farewell::CutOff | Farewell::Elsewhere => {
                    let gone = env.relay.borrow().seats().cloned().collect();
                    tokio::select! {
                        changed = signalled.changed() => changed,
                        () = one_by_one(gone, &env, config.reconnect_spread) => {
                            // Whoever has come meanwhile is sent away in the next round.
                            timeout(AGAIN, signalled.changed()).await.unwrap_or(Ok(()))
                        }
                    }
                }
            };
            if is_over.is_err() {
                return;
            }
        }
        let [after, spread] = [config.reconnect_after, config.reconnect_spread]
            .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        for seat in env.relay.borrow().seats() {
            dismiss(seat, &env, after.saturating_add(fastrand::u64(0..=spread)));
        }
    }

    /// Sends all sessions to other nodes while this one is cut off from them, as `view` shows, spread
    /// over `drain.reconnect_spread`. Runs until the node has ended. What a stop says is never taken
    /// back.
    pub async fn send_away_while_cut_off(self, mut view: watch::Receiver<View>) {
        let change = |from: Farewell, to: Farewell| {
            self.0.send_if_modified(|now| {
                let is_due = *now == from;
                if is_due {
                    *now = to;
                }
                is_due
            })
        };
        loop {
            if view.wait_for(|view| view.cut_off).await.is_err() {
                return;
            }
            tracing::warn!("this node does not hear the others: its clients are sent to them");
            change(Farewell::NotYet, Farewell::CutOff);
            let heard = view.wait_for(|view| !view.cut_off).await.is_ok();
            change(Farewell::CutOff, Farewell::NotYet);
            if !heard {
                return;
            }
            tracing::info!("this node is not cut off any more: its clients may stay");
        }
    }

    /// Sends all sessions to other nodes, spread over `drain.reconnect_spread`, and waits until they
    /// have gone. Another signal to stop sends the rest at once.
    pub async fn send_elsewhere(&self, config: &DrainConfig, gate: &Gate) {
        self.0.send_replace(Farewell::Elsewhere);
        let gone = timeout_at(Instant::now() + config.reconnect_spread + LAST_WORDS, async {
            while gate.open() > 0 {
                sleep(COUNT_EVERY).await;
            }
        });
        tokio::select! {
            gone = gone => {
                if gone.is_err() {
                    tracing::warn!(open = gate.open(), "some clients have not gone to another node yet");
                }
            }
            signal = signal() => tracing::info!(signal, "asked to stop again: sending all clients to other nodes at once"),
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
        self.0.send_replace(Farewell::Now);
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

/// Lets sessions go one after the other, evenly over `spread`.
async fn one_by_one(seats: Vec<Rc<Seat>>, env: &SessionEnv, spread: Duration) {
    let begun = Instant::now();
    let count = u32::try_from(seats.len()).unwrap_or(u32::MAX);
    for (place, seat) in (0..).zip(seats) {
        sleep_until(begun + spread * place / count).await;
        dismiss(&seat, env, 0);
    }
}

fn dismiss(seat: &Seat, env: &SessionEnv, reconnect_after_ms: u64) {
    let params = Goodbye {
        reason: GoodbyeReason::ShuttingDown,
        closes_in_ms: 0,
        reconnect_after_ms: Some(reconnect_after_ms),
    };
    let message = Message::Notification { method: Method::Goodbye, params: &params };
    seat.outbox.push(env.encoder.encode(seat.codec, &message));
    seat.outbox.close(CloseCode::ShuttingDown);
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

#[cfg(test)]
mod tests;
