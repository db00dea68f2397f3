//! Shared parts of the benchmarks: a room with the default configuration, and a session that makes
//! requests.

use std::sync::Arc;

use greenroom_actors::behaviour::BehaviourName;
use greenroom_actors::capability::Permissions;
use greenroom_actors::frames::Encoder;
use greenroom_actors::ids::{SessionKey, WorkerId};
use greenroom_actors::kind::{Kind, Settings};
use greenroom_actors::messages::{Asker, RelayHandle, Responder, SubSpec};
use greenroom_protocol::params::{EventPolicy, SignalPolicy};
use greenroom_protocol::{CodecKind, EntityId, Epoch, RawJson, RequestId};

/// The epoch of every log.
pub fn epoch() -> Epoch {
    Epoch::from_bits(7)
}

/// Room number `n`.
pub fn room(n: usize) -> EntityId {
    EntityId::parse(&format!("room:lobby-{n}")).expect("it is an entity id")
}

/// The body of a chat message, about 100 bytes.
pub fn body() -> RawJson {
    let text =
        "Did anybody see where the meeting notes of last Tuesday went? I could not find them.";
    RawJson::from_value(&serde_json::json!({ "text": text })).expect("it serializes")
}

/// The session in slot `slot` of the only thread.
pub fn session(slot: u32) -> SessionKey {
    SessionKey::here(WorkerId(0), slot, 1)
}

/// A plain subscription of a session.
pub fn spec(session: SessionKey) -> SubSpec {
    SubSpec {
        session,
        number: 1,
        events: EventPolicy::Replay,
        signals: SignalPolicy::DropOldest,
        presence: false,
    }
}

/// An encoder whose frames have a header of four bytes, like WebSocket frames of medium length.
pub fn encoder() -> Encoder {
    Encoder::new(|_, payload, more, out| {
        out.reserve(payload.len() + 4);
        out.extend_from_slice(&[0x81, 126]);
        out.extend_from_slice(&((payload.len() + more) as u16).to_be_bytes());
        out.extend_from_slice(payload);
    })
}

/// A session that makes requests in JSON. Its relay has ended, so answers that are not delivered go
/// nowhere.
pub fn asker(session: SessionKey) -> Arc<Asker> {
    let (relay, _) = RelayHandle::channel(1);
    Arc::new(Asker::new(session, CodecKind::Json, encoder(), relay))
}

/// The responder for the session's request number `id`.
pub fn reply(asker: &Arc<Asker>, id: i64) -> Responder {
    Responder::request(asker, "send", Some(RequestId::Number(id)))
}

/// A room with the default configuration, practically without rate limits.
pub fn kind() -> Kind {
    let settings = Settings {
        default_permissions: Permissions::SEND,
        anonymous_permissions: Permissions::NONE,
        ops_per_second: 1_000_000_000,
        ops_burst: 1_000_000_000,
        ..Settings::default()
    };
    Kind::new("room", BehaviourName::Room.with_defaults(), settings).expect("it can work")
}
