//! One connection of the greedy user: it always has requests in flight, and waits as long as it is
//! told, no longer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::results::Sent;
use greenroom_protocol::{RequestId, Seq};
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};

use super::appetite::{Request, Table};
use greenroom_loadtest::client::{Conn, Failure};

/// Requests in flight, or connections being opened.
pub const AT_ONCE: usize = 16;

/// How often it got what it asked for, and how often it was told to come back.
#[derive(Default)]
pub struct Counts {
    answered: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    /// Counts one that was answered.
    pub fn answered(&self) {
        self.answered.fetch_add(1, Relaxed);
    }

    /// Counts one that was told to come back.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Answered, and refused.
    pub fn so_far(&self) -> (u64, u64) {
        (self.answered.load(Relaxed), self.refused.load(Relaxed))
    }
}

/// The connection.
pub struct Glutton {
    conn: Conn,
    table: Arc<Table>,
    request: Request,
    counts: Arc<Counts>,
    turn: u64,
    in_flight: usize,
    /// Its posts that can be erased.
    posted: Vec<Seq>,
    /// Its requests to post, and to erase a post with this seq, that were not answered.
    erasing: HashMap<i64, Option<Seq>>,
}

impl Glutton {
    /// It has not begun yet. No two of those with different numbers make the same new entities.
    pub fn new(
        conn: Conn,
        table: Arc<Table>,
        request: Request,
        counts: Arc<Counts>,
        number: u64,
    ) -> Self {
        Self {
            conn,
            table,
            request,
            counts,
            turn: number << 32,
            in_flight: 0,
            posted: Vec::new(),
            erasing: HashMap::new(),
        }
    }

    /// Asks until it is stopped.
    pub async fn eat(mut self, mut stopped: watch::Receiver<bool>) -> Result<(), Failure> {
        let mut until = Instant::now();
        loop {
            if Instant::now() >= until && self.in_flight < AT_ONCE {
                while self.in_flight < AT_ONCE {
                    self.ask();
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

    fn ask(&mut self) {
        match self.request {
            Request::Of(call) => drop(self.conn.feed(&call(&self.table, self.turn))),
            Request::Erase(op) => {
                let posted = self.posted.pop();
                let id = self.conn.feed(&self.table.erase(op, self.turn, posted));
                self.erasing.insert(id, posted);
            }
        }
        self.turn += 1;
        self.in_flight += 1;
    }

    /// Takes what the server says; returns when to come back.
    fn take(&mut self, frame: &[u8]) -> Result<Instant, Failure> {
        let now = Instant::now();
        match self.conn.codec().decode_server(frame)? {
            ServerMessage::Result { id, result } => {
                self.in_flight -= 1;
                self.counts.answered();
                if let Some(None) = self.erased(&id) {
                    self.posted.extend(result.parse::<Sent>().ok().map(|sent| sent.seq));
                }
                Ok(now)
            }
            ServerMessage::Error { id, error } => {
                self.in_flight -= 1;
                let Some(wait) = error.data.retry_after_ms else {
                    self.counts.answered();
                    return Ok(now);
                };
                self.counts.refused();
                let posted = id.and_then(|id| self.erased(&id)).flatten();
                self.posted.extend(posted);
                Ok(now + Duration::from_millis(wait))
            }
            ServerMessage::Notification { .. } => Ok(now),
        }
    }

    fn erased(&mut self, id: &RequestId) -> Option<Option<Seq>> {
        let RequestId::Number(id) = id else { return None };
        self.erasing.remove(id)
    }
}
