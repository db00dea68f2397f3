//! One connection under load: listens, and sends if it has a plan to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use greenroom_protocol::codec::ServerMessage;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::check::SeqCheck;
use crate::client::{Conn, Failure};
use crate::glimpse::{Glimpse, Seen};
use crate::stats::{Board, Lane};

pub mod pace;
pub mod payload;
pub mod pending;
pub mod senders;

pub use pace::Pace;
pub use payload::Payload;
pub use pending::{Answered, Asked, Pending};
pub use senders::{Senders, Sent};

/// Requests that are queued before the other direction has its turn.
const BATCH: usize = 64;
/// How long answers may take once sending has stopped.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(15);

/// One connection under load.
pub struct Peer {
    pub conn: Conn,
    ear: Ear,
}

/// What a peer makes of the messages that it reads.
struct Ear {
    board: Arc<Board>,
    check: Option<Arc<Mutex<SeqCheck>>>,
    glimpse: Glimpse,
    /// When the messages of one read were meant to be sent.
    stamps: Vec<u64>,
}

pub struct Plan {
    pub payload: Payload,
    pub pace: Pace,
    pub in_flight: usize,
}

/// The answer to a request.
enum Answer {
    Done(i64),
    Other(ServerMessage),
}

/// Where a peer that sends stands.
struct Sending {
    pending: Pending,
    /// Acknowledged ops by turn.
    acked: Vec<u64>,
    /// The time before which nothing more may be sent.
    not_before: u64,
}

impl Peer {
    /// A connection that counts on `board`, and follows its subscription's seqs in `check`.
    pub fn new(conn: Conn, board: Arc<Board>, check: Option<Arc<Mutex<SeqCheck>>>) -> Self {
        let glimpse = Glimpse::new(conn.codec());
        Self { conn, ear: Ear { board, check, glimpse, stamps: Vec::new() } }
    }

    /// The most unanswered requests that the server allows.
    pub fn limit(&self) -> usize {
        self.conn.hello.limits.max_in_flight as usize
    }

    /// Listens until dropped, or until the connection fails.
    pub async fn listen(mut self) {
        self.listen_until(std::future::pending::<()>()).await;
    }

    /// Listens until something else has happened; tells whether the connection still stands.
    pub async fn listen_until(&mut self, until: impl Future) -> bool {
        let mut until = std::pin::pin!(until);
        loop {
            let heard = tokio::select! {
                biased;
                _ = &mut until => return true,
                heard = self.hear(|_, _| ()) => heard,
            };
            if let Err(failure) = heard {
                self.ear.board.error(&failure.code());
                return false;
            }
        }
    }

    /// Sends as planned until `stop` is true, then waits for the last answers. Returns how many ops
    /// were acknowledged for each of the payload's entities, and the peer itself unless its
    /// connection failed.
    pub async fn drive(
        mut self,
        plan: &mut Plan,
        stop: &mut watch::Receiver<bool>,
    ) -> (Vec<u64>, Option<Self>) {
        let acked = vec![0; plan.payload.entities.len()];
        let mut sending = Sending { pending: Pending::default(), acked, not_before: 0 };
        match self.send_all(plan, stop, &mut sending).await {
            Ok(()) => (sending.acked, Some(self)),
            Err(failure) => {
                self.ear.board.error(&failure.code());
                (sending.acked, None)
            }
        }
    }

    async fn send_all(
        &mut self,
        plan: &mut Plan,
        stop: &mut watch::Receiver<bool>,
        sending: &mut Sending,
    ) -> Result<(), Failure> {
        let mut timer = Box::pin(sleep_until(Instant::now()));
        let mut stopping = false;
        loop {
            let stops = *stop.borrow_and_update() && !stopping;
            if stops {
                stopping = true;
                timer.as_mut().reset(Instant::now() + LAST_ANSWERS_WITHIN);
            }
            // What was due before the stop is sent all the same.
            if stops || !stopping {
                self.send_due(plan, sending).await?;
            }
            if stopping && sending.pending.count() == 0 {
                return Ok(());
            }
            let waits = !stopping && sending.pending.count() < plan.in_flight;
            if waits {
                let wake = plan.pace.next().max(sending.not_before);
                let wake = Instant::from_std(self.ear.board.instant(wake));
                if timer.deadline() != wake {
                    timer.as_mut().reset(wake);
                }
            }
            tokio::select! {
                biased;
                heard = self.hear(|board, answer| sending.take(board, answer)) => heard?,
                () = &mut timer, if waits || stopping => {
                    if stopping {
                        return Err(Failure::Timeout("answer"));
                    }
                }
                changed = stop.changed(), if !stopping => {
                    // Whoever could have said so is gone.
                    if changed.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Sends what is due, as far as there is room.
    async fn send_due(&mut self, plan: &mut Plan, sending: &mut Sending) -> Result<(), Failure> {
        let now = self.ear.board.now_us();
        for _ in 0..BATCH {
            if sending.pending.count() >= plan.in_flight || now < sending.not_before {
                break;
            }
            let Some(intended) = plan.pace.due(now) else { break };
            let (turn, call) = plan.payload.next(intended);
            if plan.payload.answered {
                let id = self.conn.feed(&call);
                sending.pending.add(id, Asked { intended, turn });
            } else {
                self.conn.tell(&call);
            }
            self.ear.board.sent();
        }
        self.conn.flush().await
    }

    /// Reads once, counts what came, and hands answers on.
    async fn hear(&mut self, mut answered: impl FnMut(&Board, Answer)) -> Result<(), Failure> {
        let Self { conn, ear } = self;
        let mut failure = None;
        let read = conn.read(|frame| match ear.take(frame) {
            Ok(Some(answer)) => answered(&ear.board, answer),
            Ok(None) => {}
            Err(error) => {
                failure.get_or_insert(error);
            }
        });
        let read = read.await;
        ear.board.record_all(Lane::Delivery, &ear.stamps);
        ear.stamps.clear();
        failure.map_or(read, Err)
    }
}

impl Ear {
    /// Takes one frame; hands answers on.
    fn take(&mut self, frame: &[u8]) -> Result<Option<Answer>, Failure> {
        let t = match self.glimpse.look(frame).map_err(Failure::NotUnderstood)? {
            Seen::Event { seq, t } => {
                if let Some(check) = &self.check {
                    check.lock().expect("no holder panics").event(seq);
                }
                t
            }
            Seen::Signal { t } => t,
            Seen::Done(id) => return Ok(Some(Answer::Done(id))),
            Seen::Other(ServerMessage::Notification { method, .. }) => {
                // A reset, or a goodbye: neither belongs into a load test.
                if method != "presence" {
                    self.board.error(&method);
                }
                return Ok(None);
            }
            Seen::Other(answer) => return Ok(Some(Answer::Other(answer))),
        };
        match t {
            Some(t) => self.stamps.push(t),
            None => self.board.count(Lane::Delivery),
        }
        Ok(None)
    }
}

impl Sending {
    /// Counts an answer, and keeps to the wait that a refusal asks for.
    fn take(&mut self, board: &Board, answer: Answer) {
        let answered = match answer {
            Answer::Done(id) => self.pending.done(id),
            Answer::Other(answer) => self.pending.answer(answer),
        };
        match answered {
            Answered::Done(asked) => {
                board.record(Lane::Ack, asked.intended);
                self.acked[asked.turn] += 1;
            }
            Answered::Refused(_, error) => {
                board.error(error.data.code.as_str());
                let wait = error.data.retry_after_ms.map_or(0, |ms| board.now_us() + ms * 1000);
                self.not_before = self.not_before.max(wait);
            }
            Answered::Unasked => {}
        }
    }
}
