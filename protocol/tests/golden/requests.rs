use greenroom_protocol::params::*;
use greenroom_protocol::{Call, Position, RawJson, Request, RequestId, Seq};

use crate::{Golden, body, check, entity, epoch};

fn subscribe(name: &str) -> Subscribe {
    Subscribe {
        entity: entity(name),
        after: None,
        events: EventPolicy::Replay,
        signals: SignalPolicy::DropOldest,
        presence: false,
    }
}

fn send() -> Send {
    Send {
        entity: entity("room:lobby"),
        r#type: "post".into(),
        body: body(),
        n: None,
        first_sent: None,
        if_seq: None,
        tag: None,
    }
}

fn cases() -> Vec<(&'static str, Option<RequestId>, Call)> {
    let number = |n| Some(RequestId::Number(n));
    let text = |id: &str| Some(RequestId::Text(id.into()));
    let after = Some(Position { epoch: epoch(), seq: Seq::new(12) });
    let everything = Subscribe {
        after,
        events: EventPolicy::Disconnect,
        signals: SignalPolicy::Latest,
        presence: true,
        ..subscribe("doc:plan-7")
    };
    let nothing = Subscribe {
        events: EventPolicy::None,
        signals: SignalPolicy::None,
        ..subscribe("room:lobby")
    };
    let connect = Connect {
        token: Some("header.claims.signature".into()),
        client: Some("01JD8Z6Q3V5XKQW9T2N4M7B0CE".into()),
        session: Some("01JD8Z6Q3V5XKQW9T2N4M7B0CF".into()),
        subscriptions: vec![everything.clone(), nothing.clone()],
        presence: vec![
            Enter {
                entity: entity("room:lobby"),
                meta: Some(RawJson::from_text(r#"{"name":"Alice"}"#).unwrap()),
            },
            Enter { entity: entity("doc:plan-7"), meta: None },
        ],
        version: Some("sdk/0.1.0".into()),
    };
    let target = || Target { entity: entity("room:lobby") };
    let signal = Signal {
        entity: entity("doc:plan-7"),
        r#type: "cursor".into(),
        body: body(),
        key: Some("main".into()),
    };
    let history = History { entity: entity("room:lobby"), before: None, after: None, limit: None };
    let presence = |action, meta| Presence { entity: entity("room:lobby"), action, meta };
    vec![
        ("connect, with nothing", number(1), Call::Connect(Connect::default())),
        ("connect, with everything", text("first"), Call::Connect(connect)),
        ("subscribe, from the start", number(2), Call::Subscribe(subscribe("room:lobby"))),
        ("subscribe, with everything", number(i64::MAX), Call::Subscribe(everything)),
        ("subscribe, to nothing", number(i64::MIN), Call::Subscribe(nothing)),
        ("unsubscribe", number(3), Call::Unsubscribe(target())),
        ("send", number(4), Call::Send(send())),
        (
            "send, numbered and conditional",
            number(5),
            Call::Send(Send {
                n: Some(9_007_199_254_740_991),
                first_sent: Some(1_763_800_000_000),
                if_seq: Some(Seq::ZERO),
                ..send()
            }),
        ),
        ("send, tagged", number(5), Call::Send(Send { tag: Some("f3a9".into()), ..send() })),
        (
            "send, without an answer or a body",
            None,
            Call::Send(Send { body: RawJson::NULL, ..send() }),
        ),
        ("signal", None, Call::Signal(signal.clone())),
        (
            "signal, answered and without a key",
            text(""),
            Call::Signal(Signal { key: None, ..signal }),
        ),
        ("read", number(6), Call::Read(target())),
        ("history, the last", number(7), Call::History(history.clone())),
        (
            "history, before",
            number(8),
            Call::History(History {
                before: Some(Seq::new(500)),
                limit: Some(1000),
                ..history.clone()
            }),
        ),
        (
            "history, after",
            number(9),
            Call::History(History { after: Some(Seq::ZERO), limit: Some(1), ..history }),
        ),
        ("presence, list", number(10), Call::Presence(presence(PresenceAction::List, None))),
        (
            "presence, enter",
            number(11),
            Call::Presence(presence(
                PresenceAction::Enter,
                Some(RawJson::from_text(r#"{"name":"Alice"}"#).unwrap()),
            )),
        ),
        ("presence, leave", number(12), Call::Presence(presence(PresenceAction::Leave, None))),
        ("ping", number(-1), Call::Ping(Ping {})),
    ]
}

#[test]
fn requests() {
    let mut golden = Golden::open("requests.txt");
    let cases = cases();
    for method in Call::METHODS {
        assert!(
            cases.iter().any(|(_, _, call)| call.method() == method),
            "no golden request for `{method}`"
        );
    }
    for (name, id, call) in cases {
        check(
            &mut golden,
            name,
            |codec, out| codec.encode_request(id.as_ref(), &call, out),
            |codec, bytes| {
                let got = codec.decode(bytes).unwrap_or_else(|e| panic!("{name}: {e:?}"));
                let Request { id: got_id, call: got_call } = got;
                assert_eq!(got_id, id, "{name}");
                assert_same_call(&got_call, &call, name);
            },
        );
    }
    golden.finish();
}

/// Compares calls, and bodies by value: MessagePack keeps no JSON text, so that `1e300` may come
/// back as `1e+300`.
fn assert_same_call(got: &Call, want: &Call, name: &str) {
    let mut got = got.clone();
    let mut want = want.clone();
    for call in [&mut got, &mut want] {
        let body = match call {
            Call::Send(params) => &mut params.body,
            Call::Signal(params) => &mut params.body,
            _ => continue,
        };
        *body = RawJson::from_value(&body.parse::<serde_json::Value>().unwrap()).unwrap();
    }
    assert_eq!(got, want, "{name}");
}
