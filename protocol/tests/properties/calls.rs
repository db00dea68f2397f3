//! Requests survive the way through each codec.

use greenroom_protocol::params::*;
use greenroom_protocol::{
    Call, CodecKind, EntityId, Epoch, Position, RawJson, Request, RequestId, Seq,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::json;

const MOST: u64 = (1 << 53) - 1;

pub fn entity() -> impl Strategy<Value = EntityId> {
    ("[a-z][a-z0-9_-]{0,31}", "[A-Za-z0-9_.~@:/+=-]{1,128}")
        .prop_map(|(kind, id)| EntityId::parse(&format!("{kind}:{id}")).unwrap())
}

pub fn request() -> impl Strategy<Value = Request> {
    (of(id()), call()).prop_map(|(id, call)| Request { id, call })
}

fn id() -> impl Strategy<Value = RequestId> {
    prop_oneof![
        any::<i64>().prop_map(RequestId::Number),
        "[ -~é]{0,64}".prop_map(|text| RequestId::Text(text.into())),
    ]
}

/// Bodies as both codecs write them, so that texts can be compared.
fn body() -> impl Strategy<Value = RawJson> {
    json::value().prop_map(|value| RawJson::from_value(&value).unwrap())
}

fn call() -> impl Strategy<Value = Call> {
    let target = || entity().prop_map(|entity| Target { entity });
    let enter = (entity(), of(Just(RawJson::empty_object())))
        .prop_map(|(entity, meta)| Enter { entity, meta });
    let lists = (vec(subscribe(), 0..3), vec(enter, 0..3));
    let connect =
        (of(json::string()), of(json::string()), of("[ -~é]{0,32}"), lists, of(json::string()))
            .prop_map(|(token, client, session, (subscriptions, presence), version)| Connect {
                token,
                client,
                session,
                subscriptions,
                presence,
                version,
            });
    let send = (
        entity(),
        "[a-z]{1,64}",
        body(),
        of(1..=MOST),
        of(0..=MOST),
        of(0..=MOST),
        of("[ -~]{1,64}"),
    )
        .prop_map(|(entity, r#type, body, n, first_sent, if_seq, tag)| Send {
            entity,
            r#type,
            body,
            n,
            first_sent,
            if_seq: if_seq.map(Seq::new),
            tag,
        });
    let signal = (entity(), "[a-z]{1,64}", body(), of("[ -~]{0,64}"))
        .prop_map(|(entity, r#type, body, key)| Signal { entity, r#type, body, key });
    let history = (entity(), of(0..=MOST), any::<bool>(), of(1_u32..=1000)).prop_map(
        |(entity, at, before, limit)| {
            let at = at.map(Seq::new);
            let (before, after) = if before { (at, None) } else { (None, at) };
            History { entity, before, after, limit }
        },
    );
    prop_oneof![
        connect.prop_map(Call::Connect),
        subscribe().prop_map(Call::Subscribe),
        target().prop_map(Call::Unsubscribe),
        send.prop_map(Call::Send),
        signal.prop_map(Call::Signal),
        target().prop_map(Call::Read),
        history.prop_map(Call::History),
        presence().prop_map(Call::Presence),
        Just(Call::Ping(Ping {})),
    ]
}

fn subscribe() -> impl Strategy<Value = Subscribe> {
    let position = (json::string(), 0..=MOST)
        .prop_map(|(epoch, seq)| Position { epoch: Epoch(epoch.into()), seq: Seq::new(seq) });
    let events = prop_oneof![
        Just(EventPolicy::Replay),
        Just(EventPolicy::Disconnect),
        Just(EventPolicy::None)
    ];
    let signals = prop_oneof![
        Just(SignalPolicy::DropOldest),
        Just(SignalPolicy::Latest),
        Just(SignalPolicy::None)
    ];
    (entity(), of(position), events, signals, any::<bool>()).prop_map(
        |(entity, after, events, signals, presence)| Subscribe {
            entity,
            after,
            events,
            signals,
            presence,
        },
    )
}

fn presence() -> impl Strategy<Value = Presence> {
    let meta = "[a-z]{0,40}"
        .prop_map(|name| RawJson::from_value(&serde_json::json!({ "name": name })).unwrap());
    let action = prop_oneof![
        Just((PresenceAction::List, None)),
        Just((PresenceAction::Leave, None)),
        of(meta).prop_map(|meta| (PresenceAction::Enter, meta)),
    ];
    (entity(), action).prop_map(|(entity, (action, meta))| Presence { entity, action, meta })
}

proptest! {
    #[test]
    fn requests_come_back_as_they_went(request in request()) {
        for codec in CodecKind::ALL {
            let mut bytes = b"before".to_vec();
            codec.encode_request(request.id.as_ref(), &request.call, &mut bytes);
            prop_assert_eq!(&bytes[..6], b"before", "encoding appends");
            let got = codec.decode(&bytes[6..]);
            prop_assert_eq!(got.as_ref(), Ok(&request), "{:?}", codec);
        }
    }
}
