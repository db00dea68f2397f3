//! One nick's session: takes orders from its room's driver, listens, and writes down what it heard.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::params::{self, PresenceAction};
use greenroom_protocol::results::{self, Empty, Sent};
use greenroom_protocol::{Call, EntityId, RawJson, RequestId, Seq, notify};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::plan::Plan;
use crate::client::{Conn, Failure};
use crate::history::{Clock, Effect, Entry, Follow, Name, Notes, Shape, State, What, file};
use crate::run::{Run, send, subscribe};
use crate::stats::Lane;

/// How long a session that is about to leave waits for its last events. The tests' server runs in
/// the same process, so nothing is on its way for long.
const LAST_EVENTS_WITHIN: Duration =
    if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(15) };

/// The body of a post: its text, and which line of the log it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub text: String,
    /// Its place among the lines of its log, from 0.
    pub line: usize,
}

/// What a driver tells a session.
pub enum Order {
    /// Post this line, and tell when it is acknowledged.
    Say(Line, oneshot::Sender<Sent>),
    Rename(String),
    /// Leave, once everything up to and including this seq has arrived.
    Leave(Seq),
}

/// What the sessions of a room share.
pub struct Stage {
    pub run: Arc<Run>,
    pub entity: EntityId,
    /// When each line was meant to be said, on the board's clock.
    pub intended: Vec<AtomicU64>,
    index: usize,
    clock: Arc<Clock>,
    keeper: Option<Arc<Keeper>>,
}

/// Writes down what was sent and acknowledged, as it happens.
pub struct Keeper(Mutex<file::Writer<File>>);

/// What sessions heard, and what went wrong.
#[derive(Default)]
pub struct Heard {
    pub entries: Vec<Entry>,
    /// What ended them before their time.
    pub failures: Vec<String>,
}

struct Session {
    stage: Arc<Stage>,
    conn: Conn,
    notes: Notes,
    last: Seq,
    n: u64,
    saying: Option<Saying>,
    leave_after: Option<Seq>,
    leave_by: Option<Instant>,
}

/// A post that is not acknowledged yet.
struct Saying {
    id: i64,
    call: Call,
    op: Name,
    line: usize,
    again_at: Option<Instant>,
    done: oneshot::Sender<Sent>,
}

impl Stage {
    /// The stage of the room that is the log's, with its number among all rooms.
    pub fn new(
        run: &Arc<Run>,
        clock: &Arc<Clock>,
        (index, entity): (usize, &EntityId),
        plan: &Plan,
        keeper: Option<Arc<Keeper>>,
    ) -> Self {
        let intended = plan.lines.iter().map(|_| AtomicU64::new(u64::MAX)).collect();
        let (run, clock) = (Arc::clone(run), Arc::clone(clock));
        Self { run, entity: entity.clone(), intended, index, clock, keeper }
    }
}

impl Keeper {
    /// Starts a new file.
    pub fn create(path: &Path, entities: &[EntityId]) -> Result<Self> {
        Ok(Self(Mutex::new(file::Writer::new(file::create(path)?, entities)?)))
    }
}

/// Opens a session as `nick`, tells through `joined` where its subscription begins, and follows
/// orders until told to leave.
pub async fn run(
    stage: Arc<Stage>,
    index: usize,
    nick: String,
    mut orders: mpsc::Receiver<Order>,
    joined: oneshot::Sender<Seq>,
) -> Heard {
    let mut notes = Notes::of(index, &stage.clock);
    let asked = notes.now();
    let opened = stage.run.open_patiently(index, &nick, vec![subscribe(&stage.entity)]).await;
    let early = |failure: &Failure| format!("a session ended early: {failure}");
    let (conn, answer) = match opened.map(|opened| (opened.conn, opened.subscribed)) {
        Ok((conn, mut subscribed)) => (conn, subscribed.pop()),
        Err(failure) => return Heard { entries: Vec::new(), failures: vec![early(&failure)] },
    };
    let Some(answer) = answer else {
        return Heard {
            failures: vec!["the subscription has no answer".into()],
            ..Heard::default()
        };
    };
    let last = answer.seq;
    let follow = Follow::answered(asked, None, Shape::Room, answer);
    notes.note(stage.index, What::Followed(Box::new(follow)));
    // The driver may have given up on this room; then an order to leave follows, or the end of
    // orders.
    let _ = joined.send(last);
    let (n, saying, leave_after, leave_by) = (0, None, None, None);
    let mut session = Session { stage, conn, notes, last, n, saying, leave_after, leave_by };
    let mut failures = Vec::new();
    if let Err(failure) = session.live(&mut orders, nick).await {
        session.stage.run.board.error(&failure.code());
        failures.push(early(&failure));
    }
    Heard { entries: session.notes.entries, failures }
}

impl Session {
    async fn live(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
        nick: String,
    ) -> Result<(), Failure> {
        self.be(nick).await?;
        loop {
            if self.leave_after.is_some_and(|until| self.last >= until) {
                return self.leave().await;
            }
            let again_at = self.saying.as_ref().and_then(|saying| saying.again_at);
            let wake = again_at.or(self.leave_by);
            tokio::select! {
                frame = self.conn.next() => self.take(&frame?)?,
                order = orders.recv(), if self.leave_after.is_none() => match order {
                    Some(Order::Say(line, done)) => self.say(&line, done).await?,
                    Some(Order::Rename(nick)) => self.be(nick).await?,
                    Some(Order::Leave(until)) => {
                        self.leave_after = Some(until);
                        self.leave_by = Some(Instant::now() + LAST_EVENTS_WITHIN);
                    }
                    // The driver is gone: so is the room.
                    None => return Ok(()),
                },
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    if again_at.is_none() {
                        return Err(Failure::Timeout("last_events"));
                    }
                    self.send().await?;
                }
            }
        }
    }

    /// Tells the others who this is.
    async fn be(&mut self, nick: String) -> Result<(), Failure> {
        let meta =
            RawJson::from_value(&serde_json::json!({ "nick": nick })).expect("a string serializes");
        self.conn.feed(&Call::Presence(params::Presence {
            entity: self.stage.entity.clone(),
            action: PresenceAction::Enter,
            meta: Some(meta),
        }));
        self.conn.flush().await
    }

    async fn say(&mut self, line: &Line, done: oneshot::Sender<Sent>) -> Result<(), Failure> {
        self.n += 1;
        let body = RawJson::from_value(line).expect("a string and a number serialize");
        let op = Name::of(&self.conn.hello.user, "post", body.as_str());
        let call = send(&self.stage.entity, "post", body, Some(self.n));
        self.keep(What::Invoked { op, effect: Effect::Post });
        self.saying = Some(Saying { id: 0, call, op, line: line.line, again_at: None, done });
        self.send().await
    }

    /// Sends the current post, for the first time or again: it has its number, so it happens once.
    async fn send(&mut self) -> Result<(), Failure> {
        if let Some(saying) = &mut self.saying {
            saying.again_at = None;
            saying.id = self.conn.feed(&saying.call);
            self.stage.run.board.sent();
        }
        self.conn.flush().await
    }

    fn note(&mut self, what: What) -> &Entry {
        self.notes.note(self.stage.index, what)
    }

    /// Notes what is kept in a file as well.
    fn keep(&mut self, what: What) {
        let stage = Arc::clone(&self.stage);
        let entry = self.note(what);
        if let Some(Keeper(file)) = stage.keeper.as_deref()
            && file.lock().expect("no holder panics").entry(entry).is_err()
        {
            stage.run.board.error("not_kept");
        }
    }

    fn take(&mut self, frame: &[u8]) -> Result<(), Failure> {
        let bad = |e: serde_json::Error| Failure::NotUnderstood(e.to_string());
        let board = Arc::clone(&self.stage.run.board);
        match self.conn.codec().decode_server(frame)? {
            ServerMessage::Notification { method, params } => match method.as_str() {
                "event" => self.event(&params.parse().map_err(bad)?),
                "presence" => {}
                method => {
                    board.error(method);
                    if method == "reset" {
                        let notify::Reset { epoch, seq, snapshot, reason, .. } =
                            params.parse().map_err(bad)?;
                        let state = State::read(Shape::Room, &snapshot);
                        self.note(What::Reset { epoch, seq, state, reason });
                        self.last = seq;
                    }
                }
            },
            ServerMessage::Result { id, result } => {
                let said = self.saying.take_if(|saying| RequestId::Number(saying.id) == id);
                if let Some(Saying { op, line, done, .. }) = said {
                    let sent: Sent = result.parse().map_err(bad)?;
                    let Sent { seq, at, duplicate, .. } = sent;
                    let epoch = sent.epoch.clone();
                    self.keep(What::Acked { op, epoch, seq, at, duplicate });
                    board.record(Lane::Ack, self.stage.intended[line].load(Relaxed));
                    // If the driver is gone, nobody needs the answer.
                    let _ = done.send(sent);
                }
            }
            ServerMessage::Error { id, error } => {
                board.error(error.data.code.as_str());
                let about = |saying: &&mut Saying| Some(RequestId::Number(saying.id)) == id;
                if let Some(saying) = self.saying.as_mut().filter(about) {
                    let Some(ms) = error.data.retry_after_ms else {
                        return Err(Failure::Refused(error));
                    };
                    saying.again_at = Some(Instant::now() + Duration::from_millis(ms));
                }
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &results::Event) {
        self.note(What::Told(event.into()));
        self.last = self.last.max(event.seq);
        let line = event.body.parse::<Line>().ok();
        if let Some(intended) = line.and_then(|line| self.stage.intended.get(line.line)) {
            self.stage.run.board.record(Lane::Delivery, intended.load(Relaxed));
        }
    }

    /// Unsubscribes; what arrives meanwhile does not matter.
    async fn leave(&mut self) -> Result<(), Failure> {
        self.note(What::Unfollowed);
        let target = params::Target { entity: self.stage.entity.clone() };
        self.conn.ask::<Empty>(&Call::Unsubscribe(target)).await.map(drop)
    }
}
