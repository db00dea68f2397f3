//! A small stand-in for a server, for the tests: rooms in memory, and faults that the harness must notice.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use greenroom_protocol::codec::{Message as Wire, Method};
use greenroom_protocol::results::{
    Connected, Empty, Event, HistoryPage, Pong, PresenceList, Sent, SessionLimits, SnapshotReason, State, Subscribed, SubscriptionOutcome,
};
use greenroom_protocol::{Call, CodecKind, EntityId, Epoch, ErrorCode, RawJson, RequestId, WireError, notify, params};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// How the server misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not.
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
    /// Every op is refused.
    RateLimit,
    /// This op is refused the first time.
    RefuseOnce(u64),
    /// Each connection is closed upon `presence`.
    ClosePresence,
    /// The op that gets this seq is done, and instead of the answer the connection ends, once.
    HangUp(u64),
    /// The same, and a repeat is done again: the numbers of ops are forgotten.
    HangUpAndForget(u64),
    /// The same as hanging up, and who resumes misses the first event that it should get.
    HangUpAndSkip(u64),
    /// The same as hanging up, and who resumes gets a snapshot as if it had given no position.
    HangUpAndStartOver(u64),
}

#[derive(Default)]
struct Room {
    events: Vec<Event>,
    next: u64,
    counter: u64,
    subscribers: Vec<(usize, CodecKind, mpsc::Sender<Vec<u8>>)>,
    held: Option<Event>,
    refused: bool,
    hung_up: bool,
    outcomes: HashMap<(String, u64), Sent>,
}

/// The server; it lives as long as its test's runtime.
pub struct Fake {
    address: SocketAddr,
}

impl Fake {
    /// Starts one on a free port.
    pub async fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let rooms = Arc::<Mutex<HashMap<EntityId, Room>>>::default();
        tokio::spawn(async move {
            for index in 0.. {
                let (stream, _) = listener.accept().await.expect("the listener lives");
                tokio::spawn(serve(stream, Session { index, fault, rooms: rooms.clone(), client: None, hangs_up: false }));
            }
        });
        Self { address }
    }

    /// The URL to test against.
    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }
}

struct Session {
    index: usize,
    fault: Fault,
    rooms: Arc<Mutex<HashMap<EntityId, Room>>>,
    client: Option<String>,
    hangs_up: bool,
}

/// Either a result that is already JSON, or an error.
type Answer = Result<RawJson, WireError>;

#[expect(clippy::result_large_err, reason = "the handshake's callback has this signature")]
async fn serve(stream: TcpStream, mut session: Session) {
    let mut codec = CodecKind::Json;
    let negotiate = |request: &Request, mut response: Response| {
        if let Some(name) = request.headers().get("sec-websocket-protocol") {
            codec = CodecKind::from_subprotocol(name.to_str().expect("it is text")).expect("it is known");
            response.headers_mut().insert("sec-websocket-protocol", name.clone());
        }
        Ok(response)
    };
    stream.set_nodelay(true).expect("the socket is open");
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, negotiate).await else { return };
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
                if socket.send(message).await.is_err() {
                    break;
                }
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
        let mut subscribe = |wanted: &params::Subscribe| {
            let room = rooms.entry(wanted.entity.clone()).or_default();
            room.subscribers.push((self.index, codec, out.clone()));
            let seq = room.next;
            if let Some(position) = wanted.after.as_ref().filter(|_| !matches!(self.fault, Fault::HangUpAndStartOver(_))) {
                let skipped = u64::from(matches!(self.fault, Fault::HangUpAndSkip(_)));
                let events = Some(room.events.iter().filter(|event| event.seq > position.seq + skipped).cloned().collect());
                return Subscribed {
                    entity: wanted.entity.clone(),
                    epoch: epoch(),
                    seq,
                    events,
                    snapshot: None,
                    reason: None,
                    presence: None,
                };
            }
            let (snapshot, reason) = (Some(json(&serde_json::json!({}))), Some(SnapshotReason::NoPosition));
            Subscribed { entity: wanted.entity.clone(), epoch: epoch(), seq, events: None, snapshot, reason, presence: None }
        };
        Ok(match call {
            Call::Connect(connect) => {
                let outcome = |wanted: &params::Subscribe| {
                    let result = Some(subscribe(wanted));
                    SubscriptionOutcome { entity: wanted.entity.clone(), result, error: None }
                };
                json(&hello(self.client.as_deref(), connect.subscriptions.iter().map(outcome).collect()))
            }
            Call::Subscribe(wanted) => json(&subscribe(wanted)),
            Call::Send(op) => json(&self.send(rooms.entry(op.entity.clone()).or_default(), op)?),
            Call::Signal(signal) => {
                let from = format!("anon-{}", self.index);
                let (entity, r#type) = (signal.entity.clone(), signal.r#type.clone());
                let params = notify::Signal { entity, from, r#type, body: signal.body.clone(), key: None };
                rooms.entry(signal.entity.clone()).or_default().publish(Method::Signal, &params, Some(self.index));
                json(&Empty {})
            }
            Call::Read(target) => {
                let room = rooms.entry(target.entity.clone()).or_default();
                json(&State { epoch: epoch(), seq: room.counter, state: json(&serde_json::json!({ "n": room.counter })) })
            }
            Call::History(page) => {
                let room = rooms.entry(page.entity.clone()).or_default();
                let (after, limit) = (page.after.unwrap_or(0), page.limit.unwrap_or(100) as usize);
                let rest: Vec<_> = room.events.iter().filter(|event| event.seq > after).collect();
                let events: Vec<_> = rest.iter().take(limit).map(|event| (*event).clone()).collect();
                json(&HistoryPage { epoch: epoch(), more: events.len() < rest.len(), events })
            }
            Call::Presence(_) => json(&PresenceList { count: 1, members: None }),
            Call::Unsubscribe(_) => json(&Empty {}),
            Call::Ping(_) => json(&Pong { now: 1 }),
        })
    }

    fn send(&mut self, room: &mut Room, op: &params::Send) -> Result<Sent, WireError> {
        // Only a client that names itself is known again.
        let name = self.client.clone().zip(op.n);
        if let Some(first) = name.as_ref().and_then(|name| room.outcomes.get(name)) {
            return Ok(Sent { duplicate: true, ..first.clone() });
        }
        let seq = room.next + 1;
        let refuse = self.fault == Fault::RateLimit || self.fault == Fault::RefuseOnce(seq) && !std::mem::replace(&mut room.refused, true);
        if refuse {
            return Err(WireError::new(ErrorCode::RateLimited, "slow down").retry_after_ms(1));
        }
        let body = if self.fault == Fault::Alter(seq) { json(&serde_json::json!({ "text": "?", "line": 0 })) } else { op.body.clone() };
        let from = format!("anon-{}", self.index);
        let event = Event { entity: Some(op.entity.clone()), seq, at: 1, from, r#type: op.r#type.clone(), body };
        room.next += 1;
        if self.fault != Fault::Lose(seq) {
            room.events.push(event.clone());
            room.counter += 1;
        }
        match self.fault {
            Fault::Drop(at) if at == seq => {}
            Fault::Swap(at) if at == seq + 1 => room.held = Some(event),
            fault => {
                room.publish(Method::Event, &event, None);
                if let Some(held) = room.held.take() {
                    room.publish(Method::Event, &held, None);
                }
                if fault == Fault::Double(seq) {
                    room.publish(Method::Event, &event, None);
                }
            }
        }
        let sent = Sent { seq, epoch: epoch(), at: 1, result: None, duplicate: false };
        let hangs_up = matches!(self.fault,
            Fault::HangUp(at) | Fault::HangUpAndForget(at) | Fault::HangUpAndSkip(at) | Fault::HangUpAndStartOver(at) if at == seq);
        self.hangs_up = hangs_up && !std::mem::replace(&mut room.hung_up, true);
        if !matches!(self.fault, Fault::HangUpAndForget(_)) {
            room.outcomes.extend(name.map(|name| (name, sent.clone())));
        }
        Ok(sent)
    }
}

impl Room {
    fn publish(&self, method: Method, params: &impl Serialize, but: Option<usize>) {
        for (_, codec, out) in self.subscribers.iter().filter(|(index, ..)| Some(*index) != but) {
            let mut frame = Vec::new();
            codec.encode(&Wire::Notification { method, params }, &mut frame);
            out.try_send(frame).expect("the queue is long enough");
        }
    }
}

fn hello(client: Option<&str>, subscriptions: Vec<SubscriptionOutcome>) -> Connected {
    let limits = SessionLimits {
        max_message_bytes: 65536,
        max_body_bytes: 32768,
        max_subscriptions: 256,
        max_in_flight: 64,
        ping_interval_ms: 25000,
    };
    let (session, client, user) = ("s".into(), client.unwrap_or("c").to_owned(), "anon-x".into());
    Connected { session, client, user, expires_at: None, server: "fake/0".into(), limits, subscriptions }
}
