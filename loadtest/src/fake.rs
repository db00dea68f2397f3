//! A small stand-in for a server, for the tests: rooms in memory, and faults that the harness must
//! notice.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use greenroom_protocol::codec::{Message as Wire, Method};
use greenroom_protocol::params::{Enter, PresenceAction};
use greenroom_protocol::results::{
    Empty, Event, HistoryPage, Member, Pong, PresenceList, Sent, SnapshotReason, State, Subscribed,
    SubscriptionOutcome,
};
use greenroom_protocol::{
    Call, CodecKind, EntityId, Epoch, ErrorCode, RawJson, RequestId, Seq, WireError, notify, params,
};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::{JoinHandle, JoinSet};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

mod answers;
mod rights;

use answers::{hello, state};
pub use rights::SECRET;

use crate::report::Report;
use crate::run::Run;
use crate::scenario::{Scenario, With, parse};

/// How the server misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Every subscriber misses the event with this seq.
    Drop(u64),
    /// Every subscriber gets the event with this seq twice.
    Double(u64),
    /// Every subscriber gets this event and the one before in the wrong order.
    Swap(u64),
    /// This event is stored, and delivered, with another text.
    Alter(u64),
    /// This event is acknowledged and delivered, but not kept.
    Lose(u64),
    RateLimit,
    /// This op is refused the first time.
    RefuseOnce(u64),
    /// Nobody is told who leaves.
    HideLeft,
    /// Each connection is closed upon `presence`.
    ClosePresence,
    /// Every subscriber misses the signal with this number, counted in its room.
    DropSignal(u64),
    /// Nobody is let in without a token that nobody else has presented.
    WantTokens,
    /// The op that gets this seq is done, and instead of the answer the connection ends, once.
    HangUp(u64),
    /// The same, and a repeat is done again: the numbers of ops are forgotten.
    HangUpAndForget(u64),
    /// The same as hanging up, and who resumes misses the first event that it should get.
    HangUpAndSkip(u64),
    /// The same as hanging up, and who resumes gets a snapshot as if it had given no position.
    HangUpAndStartOver(u64),
    /// From this seq on, whoever reads is shown the state after the first event.
    ReadOld(u64),
    /// The event with this seq is in no state.
    LeaveOut(u64),
    /// The op that gets this seq is done, and the connection is closed as if it were idle, once.
    CloseIdle(u64),
    /// Subscriptions do not end.
    KeepSubscribed,
    /// A token that takes the right to read ends no subscription.
    TellRevoked,
    /// It ends them without a notification.
    HideUnsubscribed,
    /// What may not be read is shown to whoever asks for it.
    ShowRevoked,
    /// Whoever subscribes again misses the first event that it should get.
    SkipOnReturn,
    /// The last event of each room is lost when another server takes over.
    LoseAtTakeover,
}

#[derive(Default)]
struct Room {
    events: Vec<Event>,
    next: Seq,
    counter: Seq,
    signals: u64,
    subscribers: Vec<(usize, CodecKind, mpsc::Sender<Vec<u8>>)>,
    entity: Option<EntityId>,
    present: Vec<(usize, Member)>,
    held: Option<Event>,
    refused: bool,
    hung_up: bool,
    outcomes: HashMap<(String, u64), Sent>,
}

/// The server; it lives as long as its test's runtime.
pub struct Fake {
    address: SocketAddr,
    fault: Fault,
    rooms: Arc<Mutex<HashMap<EntityId, Room>>>,
    accepting: JoinHandle<()>,
}

impl Fake {
    /// Starts one on a free port.
    pub async fn start(fault: Fault) -> Self {
        Self::start_with(fault, Arc::default(), 0).await
    }

    /// Starts another one for the same rooms.
    pub async fn beside(&self) -> Self {
        Self::start_with(self.fault, self.rooms.clone(), 1_000_000).await
    }

    async fn start_with(
        fault: Fault,
        rooms: Arc<Mutex<HashMap<EntityId, Room>>>,
        first: usize,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let tokens = Arc::<Mutex<HashSet<String>>>::default();
        let shared = rooms.clone();
        let accepting = tokio::spawn(async move {
            // They end with this task.
            let mut sessions = JoinSet::new();
            for index in first.. {
                let (stream, _) = listener.accept().await.expect("the listener lives");
                let (rooms, tokens) = (shared.clone(), tokens.clone());
                let (client, reads) = (None, None);
                let session =
                    Session { index, fault, rooms, tokens, client, reads, hangs_up: false };
                sessions.spawn(serve(stream, session));
            }
        });
        Self { address, fault, rooms, accepting }
    }

    /// Ends without a goodbye, so that another one has to take over.
    pub fn kill(&self) {
        self.accepting.abort();
        if self.fault == Fault::LoseAtTakeover {
            let mut rooms = self.rooms.lock().expect("no test panics with it");
            for room in rooms.values_mut() {
                room.events.pop();
                room.counter = room.counter.saturating_sub(1);
            }
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// Runs a scenario against it, with these arguments.
    pub async fn run<S: Scenario>(&self, words: &str) -> Report {
        let words = format!("{words} --url {} --no-progress", self.url());
        let With::<S> { common, scenario } = parse(&words).expect("they are its arguments");
        let run = Run::new(S::NAME, &common).await.expect("the URL is good");
        Box::pin(scenario.run(run)).await.expect("the scenario can be run")
    }
}

/// One of a report's figures, which has to be there.
pub fn figure(report: &Report, name: &str) -> f64 {
    let figure = report.figures.get(name);
    figure.unwrap_or_else(|| panic!("there is no `{name}` in {:?}", report.figures))
}

struct Session {
    index: usize,
    fault: Fault,
    rooms: Arc<Mutex<HashMap<EntityId, Room>>>,
    tokens: Arc<Mutex<HashSet<String>>>,
    client: Option<String>,
    /// What its token lets it read, if it has one.
    reads: Option<Vec<String>>,
    hangs_up: bool,
}

/// Either a result that is already JSON, or an error.
type Answer = Result<RawJson, WireError>;

#[expect(clippy::result_large_err, reason = "the handshake's callback has this signature")]
async fn serve(stream: TcpStream, mut session: Session) {
    let mut codec = CodecKind::Json;
    let negotiate = |request: &Request, mut response: Response| {
        if let Some(name) = request.headers().get("sec-websocket-protocol") {
            codec = CodecKind::from_subprotocol(name.to_str().expect("it is text"))
                .expect("it is known");
            response.headers_mut().insert("sec-websocket-protocol", name.clone());
        }
        Ok(response)
    };
    stream.set_nodelay(true).expect("the socket is open");
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, negotiate).await else {
        return;
    };
    let (out, mut queue) = mpsc::channel::<Vec<u8>>(200_000);
    loop {
        tokio::select! {
            frame = queue.recv() => {
                let frame = frame.expect("`out` lives as long as this loop");
                let message = if codec.is_text() {
                    Message::text(String::from_utf8(frame).expect("JSON is UTF-8"))
                } else {
                    Message::binary(frame)
                };
                // After the client's close this fails, and `next` still has that to answer; where
                // the client is gone it ends.
                let _ = socket.send(message).await;
            }
            message = socket.next() => match message {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    let request = codec.decode(&message.into_data()).expect("the harness sends good requests");
                    if matches!(request.call, Call::Presence(_)) && session.fault == Fault::ClosePresence {
                        break;
                    }
                    if let Call::Connect(connect) = &request.call {
                        session.client.clone_from(&connect.client);
                    }
                    let answer = session.handle(&request.call, codec, &out);
                    if session.hangs_up {
                        if matches!(session.fault, Fault::CloseIdle(_)) {
                            let (code, reason) = (4010.into(), "ping_timeout".into());
                            let _ = socket.close(Some(CloseFrame { code, reason })).await;
                        }
                        break;
                    }
                    if let Some(id) = request.id {
                        out.try_send(encode(codec, &id, &answer)).expect("the queue is long enough");
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            }
        }
    }
    for room in session.rooms.lock().expect("no test panics with it").values_mut() {
        room.subscribers.retain(|(index, ..)| *index != session.index);
        room.leave(&session);
    }
}

fn encode(codec: CodecKind, id: &RequestId, answer: &Answer) -> Vec<u8> {
    let mut frame = Vec::new();
    match answer {
        Ok(result) => codec.encode(&Wire::Result { id, result }, &mut frame),
        Err(error) => {
            let message: Wire<'_, ()> = Wire::Error { id: Some(id), error };
            codec.encode(&message, &mut frame);
        }
    }
    frame
}

fn json(value: &impl Serialize) -> RawJson {
    RawJson::from_value(value).expect("it serializes")
}

fn epoch() -> Epoch {
    Epoch::from_bits(7)
}

impl Session {
    fn handle(&mut self, call: &Call, codec: CodecKind, out: &mpsc::Sender<Vec<u8>>) -> Answer {
        let rooms = Arc::clone(&self.rooms);
        let mut rooms = rooms.lock().expect("no test panics with it");
        if let Call::Connect(connect) = call {
            self.refresh(connect, &mut rooms, out, codec);
        }
        self.may(call)?;
        let mut subscribe = |wanted: &params::Subscribe| {
            let room = rooms.entry(wanted.entity.clone()).or_default();
            if self.fault != Fault::KeepSubscribed {
                room.subscribers.retain(|(index, ..)| *index != self.index);
            }
            room.subscribers.push((self.index, codec, out.clone()));
            let after = wanted
                .after
                .as_ref()
                .filter(|_| !matches!(self.fault, Fault::HangUpAndStartOver(_)));
            let skips = matches!(self.fault, Fault::HangUpAndSkip(_) | Fault::SkipOnReturn);
            let skipped = u64::from(skips);
            let later = |from: Seq| room.events.iter().filter(move |e| e.seq > from + skipped);
            Subscribed {
                entity: wanted.entity.clone(),
                epoch: epoch(),
                seq: room.next,
                events: after.map(|after| later(after.seq).cloned().collect()),
                snapshot: after.is_none().then(|| state(&wanted.entity, &room.events, self.fault)),
                reason: after.is_none().then_some(SnapshotReason::NoPosition),
                presence: wanted.presence.then(|| room.present()),
            }
        };
        Ok(match call {
            Call::Connect(connect) => {
                self.admit(connect)?;
                let outcome = |wanted: &params::Subscribe| {
                    let result = Some(subscribe(wanted));
                    SubscriptionOutcome { entity: wanted.entity.clone(), result, error: None }
                };
                let subscriptions = connect.subscriptions.iter().map(outcome).collect();
                for Enter { entity, meta } in &connect.presence {
                    let room = rooms.entry(entity.clone()).or_default();
                    room.entity = Some(entity.clone());
                    room.enter(self, meta.clone());
                }
                json(&hello(self.name(), self.user(), subscriptions))
            }
            Call::Subscribe(wanted) => json(&subscribe(wanted)),
            Call::Send(op) => json(&self.send(rooms.entry(op.entity.clone()).or_default(), op)?),
            Call::Signal(signal) => {
                let from = self.user();
                let (entity, r#type) = (signal.entity.clone(), signal.r#type.clone());
                let params =
                    notify::Signal { entity, from, r#type, body: signal.body.clone(), key: None };
                let room = rooms.entry(signal.entity.clone()).or_default();
                room.signals += 1;
                if self.fault != Fault::DropSignal(room.signals) {
                    room.publish(Method::Signal, &params, Some(self.index));
                }
                json(&Empty {})
            }
            Call::Read(read) => {
                let room = rooms.entry(read.entity.clone()).or_default();
                let old =
                    matches!(self.fault, Fault::ReadOld(from) if room.counter >= Seq::new(from));
                let seq = if old { Seq::FIRST } else { room.counter };
                let state = state(&read.entity, &room.events[..seq.get() as usize], self.fault);
                json(&State { epoch: epoch(), seq, state })
            }
            Call::History(page) => {
                let room = rooms.entry(page.entity.clone()).or_default();
                let limit = page.limit.unwrap_or(100) as usize;
                let from = match page.after {
                    Some(after) => room.events.partition_point(|event| event.seq <= after),
                    None => room.events.len().saturating_sub(limit),
                };
                let events: Vec<_> = room.events[from..].iter().take(limit).cloned().collect();
                let end = from + events.len();
                let more = if page.after.is_some() { end < room.events.len() } else { from > 0 };
                json(&HistoryPage { epoch: epoch(), more, events })
            }
            Call::Presence(presence) => {
                let room = rooms.entry(presence.entity.clone()).or_default();
                room.entity = Some(presence.entity.clone());
                match presence.action {
                    PresenceAction::List => return Ok(json(&room.present())),
                    PresenceAction::Enter => room.enter(self, presence.meta.clone()),
                    PresenceAction::Leave => room.leave(self),
                }
                json(&PresenceList { members: None, ..room.present() })
            }
            Call::Unsubscribe(target) => {
                if self.fault != Fault::KeepSubscribed {
                    let room = rooms.entry(target.entity.clone()).or_default();
                    room.subscribers.retain(|(index, ..)| *index != self.index);
                }
                json(&Empty {})
            }
            Call::Ping(_) => json(&Pong { now: 1 }),
        })
    }

    fn admit(&self, connect: &params::Connect) -> Result<(), WireError> {
        let mut tokens = self.tokens.lock().expect("no test panics with it");
        let own = connect.token.as_ref().is_some_and(|token| tokens.insert(token.clone()));
        if own || self.fault != Fault::WantTokens {
            return Ok(());
        }
        Err(WireError::new(ErrorCode::Unauthorized, "a token of your own is wanted"))
    }

    /// Who presents its client id again is the same user.
    fn user(&self) -> String {
        format!("anon-{}", self.name())
    }

    /// Its client id: the one that it presents, or is given.
    fn name(&self) -> String {
        self.client.clone().unwrap_or_else(|| self.index.to_string())
    }

    fn send(&mut self, room: &mut Room, op: &params::Send) -> Result<Sent, WireError> {
        // Only a client that names itself is known again.
        let name = self.client.clone().zip(op.n);
        if let Some(first) = name.as_ref().and_then(|name| room.outcomes.get(name)) {
            return Ok(Sent { duplicate: true, ..first.clone() });
        }
        let seq = room.next.next();
        let number = seq.get();
        let refuse = self.fault == Fault::RateLimit
            || self.fault == Fault::RefuseOnce(number)
                && !std::mem::replace(&mut room.refused, true);
        if refuse {
            return Err(WireError::new(ErrorCode::RateLimited, "slow down").retry_after_ms(1));
        }
        let body = if self.fault == Fault::Alter(number) {
            json(&serde_json::json!({ "text": "?", "line": 0 }))
        } else {
            op.body.clone()
        };
        let (entity, from, r#type) = (Some(op.entity.clone()), self.user(), op.r#type.clone());
        let tag = op.tag.clone();
        let event = Event { entity, seq, at: 1, from, r#type, body, tag, deleted: false };
        room.next = seq;
        if self.fault != Fault::Lose(number) {
            room.events.push(event.clone());
            room.counter = room.counter.next();
        }
        match self.fault {
            Fault::Drop(at) if at == number => {}
            Fault::Swap(at) if at == number + 1 => room.held = Some(event),
            fault => {
                room.publish(Method::Event, &event, None);
                if let Some(held) = room.held.take() {
                    room.publish(Method::Event, &held, None);
                }
                if fault == Fault::Double(number) {
                    room.publish(Method::Event, &event, None);
                }
            }
        }
        let sent = Sent { seq, epoch: epoch(), at: 1, result: None, duplicate: false };
        let hangs_up = matches!(self.fault,
            Fault::HangUp(at) | Fault::HangUpAndForget(at) | Fault::HangUpAndSkip(at) | Fault::HangUpAndStartOver(at) | Fault::CloseIdle(at) if at == number);
        self.hangs_up = hangs_up && !std::mem::replace(&mut room.hung_up, true);
        if !matches!(self.fault, Fault::HangUpAndForget(_)) {
            room.outcomes.extend(name.map(|name| (name, sent.clone())));
        }
        Ok(sent)
    }
}

impl Room {
    fn present(&self) -> PresenceList {
        let members: Vec<_> = self.present.iter().map(|(_, member)| member.clone()).collect();
        PresenceList { count: members.len() as u64, members: Some(members) }
    }

    fn enter(&mut self, session: &Session, meta: Option<RawJson>) {
        let member = Member {
            user: session.user(),
            meta: meta.unwrap_or_else(RawJson::empty_object),
            sessions: 1,
        };
        // Whoever comes back from a server that was killed never left.
        let back = self.present.iter_mut().find(|(_, present)| present.user == member.user);
        if let Some((index, _)) = back {
            *index = session.index;
            return;
        }
        self.present.push((session.index, member.clone()));
        self.tell(vec![member], Vec::new());
    }

    fn leave(&mut self, session: &Session) {
        let before = self.present.len();
        self.present.retain(|(index, _)| *index != session.index);
        if self.present.len() < before && session.fault != Fault::HideLeft {
            self.tell(Vec::new(), vec![session.user()]);
        }
    }

    fn tell(&self, joined: Vec<Member>, left: Vec<String>) {
        let Some(entity) = self.entity.clone() else { return };
        let count = self.present.len() as u64;
        let updated = Vec::new();
        let change = notify::PresenceChange { entity, joined, updated, left, count, members: None };
        // Only those who asked for presence would be told by a server; to the others of the tests
        // it does not matter.
        self.publish(Method::Presence, &change, None);
    }

    fn publish(&self, method: Method, params: &impl Serialize, but: Option<usize>) {
        for (_, codec, out) in self.subscribers.iter().filter(|(index, ..)| Some(*index) != but) {
            let mut frame = Vec::new();
            codec.encode(&Wire::Notification { method, params }, &mut frame);
            // Where its server was killed nobody is there.
            let full = matches!(out.try_send(frame), Err(TrySendError::Full(_)));
            assert!(!full, "the queue is long enough");
        }
    }
}
