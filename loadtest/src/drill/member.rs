//! One client of a drill: sends, reads and listens, and after every loss of its connection comes
//! back, resumes its subscriptions, and repeats what was not answered and has a number.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::notify::{Goodbye, PresenceChange};
use greenroom_protocol::{Call, CodecKind, ErrorCode, RequestId, params};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::asks::Ask;
use super::backoff::Backoff;
use super::pause::Pause;
use super::pending::Pending;
use super::presence::Presence;
use super::record::Record;
use super::rights::Rights;
use super::stage::{Phase, Stage};
use super::view::View;
use crate::client::{Conn, Failure, Who, Wire};
use crate::stats::Lane;

mod follow;
mod ops;
mod presence;
mod reads;
mod tokens;

pub struct Member {
    stage: Arc<Stage>,
    index: usize,
    client: String,
    /// Empty until it has been told.
    user: String,
    /// The session of the last connection, to take over where there are several nodes.
    session: Option<String>,
    presence: Presence,
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
            session: None,
            presence: Presence::default(),
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
        self.record.user = self.user;
        self.record.left = self.presence.left;
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
        let (session, enters) = (self.session.take(), self.enters());
        let who = Who { user, client, session, enters, reads, ..Who::default() };
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
        self.session = stage.load.nodes.then(|| conn.hello.session.clone());
        self.entered(&conn.hello.presence);
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
                Err(Failure::Refused(error)) if let Some(ms) = error.data.retry_after_ms => {
                    self.views[view].due = Some(Instant::now() + Duration::from_millis(ms));
                }
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
        self.presence.lost();
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
        let silent_for = self.stage.load.silent_for;
        // Whether it has asked for a sign of life since it heard something.
        let mut asked = !self.stage.load.nodes;
        loop {
            self.send(conn).await?;
            self.settle();
            if self.is_over() {
                return Ok(());
            }
            let mut wake = self.wake(heard);
            if !asked {
                wake = wake.min(heard + silent_for / 2);
            }
            tokio::select! {
                biased;
                frame = conn.next() => {
                    self.take(conn.codec(), &frame?)?;
                    heard = Instant::now();
                    asked = !self.stage.load.nodes;
                }
                // The stage, which this member holds, has the sender.
                _ = self.phase.changed() => {}
                () = sleep_until(wake) => {
                    if (self.waits() || self.stage.load.nodes) && heard.elapsed() >= silent_for {
                        return Err(Failure::Timeout("answer"));
                    }
                    if !asked && heard.elapsed() >= silent_for / 2 {
                        asked = true;
                        conn.feed(&Call::Ping(params::Ping::default()));
                        conn.flush().await?;
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
        any |= self.enter_due(conn, now);
        if any {
            conn.flush().await?;
        }
        Ok(())
    }

    fn take(&mut self, codec: CodecKind, frame: &[u8]) -> Result<(), Failure> {
        match codec.decode_server(frame)? {
            ServerMessage::Notification { method, params } => {
                match method.as_str() {
                    "event" => self.event(&params.parse().map_err(bad)?),
                    "presence" => {
                        let change: PresenceChange = params.parse().map_err(bad)?;
                        if let Some(view) = self.view_of(&change.entity) {
                            let (target, left) = (self.views[view].target, change.left.len());
                            // At the end clients leave one after the other.
                            if self.is_sending() {
                                self.stage.leaves.fetch_add(left as u64, Ordering::Relaxed);
                                let wrong = self.presence.changed(target, change);
                                self.record.failures.extend(wrong.map(|wrong| {
                                    format!("client {} was told {wrong}", self.index)
                                }));
                            }
                        }
                    }
                    "reset" => self.reset(params.parse().map_err(bad)?),
                    "unsubscribed" => self.unsubscribed(&params.parse().map_err(bad)?),
                    "goodbye" => {
                        let goodbye: Goodbye = params.parse().map_err(bad)?;
                        self.come_back = goodbye.reconnect_after_ms.map(Duration::from_millis);
                    }
                    _ => {}
                }
            }
            ServerMessage::Result { id: RequestId::Number(id), result } => {
                if let Some(n) = self.asked_as(id) {
                    self.acknowledged(n, result.parse().map_err(bad)?);
                } else if let Some(ask) = self.ask.take_if(|ask| ask.id == id) {
                    self.shown(&ask, &result)?;
                } else if !self.presence.answered(id, None) && !self.refreshed(id, None) {
                    self.followed(id, &result)?;
                }
            }
            ServerMessage::Error { id: Some(RequestId::Number(id)), error } => {
                self.stage.run.board.error(error.data.code.as_str());
                if let Some(n) = self.asked_as(id) {
                    self.refused(n, &error);
                } else if let Some(ask) = self.ask.take_if(|ask| ask.id == id) {
                    self.not_shown(&ask, &error);
                } else if !self.presence.answered(id, error.data.retry_after_ms)
                    && !self.refreshed(id, Some(&error))
                {
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
        let silent_for = self.stage.load.silent_for;
        let mut wake = heard + silent_for;
        if heard.elapsed() >= silent_for {
            // Nothing was unanswered all that time: the next look is one such time away.
            wake = Instant::now() + silent_for;
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
        ops.chain(views).chain(self.refresh_due()).chain(self.presence.due).fold(wake, Instant::min)
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
