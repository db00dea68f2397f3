//! Helpers for the tests of several modules.

use std::sync::Arc;
use std::time::Duration;

use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::params::{EventPolicy, SignalPolicy};
use greenroom_protocol::{CodecKind, EntityId, RawJson, RequestId, WireError};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::behaviour::BehaviourConfig;
use crate::behaviour::room::RoomConfig;
use crate::budget::{Budget, Standing};
use crate::capability::{Capabilities, Permissions};
use crate::clock::{Mono, Now};
use crate::frames::Encoder;
use crate::identity::Identity;
use crate::ids::{SessionKey, WorkerId};
use crate::kind::{Kind, Kinds, Settings};
use crate::limits::Payer;
use crate::messages::{
    Answer, Asker, Body, OpRequest, Part, RelayHandle, Responder, Sender, SubSpec, ToRelay,
};
use crate::rights::Rights;

pub(crate) fn entity(text: &str) -> EntityId {
    EntityId::parse(text).unwrap()
}

pub(crate) fn session(slot: u32) -> SessionKey {
    SessionKey::here(WorkerId(0), slot, 1)
}

/// The rights of a user with a token and without capabilities.
pub(crate) fn rights() -> Rights {
    let identity = Identity {
        user: "alice".into(),
        expires_at: None,
        capabilities: Capabilities::default(),
        anonymous: false,
    };
    Rights { identity, kinds: Kinds::new([kind()]), most_subscriptions: 100 }
}

/// This number of milliseconds after the beginning of both clocks.
pub(crate) fn at(ms: u64) -> Now {
    Now { wall: ms, mono: Mono::at(ms) }
}

/// A room with small limits and a very high rate limit.
pub(crate) fn kind() -> Kind {
    kind_of(settings())
}

/// A room with small limits of its state, and these settings.
pub(crate) fn kind_of(settings: Settings) -> Kind {
    let room = RoomConfig { messages: 3, ..RoomConfig::default() };
    Kind::new("room", BehaviourConfig::Room(room.into()), settings).unwrap()
}

/// Small limits and a very high rate limit.
pub(crate) fn settings() -> Settings {
    Settings {
        default_permissions: Permissions::ALL,
        anonymous_permissions: Permissions::READ,
        max_body_bytes: 1000,
        ops_per_second: 1_000_000_000,
        ops_burst: 1_000_000_000,
        resume_events: 10,
        ring_events: 4,
        ring_bytes: 10_000,
        dedupe_clients: 8,
        dedupe_ops: 8,
        max_present: 3,
        presence_list: 3,
        presence_interval: Duration::from_millis(1),
        idle_timeout: Duration::ZERO,
        max_pending_ops: 8,
        ..Settings::default()
    }
}

pub(crate) fn spec(slot: u32, number: u32) -> SubSpec {
    SubSpec {
        session: session(slot),
        number,
        events: EventPolicy::Replay,
        signals: SignalPolicy::DropOldest,
        presence: false,
    }
}

/// A frame is the length and the message.
pub(crate) fn encoder() -> Encoder {
    Encoder::new(|_, payload, more, out| {
        out.extend(u32::try_from(payload.len() + more).unwrap().to_be_bytes());
        out.extend(payload);
    })
}

/// The messages in framed bytes.
pub(crate) fn messages(codec: CodecKind, mut bytes: &[u8]) -> Vec<ServerMessage> {
    let mut all = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (payload, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        all.push(codec.decode_server(payload).unwrap());
        bytes = rest;
    }
    all
}

/// A summary of a message of the server: `#1 seq 3 events [1, 2]`, `#1 overloaded`, `event 4`.
pub(crate) fn shown(message: &ServerMessage) -> String {
    let id = |id: &Option<RequestId>| match id {
        Some(RequestId::Number(id)) => format!("#{id}"),
        other => format!("{other:?}"),
    };
    match message {
        ServerMessage::Error { id: asked, error } => {
            let reason =
                error.data.reason.as_ref().map(|reason| format!(" {reason}")).unwrap_or_default();
            format!("{} {}{reason}", id(asked), error.data.code.as_str())
        }
        ServerMessage::Result { id: asked, result } => {
            format!("{}{}", id(&Some(asked.clone())), words(&result.parse().unwrap()))
        }
        ServerMessage::Notification { method, params } if method == "refused" => {
            let told: greenroom_protocol::notify::Refused = params.parse().unwrap();
            let at = told.entity.map(|entity| format!(" {entity}")).unwrap_or_default();
            let reason =
                told.error.data.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
            format!(
                "refused {}{at} {}{reason} x{}",
                told.method,
                told.error.data.code.as_str(),
                told.count
            )
        }
        ServerMessage::Notification { method, params } => {
            format!("{method}{}", words(&params.parse().unwrap()))
        }
    }
}

fn words(value: &Value) -> String {
    let mut out = String::new();
    for name in ["seq", "reason", "count", "type"] {
        if let Some(value) = value.get(name) {
            out += &format!(" {name} {}", value.to_string().trim_matches('"'));
        }
    }
    if let Some(events) = value.get("events").and_then(Value::as_array) {
        out += &format!(
            " events {}",
            Value::from(events.iter().map(|event| event["seq"].clone()).collect::<Vec<_>>())
        );
    }
    if let Some(messages) = value
        .pointer("/snapshot/messages")
        .or(value.pointer("/state/messages"))
        .and_then(Value::as_array)
    {
        out += &format!(
            " state {}",
            Value::from(messages.iter().map(|message| message["seq"].clone()).collect::<Vec<_>>())
        );
    }
    for name in ["duplicate", "more"] {
        if value.get(name) == Some(&Value::Bool(true)) {
            out += &format!(" {name}");
        }
    }
    out
}

/// The answer to a request without an id.
pub(crate) fn no_answer(session: SessionKey) -> Answer {
    let (relay, _) = RelayHandle::channel(1);
    let asker = Arc::new(Asker::new(session, CodecKind::Json, encoder(), relay));
    Responder::request(&asker, "subscribe", None).ok(&greenroom_protocol::results::Empty {})
}

pub(crate) fn answer(answer: &Answer) -> String {
    match &answer.body {
        Body::Frame(None) => "no answer wanted".into(),
        Body::Refused(entity, error) => format!("{entity} {}", error.data.code.as_str()),
        Body::Around(pieces) => shown(&messages(CodecKind::Json, &pieces.0.concat())[0]),
        Body::Frame(Some(frame)) => shown(&messages(CodecKind::Json, frame)[0]),
        Body::Subscription(index, outcome) => {
            part_of_connect(*index, outcome.result.as_ref(), outcome.error.as_ref())
        }
        Body::Presence(index, outcome) => {
            part_of_connect(*index, outcome.result.as_ref(), outcome.error.as_ref())
        }
    }
}

fn part_of_connect<T: serde::Serialize>(
    index: u16,
    result: Option<&T>,
    error: Option<&WireError>,
) -> String {
    match (result, error) {
        (Some(result), _) => {
            format!("part {index}{}", words(&serde_json::to_value(result).unwrap()))
        }
        (_, error) => format!("part {index} {}", error.unwrap().data.code.as_str()),
    }
}

/// A summary of a part.
pub(crate) fn part(part: &Part) -> String {
    match part {
        Part::Events { first, last, .. } => format!("events {first} to {last}"),
        Part::Signal { .. } => "signal".into(),
        Part::Presence(frames) => {
            shown(&messages(CodecKind::Json, frames.json.as_ref().unwrap())[0])
        }
        Part::Joined { spec, seq, answer: to, .. } => {
            format!("{} joins at {seq}: {}", spec.session.slot, answer(to))
        }
        Part::Left { session, .. } => format!("{} leaves", session.slot),
        Part::CaughtUp { spec, frame, after, seq, live, .. } => {
            let told: Vec<_> = frame
                .iter()
                .flat_map(|frame| messages(CodecKind::Json, frame))
                .map(|message| shown(&message))
                .collect();
            format!(
                "{} goes from {after} to {seq}{}: {}",
                spec.session.slot,
                if *live { " live" } else { "" },
                told.join(", ")
            )
        }
        Part::Replaced(spec) => format!("{} is replaced", spec.session.slot),
        Part::Answer(to) => answer(to),
    }
}

/// Handles a message as its relay would, so that its answers count as delivered.
pub(crate) fn arrived(mut message: ToRelay) -> ToRelay {
    match &mut message {
        ToRelay::Answer(answer) => drop(answer.arrived()),
        ToRelay::Parts { parts, .. } => {
            for part in parts {
                if let Part::Answer(answer) | Part::Joined { answer, .. } = part {
                    answer.arrived();
                }
            }
        }
        _ => {}
    }
    message
}

/// A summary of a message to a relay.
pub(crate) fn to_relay(message: &ToRelay) -> Vec<String> {
    match message {
        ToRelay::Parts { parts, .. } => parts.iter().map(part).collect(),
        ToRelay::PartsByWorker { parts, .. } => parts.iter().map(|(_, of)| part(of)).collect(),
        ToRelay::Answer(to) => vec![answer(to)],
        ToRelay::AudienceForgotten { .. } | ToRelay::OwnerChanged(_) => vec!["lost".into()],
        ToRelay::Resume(_) | ToRelay::Resumed(_) => vec!["resume".into()],
    }
}

/// A relay's queue, in which answers arrive.
pub(crate) struct Line {
    pub(crate) handle: RelayHandle,
    pub(crate) queue: mpsc::Receiver<ToRelay>,
}

impl Line {
    pub(crate) fn new() -> Self {
        let (handle, queue) = RelayHandle::channel(1000);
        Self { handle, queue }
    }

    pub(crate) fn reply(&self, slot: u32, id: i64) -> Responder {
        let asker =
            Arc::new(Asker::new(session(slot), CodecKind::Json, encoder(), self.handle.clone()));
        Responder::request(&asker, "send", Some(RequestId::Number(id)))
    }

    /// The same, with a payer.
    pub(crate) fn paid_reply(&self, slot: u32, id: i64, payer: &Payer) -> Responder {
        let asker = Asker::new(session(slot), CodecKind::Json, encoder(), self.handle.clone())
            .paid_by(payer.clone());
        Responder::request(&Arc::new(asker), "send", Some(RequestId::Number(id)))
    }

    /// The same for an answer that may be large.
    pub(crate) fn budgeted_reply(
        &self,
        budget: &Arc<Budget>,
        payer: Option<&Payer>,
        standing: Standing,
    ) -> Responder {
        let mut asker = Asker::new(session(0), CodecKind::Json, encoder(), self.handle.clone())
            .within(Arc::clone(budget));
        if let Some(payer) = payer {
            asker = asker.paid_by(payer.clone());
        }
        Responder::request(&Arc::new(asker), "read", Some(RequestId::Number(1))).large(standing)
    }

    /// A summary of the answers that have arrived.
    pub(crate) fn take(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(message) = self.queue.try_recv() {
            all.extend(to_relay(&arrived(message)));
        }
        all
    }
}

/// A client id made `ms` after the epoch.
pub(crate) fn client(ms: u64) -> Arc<str> {
    ulid::Ulid::from_parts(ms, 7).to_string().into()
}

pub(crate) fn post(user: &str, n: Option<u64>, text: &str, reply: Responder) -> OpRequest {
    OpRequest {
        sender: Sender { user: user.into(), client: client(1000), moderator: false },
        r#type: "post".into(),
        body: RawJson::from_text(format!(r#"{{"text":"{text}"}}"#)).unwrap(),
        n,
        first_sent: None,
        tag: None,
        if_seq: None,
        reply,
    }
}
