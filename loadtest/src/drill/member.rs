//! One client of a drill: sends, reads and listens, and after every loss of its connection comes
//! back, resumes its subscriptions, and repeats what was not answered and has a number.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::notify::{self, Goodbye};
use greenroom_protocol::params::Subscribe;
use greenroom_protocol::results::{self, Sent, Subscribed};
use greenroom_protocol::{CodecKind, EntityId, Position, RequestId, WireError};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::asks::{Ask, Question};
use super::backoff::Backoff;
use super::pause::Pause;
use super::pending::{Pending, Standing};
use super::record::{Post, Record};
use super::stage::{Phase, Stage};
use crate::client::{Conn, Failure, Who};
use crate::history::{Follow, Got, Moment, Name, Shape, State, What};
use crate::run::{send, subscribe};
use crate::stats::Lane;

/// A connection that is silent for this long while ops are unanswered counts as lost.
const SILENT_FOR: Duration = Duration::from_secs(30);

/// Each client sends one op of this many without a number, and cannot repeat it if its answer is
/// lost.
const ONCE_IN: u64 = 16;

pub struct Member {
    stage: Arc<Stage>,
    index: usize,
    client: String,
    /// Empty until it has been told.
    user: String,
    views: Vec<View>,
    record: Record,
    /// How many ops it has made; the number of the last.
    ops: u64,
    unanswered: BTreeMap<u64, Pending>,
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

/// Something that a client follows.
struct View {
    target: usize,
    /// Where the client stands.
    position: Option<Position>,
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
            views: stage
                .targets_of(index)
                .into_iter()
                .map(|target| View { target, position: None })
                .collect(),
            record: Record::new(&stage, index),
            ops: 0,
            unanswered: BTreeMap::new(),
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

    /// Connects as the same installation, with all subscriptions and where they stand.
    async fn connect(&mut self) -> Result<Conn, Failure> {
        let wanted = |view: &View| Subscribe {
            after: view.position.clone(),
            ..subscribe(&self.stage.targets[view.target].id)
        };
        let wanted = self.views.iter().map(wanted).collect();
        let (began, asked) = (self.stage.run.board.now_us(), self.record.notes.now());
        let (user, client) = (format!("drill-{}", self.index), Some(self.client.clone()));
        let who = Who { user, client, ..Who::default() };
        let (conn, subscribed) = Conn::open(&self.stage.run.target, who, wanted).await?;
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
        subscribed
            .into_iter()
            .enumerate()
            .for_each(|(view, answer)| self.resume(view, asked, answer));
        Ok(conn)
    }

    /// Takes what a subscription answered.
    fn resume(&mut self, view: usize, asked: Moment, answer: Subscribed) {
        let Some(View { target, position }) = self.views.get_mut(view) else { return };
        let new = Position { epoch: answer.epoch.clone(), seq: answer.seq };
        let shape = self.stage.targets[*target].shape;
        let follow = Follow::answered(asked, position.replace(new), shape, answer);
        if matches!(&follow.got, Got::Events(events) if !events.is_empty()) {
            self.pause.heard(Instant::now(), !self.unanswered.is_empty());
        }
        self.record.notes.note(*target, What::Followed(Box::new(follow)));
    }

    /// Runs on one connection; returns `Ok` when the drill is over.
    async fn live(&mut self, conn: &mut Conn) -> Result<(), Failure> {
        let now = Instant::now();
        self.unanswered.values_mut().for_each(|op| op.lost(now));
        self.forsake();
        self.ask = None;
        // One is for reads.
        let most = self
            .stage
            .load
            .in_flight
            .min((conn.hello.limits.max_in_flight as usize).saturating_sub(1))
            .max(1);
        let mut heard = now;
        loop {
            self.send(conn, most).await?;
            self.settle();
            if self.is_over() {
                return Ok(());
            }
            let wake = self.wake(heard, most);
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

    /// Sends what is due, new ops and reads among it.
    async fn send(&mut self, conn: &mut Conn, most: usize) -> Result<(), Failure> {
        let now = Instant::now();
        if now >= self.next_op && self.unanswered.len() < most && self.is_sending() {
            self.make_op(now);
        }
        let mut any = false;
        for op in self.unanswered.values_mut().filter(|op| op.due.is_some_and(|due| due <= now)) {
            op.due = None;
            if op.standing == Standing::New {
                // Before anything of it is sent.
                self.record.notes.note(op.target, What::Invoked { op: op.name, effect: op.effect });
                op.standing = Standing::Sent;
            }
            op.id = Some(conn.feed(&op.call));
            self.stage.run.board.sent();
            any = true;
        }
        if self.next_read.is_some_and(|due| now >= due) && self.ask.is_none() && self.is_sending() {
            self.read(conn, now);
            any = true;
        }
        if any {
            conn.flush().await?;
        }
        Ok(())
    }

    /// Makes a new op, which is due at once.
    fn make_op(&mut self, now: Instant) {
        self.next_op = now + self.stage.load.every;
        let target = self.views[usize::try_from(self.ops).unwrap_or(0) % self.views.len()].target;
        self.ops += 1;
        let (n, t) = (self.ops, self.stage.run.board.now_us());
        let post = Post { client: self.index, n, t };
        let goal = &self.stage.targets[target];
        let (r#type, (body, effect)) = match goal.shape {
            Shape::Room => ("post", post.as_post()),
            Shape::Counters => ("increment", post.as_increment()),
        };
        let name = Name::of(&self.user, r#type, body.as_str());
        let once = n.is_multiple_of(ONCE_IN);
        let call = send(&goal.id, r#type, body, (!once).then_some(n));
        self.unanswered.insert(
            n,
            Pending {
                call,
                target,
                name,
                effect,
                id: None,
                t,
                due: Some(now),
                standing: Standing::New,
                once,
            },
        );
        self.pause.waits(now);
    }

    /// Asks for the next state or page.
    fn read(&mut self, conn: &mut Conn, now: Instant) {
        self.next_read = self.stage.load.read_every.map(|every| now + every);
        let view = &self.views[usize::try_from(self.reads).unwrap_or(0) % self.views.len()];
        let target = view.target;
        let question = Question::of_turn(
            self.reads / self.views.len() as u64,
            view.position.as_ref().map_or(0, |position| position.seq),
        );
        self.reads += 1;
        let asked = self.record.notes.now();
        let id = conn.feed(&question.call(&self.stage.targets[target].id));
        self.ask = Some(Ask { target, question, id, asked });
    }

    fn take(&mut self, codec: CodecKind, frame: &[u8]) -> Result<(), Failure> {
        let bad = |e: serde_json::Error| Failure::NotUnderstood(e.to_string());
        match codec.decode_server(frame)? {
            ServerMessage::Notification { method, params } => match method.as_str() {
                "event" => self.event(&params.parse().map_err(bad)?),
                "reset" => self.reset(params.parse().map_err(bad)?),
                "goodbye" => {
                    let goodbye: Goodbye = params.parse().map_err(bad)?;
                    self.come_back = goodbye.reconnect_after_ms.map(Duration::from_millis);
                }
                _ => {}
            },
            ServerMessage::Result { id, result } => {
                if let Some(n) = self.asked_as(&id) {
                    self.acknowledged(n, result.parse().map_err(bad)?);
                } else if let Some(ask) = self.ask.take_if(|ask| RequestId::Number(ask.id) == id) {
                    self.record.notes.note(
                        ask.target,
                        ask.answered(&self.stage.targets[ask.target], &result).map_err(bad)?,
                    );
                }
            }
            ServerMessage::Error { id, error } => {
                self.stage.run.board.error(error.data.code.as_str());
                if let Some(n) = id.as_ref().and_then(|id| self.asked_as(id)) {
                    self.refused(n, &error);
                } else if self.ask.take_if(|ask| Some(RequestId::Number(ask.id)) == id).is_some()
                    && error.data.retry_after_ms.is_none()
                {
                    self.record.failures.push(format!(
                        "a read of client {} was refused: {}",
                        self.index, error.message
                    ));
                }
            }
        }
        Ok(())
    }

    fn asked_as(&self, id: &RequestId) -> Option<u64> {
        self.unanswered
            .iter()
            .find(|(_, op)| op.id.map(RequestId::Number).as_ref() == Some(id))
            .map(|(n, _)| *n)
    }

    fn acknowledged(&mut self, n: u64, Sent { seq, epoch, at, duplicate, .. }: Sent) {
        let Some(op) = self.unanswered.remove(&n) else { return };
        self.record.notes.note(op.target, What::Acked { op: op.name, epoch, seq, at, duplicate });
        self.stage.run.board.record(Lane::Ack, op.t);
        self.stage.acknowledged(self.index);
        self.pause.heard(Instant::now(), !self.unanswered.is_empty());
    }

    /// Stops waiting for ops that can be neither answered nor repeated.
    fn forsake(&mut self) {
        let before = self.unanswered.len();
        self.unanswered.retain(|_, op| !op.is_forlorn());
        self.record.forlorn += (before - self.unanswered.len()) as u64;
    }

    /// An op that was refused for the moment is sent again under its number; any other refusal is
    /// final.
    fn refused(&mut self, n: u64, error: &WireError) {
        let Some(op) = self.unanswered.get_mut(&n) else { return };
        if op.refused(error.data.code) {
            self.record.notes.note(op.target, What::Refused { op: op.name });
        }
        if op.is_forlorn() {
            self.forsake();
        } else if let Some(ms) = error.data.retry_after_ms {
            op.due = Some(Instant::now() + Duration::from_millis(ms));
        } else {
            self.unanswered.remove(&n);
            self.record
                .failures
                .push(format!("op {n} of client {} was refused: {}", self.index, error.message));
        }
    }

    fn event(&mut self, event: &results::Event) {
        let Some(view) = event.entity.as_ref().and_then(|entity| self.view_of(entity)) else {
            self.record.failures.push(format!(
                "client {} got an event of something that it does not follow",
                self.index
            ));
            return;
        };
        let view = &mut self.views[view];
        self.record.notes.note(view.target, What::Told(event.into()));
        if let Some(position) = &mut view.position {
            position.seq = position.seq.max(event.seq);
        }
        match event.body.parse::<Post>() {
            Ok(post) => self.stage.run.board.record(Lane::Delivery, post.t),
            Err(_) => self.stage.run.board.count(Lane::Delivery),
        }
        self.pause.heard(Instant::now(), !self.unanswered.is_empty());
    }

    fn reset(&mut self, reset: notify::Reset) {
        let notify::Reset { entity, epoch, seq, snapshot, reason } = reset;
        self.stage.run.board.error("reset");
        if let Some(view) = self.view_of(&entity) {
            let view = &mut self.views[view];
            let state = State::read(self.stage.targets[view.target].shape, &snapshot);
            self.record
                .notes
                .note(view.target, What::Reset { epoch: epoch.clone(), seq, state, reason });
            view.position = Some(Position { epoch, seq });
        }
    }

    fn view_of(&self, entity: &EntityId) -> Option<usize> {
        self.views.iter().position(|view| self.stage.targets[view.target].id == *entity)
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
    fn wake(&self, heard: Instant, most: usize) -> Instant {
        let mut wake = heard + SILENT_FOR;
        if heard.elapsed() >= SILENT_FOR {
            // Nothing was unanswered all that time: the next look is one such time away.
            wake = Instant::now() + SILENT_FOR;
        }
        if self.is_sending() && self.unanswered.len() < most {
            wake = wake.min(self.next_op);
        }
        if self.is_sending() && self.ask.is_none() {
            wake = self.next_read.map_or(wake, |due| wake.min(due));
        }
        if let Phase::Listen { deadline, .. } = &*self.phase.borrow() {
            wake = wake.min(*deadline);
        }
        self.unanswered.values().filter_map(|op| op.due).fold(wake, Instant::min)
    }
}

/// Whether coming back would not help.
fn is_lasting(failure: &Failure) -> bool {
    match failure {
        Failure::Refused(_) => failure.retry_after().is_none(),
        Failure::NotUnderstood(_) => true,
        _ => failure.code().starts_with("http_4") && failure.retry_after().is_none(),
    }
}
