//! Requests that arrive while an earlier one of the same session is not finished.

use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::results::Connected;

use super::*;

/// Room for 100 subscriptions, and for many requests.
fn roomy() -> SessionBounds {
    let mut roomy = bounds();
    roomy.announced.max_subscriptions = 100;
    roomy.announced.max_in_flight = 100;
    roomy
}

fn list(entities: impl IntoIterator<Item = String>) -> String {
    let entries: Vec<_> =
        entities.into_iter().map(|entity| format!(r#"{{"entity":"{entity}"}}"#)).collect();
    format!("[{}]", entries.join(","))
}

fn rooms(count: usize) -> String {
    list((0..count).map(|index| format!("room:{index}")))
}

impl Rig {
    /// Entities grant what they were asked for. Returns the session's next messages to entities.
    fn grant(
        &mut self,
        asked: Vec<(EntityId, ToEntity)>,
    ) -> (Vec<String>, Vec<(EntityId, ToEntity)>) {
        self.granted(asked);
        while let Ok(answer) = self.answers.try_recv() {
            self.env.relay.borrow_mut().receive(answer);
        }
        self.asked()
    }

    fn connect_answer(&mut self) -> Connected {
        let mut out = VecDeque::new();
        self.session().seat().outbox.take(&mut out, 1000, usize::MAX);
        let all: Vec<_> = out.iter().flat_map(|frame| messages(CodecKind::Json, frame)).collect();
        let [ServerMessage::Result { result, .. }, ..] = &all[..] else { panic!("{all:?}") };
        result.parse().unwrap()
    }
}

#[test]
fn subscriptions_are_numbered_in_the_order_in_which_entities_are_asked() {
    let mut rig = Rig::new(roomy());
    rig.ask("connect", &format!(r#"{{"token":"alice","subscriptions":{}}}"#, rooms(9)));
    rig.ask("subscribe", r#"{"entity":"room:8"}"#);
    let (first, asked) = rig.asked();
    assert_eq!(
        first,
        (0..8).map(|index| format!("room:{index}: subscribe {}", index + 1)).collect::<Vec<_>>()
    );
    let (then, _kept) = rig.grant(asked);
    assert_eq!(
        then,
        ["room:8: subscribe 9", "room:8: subscribe 10"],
        "the relay follows by the number that the entity heard last"
    );
}

#[test]
fn what_ends_a_subscription_of_a_connect_comes_after_it() {
    let mut rig = Rig::new(roomy());
    rig.ask("connect", &format!(r#"{{"token":"alice","subscriptions":{}}}"#, rooms(9)));
    assert_eq!(
        rig.ask("unsubscribe", r#"{"entity":"room:8"}"#),
        [""; 0],
        "it is not answered before it is done"
    );
    let (_, asked) = rig.asked();
    let (then, _kept) = rig.grant(asked);
    assert_eq!(then, ["room:8: subscribe 9", "room:8: unsubscribe 9"]);
}

#[test]
fn connect_carries_presence() {
    let mut rig = Rig::new(roomy());
    let presence =
        r#"[{"entity":"room:a","meta":{"at":"desk"}},{"entity":"closed:x"},{"entity":"room:b"}]"#;
    assert_eq!(
        rig.ask("connect", &format!(r#"{{"token":"alice","presence":{presence}}}"#)),
        [""; 0]
    );
    let routed = rig.routed();
    let ToEntity::Presence { meta: Some(meta), .. } = &routed[0].1 else { panic!("{routed:?}") };
    assert_eq!((meta.as_str(), rig.in_flight()), (r#"{"at":"desk"}"#, 1));
    rig.grant(routed);
    let connected = rig.connect_answer();
    let outcomes: Vec<_> = connected
        .presence
        .iter()
        .map(|entry| (entry.entity.as_str(), entry.result.is_some()))
        .collect();
    assert_eq!(outcomes, [("room:a", true), ("closed:x", false), ("room:b", true)]);
    assert_eq!(connected.presence[1].error.as_ref().unwrap().data.code, ErrorCode::Forbidden);
    assert_eq!((rig.in_flight(), rig.session().seat().membership.present().len()), (0, 2));
}

#[test]
fn what_leaves_where_a_connect_enters_comes_after_it() {
    let mut rig = Rig::new(roomy());
    rig.ask("connect", &format!(r#"{{"token":"alice","presence":{}}}"#, rooms(9)));
    rig.ask("presence", r#"{"entity":"room:8","action":"leave"}"#);
    let (_, asked) = rig.asked();
    let (then, asked) = rig.grant(asked);
    assert_eq!(then, ["room:8: enter", "room:8: leave"]);
    rig.grant(asked);
    assert_eq!(rig.session().seat().membership.present().len(), 8);
}

#[test]
fn the_entries_of_a_connect_count_before_what_comes_behind_it() {
    let mut tight = roomy();
    tight.announced.max_subscriptions = 9;
    let mut rig = Rig::new(tight);
    rig.ask(
        "connect",
        &format!(r#"{{"token":"alice","subscriptions":{0},"presence":{0}}}"#, rooms(10)),
    );
    rig.ask("subscribe", r#"{"entity":"room:x"}"#);
    rig.ask("presence", r#"{"entity":"room:x","action":"enter"}"#);
    let (_, mut asked) = rig.asked();
    let mut all = Vec::new();
    while !asked.is_empty() {
        let (next, more) = rig.grant(asked);
        all.extend(next);
        asked = more;
        let seat = Rc::clone(rig.session().seat());
        assert!(seat.membership.follows().len() <= 9 && seat.membership.present().len() <= 9);
    }
    let connected = rig.connect_answer();
    let refused = |index: usize| {
        (connected.subscriptions[index].error.is_some(), connected.presence[index].error.is_some())
    };
    assert_eq!((refused(8), refused(9)), ((false, false), (true, true)));
    assert_eq!(
        (rig.followers("room:8"), rig.followers("room:9"), rig.followers("room:x")),
        (1, 0, 0)
    );
}

#[test]
fn an_unanswered_subscription_keeps_its_place_when_a_repeat_is_refused() {
    let mut tight = roomy();
    tight.announced.max_subscriptions = 1;
    let mut rig = Rig::connected(tight);
    rig.ask("subscribe", r#"{"entity":"room:a"}"#);
    let (_, first) = rig.asked();
    rig.ask("subscribe", r#"{"entity":"room:a"}"#);
    drop(rig.routed());
    assert_eq!(rig.got(), ["#3 unavailable"]);
    assert_eq!(rig.ask("subscribe", r#"{"entity":"room:b"}"#), ["#4 too_many_subscriptions"]);
    drop(first);
    rig.got();
    assert_eq!(rig.ask("subscribe", r#"{"entity":"room:b"}"#), [""; 0]);
}

#[test]
fn a_session_that_ends_asks_for_nothing_more() {
    let mut rig = Rig::new(roomy());
    rig.ask("connect", &format!(r#"{{"token":"alice","subscriptions":{}}}"#, rooms(30)));
    let (_, asked) = rig.asked();
    rig.session().seat().membership.leave_for_good();
    drop(rig.session.take());
    assert!(rig.asked().0.iter().all(|told| told.contains("Gone")), "its entities hear of its end");
    drop(asked);
    while let Ok(answer) = rig.answers.try_recv() {
        rig.env.relay.borrow_mut().receive(answer);
    }
    assert_eq!(rig.asked().0, [""; 0]);
}

#[test]
fn a_connection_that_closes_asks_for_nothing_more() {
    let mut rig = Rig::new(roomy());
    rig.ask("connect", &format!(r#"{{"token":"alice@9000","subscriptions":{}}}"#, rooms(30)));
    let (_, asked) = rig.asked();
    rig.session().seat().outbox.close(CloseCode::TokenExpired);
    assert_eq!(rig.grant(asked).0, [""; 0], "its token has expired in the meantime");
}

#[test]
fn requests_after_the_token_has_expired_are_not_executed() {
    let mut rig = Rig::new(roomy());
    let connect = br#"{"jsonrpc":"2.0","id":1,"method":"connect","params":{"token":"alice@2000"}}"#;
    rig.session().receive(connect, at(1999));
    let read = br#"{"jsonrpc":"2.0","id":2,"method":"read","params":{"entity":"room:a"}}"#;
    rig.session().receive(read, at(2000));
    assert_eq!(
        (rig.asked().0.len(), rig.closing()),
        (0, Some(CloseCode::TokenExpired)),
        "though nobody has swept yet"
    );
}

#[test]
fn entries_that_the_user_cannot_pay_for_are_refused_before_entities_see_them() {
    let mut rig = Rig::new(roomy());
    drop(rig.session.take());
    Rc::get_mut(&mut rig.env).unwrap().accounts = accounts(1);
    let begin =
        |rig: &Rig| Session::begin(Rc::clone(&rig.env), CodecKind::Json, HERE, Mono::at(1000));
    let connect = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"connect","params":{{"token":"alice","subscriptions":{}}}}}"#,
        rooms(3)
    );
    let mut ended = Vec::new();
    // What the bucket holds, and then into debt by four full ones.
    for _ in 0..6 {
        let next = begin(&rig);
        ended.extend(rig.session.replace(next));
        rig.session().receive(connect.as_bytes(), at(1000));
        let (asked, _kept) = rig.asked();
        assert_eq!(asked.len(), 3, "a token pays for 16 entries");
    }
    let next = begin(&rig);
    ended.extend(rig.session.replace(next));
    rig.session().receive(connect.as_bytes(), at(1000));
    let (asked, _) = rig.grant(Vec::new());
    assert_eq!(asked, Vec::<String>::new());
    let answer = rig.connect_answer();
    assert_eq!(answer.subscriptions.len(), 3);
    for outcome in answer.subscriptions {
        let error = outcome.error.expect("it is refused").data;
        assert_eq!(error.code, ErrorCode::RateLimited);
        assert_eq!(error.reason.as_deref(), Some("user"));
        assert_eq!(error.retry_after_ms, Some(1000));
    }
}
