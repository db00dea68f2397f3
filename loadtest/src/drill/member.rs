//! One client of a drill: sends, reads and listens, and after every loss of its connection comes
//! back, resumes its subscriptions, and repeats what was not answered and has a number.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::notify::Goodbye;
use greenroom_protocol::{CodecKind, ErrorCode, RequestId};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::asks::Ask;
use super::backoff::Backoff;
use super::pause::Pause;
use super::pending::Pending;
use super::record::Record;
use super::rights::Rights;
use super::stage::{Phase, Stage};
use super::view::View;
use crate::client::{Conn, Failure, Who, Wire};
use crate::stats::Lane;

mod follow;
mod ops;
mod reads;
mod tokens;

/// A connection that is silent for this long while ops are unanswered counts as lost.
const SILENT_FOR: Duration = Duration::from_secs(30);

pub struct Member {
    stage: Arc<Stage>,
    index: usize,
    client: String,
    /// Empty until it has been told.
    user: String,
    views: Vec<View>,
    rights: Rights,
    record: Record,
    /// How many ops it has made; the number of the last.
    ops: u64,
    unanswered: BTreeMap<u64, Pending>,
    /// How many may be unanswered.
    most: usize,
    /// How many reads it has made.
    reads: u64,
    ask: Option<Ask>,
    next_op: Instant,
    next_read: Option<Instant>,
    pause: Pause,
    /// What the server's goodbye said of when to come back.
    come_back: Option<Duration>,
    phase: watch::Receiver<Phase>,
    /// Dropped once nothing is unanswered and nothing more will be sent.
    settled: Option<mpsc::Sender<()>>,
}

impl Member {
    /// The client with this index; it drops `settled` once it has nothing more to send, and no
    /// answer to wait for.
    pub fn new(stage: Arc<Stage>, index: usize, settled: mpsc::Sender<()>) -> Self {
        // Not all at the same moment.
        let soon = |every: Duration| Instant::now() + every.mul_f64(fastrand::f64());
        Self {
            index,
            client: ulid::Ulid::new().to_string(),
            user: String::new(),
            views: stage.targets_of(index).into_iter().map(View::of).collect(),
            rights: Rights::new(stage.load.revoke_every),
            record: Record::new(&stage, index),
            ops: 0,
            unanswered: BTreeMap::new(),
            most: stage.load.in_flight,
            reads: 0,
            ask: None,
            next_op: soon(stage.load.every),
            next_read: stage.load.read_every.map(soon),
            pause: Pause::default(),
            come_back: None,
            phase: stage.phase(),
            settled: Some(settled),
            stage,
        }
    }

    /// Runs until the drill is over, or until the server says something that repeating cannot help.
    pub async fn run(mut self) -> Record {
        let mut backoff = Backoff::default();
        while !self.is_over() {
            let failure = match self.connect().await {
                Ok(mut conn) => {
                    backoff.reset();
                    match self.live(&mut conn).await {
                        Ok(()) => break,
                        Err(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            self.stage.run.board.error(&failure.code());
            if is_lasting(&failure) {
                self.record
                    .failures
                    .push(format!("client {} had to give up: {failure}", self.index));
                break;
            }
            let wait = self
                .come_back
                .take()
                .unwrap_or_else(|| backoff.next(failure.retry_after(), fastrand::f64()));
            sleep(wait).await;
        }
        self.record.longest_pause_us =
            u64::try_from(self.pause.longest(Instant::now()).as_micros()).unwrap_or(u64::MAX);
        self.record
    }

    /// Connects as the same installation, with the token it held last and all subscriptions that
    /// it allows, and where they stand.
    async fn connect(&mut self) -> Result<Conn, Failure> {
        let stage = Arc::clone(&self.stage);
        self.lose(Instant::now());
        let wanted = self.follow_again();
        let subscriptions = wanted.iter().map(|view| self.subscription(*view)).collect();
        let before = self.views.iter().map(|view| view.position.clone()).collect::<Vec<_>>();
        let (began, asked) = (stage.run.board.now_us(), self.record.notes.now());
        let reads = self.rights.without().map(|without| self.readable(without));
        let (user, client) = (self.name(), Some(self.client.clone()));
        let who = Who { user, client, reads, ..Who::default() };
        let pipelines = stage.load.pipelines && !self.index.is_multiple_of(2);
        let behind = |wire: &mut Wire| {
            if pipelines {
                self.send_behind_connect(wire, &wanted);
            }
        };
        let (conn, subscribed) =
            Conn::open_with(&stage.run.target, who, subscriptions, behind).await?;
        self.record.pipelined += u64::from(pipelines);
        self.stage.run.board.record(Lane::Connect, began);
        let user = conn.hello.user.clone();
        if conn.hello.client != self.client {
            self.record.failures.push(format!("client {} was given another client id", self.index));
        }
        if self.user.is_empty() {
            self.user = user;
        } else {
            self.record.reconnects += 1;
            if self.user != user {
                self.record
                    .failures
                    .push(format!("client {} came back as another user", self.index));
            }
        }
        for (view, answer) in wanted.into_iter().zip(subscribed) {
            match answer {
                Ok(answer) => self.resume(view, asked, before[view].clone(), answer),
                // It was ended from behind before it could be answered.
                Err(Failure::Refused(error))
                    if error.data.code == ErrorCode::Unavailable
                        && self.views[view].leaving.is_some() => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(conn)
    }

    /// The user that its tokens name.
    fn name(&self) -> String {
        format!("drill-{}", self.index)
    }

    /// Nothing that was asked for on the last connection is answered any more.
    fn lose(&mut self, now: Instant) {
        self.unanswered.values_mut().for_each(|op| op.lost(now));
        self.forsake();
        self.ask = None;
        self.rights.lost();
        self.views.iter_mut().for_each(View::lost);
    }

    /// Ends one subscription and makes it again, and sends the ops that are due, before `connect`
    /// is answered.
    fn send_behind_connect(&mut self, wire: &mut Wire, wanted: &[usize]) {
        if let Some(view) = wanted.first() {
            self.unsubscribe(wire, *view);
            self.subscribe(wire, *view);
        }
        // Before it knows its user it cannot name ops.
        if !self.user.is_empty() {
            self.send_ops(wire, Instant::now());
        }
    }

    /// Runs on one connection; returns `Ok` when the drill is over.
    async fn live(&mut self, conn: &mut Conn) -> Result<(), Failure> {
        // One is for reads.
        self.most = self
            .stage
            .load
            .in_flight
            .min((conn.hello.limits.max_in_flight as usize).saturating_sub(1))
            .max(1);
        let mut heard = Instant::now();
        loop {
            self.send(conn).await?;
            self.settle();
            if self.is_over() {
                return Ok(());
            }
            let wake = self.wake(heard);
            tokio::select! {
                biased;
                frame = conn.next() => {
                    self.take(conn.codec(), &frame?)?;
                    heard = Instant::now();
                }
                // The stage, which this member holds, has the sender.
                _ = self.phase.changed() => {}
                () = sleep_until(wake) => {
                    if self.waits() && heard.elapsed() >= SILENT_FOR {
                        return Err(Failure::Timeout("answer"));
                    }
                }
            }
        }
    }

    /// Sends what is due: ops, reads, tokens and subscriptions.
    async fn send(&mut self, conn: &mut Conn) -> Result<(), Failure> {
        let now = Instant::now();
        let mut any = self.send_ops(conn, now);
        if self.next_read.is_some_and(|due| now >= due) && self.ask.is_none() && self.is_sending() {
            self.read(conn, now);
            any = true;
        }
        any |= self.refresh(conn, now)?;
        any |= self.subscribe_due(conn, now);
        if any {
            conn.flush().await?;
        }
        Ok(())
    }

    fn take(&mut self, codec: CodecKind, frame: &[u8]) -> Result<(), Failure> {
        match codec.decode_server(frame)? {
            ServerMessage::Notification { method, params } => match method.as_str() {
                "event" => self.event(&params.parse().map_err(bad)?),
                "reset" => self.reset(params.parse().map_err(bad)?),
                "unsubscribed" => self.unsubscribed(&params.parse().map_err(bad)?),
                "goodbye" => {
                    let goodbye: Goodbye = params.parse().map_err(bad)?;
                    self.come_back = goodbye.reconnect_after_ms.map(Duration::from_millis);
                }
                _ => {}
            },
            ServerMessage::Result { id: RequestId::Number(id), result } => {
                if let Some(n) = self.asked_as(id) {
                    self.acknowledged(n, result.parse().map_err(bad)?);
                } else if let Some(ask) = self.ask.take_if(|ask| ask.id == id) {
                    self.shown(&ask, &result)?;
                } else if !self.refreshed(id, None) {
                    self.followed(id, &result)?;
                }
            }
            ServerMessage::Error { id: Some(RequestId::Number(id)), error } => {
                self.stage.run.board.error(error.data.code.as_str());
                if let Some(n) = self.asked_as(id) {
                    self.refused(n, &error);
                } else if let Some(ask) = self.ask.take_if(|ask| ask.id == id) {
                    self.not_shown(&ask, &error);
                } else if !self.refreshed(id, Some(&error)) {
                    self.not_followed(id, &error);
                }
            }
            ServerMessage::Error { error, .. } => {
                self.stage.run.board.error(error.data.code.as_str());
            }
            ServerMessage::Result { .. } => {}
        }
        Ok(())
    }

    /// Notes something that must not happen.
    fn fail(&mut self, what: impl std::fmt::Display) {
        self.record.failures.push(format!("client {} {what}", self.index));
    }

    /// Whether an answer is due.
    fn waits(&self) -> bool {
        !self.unanswered.is_empty() || self.ask.is_some()
    }

    fn is_sending(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Send)
    }

    fn settle(&mut self) {
        if self.unanswered.is_empty() && !self.is_sending() {
            self.settled = None;
        }
    }

    /// Whether there is nothing more to do, or no time left for it.
    fn is_over(&self) -> bool {
        let Phase::Listen { heads, deadline } = &*self.phase.borrow() else { return false };
        let is_here = |view: &View| {
            view.position.as_ref().is_some_and(|position| position.seq >= heads[view.target])
        };
        let all_here = self.views.iter().all(is_here);
        (all_here && self.unanswered.is_empty()) || Instant::now() >= *deadline
    }

    /// When there is something to do if nothing comes before.
    fn wake(&self, heard: Instant) -> Instant {
        let mut wake = heard + SILENT_FOR;
        if heard.elapsed() >= SILENT_FOR {
            // Nothing was unanswered all that time: the next look is one such time away.
            wake = Instant::now() + SILENT_FOR;
        }
        if self.is_sending() && self.unanswered.len() < self.most {
            wake = wake.min(self.next_op);
        }
        if self.is_sending() && self.ask.is_none() {
            wake = self.next_read.map_or(wake, |due| wake.min(due));
        }
        if let Phase::Listen { deadline, .. } = &*self.phase.borrow() {
            wake = wake.min(*deadline);
        }
        let ops = self.unanswered.values().filter_map(|op| op.due);
        let views = self.views.iter().filter_map(|view| view.due);
        ops.chain(views).chain(self.refresh_due()).fold(wake, Instant::min)
    }
}

fn bad(error: serde_json::Error) -> Failure {
    Failure::NotUnderstood(error.to_string())
}

/// Whether coming back would not help.
fn is_lasting(failure: &Failure) -> bool {
    match failure {
        Failure::Refused(_) => failure.retry_after().is_none(),
        Failure::NotUnderstood(_) => true,
        _ => failure.code().starts_with("http_4") && failure.retry_after().is_none(),
    }
}
