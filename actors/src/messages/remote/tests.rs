//! Whatever is sent arrives as it was, and nothing else is taken for it.

use std::sync::Arc;

use bytes::Bytes;
use greenroom_protocol::params::{self, EventPolicy, PresenceAction, SignalPolicy};
use greenroom_protocol::results::{PresenceList, Subscribed};
use greenroom_protocol::{CodecKind, Epoch, Position, RawJson, RequestId, Seq};
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::frames::Frames;
use crate::messages::{
    Adopt, Answer, Asker, CatchUp, OpRequest, Owner, Part, RelayHandle, Responder, Sender,
    SignalRequest, SubscribeRequest, Subscriptions, ToEntity, ToRelay, Workers, unavailable,
};
use crate::testing::{encoder, entity, session, spec};

/// Three nodes with the ids 100, 200 and 300; each numbers itself 0 and the others in that order.
struct Three(u64);

impl Three {
    fn others(&self) -> impl Iterator<Item = u64> + '_ {
        [100, 200, 300].into_iter().filter(|id| *id != self.0)
    }
}

impl Nodes for Three {
    fn id(&self, node: NodeIndex) -> u64 {
        let other = usize::from(node.0).checked_sub(1);
        other.map_or(self.0, |index| self.others().nth(index).unwrap())
    }

    fn index(&mut self, id: u64) -> NodeIndex {
        let other = self.others().position(|other| other == id);
        NodeIndex(other.map_or(0, |index| index as u16 + 1))
    }
}

/// As the node 100 knows the node 200, and the other way round.
const PEER: NodeIndex = NodeIndex(1);
/// As both of them know the node 300.
const THIRD: NodeIndex = NodeIndex(2);

fn text(json: &str) -> RawJson {
    RawJson::from_text(json).unwrap()
}

/// A session of this process, and what its relay receives.
fn asker(key: SessionKey, codec: CodecKind) -> (Arc<Asker>, mpsc::Receiver<ToRelay>) {
    let (relay, queue) = RelayHandle::channel(16);
    (Arc::new(Asker::new(key, codec, encoder(), relay)), queue)
}

fn request(asker: &Arc<Asker>) -> Responder {
    Responder::request(asker, "send", Some(RequestId::Number(7)))
}

/// The next answer for a relay.
fn answer(queue: &mut mpsc::Receiver<ToRelay>) -> Answer {
    match queue.try_recv().unwrap() {
        ToRelay::Answer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

/// Every kind of request, with its `Debug` form less the duty to answer.
fn requests(reply: impl Fn() -> Responder) -> Vec<ToEntity> {
    vec![
        ToEntity::Op(Box::new(OpRequest {
            sender: Sender { user: "日本".into(), client: "01".into(), moderator: true },
            r#type: "post".into(),
            body: text(r#"{"text": "\u00e9  ", "deep": [[1.50]]}"#),
            n: Some(3),
            first_sent: Some(5),
            if_seq: Some(Seq::new(9)),
            tag: Some("t".into()),
            reply: reply(),
        })),
        ToEntity::Subscribe(Box::new(SubscribeRequest {
            spec: SubSpec {
                events: EventPolicy::Disconnect,
                signals: SignalPolicy::None,
                presence: true,
                ..spec(4, 2)
            },
            after: Some(Position { epoch: Epoch::from_bits(3), seq: Seq::new(8) }),
            reply: reply(),
        })),
        ToEntity::Unsubscribe { through: u32::MAX, reply: reply() },
        ToEntity::Signal(Box::new(SignalRequest {
            session: session(4),
            user: "bob".into(),
            signal: params::Signal {
                entity: entity("room:a"),
                r#type: "typing".into(),
                body: RawJson::NULL,
                key: Some("k".into()),
            },
            reply: reply(),
        })),
        ToEntity::Read(reply()),
        ToEntity::History(
            params::History {
                entity: entity("room:a"),
                before: None,
                after: Some(Seq::new(4)),
                limit: None,
            },
            reply(),
        ),
        ToEntity::Presence {
            action: PresenceAction::Enter,
            meta: Some(text(r#"{"a":1}"#)),
            user: "eve".into(),
            reply: reply(),
        },
    ]
}

/// `Debug` of a message without what only its own node knows.
fn shown(message: &ToEntity) -> String {
    let mut shown = format!("{message:?}");
    while let Some(begin) = shown.find("Responder {") {
        let mut depth = 0;
        let end = shown[begin..].char_indices().find_map(|(at, char)| {
            depth += i32::from(char == '{') - i32::from(char == '}');
            (char == '}' && depth == 0).then_some(begin + at + 1)
        });
        shown.replace_range(begin..end.unwrap(), "REPLY");
    }
    // The session has another node there.
    shown.replace("NodeIndex(1)", "NodeIndex(0)")
}

#[tokio::test]
async fn every_request_arrives_as_it_was_sent() {
    let (here, _answers) = asker(session(4), CodecKind::MsgPack);
    for (id, message) in requests(|| request(&here)).into_iter().enumerate() {
        let id = id as u64;
        let again = id % 2 == 1;
        let ask =
            Ask::of(&entity("room:a"), &message, AskFor { id, round: 12, again }, &Three(100));
        let item = ask.unwrap().to_item();
        let ask = Ask::from_item(&item).unwrap();
        assert_eq!((ask.id, ask.round, ask.codec()), (id, 12, CodecKind::MsgPack));
        let key = ask.session(PEER, &mut Three(200));
        assert_eq!(key, SessionKey { node: PEER, ..session(4) });
        let (there, _queue) = asker(key, ask.codec());
        let (id, arrived) = ask.into_message(PEER, there, &mut Three(200));
        assert_eq!(id, entity("room:a"));
        assert_eq!(shown(&arrived), shown(&message));
        let minds = matches!(arrived, ToEntity::Op(_) | ToEntity::Presence { .. });
        assert_eq!(arrived.reply().is_some_and(Responder::is_unsure), again && minds);
    }
}

#[tokio::test]
async fn an_answer_goes_back_to_who_asked() {
    let (here, _) = asker(session(4), CodecKind::Json);
    let key = SessionKey { node: PEER, ..session(4) };
    let (relay, mut queue) = RelayHandle::channel(16);
    let there = Arc::new(Asker::new(key, CodecKind::Json, encoder(), relay).asking(77, 1));

    let question = request(&here).question().unwrap().clone();
    Responder::remote(Arc::clone(&there), question.clone(), None).send_ok(&5);
    let item = answer_to_item(answer(&mut queue));
    let arrived = answer_from_item(&item).unwrap();
    assert_eq!(arrived.id(), 77);
    let arrived = arrived.claimed(request(&here));
    assert!(arrived.error().is_none() && arrived.session() == session(4));
    assert!(format!("{arrived:?}").contains(r#"\"id\":7,\"result\":5"#), "{arrived:?}");

    // What it cost there, the session owes here.
    there.owe(9);
    Responder::remote(Arc::clone(&there), question.clone(), None).send_ok(&5);
    let item = answer_to_item(answer(&mut queue));
    let _claimed = answer_from_item(&item).unwrap().claimed(request(&here));
    assert_eq!((here.take_owed(100), there.take_owed(100)), (9, 0));

    // One that is dropped there is answered here all the same.
    drop(Responder::remote(there, question, None));
    let item = answer_to_item(answer(&mut queue));
    let arrived = answer_from_item(&item).unwrap().claimed(request(&here));
    assert_eq!(arrived.error(), Some(unavailable().data.code));
}

fn frames(text: &'static str) -> Frames {
    Frames { json: Some(Bytes::from_static(text.as_bytes())), msgpack: None }
}

#[tokio::test]
async fn parts_keep_their_order_and_their_bytes() {
    let (here, _) = asker(session(4), CodecKind::Json);
    let key = SessionKey { node: PEER, ..session(4) };
    let (there, _queue) = asker(key, CodecKind::Json);
    let there_spec = SubSpec { session: key, ..spec(4, 3) };
    let subscribed = Subscribed {
        entity: entity("room:a"),
        epoch: Epoch::from_bits(1),
        seq: Seq::new(2),
        events: None,
        reason: None,
        presence: Some(PresenceList { count: 0, members: None }),
        snapshot: Some(text("[1, 2]")),
    };
    let question = request(&here).question().unwrap().clone();
    let reply = || Responder::remote(Arc::clone(&there), question.clone(), None);
    let parts = || {
        vec![
            Part::Events { frames: frames("events"), first: Seq::FIRST, last: Seq::new(2) },
            Part::Joined {
                spec: there_spec,
                epoch: Epoch::from_bits(1),
                seq: Seq::new(2),
                answer: reply().subscribed(subscribed.clone()),
            },
            Part::Signal {
                frames: frames("signal"),
                from: SessionKey { node: THIRD, ..session(1) },
                key: 9,
            },
            Part::Presence(Frames::default()),
            Part::Left { session: key, which: Subscriptions::All },
            Part::CaughtUp {
                spec: there_spec,
                frame: Some(Bytes::from_static(b"missed")),
                events: 2,
                epoch: Epoch::from_bits(1),
                after: Seq::FIRST,
                seq: Seq::new(3),
                live: true,
                presence: true,
            },
            Part::Replaced(there_spec),
            Part::Answer(reply().ok(&1)),
        ]
    };
    let workers = || {
        let mut workers = Workers::only(WorkerId(2));
        workers.add(WorkerId(64));
        workers
    };
    let parts = parts().into_iter().map(|part| (workers(), part)).collect();
    let item = parts_to_item(&entity("room:a"), parts, &Three(200));
    let arrived = parts_from_item(&item, PEER, &mut Three(100)).unwrap();
    assert_eq!(arrived.entity, entity("room:a"));
    let shared =
        |part: &ArrivedPart| matches!(part, ArrivedPart::Shared(all, _) if *all == workers());
    assert_eq!(arrived.parts.iter().filter(|part| shared(part)).count(), 3);
    let shown = arrived.parts.iter().map(|part| format!("{part:?}").replace("json: ", ""));
    let kinds: Vec<_> = shown.collect();
    for (kind, wanted) in kinds.iter().zip([
        "Shared(Workers { first: 4, rest: [1] }, Events { frames: Frames { Some(b\"events\"), msgpack: None }, first: 1, last: 2 }",
        "Joined { spec: SubSpec { session: SessionKey { node: NodeIndex(0), worker: WorkerId(0), slot: 4",
        "Shared(Workers { first: 4, rest: [1] }, Signal { frames: Frames { Some(b\"signal\"), msgpack: None }, from: SessionKey { node: NodeIndex(2), worker: WorkerId(0), slot: 1",
        "Shared(Workers { first: 4, rest: [1] }, Presence(Frames { None, msgpack: None })",
        "One(WorkerId(0), Left { session: SessionKey { node: NodeIndex(0), worker: WorkerId(0), slot: 4, generation: 1 }, which: All }",
        "One(WorkerId(0), CaughtUp { spec: SubSpec { session: SessionKey { node: NodeIndex(0)",
        "One(WorkerId(0), Replaced(SubSpec { session: SessionKey { node: NodeIndex(0)",
        "Answer(Unclaimed(Sent {",
    ]) {
        assert!(kind.starts_with(wanted), "{kind}\n{wanted}");
    }
    let joined = arrived.parts.into_iter().nth(1).unwrap();
    let ArrivedPart::Joined { answer, .. } = joined else { panic!("{kinds:?}") };
    let answer = answer.claimed(request(&here));
    assert!(format!("{answer:?}").contains(r#"\"snapshot\":[1, 2]"#), "{answer:?}");
}

#[test]
fn what_needs_no_answer_arrives_as_it_was_sent() {
    let elsewhere = |node| SessionKey { node, ..session(1) };
    let catch_up = CatchUp {
        spec: spec(1, 5),
        codec: CodecKind::MsgPack,
        after: Position { epoch: Epoch::from_bits(3), seq: Seq::new(8) },
        presence: true,
    };
    let adopt = Adopt {
        from: elsewhere(THIRD),
        to: session(2),
        user: "alice".into(),
        meta: text(r#"{"a":  1}"#),
    };
    let owner = Owner { user: "alice".into(), client: "01".into() };
    let room = || entity("room:a");
    for tell in [
        Tell::Entity(room(), ToEntity::CatchUp(catch_up), 4),
        Tell::Entity(room(), ToEntity::Unfollow(session(1), Subscriptions::Through(4)), 4),
        Tell::Entity(room(), ToEntity::Unfollow(session(1), Subscriptions::All), 4),
        Tell::Entity(room(), ToEntity::Adopt(Box::new(adopt)), 4),
        Tell::Entity(room(), ToEntity::Leave(session(1)), 4),
        Tell::Entity(room(), ToEntity::Gone(session(1)), 4),
        Tell::AudienceForgotten { entity: room(), ended: true },
        Tell::Resume { from: elsewhere(PEER), to: session(2), owner: owner.clone() },
        Tell::Resumed {
            to: elsewhere(PEER),
            owner: owner.clone(),
            taken: Some((session(3), vec![(room(), RawJson::NULL)])),
        },
        Tell::Resumed { to: session(1), owner, taken: None },
    ] {
        let item = tell_to_item(&tell, &Three(100)).unwrap();
        let arrived = tell_from_item(&item, PEER, &mut Three(200)).unwrap();
        // What is here for the one is at the peer for the other.
        let swapped = format!("{arrived:?}")
            .replace("NodeIndex(0)", "NodeIndex(x)")
            .replace("NodeIndex(1)", "NodeIndex(0)")
            .replace("NodeIndex(x)", "NodeIndex(1)");
        assert_eq!(swapped, format!("{tell:?}"));
    }
    let local = Tell::Entity(room(), ToEntity::Erase, 4);
    assert!(tell_to_item(&local, &Three(100)).is_none());
}

#[test]
fn the_form_of_an_item_does_not_change() {
    let tell = Tell::Entity(entity("room:a"), ToEntity::Gone(session(3)), 9);
    let item = tell_to_item(&tell, &Three(100)).unwrap();
    let head = br#"[9,{"gn":["room:a",{"w":0,"s":3,"g":1}]}]"#;
    let golden = [&(head.len() as u32).to_le_bytes(), &head[..]].concat();
    assert_eq!(item, golden);
    // What a later version adds is ignored.
    let later = br#"[9,{"gn":["room:a",{"w":0,"s":3,"g":1,"later":[1]}]}]"#;
    let later = [&(later.len() as u32).to_le_bytes(), &later[..], b"more"].concat();
    let arrived = tell_from_item(&later.into(), PEER, &mut Three(200)).unwrap();
    assert!(matches!(arrived, Tell::Entity(_, ToEntity::Gone(_), 9)), "{arrived:?}");
}

proptest! {
    #[test]
    fn bytes_that_are_no_item_are_refused(bytes: Vec<u8>, claims in 0_u32..40) {
        let framed = [&claims.to_le_bytes()[..], &bytes].concat();
        for item in [Bytes::from(bytes), Bytes::from(framed)] {
            let _refused = Ask::from_item(&item).unwrap_err();
            prop_assert!(answer_from_item(&item).is_err());
            prop_assert!(parts_from_item(&item, PEER, &mut Three(100)).is_err());
            prop_assert!(tell_from_item(&item, PEER, &mut Three(100)).is_err());
        }
    }

    #[test]
    fn an_item_that_was_damaged_does_no_harm(at in 0_usize..4096, to: u8, cut in 0_usize..4096) {
        let parts = vec![
            Part::Events { frames: frames("events"), first: Seq::FIRST, last: Seq::new(2) },
            Part::Replaced(spec(4, 3)),
        ];
        let parts = parts.into_iter().map(|part| (Workers::only(WorkerId(0)), part)).collect();
        let item = parts_to_item(&entity("room:a"), parts, &Three(200));
        let mut damaged = item.to_vec();
        let at = at % damaged.len();
        damaged[at] = to;
        damaged.truncate(cut.max(1));
        // Any outcome but a panic.
        let _outcome = parts_from_item(&damaged.into(), PEER, &mut Three(100));
    }
}
