//! Sessions that take the place of lost ones.

use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::results::Connected;

use super::*;

const CLIENT: &str = "0000000000000000000000001A";

impl Rig {
    /// Another connection to the same thread; the first one is kept as `lost`.
    fn another(&mut self) -> Option<Session> {
        self.next = 0;
        self.session.replace(Session::begin(
            Rc::clone(&self.env),
            CodecKind::Json,
            HERE,
            Mono::at(1000),
        ))
    }

    fn hello(&mut self, params: &str) -> Connected {
        self.next += 1;
        let request = format!(
            r#"{{"jsonrpc":"2.0","id":{},"method":"connect","params":{params}}}"#,
            self.next
        );
        self.session().receive(request.as_bytes(), at(2000));
        while let Ok(message) = self.answers.try_recv() {
            self.env.relay.borrow_mut().receive(message);
        }
        let mut out = VecDeque::new();
        self.session().seat().outbox.take(&mut out, 1000, usize::MAX);
        let all: Vec<_> = out.iter().flat_map(|frame| messages(CodecKind::Json, frame)).collect();
        let [ServerMessage::Result { result, .. }] = &all[..] else { panic!("{all:?}") };
        result.parse().unwrap()
    }

    /// The messages to entities about presence and ended sessions.
    fn told(&mut self) -> Vec<String> {
        let words = |(entity, message): (EntityId, ToEntity)| match message {
            ToEntity::Adopt(adopt) => {
                format!("{entity}: {} takes the place of {}", adopt.to.slot, adopt.from.slot)
            }
            ToEntity::Leave(session) => format!("{entity}: {} leaves", session.slot),
            ToEntity::Gone(session) => format!("{entity}: {} is gone", session.slot),
            ToEntity::Unfollow(session, _) => format!("{entity}: {} unfollows", session.slot),
            other => format!("{entity}: {other:?}"),
        };
        self.routed().into_iter().map(words).collect()
    }
}

/// A session of alice's that is present in `room:a` and follows `room:b`, what `connect` told it,
/// and what is not answered.
fn present() -> (Rig, String, Vec<ToEntity>) {
    let mut rig = Rig::new(bounds());
    let hello = rig.hello(&format!(r#"{{"token":"alice","client":"{CLIENT}"}}"#));
    rig.ask("presence", r#"{"entity":"room:a","action":"enter","meta":{"at":"desk"}}"#);
    rig.ask("subscribe", r#"{"entity":"room:b"}"#);
    let mut kept = Vec::new();
    for (_, message) in rig.routed() {
        match message {
            ToEntity::Presence { reply, .. } => {
                reply.send_ok(&greenroom_protocol::results::Empty {});
            }
            subscribe => kept.push(subscribe),
        }
    }
    rig.got();
    (rig, hello.session, kept)
}

fn again(session: &str) -> String {
    format!(r#"{{"token":"alice","client":"{CLIENT}","session":"{session}"}}"#)
}

#[test]
fn a_lost_session_is_resumed_with_its_presence() {
    let (mut rig, session, _kept) = present();
    drop(rig.another());
    assert_eq!(rig.told(), ["room:b: 0 unfollows"], "no leave is sent");
    let hello = rig.hello(&again(&session));
    assert!(hello.resumed && hello.session != session);
    assert_eq!(rig.told(), ["room:a: 1 takes the place of 0"]);
    rig.env.relay.borrow_mut().sweep(Mono::at(1_000_000));
    assert_eq!(rig.told(), [""; 0], "the place is taken");
    rig.session().seat().membership.leave_for_good();
    drop(rig.session.take());
    assert_eq!(rig.told(), ["room:a: 1 is gone"], "the presence that it took over ends with it");
}

#[test]
fn a_session_that_is_still_connected_is_replaced() {
    let (mut rig, session, _kept) = present();
    let old = rig.another().unwrap();
    assert!(rig.hello(&again(&session)).resumed);
    assert_eq!(old.seat().outbox.closing(), Some(CloseCode::Replaced));
    assert_eq!(rig.told(), ["room:a: 1 takes the place of 0"]);
    drop(old);
    assert_eq!(rig.told(), ["room:b: 0 is gone"], "it has no presence to end");
}

#[test]
fn a_client_that_lost_the_answer_asks_again() {
    let (mut rig, session, _kept) = present();
    drop(rig.another());
    rig.told();
    assert!(rig.hello(&again(&session)).resumed);
    // The answer does not arrive, and the client only knows its first session.
    drop(rig.another());
    assert!(rig.hello(&again(&session)).resumed);
    assert_eq!(rig.told(), ["room:a: 1 takes the place of 0", "room:a: 0 takes the place of 1"]);
    rig.env.relay.borrow_mut().sweep(Mono::at(16_000));
    assert_eq!(rig.told(), ["room:a: 1 leaves"], "which changes nothing: it is not there any more");
}

#[test]
fn the_grace_and_the_window_end() {
    let (mut rig, session, _kept) = present();
    drop(rig.another());
    rig.told();
    rig.env.relay.borrow_mut().sweep(Mono::at(16_000));
    assert_eq!(rig.told(), ["room:a: 0 leaves"]);
    assert!(rig.hello(&again(&session)).resumed, "it may still be resumed");
    assert_eq!(rig.told(), ["room:a: 1 takes the place of 0"]);
    rig.env.relay.borrow_mut().sweep(Mono::at(121_000));
    drop(rig.another());
    rig.told();
    assert!(!rig.hello(&again(&session)).resumed, "two minutes are over");
}

#[test]
fn only_the_owner_can_take_a_session() {
    let (mut rig, session, _kept) = present();
    drop(rig.another());
    rig.told();
    for params in [
        again("nonsense"),
        again("00000007-0-9-1"),
        again("00000007-9-0-1"),
        again(&session.replace("00000007", "00000008")),
        again(&session).replace("alice", "bob"),
        again(&session).replace(CLIENT, "0000000000000000000000001B"),
    ] {
        assert!(!rig.hello(&params).resumed, "{params}");
        assert_eq!(rig.told(), [""; 0], "{params}");
        rig.another().unwrap().seat().membership.leave_for_good();
    }
    assert!(rig.hello(&again(&session)).resumed);
}

#[test]
fn only_some_ends_are_losses() {
    for (code, parks) in CloseCode::ALL.iter().map(|code| {
        (
            *code,
            matches!(
                code,
                CloseCode::SlowConsumer
                    | CloseCode::PingTimeout
                    | CloseCode::TokenExpired
                    | CloseCode::Normal
                    | CloseCode::ShuttingDown
            ),
        )
    }) {
        let (mut rig, session, _kept) = present();
        rig.session().seat().outbox.close(code);
        drop(rig.another());
        assert_eq!(rig.hello(&again(&session)).resumed, parks, "{code:?}");
    }
}

#[test]
fn a_resumed_connect_waits_for_its_subscriptions_too() {
    let (mut rig, session, _kept) = present();
    drop(rig.another());
    rig.told();
    let params = again(&session).replace('}', r#","subscriptions":[{"entity":"room:a"}]}"#);
    assert_eq!(rig.ask("connect", &params), [""; 0]);
    let asked = rig.routed();
    assert_eq!(rig.got(), [""; 0], "it is resumed, and the subscription is not answered");
    drop(asked);
    assert_eq!(rig.got(), ["#1"]);
}

#[test]
fn few_subscriptions_of_a_connect_are_asked_for_at_once() {
    let mut many = bounds();
    many.announced.max_subscriptions = 100;
    many.announced.max_message_bytes = 100_000;
    let mut rig = Rig::new(many);
    let list: Vec<_> = (0..30).map(|index| format!(r#"{{"entity":"room:{index}"}}"#)).collect();
    assert_eq!(
        rig.ask("connect", &format!(r#"{{"token":"alice","subscriptions":[{}]}}"#, list.join(","))),
        [""; 0]
    );
    let mut asked = VecDeque::from(rig.routed());
    let mut total = 0;
    while let Some(one) = asked.pop_front() {
        total += 1;
        assert_eq!(asked.len(), 7.min(30 - total));
        drop(one);
        let answered = rig.got();
        assert_eq!(answered.len(), usize::from(total == 30), "{answered:?}");
        asked.extend(rig.routed());
    }
    assert_eq!(total, 30);
}

#[test]
fn presence_that_the_new_token_does_not_allow_is_given_up() {
    let mut rig = Rig::new(bounds());
    let entitled = r#"alice/{\"closed:*\":[\"presence\"]}"#;
    let hello = rig.hello(&format!(r#"{{"token":"{entitled}","client":"{CLIENT}"}}"#));
    for entity in ["closed:x", "room:a"] {
        rig.ask("presence", &format!(r#"{{"entity":"{entity}","action":"enter"}}"#));
    }
    let _unanswered = rig.routed();
    drop(rig.another());
    assert_eq!(rig.ask("connect", &again(&hello.session)), ["#1", "left reason forbidden"]);
    assert_eq!(
        rig.told(),
        [
            "closed:x: 1 takes the place of 0",
            "room:a: 1 takes the place of 0",
            "closed:x: 1 leaves"
        ]
    );
    let present: Vec<_> = rig
        .session()
        .seat()
        .membership
        .present()
        .iter()
        .map(|present| present.entity.clone())
        .collect();
    assert_eq!(present, [entity("room:a")]);
}

#[test]
fn presence_requests_wait_until_the_session_is_resumed() {
    let (mut rig, session, _kept) = present();
    drop(rig.another());
    rig.told();
    let params =
        again(&session).replace('}', r#","presence":[{"entity":"room:a","meta":{"at":"home"}}]}"#);
    let connect = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"connect","params":{params}}}"#);
    let leave = r#"{"jsonrpc":"2.0","id":2,"method":"presence","params":{"entity":"room:a","action":"leave"}}"#;
    rig.session().receive(connect.as_bytes(), at(2000));
    rig.session().receive(leave.as_bytes(), at(2000));
    assert_eq!(rig.told(), [""; 0], "the other session's thread is asked first");
    rig.got();
    let (asked, _kept) = rig.asked();
    assert!(asked[0].contains("Adopt"), "{asked:?}");
    assert_eq!(asked[1..], ["room:a: enter", "room:a: leave"]);
    assert!(rig.session().seat().membership.present().is_empty());
}

#[test]
fn outstanding_requests_of_a_replaced_session_are_dropped() {
    let mut many = bounds();
    many.announced.max_subscriptions = 100;
    let mut rig = Rig::new(many);
    let rooms: Vec<_> = (0..20).map(|index| format!(r#"{{"entity":"room:{index}"}}"#)).collect();
    rig.ask(
        "connect",
        &format!(r#"{{"token":"alice","client":"{CLIENT}","presence":[{}]}}"#, rooms.join(",")),
    );
    let (first, asked) = rig.asked();
    let session = crate::session::name::name(7, rig.session().seat().key);
    let _old = rig.another();
    assert!(rig.hello(&again(&session)).resumed);
    assert_eq!(
        (first.len(), rig.told().len()),
        (8, 8),
        "it takes the places that the old one had asked for"
    );
    drop(asked);
    rig.got();
    assert_eq!(rig.told(), [""; 0]);
}
