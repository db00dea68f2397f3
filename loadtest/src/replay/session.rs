//! One nick's session: takes orders from its room's driver, listens, and keeps what it heard.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::params::{self, PresenceAction};
use greenroom_protocol::results::{Event, Sent};
use greenroom_protocol::{Call, EntityId, RawJson, RequestId, Seq};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::keep::Line;
use crate::check::SeqCheck;
use crate::client::Failure;
use crate::run::{Opened, Run, subscribe};
use crate::stats::Lane;

/// How long a session that is about to leave waits for what it must have seen. The tests' server,
/// in the same process, has nothing on the way.
const LAST_EVENTS_WITHIN: Duration =
    if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(15) };

/// What a driver tells a session.
pub enum Order {
    /// Post this line, and tell when it is acknowledged.
    Say(Line, oneshot::Sender<Sent>),
    /// Have another nick.
    Rename(String),
    /// Leave, once everything up to and including this seq has arrived.
    Leave(Seq),
}

/// What the sessions of a room share.
pub struct Stage {
    /// The run.
    pub run: Arc<Run>,
    /// The room.
    pub entity: EntityId,
    /// When each line was meant to be said, on the board's clock; 0 before that.
    pub intended: Vec<AtomicU64>,
}

/// What a session heard.
pub struct Heard {
    /// Its seqs, from its subscription's position on.
    pub check: SeqCheck,
    /// Each event: seq, line, and the hash of its text; line is none where the body is not one of
    /// ours.
    pub events: Vec<(Seq, Option<usize>, u64)>,
    /// The seq up to which it should have heard everything when it left.
    pub until: Option<Seq>,
    /// How often the server handed it a snapshot instead of events.
    pub resets: u64,
    /// What ended it before its time.
    pub failure: Option<String>,
}

/// The hash under which a text is remembered.
pub fn hash(text: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(text)
}

struct Session {
    stage: Arc<Stage>,
    opened: Opened,
    heard: Heard,
    n: u64,
    saying: Option<Saying>,
    leave_by: Option<Instant>,
}

/// A post that is not acknowledged yet.
struct Saying {
    id: Option<i64>,
    call: Call,
    line: usize,
    again_at: Option<Instant>,
    done: oneshot::Sender<Sent>,
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
    let opened = stage.run.open_patiently(index, &nick, vec![subscribe(&stage.entity)]).await;
    let mut heard = Heard {
        check: SeqCheck::after(0),
        events: Vec::new(),
        until: None,
        resets: 0,
        failure: None,
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(failure) => {
            heard.failure = Some(failure.to_string());
            return heard;
        }
    };
    let position = opened.subscribed.first().map_or(0, |s| s.seq);
    heard.check = SeqCheck::after(position);
    // The driver may have given up on this room; then an order to leave follows, or the end of
    // orders.
    let _ = joined.send(position);
    let mut session = Session { stage, opened, heard, n: 0, saying: None, leave_by: None };
    if let Err(failure) = session.live(&mut orders, nick).await {
        session.stage.run.board.error(&failure.code());
        session.heard.failure = Some(failure.to_string());
    }
    session.heard
}

impl Session {
    async fn live(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
        nick: String,
    ) -> Result<(), Failure> {
        self.be(nick).await?;
        loop {
            if self.heard.until.is_some_and(|until| self.heard.check.last() >= until) {
                return self.leave().await;
            }
            let again_at = self.saying.as_ref().and_then(|saying| saying.again_at);
            let wake = again_at.or(self.leave_by);
            tokio::select! {
                frame = self.opened.conn.next() => self.take(&frame?)?,
                order = orders.recv(), if self.heard.until.is_none() => match order {
                    Some(Order::Say(line, done)) => self.say(&line, done).await?,
                    Some(Order::Rename(nick)) => self.be(nick).await?,
                    Some(Order::Leave(until)) => {
                        self.heard.until = Some(until);
                        self.leave_by = Some(Instant::now() + LAST_EVENTS_WITHIN);
                    }
                    // The driver is gone: so is the room.
                    None => return Ok(()),
                },
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    if again_at.is_some() {
                        self.repeat().await?;
                    } else {
                        return Err(Failure::Timeout("last_events"));
                    }
                }
            }
        }
    }

    /// Tells the others who this is.
    async fn be(&mut self, nick: String) -> Result<(), Failure> {
        let meta =
            RawJson::from_value(&serde_json::json!({ "nick": nick })).expect("a string serializes");
        let presence = params::Presence {
            entity: self.stage.entity.clone(),
            action: PresenceAction::Enter,
            meta: Some(meta),
        };
        self.opened.conn.feed(&Call::Presence(presence)).await?;
        self.opened.conn.flush().await
    }

    async fn say(&mut self, line: &Line, done: oneshot::Sender<Sent>) -> Result<(), Failure> {
        self.n += 1;
        let body = RawJson::from_value(line).expect("a string and a number serialize");
        let op = params::Send {
            entity: self.stage.entity.clone(),
            r#type: "post".into(),
            body,
            n: Some(self.n),
            first_sent: None,
            if_seq: None,
            tag: None,
        };
        self.saying =
            Some(Saying { id: None, call: Call::Send(op), line: line.line, again_at: None, done });
        self.repeat().await
    }

    /// Sends the current post, for the first time or again: it has its number, so it happens once.
    async fn repeat(&mut self) -> Result<(), Failure> {
        if let Some(saying) = &mut self.saying {
            saying.again_at = None;
            saying.id = Some(self.opened.conn.feed(&saying.call).await?);
            self.stage.run.board.sent();
            self.opened.conn.flush().await?;
        }
        Ok(())
    }

    fn take(&mut self, frame: &[u8]) -> Result<(), Failure> {
        let board = &self.stage.run.board;
        match self.opened.conn.codec().decode_server(frame)? {
            ServerMessage::Notification { method, params } if method == "event" => {
                let event: Event =
                    params.parse().map_err(|e| Failure::NotUnderstood(e.to_string()))?;
                self.event(&event);
            }
            ServerMessage::Notification { method, .. } => {
                if method == "reset" {
                    self.heard.resets += 1;
                }
                if method != "presence" {
                    board.error(&method);
                }
            }
            ServerMessage::Result { id, result } => {
                if let Some(saying) =
                    self.saying.take_if(|s| s.id.map(RequestId::Number) == Some(id))
                {
                    let sent: Sent =
                        result.parse().map_err(|e| Failure::NotUnderstood(e.to_string()))?;
                    board.record(
                        Lane::Ack,
                        self.opened.index,
                        self.stage.intended[saying.line].load(Relaxed),
                    );
                    // Where the driver is gone, nobody wants to know.
                    let _ = saying.done.send(sent);
                }
            }
            ServerMessage::Error { id, error } => {
                board.error(error.data.code.as_str());
                let Some(saying) =
                    self.saying.as_mut().filter(|s| s.id.map(RequestId::Number) == id)
                else {
                    return Ok(());
                };
                match error.data.retry_after_ms {
                    Some(ms) => saying.again_at = Some(Instant::now() + Duration::from_millis(ms)),
                    None => return Err(Failure::Refused(error)),
                }
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &Event) {
        self.heard.check.event(event.seq);
        let line = event.body.parse::<Line>().ok();
        if let Some(intended) = line.as_ref().and_then(|line| self.stage.intended.get(line.line)) {
            self.stage.run.board.record(Lane::Delivery, self.opened.index, intended.load(Relaxed));
        }
        let (line, hash) = line.map_or((None, 0), |line| (Some(line.line), hash(&line.text)));
        self.heard.events.push((event.seq, line, hash));
    }

    /// Goes in an orderly way; what still arrives meanwhile is not asked for any more.
    async fn leave(&mut self) -> Result<(), Failure> {
        let target = params::Target { entity: self.stage.entity.clone() };
        self.opened
            .conn
            .ask::<greenroom_protocol::results::Empty>(&Call::Unsubscribe(target))
            .await?;
        Ok(())
    }
}
