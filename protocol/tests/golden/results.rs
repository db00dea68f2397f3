use std::fmt::Debug;

use greenroom_protocol::results::*;
use greenroom_protocol::{ErrorCode, Message, RawJson, RequestId, Seq, ServerMessage, WireError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Golden, check, entity, epoch};

/// One event as results hold it.
pub fn event(seq: u64) -> Event {
    let body = RawJson::from_text(r#"{"text":"hi"}"#).unwrap();
    Event {
        entity: None,
        seq: Seq::new(seq),
        at: 1_763_800_000_000,
        from: "alice".into(),
        r#type: "post".into(),
        body,
        deleted: false,
        tag: None,
    }
}

pub fn member(user: &str) -> Member {
    Member { user: user.into(), meta: RawJson::from_text(r#"{"name":"A"}"#).unwrap(), sessions: 2 }
}

fn result<T: Serialize + DeserializeOwned + PartialEq + Debug>(
    golden: &mut Golden,
    name: &str,
    want: T,
) {
    let id = RequestId::Number(7);
    check(
        golden,
        name,
        |codec, out| codec.encode(&Message::Result { id: &id, result: &want }, out),
        |codec, bytes| match codec.decode_server(bytes).unwrap() {
            ServerMessage::Result { id: got, result } => {
                assert_eq!(got, id);
                assert_eq!(result.parse::<T>().unwrap(), want, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        },
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn results() {
    let mut golden = Golden::open("results.txt");
    let subscribed = Subscribed {
        entity: entity("room:lobby"),
        epoch: epoch(),
        seq: Seq::new(58),
        events: Some(vec![event(57), event(58)]),
        snapshot: None,
        reason: None,
        presence: None,
    };
    let snapshot = |reason| Subscribed {
        events: None,
        snapshot: Some(RawJson::from_text(r#"{"messages":[]}"#).unwrap()),
        reason: Some(reason),
        ..subscribed.clone()
    };
    let limits = SessionLimits {
        max_message_bytes: 65_536,
        max_body_bytes: 32_768,
        max_subscriptions: 256,
        max_in_flight: 64,
        ping_interval_ms: 25_000,
        rates: Rates {
            requests: Rate { per_second: 100, burst: 200 },
            bytes: Rate { per_second: 262_144, burst: 1_048_576 },
            user_requests: Rate { per_second: 200, burst: 400 },
        },
    };
    let connected = Connected {
        session: "01JD8Z6Q3V5XKQW9T2N4M7B0CF".into(),
        client: "01JD8Z6Q3V5XKQW9T2N4M7B0CE".into(),
        resumed: false,
        user: "alice".into(),
        expires_at: None,
        now: 1_763_800_000_000,
        server: "greenroom/0.1.0".into(),
        limits,
        subscriptions: Vec::new(),
        presence: Vec::new(),
    };
    let outcomes = vec![
        SubscriptionOutcome {
            entity: entity("room:lobby"),
            result: Some(subscribed.clone()),
            error: None,
        },
        SubscriptionOutcome {
            entity: entity("doc:x"),
            result: None,
            error: Some(WireError::new(ErrorCode::Forbidden, "no `read` on `doc:x`")),
        },
    ];
    let entered = vec![
        PresenceOutcome {
            entity: entity("room:lobby"),
            result: Some(PresenceList { count: 2, members: None }),
            error: None,
        },
        PresenceOutcome {
            entity: entity("doc:x"),
            result: None,
            error: Some(WireError::new(ErrorCode::Forbidden, "no `presence` on `doc:x`")),
        },
    ];
    let sent = Sent {
        seq: Seq::new(59),
        epoch: epoch(),
        at: 1_763_800_000_000,
        result: None,
        duplicate: false,
    };
    let list = PresenceList { count: 1, members: Some(vec![member("alice")]) };

    result(&mut golden, "connect", connected.clone());
    result(
        &mut golden,
        "connect, with everything",
        Connected {
            resumed: true,
            expires_at: Some(1_763_800_000_000),
            subscriptions: outcomes,
            presence: entered,
            ..connected
        },
    );
    result(&mut golden, "subscribe, events", subscribed.clone());
    result(
        &mut golden,
        "subscribe, nothing missed",
        Subscribed { events: Some(Vec::new()), ..subscribed.clone() },
    );
    result(&mut golden, "subscribe, snapshot, no_position", snapshot(SnapshotReason::NoPosition));
    result(
        &mut golden,
        "subscribe, snapshot, epoch_changed",
        snapshot(SnapshotReason::EpochChanged),
    );
    result(&mut golden, "subscribe, snapshot, too_old", snapshot(SnapshotReason::TooOld));
    result(
        &mut golden,
        "subscribe, with presence",
        Subscribed { presence: Some(list.clone()), ..snapshot(SnapshotReason::NoPosition) },
    );
    result(&mut golden, "unsubscribe, signal", Empty {});
    result(&mut golden, "send", sent.clone());
    result(
        &mut golden,
        "send, with a result",
        Sent { result: Some(RawJson::from_text("42").unwrap()), ..sent.clone() },
    );
    result(&mut golden, "send, repeated", Sent { duplicate: true, ..sent });
    result(
        &mut golden,
        "read",
        State {
            epoch: epoch(),
            seq: Seq::new(3),
            state: RawJson::from_text(r#"{"likes":3}"#).unwrap(),
        },
    );
    result(
        &mut golden,
        "history",
        HistoryPage { epoch: epoch(), events: vec![event(1)], more: true },
    );
    result(
        &mut golden,
        "history, nothing",
        HistoryPage { epoch: epoch(), events: Vec::new(), more: false },
    );
    result(&mut golden, "presence, list", list);
    result(&mut golden, "presence, count alone", PresenceList { count: 1001, members: None });
    result(&mut golden, "ping", Pong { now: 1_763_800_000_000 });
    golden.finish();
}
