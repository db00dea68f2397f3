//! One connection that asks, request after request, and hears every answer.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::time::Duration;

use futures_util::FutureExt;
use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::{Call, RawJson, RequestId};
use tokio::time::{Instant, sleep_until};

use greenroom_loadtest::client::{Conn, Failure};
use greenroom_loadtest::peer::Pace;
use greenroom_loadtest::stats::Board;

/// Frames that are taken, and requests that are queued, before the other direction has its turn.
const BATCH: usize = 64;
/// How long the server may say nothing while it owes an answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// What a line asks, and what it makes of the answers.
pub trait Errand: Send + 'static {
    /// The next request, and a mark that comes back with its answer; nothing when all is asked.
    fn next(&mut self) -> Option<(Call, u64)>;

    /// Takes the answer to a request that was meant to be sent at `intended_us`; tells whether it
    /// is what it must be.
    fn answered(&mut self, mark: u64, result: &RawJson, intended_us: u64) -> bool;
}

/// What came of a number of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sent.
    pub asked: u64,
    /// Answered with a result.
    pub answered: u64,
    /// Answered with an error, which the board has by its name.
    pub refused: u64,
    /// Of the results, those that are not what they must be.
    pub wrong: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.asked += other.asked;
        self.answered += other.answered;
        self.refused += other.refused;
        self.wrong += other.wrong;
    }
}

/// Asks what the errand wants, at its pace and within what the server allows in flight, until all
/// is answered. The connection is given back unless it failed; a failure is on the board by its
/// name.
pub async fn ask(
    conn: Conn,
    board: &Board,
    mut pace: Pace,
    errand: &mut impl Errand,
) -> (Tally, Option<Conn>) {
    let mut line = Line {
        conn,
        board,
        pending: HashMap::new(),
        tally: Tally::default(),
        heard: Instant::now(),
    };
    match line.ask_all(&mut pace, errand).await {
        Ok(()) => (line.tally, Some(line.conn)),
        Err(failure) => {
            board.error(&failure.code());
            (line.tally, None)
        }
    }
}

struct Line<'a> {
    conn: Conn,
    board: &'a Board,
    /// The errand's mark, and when it was meant to be sent, by the request's id.
    pending: HashMap<i64, (u64, u64)>,
    tally: Tally,
    /// Since when an answer has been waited for, without one.
    heard: Instant,
}

impl Line<'_> {
    async fn ask_all(&mut self, pace: &mut Pace, errand: &mut impl Errand) -> Result<(), Failure> {
        let in_flight = self.conn.hello.limits.max_in_flight.max(1) as usize;
        let mut timer = Box::pin(sleep_until(Instant::now()));
        let mut more = true;
        loop {
            more = more && self.send_due(pace, errand, in_flight).await?;
            if !more && self.pending.is_empty() {
                return Ok(());
            }
            let waits = more && self.pending.len() < in_flight;
            let wake = if waits {
                Instant::from_std(self.board.instant(pace.next()))
            } else {
                self.heard + ANSWERS_WITHIN
            };
            if timer.deadline() != wake {
                timer.as_mut().reset(wake);
            }
            tokio::select! {
                biased;
                frame = self.conn.next() => {
                    self.take(&frame?, errand)?;
                    for _ in 1..BATCH {
                        let Some(frame) = self.conn.next().now_or_never() else { break };
                        self.take(&frame?, errand)?;
                    }
                }
                () = &mut timer => {
                    if !waits {
                        return Err(Failure::Timeout("answer"));
                    }
                }
            }
        }
    }

    /// Sends what is due, as far as there is room; false when the errand has nothing more.
    async fn send_due(
        &mut self,
        pace: &mut Pace,
        errand: &mut impl Errand,
        in_flight: usize,
    ) -> Result<bool, Failure> {
        let (now, mut queued) = (self.board.now_us(), 0);
        let mut more = true;
        while queued < BATCH && self.pending.len() < in_flight {
            let Some(intended) = pace.due(now) else { break };
            let Some((call, mark)) = errand.next() else {
                more = false;
                break;
            };
            if self.pending.is_empty() {
                self.heard = Instant::now();
            }
            let id = self.conn.feed(&call);
            self.pending.insert(id, (mark, intended));
            self.tally.asked += 1;
            queued += 1;
        }
        if queued > 0 {
            self.conn.flush().await?;
        }
        Ok(more)
    }

    fn take(&mut self, frame: &[u8], errand: &mut impl Errand) -> Result<(), Failure> {
        match self.conn.codec().decode_server(frame)? {
            ServerMessage::Result { id: RequestId::Number(id), result } => {
                if let Some((mark, intended)) = self.pending.remove(&id) {
                    self.heard = Instant::now();
                    self.tally.answered += 1;
                    self.tally.wrong += u64::from(!errand.answered(mark, &result, intended));
                }
            }
            ServerMessage::Error { id, error } => {
                if let Some(RequestId::Number(id)) = id
                    && self.pending.remove(&id).is_some()
                {
                    self.heard = Instant::now();
                    self.tally.refused += 1;
                }
                self.board.error(error.data.code.as_str());
            }
            // These lines subscribe to nothing: it is a goodbye.
            ServerMessage::Notification { method, .. } => self.board.error(&method),
            ServerMessage::Result { .. } => {}
        }
        Ok(())
    }
}
