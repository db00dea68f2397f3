//! One client of a drill: sends numbered posts and listens, and after every loss of its connection comes back, resumes its
//! subscriptions, and repeats what was not answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::notify::{self, Goodbye};
use greenroom_protocol::params::{self, Subscribe};
use greenroom_protocol::results::{Event, Sent, Subscribed};
use greenroom_protocol::{Call, CodecKind, Position, RawJson, RequestId, WireError};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::backoff::Backoff;
use super::pause::Pause;
use super::record::{Body, Mark, Op, Outcome, Record, Seen, View};
use super::stage::{Phase, Stage};
use super::ulid;
use crate::client::{Conn, Failure};
use crate::run::subscribe;
use crate::stats::Lane;

/// How long a connection may be silent while ops are unanswered; then it counts as lost.
const SILENT_FOR: Duration = Duration::from_secs(30);

/// One client.
pub struct Member {
    stage: Arc<Stage>,
    index: usize,
    /// Its installation's id: the same on each connection.
    client: String,
    user: Option<String>,
    /// Where it stands in each room of its views.
    positions: Vec<Option<Position>>,
    record: Record,
    unanswered: BTreeMap<u64, Unanswered>,
    /// When the next op may be sent.
    next_op: Instant,
    pause: Pause,
    /// What the server's goodbye said of when to come back.
    come_back: Option<Duration>,
    phase: watch::Receiver<Phase>,
    /// Dropped once nothing is unanswered and nothing more will be sent.
    settled: Option<mpsc::Sender<()>>,
}

/// An op that waits for its answer.
struct Unanswered {
    call: Call,
    /// The request it was last sent as on this connection.
    id: Option<i64>,
    /// When it was first sent, on the board's clock.
    t: u64,
    /// When it is to be sent, for the first time or again.
    due: Option<Instant>,
}

impl Member {
    /// The client with this index; it drops `settled` once it has nothing more to send, and no answer to wait for.
    pub fn new(stage: Arc<Stage>, index: usize, settled: mpsc::Sender<()>) -> Self {
        let views: Vec<_> = stage.rooms_of(index).into_iter().map(|room| View { room, seen: Vec::new() }).collect();
        // Not all at the same moment.
        let next_op = Instant::now() + stage.load.every.mul_f64(fastrand::f64());
        Self {
            index,
            client: ulid::new(),
            user: None,
            positions: vec![None; views.len()],
            record: Record { views, ..Record::default() },
            unanswered: BTreeMap::new(),
            next_op,
            pause: Pause::default(),
            come_back: None,
            phase: stage.phase(),
            settled: Some(settled),
            stage,
        }
    }

    /// Lives until the drill is over, or until the server says something that no repeating helps against.
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
                self.record.failures.push(format!("client {} had to give up: {failure}", self.index));
                break;
            }
            let wait = self.come_back.take().unwrap_or_else(|| backoff.next(failure.retry_after(), fastrand::f64()));
            sleep(wait).await;
        }
        self.record.longest_pause_us = u64::try_from(self.pause.longest(Instant::now()).as_micros()).unwrap_or(u64::MAX);
        self.record
    }

    /// Connects as the same installation, with all subscriptions and where they stand.
    async fn connect(&mut self) -> Result<Conn, Failure> {
        let wanted =
            |(view, after): (&View, &Option<Position>)| Subscribe { after: after.clone(), ..subscribe(&self.stage.rooms[view.room]) };
        let wanted = self.record.views.iter().zip(&self.positions).map(wanted).collect();
        let began = self.stage.run.board.now_us();
        let name = format!("drill-{}", self.index);
        let (conn, subscribed) = Conn::open_as(&self.stage.run.target, &name, Some(self.client.clone()), wanted).await?;
        self.stage.run.board.record(Lane::Connect, self.index, began);
        let user = conn.hello.user.clone();
        if conn.hello.client != self.client {
            self.record.failures.push(format!("client {} was given another client id", self.index));
        }
        match &self.user {
            None => self.user = Some(user),
            Some(known) => {
                self.record.reconnects += 1;
                if *known != user {
                    self.record.failures.push(format!("client {} came back as another user", self.index));
                }
            }
        }
        subscribed.into_iter().enumerate().for_each(|(view, answer)| self.resume(view, answer));
        Ok(conn)
    }

    /// Takes what a subscription answered.
    fn resume(&mut self, view: usize, answer: Subscribed) {
        let Subscribed { epoch, seq, events, reason, .. } = answer;
        let seen = &mut self.record.views[view].seen;
        if let Some(events) = events {
            if !events.is_empty() {
                self.pause.heard(Instant::now(), !self.unanswered.is_empty());
            }
            seen.extend(events.iter().map(|event| Seen::event(event.seq, &event.body)));
            seen.push(Seen::Resumed { epoch: epoch.clone(), seq });
        } else {
            seen.push(Seen::Jump { epoch: epoch.clone(), seq, reason });
        }
        self.positions[view] = Some(Position { epoch, seq });
    }

    /// Lives on one connection; ends well when the drill is over.
    async fn live(&mut self, conn: &mut Conn) -> Result<(), Failure> {
        let now = Instant::now();
        for op in self.unanswered.values_mut() {
            (op.id, op.due) = (None, Some(now));
        }
        let most = self.stage.load.in_flight.min(conn.hello.limits.max_in_flight as usize).max(1);
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
                    if !self.unanswered.is_empty() && heard.elapsed() >= SILENT_FOR {
                        return Err(Failure::Timeout("answer"));
                    }
                }
            }
        }
    }

    /// Sends what is due, new ops among it.
    async fn send(&mut self, conn: &mut Conn, most: usize) -> Result<(), Failure> {
        let now = Instant::now();
        if now >= self.next_op && self.unanswered.len() < most && self.is_sending() {
            self.invoke(now);
        }
        let mut any = false;
        for op in self.unanswered.values_mut().filter(|op| op.due.is_some_and(|due| due <= now)) {
            op.due = None;
            op.id = Some(conn.feed(&op.call).await?);
            self.stage.run.board.sent();
            any = true;
        }
        if any {
            conn.flush().await?;
        }
        Ok(())
    }

    /// Makes a new op and notes it, before anything of it is sent.
    fn invoke(&mut self, now: Instant) {
        self.next_op = now + self.stage.load.every;
        let n = self.record.ops.len() as u64 + 1;
        let room = self.record.views[self.record.ops.len() % self.record.views.len()].room;
        let (mark, t) = (Mark { client: self.index, n }, self.stage.run.board.now_us());
        let body = RawJson::from_value(&Body { mark, t }).expect("numbers serialize");
        let entity = self.stage.rooms[room].clone();
        let call = Call::Send(params::Send { entity, r#type: "post".into(), body, n: Some(n), if_seq: None });
        self.record.ops.push(Op { mark, room, invoked: self.stage.moment(), outcome: Outcome::Unanswered });
        self.unanswered.insert(n, Unanswered { call, id: None, t, due: Some(now) });
        self.pause.waits(now);
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
                }
            }
            ServerMessage::Error { id, error } => {
                self.stage.run.board.error(error.data.code.as_str());
                if let Some(n) = id.and_then(|id| self.asked_as(&id)) {
                    self.refused(n, &error);
                }
            }
        }
        Ok(())
    }

    fn asked_as(&self, id: &RequestId) -> Option<u64> {
        self.unanswered.iter().find(|(_, op)| op.id.map(RequestId::Number).as_ref() == Some(id)).map(|(n, _)| *n)
    }

    fn acknowledged(&mut self, n: u64, Sent { seq, epoch, duplicate, .. }: Sent) {
        let Some(op) = self.unanswered.remove(&n) else { return };
        let at = self.stage.moment();
        self.note(n, Outcome::Acked { at, seq, epoch, duplicate });
        self.stage.run.board.record(Lane::Ack, self.index, op.t);
        self.stage.acknowledged(self.index);
        self.pause.heard(Instant::now(), !self.unanswered.is_empty());
    }

    /// An op that was only not done now is sent again, under its number; whatever else is said of it is final.
    fn refused(&mut self, n: u64, error: &WireError) {
        match (error.data.retry_after_ms, self.unanswered.get_mut(&n)) {
            (Some(ms), Some(op)) => {
                (op.id, op.due) = (None, Some(Instant::now() + Duration::from_millis(ms)));
            }
            _ => {
                self.unanswered.remove(&n);
                self.note(n, Outcome::Refused);
                self.record.failures.push(format!("op {n} of client {} was refused: {}", self.index, error.message));
            }
        }
    }

    fn note(&mut self, n: u64, outcome: Outcome) {
        if let Some(op) = usize::try_from(n - 1).ok().and_then(|at| self.record.ops.get_mut(at)) {
            op.outcome = outcome;
        }
    }

    fn event(&mut self, event: &Event) {
        let Some(view) = event.entity.as_ref().and_then(|entity| self.view_of(entity)) else {
            self.record.failures.push(format!("client {} got an event of a room that it does not follow", self.index));
            return;
        };
        self.record.views[view].seen.push(Seen::event(event.seq, &event.body));
        if let Some(position) = &mut self.positions[view] {
            position.seq = position.seq.max(event.seq);
        }
        match event.body.parse::<Body>() {
            Ok(body) => self.stage.run.board.record(Lane::Delivery, self.index, body.t),
            Err(_) => self.stage.run.board.count(Lane::Delivery),
        }
        self.pause.heard(Instant::now(), !self.unanswered.is_empty());
    }

    fn reset(&mut self, reset: notify::Reset) {
        let notify::Reset { entity, epoch, seq, reason, .. } = reset;
        self.stage.run.board.error("reset");
        if let Some(view) = self.view_of(&entity) {
            self.record.views[view].seen.push(Seen::Jump { epoch: epoch.clone(), seq, reason: Some(reason) });
            self.positions[view] = Some(Position { epoch, seq });
        }
    }

    fn view_of(&self, entity: &greenroom_protocol::EntityId) -> Option<usize> {
        self.record.views.iter().position(|view| self.stage.rooms[view.room] == *entity)
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
        let mut views = self.record.views.iter().zip(&self.positions);
        let all_here = views.all(|(view, position)| position.as_ref().is_some_and(|position| position.seq >= heads[view.room]));
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
