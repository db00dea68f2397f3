//! One connection of the greedy user: it always has requests in flight, and waits as long as it is
//! told, no longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use greenroom_protocol::codec::ServerMessage;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};

use super::appetite::{Appetite, Table};
use greenroom_loadtest::client::{Conn, Failure};

/// Requests in flight.
const AT_ONCE: usize = 16;

/// How often it got what it asked for, and how often it was told to come back.
#[derive(Default)]
pub struct Counts {
    answered: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    /// Answered, and refused.
    pub fn so_far(&self) -> (u64, u64) {
        (self.answered.load(Relaxed), self.refused.load(Relaxed))
    }
}

/// The connection.
pub struct Glutton {
    conn: Conn,
    table: Arc<Table>,
    appetite: &'static Appetite,
    counts: Arc<Counts>,
    turn: u64,
    in_flight: usize,
}

impl Glutton {
    /// It has not begun yet. No two of those with different numbers make the same new entities.
    pub fn new(conn: Conn, table: Arc<Table>, appetite: &'static Appetite, number: u64) -> Self {
        Self { conn, table, appetite, counts: Arc::default(), turn: number << 32, in_flight: 0 }
    }

    /// What it has got, also while it eats.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Asks until it is stopped.
    ///
    /// # Errors
    /// Where the connection ends before that.
    pub async fn eat(mut self, mut stopped: watch::Receiver<bool>) -> Result<(), Failure> {
        let mut until = Instant::now();
        loop {
            if Instant::now() >= until && self.in_flight < AT_ONCE {
                while self.in_flight < AT_ONCE {
                    self.conn.feed(&(self.appetite.call)(&self.table, self.turn));
                    self.turn += 1;
                    self.in_flight += 1;
                }
                self.conn.flush().await?;
            }
            tokio::select! {
                biased;
                _ = stopped.changed() => return Ok(()),
                frame = self.conn.next() => until = until.max(self.take(&frame?)?),
                () = sleep_until(until), if self.in_flight < AT_ONCE => {}
            }
        }
    }

    /// Takes what the server says; returns when to come back.
    fn take(&mut self, frame: &[u8]) -> Result<Instant, Failure> {
        let now = Instant::now();
        match self.conn.codec().decode_server(frame)? {
            ServerMessage::Result { .. } => {
                self.in_flight -= 1;
                self.counts.answered.fetch_add(1, Relaxed);
                Ok(now)
            }
            ServerMessage::Error { error, .. } => {
                self.in_flight -= 1;
                let wait = error.data.retry_after_ms;
                let counter =
                    if wait.is_some() { &self.counts.refused } else { &self.counts.answered };
                counter.fetch_add(1, Relaxed);
                Ok(now + Duration::from_millis(wait.unwrap_or(0)))
            }
            ServerMessage::Notification { .. } => Ok(now),
        }
    }
}
