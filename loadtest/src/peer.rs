//! One connection under load: listens, and sends if it has a plan to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use greenroom_protocol::codec::ServerMessage;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::check::SeqCheck;
use crate::client::{Conn, Failure};
use crate::glimpse::{Seen, look};
use crate::stats::{Board, Lane};

pub mod pace;
pub mod payload;
pub mod pending;

pub use pace::Pace;
pub use payload::Payload;
pub use pending::{Answered, Asked, Pending};

/// Frames that are taken, and requests that are queued, before the other direction has its turn.
const BATCH: usize = 64;
/// How long answers may take once sending has stopped.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(15);

/// One connection under load.
pub struct Peer {
    /// The connection.
    pub conn: Conn,
    /// Where it counts.
    pub board: Arc<Board>,
    /// Its number: spreads counting over threads.
    pub index: usize,
    /// Follows its subscription's seqs.
    pub check: Option<Arc<Mutex<SeqCheck>>>,
}

/// What a peer sends.
pub struct Plan {
    /// The messages.
    pub payload: Payload,
    /// When.
    pub pace: Pace,
    /// The most unanswered requests.
    pub in_flight: usize,
}

impl Peer {
    /// Listens until dropped, or until the connection fails.
    pub async fn listen(mut self) {
        loop {
            match self.conn.next().await.and_then(|frame| self.take(&frame).map(drop)) {
                Ok(()) => {}
                Err(failure) => return self.board.error(&failure.code()),
            }
        }
    }

    /// Listens until something else has happened; tells whether the connection still stands.
    pub async fn listen_until(&mut self, until: impl Future) -> bool {
        let mut until = std::pin::pin!(until);
        loop {
            let frame = tokio::select! {
                biased;
                _ = &mut until => return true,
                frame = self.conn.next() => frame,
            };
            if let Err(failure) = frame.and_then(|frame| self.take(&frame).map(drop)) {
                self.board.error(&failure.code());
                return false;
            }
        }
    }

    /// Sends as planned until `stop` is true, then waits for the last answers. Returns how many ops
    /// were acknowledged for each of the payload's entities, and the peer itself unless its
    /// connection failed.
    pub async fn drive(
        mut self,
        mut plan: Plan,
        mut stop: watch::Receiver<bool>,
    ) -> (Vec<u64>, Option<Self>) {
        let mut acked = vec![0; plan.payload.entities.len()];
        match self.send_all(&mut plan, &mut stop, &mut acked).await {
            Ok(()) => (acked, Some(self)),
            Err(failure) => {
                self.board.error(&failure.code());
                (acked, None)
            }
        }
    }

    async fn send_all(
        &mut self,
        plan: &mut Plan,
        stop: &mut watch::Receiver<bool>,
        acked: &mut [u64],
    ) -> Result<(), Failure> {
        let mut pending = Pending::default();
        let mut timer = Box::pin(sleep_until(Instant::now()));
        let mut not_before = 0;
        let mut stopping = *stop.borrow();
        loop {
            let mut queued = 0;
            let now = self.board.now_us();
            while !stopping
                && queued < BATCH
                && pending.count() < plan.in_flight
                && now >= not_before
            {
                let Some(intended) = plan.pace.due(now) else { break };
                let (turn, call) = plan.payload.next(intended);
                let id = self.conn.feed(&call).await?;
                pending.add(id, Asked { intended, turn });
                self.board.sent();
                queued += 1;
            }
            if queued > 0 {
                self.conn.flush().await?;
            }
            if stopping && pending.count() == 0 {
                return Ok(());
            }
            let wake = plan.pace.next().max(not_before);
            let waits = !stopping && pending.count() < plan.in_flight;
            if waits {
                let wake = Instant::from_std(self.board.instant(wake));
                if timer.deadline() != wake {
                    timer.as_mut().reset(wake);
                }
            }
            tokio::select! {
                biased;
                frame = self.conn.next() => {
                    let mut frame = Some(frame);
                    for _ in 0..BATCH {
                        let Some(taken) = frame.take() else { break };
                        if let Some(answer) = self.take(&taken?)? {
                            not_before = self.answered(&mut pending, answer, acked, not_before);
                        }
                        frame = self.conn.next().now_or_never();
                    }
                    if let Some(taken) = frame
                        && let Some(answer) = self.take(&taken?)?
                    {
                        not_before = self.answered(&mut pending, answer, acked, not_before);
                    }
                }
                () = &mut timer, if waits || stopping => {
                    if stopping {
                        return Err(Failure::Timeout("answer"));
                    }
                }
                _ = stop.changed(), if !stopping => {
                    stopping = true;
                    timer.as_mut().reset(Instant::now() + LAST_ANSWERS_WITHIN);
                }
            }
        }
    }

    /// Counts an answer; returns the time before which nothing more may be sent.
    fn answered(
        &self,
        pending: &mut Pending,
        answer: ServerMessage,
        acked: &mut [u64],
        not_before: u64,
    ) -> u64 {
        match pending.answer(answer) {
            Answered::Done(asked) => {
                self.board.record(Lane::Ack, self.index, asked.intended);
                acked[asked.turn] += 1;
                not_before
            }
            Answered::Refused(_, error) => {
                self.board.error(error.data.code.as_str());
                let wait =
                    error.data.retry_after_ms.map_or(0, |ms| self.board.now_us() + ms * 1000);
                not_before.max(wait)
            }
            Answered::Unasked => not_before,
        }
    }

    /// Takes one frame; hands answers on.
    fn take(&mut self, frame: &[u8]) -> Result<Option<ServerMessage>, Failure> {
        let t = match look(self.conn.codec(), frame).map_err(Failure::NotUnderstood)? {
            Seen::Event { seq, t } => {
                if let Some(check) = &self.check {
                    check.lock().expect("no holder panics").event(seq);
                }
                t
            }
            Seen::Signal { t } => t,
            Seen::Other(ServerMessage::Notification { method, .. }) => {
                // A reset, or a goodbye: neither belongs into a load test.
                if method != "presence" {
                    self.board.error(&method);
                }
                return Ok(None);
            }
            Seen::Other(answer) => return Ok(Some(answer)),
        };
        match t {
            Some(t) => self.board.record(Lane::Delivery, self.index, t),
            None => self.board.count(Lane::Delivery),
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
