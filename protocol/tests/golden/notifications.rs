use std::fmt::Debug;

use greenroom_protocol::notify::*;
use greenroom_protocol::results::SnapshotReason;
use greenroom_protocol::{ErrorCode, Message, Method, RawJson, Seq, ServerMessage, WireError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::results::{event, member};
use crate::{Golden, check, entity, epoch};

fn notification<T: Serialize + DeserializeOwned + PartialEq + Debug>(
    golden: &mut Golden,
    name: &str,
    method: Method,
    want: T,
) {
    check(
        golden,
        name,
        |codec, out| codec.encode(&Message::Notification { method, params: &want }, out),
        |codec, bytes| match codec.decode_server(bytes).unwrap() {
            ServerMessage::Notification { method: got, params } => {
                assert_eq!(got, method.as_str());
                assert_eq!(params.parse::<T>().unwrap(), want, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        },
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn notifications() {
    let mut golden = Golden::open("notifications.txt");
    let signal = Signal {
        entity: entity("doc:plan-7"),
        from: "bob".into(),
        r#type: "cursor".into(),
        body: RawJson::from_text(r#"{"x":1}"#).unwrap(),
        key: None,
    };
    let nobody = PresenceChange {
        entity: entity("room:lobby"),
        joined: Vec::new(),
        updated: Vec::new(),
        left: Vec::new(),
        count: 3,
        members: None,
    };
    let everybody = PresenceChange {
        joined: vec![member("alice")],
        updated: vec![member("carol")],
        left: vec!["bob".into()],
        ..nobody.clone()
    };
    let whole = PresenceChange {
        members: Some(vec![member("alice"), member("carol")]),
        count: 2,
        ..nobody.clone()
    };
    let reset = |reason| Reset {
        entity: entity("room:lobby"),
        epoch: epoch(),
        seq: Seq::new(9),
        snapshot: RawJson::NULL,
        reason,
    };
    let goodbye =
        |reason, reconnect_after_ms| Goodbye { reason, closes_in_ms: 30_000, reconnect_after_ms };

    notification(
        &mut golden,
        "event",
        Method::Event,
        Event { entity: Some(entity("room:lobby")), ..event(59) },
    );
    let tagged =
        Event { entity: Some(entity("room:lobby")), tag: Some("f3a9".into()), ..event(60) };
    notification(&mut golden, "event, tagged", Method::Event, tagged);
    let deleted = Event {
        entity: Some(entity("room:lobby")),
        body: RawJson::NULL,
        deleted: true,
        ..event(61)
    };
    notification(&mut golden, "event, deleted", Method::Event, deleted);
    notification(&mut golden, "signal", Method::Signal, signal.clone());
    notification(
        &mut golden,
        "signal, with a key",
        Method::Signal,
        Signal { key: Some("main".into()), ..signal },
    );
    notification(&mut golden, "presence, nobody came or went", Method::Presence, nobody);
    notification(&mut golden, "presence", Method::Presence, everybody);
    notification(&mut golden, "presence, the whole list", Method::Presence, whole);
    notification(&mut golden, "reset, too_old", Method::Reset, reset(SnapshotReason::TooOld));
    notification(
        &mut golden,
        "reset, epoch_changed",
        Method::Reset,
        reset(SnapshotReason::EpochChanged),
    );
    let ended = entity("room:lobby");
    let reason = EndReason::Forbidden;
    notification(
        &mut golden,
        "unsubscribed",
        Method::Unsubscribed,
        Unsubscribed { entity: ended.clone(), reason },
    );
    let unavailable = Unsubscribed { entity: ended.clone(), reason: EndReason::Unavailable };
    notification(&mut golden, "unsubscribed, unavailable", Method::Unsubscribed, unavailable);
    notification(&mut golden, "left", Method::Left, Left { entity: ended, reason });
    notification(
        &mut golden,
        "goodbye, token_expiring",
        Method::Goodbye,
        goodbye(GoodbyeReason::TokenExpiring, None),
    );
    notification(
        &mut golden,
        "goodbye, shutting_down",
        Method::Goodbye,
        goodbye(GoodbyeReason::ShuttingDown, Some(1500)),
    );
    let error = WireError::new(ErrorCode::RateLimited, "over the rate limit; nothing was done")
        .retry_after_ms(500)
        .reason("requests");
    let refused = Refused { method: "signal".into(), entity: None, error, count: 12 };
    notification(&mut golden, "refused, of several entities", Method::Refused, refused.clone());
    notification(
        &mut golden,
        "refused",
        Method::Refused,
        Refused { entity: Some(entity("doc:plan-7")), count: 1, ..refused },
    );
    golden.finish();
}
