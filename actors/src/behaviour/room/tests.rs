use greenroom_protocol::ErrorCode;
use proptest::prelude::*;

use super::*;
use crate::behaviour::BehaviourConfig;
use crate::behaviour::ORDINARY_WORK;
use crate::behaviour::law::{self, Attempt};

fn raw(text: &str) -> RawJson {
    RawJson::from_text(text).unwrap()
}

/// A room, and the seq of its last op.
struct Stage {
    room: Room,
    seq: Seq,
}

impl Stage {
    fn new(config: RoomConfig) -> Self {
        Self { room: Room::new(config.into()), seq: Seq::ZERO }
    }

    fn sends(
        &mut self,
        from: &str,
        moderator: bool,
        r#type: &str,
        body: &str,
    ) -> Result<(), Rejection> {
        let op = Op {
            r#type,
            body: &raw(body),
            from,
            moderator,
            seq: self.seq.next(),
            at: 100 + self.seq.next().get(),
        };
        let accepted = self.room.decide(&op)?;
        assert!(accepted.result.is_none() && accepted.work < ORDINARY_WORK);
        self.seq = self.seq.next();
        Ok(())
    }

    fn alice(&mut self, r#type: &str, body: &str) -> Result<(), Rejection> {
        self.sends("alice", false, r#type, body)
    }

    fn shows(&self, want: &str) {
        let want = format!(r#"{{"messages":[{want}]}}"#);
        assert_eq!(self.room.snapshot().as_str(), want);
    }
}

fn reason(outcome: Result<(), Rejection>) -> &'static str {
    let rejection = outcome.unwrap_err();
    assert_eq!(rejection.code, ErrorCode::Rejected);
    rejection.reason
}

#[test]
fn a_conversation() {
    let mut stage = Stage::new(RoomConfig { messages: 2, ..Default::default() });
    stage.shows("");
    stage.alice("post", r#"{"text":"hi"}"#).unwrap();
    stage.sends("bob", false, "post", r#"{ "text" : 1.10 }"#).unwrap();
    stage.shows(r#"{"seq":1,"at":101,"from":"alice","body":{"text":"hi"}},{"seq":2,"at":102,"from":"bob","body":{ "text" : 1.10 }}"#);

    stage.sends("bob", false, "react", r#"{"seq":1,"emoji":"👍"}"#).unwrap();
    stage.sends("carol", false, "react", r#"{"seq":1,"emoji":"👍"}"#).unwrap();
    stage.sends("carol", false, "react", r#"{"seq":1,"emoji":"👍"}"#).unwrap();
    stage.sends("carol", false, "react", r#"{"seq":1,"emoji":"!"}"#).unwrap();
    stage.alice("edit", r#"{"seq":1,"body":{"text":"hello"}}"#).unwrap();
    let bobs = r#"{"seq":2,"at":102,"from":"bob","body":{ "text" : 1.10 }}"#;
    stage.shows(&format!(
        r#"{{"seq":1,"at":101,"from":"alice","body":{{"text":"hello"}},"edited_at":107,"reactions":{{"👍":["bob","carol"],"!":["carol"]}}}},{bobs}"#
    ));

    stage.sends("bob", false, "react", r#"{"seq":1,"emoji":"👍","remove":true}"#).unwrap();
    stage.sends("carol", false, "react", r#"{"seq":1,"emoji":"👍","remove":true}"#).unwrap();
    stage.sends("dave", false, "react", r#"{"seq":1,"emoji":"👍","remove":true}"#).unwrap();
    stage.shows(&format!(
        r#"{{"seq":1,"at":101,"from":"alice","body":{{"text":"hello"}},"edited_at":107,"reactions":{{"!":["carol"]}}}},{bobs}"#
    ));

    stage.alice("delete", r#"{"seq":1}"#).unwrap();
    stage.shows(&format!(
        r#"{{"seq":1,"at":101,"from":"alice","body":null,"edited_at":107,"deleted":true}},{bobs}"#
    ));
    stage.alice("post", "{}").unwrap();
    stage.shows(&format!(r#"{bobs},{{"seq":12,"at":112,"from":"alice","body":{{}}}}"#));
}

#[test]
fn only_the_author_and_moderators_change_a_message() {
    for (op, body) in [("edit", r#"{"seq":1,"body":{}}"#), ("delete", r#"{"seq":1}"#)] {
        let mut stage = Stage::new(RoomConfig::default());
        stage.alice("post", r#"{"text":"hi"}"#).unwrap();
        assert_eq!(reason(stage.sends("bob", false, op, body)), "not_author");
        stage.sends("mod", true, op, body).unwrap();
    }
}

#[test]
fn messages_out_of_reach() {
    let mut stage = Stage::new(RoomConfig { messages: 2, ..Default::default() });
    for _ in 0..3 {
        stage.alice("post", "{}").unwrap();
    }
    stage.alice("delete", r#"{"seq":3}"#).unwrap();
    // Forgotten, deleted, an event that is not a message, in the future.
    for seq in [1, 3, 4, 5, u64::MAX] {
        for (op, rest) in [("edit", r#","body":{}"#), ("delete", ""), ("react", r#","emoji":"x""#)]
        {
            let body = format!(r#"{{"seq":{seq}{rest}}}"#);
            assert_eq!(reason(stage.alice(op, &body)), "message_not_found", "{op} {body}");
        }
    }
}

#[test]
fn a_purge_reaches_what_the_state_has_forgotten() {
    let mut stage = Stage::new(RoomConfig { messages: 2, ..Default::default() });
    for _ in 0..3 {
        stage.alice("post", "{}").unwrap();
    }
    stage.alice("edit", r#"{"seq":3,"body":{}}"#).unwrap();
    assert_eq!(
        reason(stage.alice("purge", r#"{"seq":3}"#)),
        "not_moderator",
        "not even its author"
    );
    stage.sends("mod", true, "purge", r#"{"seq":1}"#).expect("it may be in the journal");
    stage.sends("mod", true, "purge", r#"{"seq":3}"#).unwrap();
    let left = r#"{"seq":2,"at":102,"from":"alice","body":{}},{"seq":3,"at":103,"from":"alice","body":null,"edited_at":104,"deleted":true}"#;
    stage.shows(left);
    stage.sends("mod", true, "purge", r#"{"seq":3}"#).expect("one that is deleted already");
    stage.shows(left);
    // Never a message, an edit, a purge, in the future.
    for seq in [0, 4, 5, 8, u64::MAX] {
        assert_eq!(
            reason(stage.sends("mod", true, "purge", &format!(r#"{{"seq":{seq}}}"#))),
            "message_not_found",
            "{seq}"
        );
    }
    for body in ["{}", r#"{"seq":1,"why":"x"}"#, "[1]", r#"{"seq":"1"}"#] {
        assert_eq!(reason(stage.sends("mod", true, "purge", body)), "invalid_body", "{body}");
    }
}

/// A large message displaces others from a state that is bounded in bytes, even if its body is
/// erased before the log is replayed.
#[test]
fn messages_that_an_erased_body_displaced_do_not_come_back() {
    let config = Arc::new(RoomConfig { max_state_bytes: 2000, ..Default::default() });
    for edited in [false, true] {
        let small = r#"{"text":"small"}"#.to_owned();
        let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(1900));
        let posted = if edited { &small } else { &large };
        let mut ops =
            vec![("post", small.clone()), ("post", small.clone()), ("post", posted.clone())];
        if edited {
            ops.push(("edit", format!(r#"{{"seq":3,"body":{large}}}"#)));
        }
        ops.push(("delete", r#"{"seq":3}"#.to_owned()));
        let mut room = Room::new(config.clone());
        let mut again = Room::new(config.clone());
        for (n, (r#type, body)) in (1..).zip(&ops) {
            let body = raw(body);
            let seq = Seq::new(n);
            let at = 100 + n;
            room.decide(&Op { r#type, body: &body, from: "alice", moderator: false, seq, at })
                .unwrap();
            let from = "alice".into();
            let r#type = (*r#type).into();
            let event = EventRecord {
                seq,
                at,
                from,
                r#type,
                body,
                deleted: None,
                client: None,
                n: None,
                began: None,
                tag: None,
                result: None,
            };
            let body = room.carries(&event).filter(|body| body.message == Seq::new(3));
            again.apply(&body.map_or(event.clone(), |body| event.tombstone(body))).unwrap();
        }
        assert_eq!(room.messages.len(), 1, "only the large message fits");
        assert_eq!(
            (again.snapshot(), again.size()),
            (room.snapshot(), room.size()),
            "edited: {edited}"
        );
    }
}

#[test]
fn malformed_ops() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
    let very_deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!(r#"{{"seq":1,"emoji":"{}"}}"#, "x".repeat(65));
    let table = [
        ("shout", "{}", "unknown_op"),
        ("", "{}", "unknown_op"),
        ("post", "[]", "invalid_body"),
        ("post", "null", "invalid_body"),
        ("post", "\"{\"", "invalid_body"),
        ("post", &deep, "invalid_body"),
        ("post", &very_deep, "invalid_body"),
        ("edit", &very_deep, "invalid_body"),
        ("edit", "{}", "invalid_body"),
        ("edit", r#"{"seq":1}"#, "invalid_body"),
        ("edit", r#"{"seq":1,"body":[]}"#, "invalid_body"),
        ("edit", r#"{"seq":1,"body":{},"more":1}"#, "invalid_body"),
        ("edit", r#"[1,{}]"#, "invalid_body"),
        ("delete", r#"{"seq":-1}"#, "invalid_body"),
        ("delete", r#"{"seq":1.5}"#, "invalid_body"),
        ("delete", r#"{"seq":1e999}"#, "invalid_body"),
        ("delete", r#"{"seq":"1"}"#, "invalid_body"),
        ("delete", r#"{"seq":1,"seq":1}"#, "invalid_body"),
        ("react", r#"{"seq":1}"#, "invalid_body"),
        ("react", r#"{"seq":1,"emoji":""}"#, "invalid_body"),
        ("react", r#"{"seq":1,"emoji":"\ud800"}"#, "invalid_body"),
        ("react", r#"{"seq":1,"emoji":"x","remove":1}"#, "invalid_body"),
        ("react", &long, "invalid_body"),
    ];
    let mut stage = Stage::new(RoomConfig::default());
    stage.alice("post", "{}").unwrap();
    for (op, body, want) in table {
        assert_eq!(reason(stage.alice(op, body)), want, "{op} {}", &body[..body.len().min(80)]);
    }
    stage.shows(r#"{"seq":1,"at":101,"from":"alice","body":{}}"#);
}

#[test]
fn reactions_are_bounded() {
    let mut stage =
        Stage::new(RoomConfig { max_reactions: 2, max_reactors: 3, ..Default::default() });
    stage.alice("post", "{}").unwrap();
    let mut react = |from: &str, emoji: &str, remove: bool| {
        stage.sends(
            from,
            false,
            "react",
            &format!(r#"{{"seq":1,"emoji":"{emoji}","remove":{remove}}}"#),
        )
    };
    react("alice", "a", false).unwrap();
    react("alice", "b", false).unwrap();
    assert_eq!(reason(react("bob", "c", false)), "too_many_reactions", "a third emoji");
    react("bob", "a", false).unwrap();
    assert_eq!(reason(react("bob", "b", false)), "too_many_reactions", "a fourth reaction");
    react("bob", "a", false).expect("one that is there already");
    react("bob", "c", true).expect("removing a reaction that does not exist");
    react("alice", "b", true).unwrap();
    react("bob", "c", false).expect("there is room again");
}

/// A message of a room that allows very many reactions.
#[test]
fn a_reaction_costs_what_it_is_looked_for_among() {
    let config = RoomConfig { max_reactors: 100_000, ..Default::default() };
    let mut stage = Stage::new(config.clone());
    stage.alice("post", "{}").unwrap();
    let users: Vec<_> = (0..50_000).map(|i| format!("\"u{i}\"")).collect();
    let state = stage
        .room
        .snapshot()
        .as_str()
        .replace("}]}", &format!(r#","reactions":{{"x":[{}]}}}}]}}"#, users.join(",")));
    let mut room = Room::restore(config.into(), Seq::FIRST, &raw(&state)).unwrap();
    assert!(room.size().abs_diff(room.snapshot().len()) <= 64, "the size is the snapshot's");
    let body = raw(r#"{"seq":1,"emoji":"x"}"#);
    let seq = Seq::new(2);
    let op = Op { r#type: "react", body: &body, from: "alice", moderator: false, seq, at: 2 };
    assert!(room.decide(&op).unwrap().work >= 3 * ORDINARY_WORK);
    let body = raw(r#"{"seq":1,"emoji":"y"}"#);
    assert!(room.decide(&Op { body: &body, ..op }).unwrap().work < ORDINARY_WORK);
}

#[test]
fn restoring_refuses_what_is_no_snapshot() {
    for state in [
        "{}",
        "[]",
        "null",
        r#"{"messages":{}}"#,
        r#"{"messages":[],"more":1}"#,
        r#"{"messages":[{"seq":1}]}"#,
        r#"{"messages":[{"seq":9,"at":1,"from":"a","body":{}}]}"#,
        r#"{"messages":[{"seq":2,"at":1,"from":"a","body":{}},{"seq":2,"at":1,"from":"a","body":{}}]}"#,
    ] {
        let seq = Seq::new(5);
        let error = Room::restore(Arc::default(), seq, &raw(state)).unwrap_err();
        assert_eq!(error.seq, seq, "{state}");
    }
}

#[test]
fn events_that_do_not_fit_are_corrupt() {
    let event = |seq, r#type: &str, body: &str| EventRecord {
        seq: Seq::new(seq),
        at: 1,
        from: "a".into(),
        r#type: r#type.into(),
        body: raw(body),
        deleted: None,
        client: None,
        n: None,
        began: None,
        tag: None,
        result: None,
    };
    let mut room = Room::new(Arc::default());
    room.apply(&event(3, "post", "{}")).unwrap();
    let mut refused = |event| room.apply(&event).unwrap_err().seq.get();
    assert_eq!(refused(event(3, "post", "{}")), 3, "applied already");
    assert_eq!(refused(event(4, "post", "[]")), 4, "no room's event");
    assert_eq!(refused(event(4, "shout", "{}")), 4, "of another behaviour");
    room.apply(&event(4, "delete", r#"{"seq":1}"#))
        .expect("a message that left the state, for a setting was larger then");
}

#[test]
fn a_smaller_setting_cuts_an_old_snapshot() {
    let mut stage = Stage::new(RoomConfig::default());
    for _ in 0..5 {
        stage.alice("post", "{}").unwrap();
    }
    let two = Arc::new(RoomConfig { messages: 2, ..Default::default() });
    let small = Room::restore(two, Seq::new(5), &stage.room.snapshot()).unwrap();
    assert_eq!(
        small.messages.iter().map(|message| message.seq).collect::<Vec<_>>(),
        [4, 5].map(Seq::new)
    );
}

#[test]
fn the_size_is_near_the_snapshots() {
    let mut stage = Stage::new(RoomConfig { messages: 50, ..Default::default() });
    for i in 0..100 {
        stage.alice("post", &format!(r#"{{"text":"{}"}}"#, "x".repeat(i))).unwrap();
        let seq = stage.seq;
        stage.sends("bob", false, "react", &format!(r#"{{"seq":{seq},"emoji":"👍"}}"#)).unwrap();
        let size = stage.room.size();
        let real = stage.room.snapshot().len();
        assert!(size.abs_diff(real) <= real / 2 + 64, "{size} for {real}");
    }
}

#[test]
fn a_room_that_has_become_large_forgets_its_oldest_messages_and_refuses_nothing() {
    let mut stage = Stage::new(RoomConfig { max_state_bytes: 10_000, ..Default::default() });
    for _ in 0..50 {
        stage.alice("post", &format!(r#"{{"text":"{}"}}"#, "x".repeat(1000))).unwrap();
        assert!(stage.room.size() <= 10_000);
    }
    assert_eq!(stage.room.messages.len(), 9);
    stage
        .alice("edit", &format!(r#"{{"seq":50,"body":{{"text":"{}"}}}}"#, "x".repeat(5000)))
        .unwrap();
    assert_eq!(
        stage.room.messages.iter().map(|message| message.seq).collect::<Vec<_>>(),
        [46, 47, 48, 49, 50].map(Seq::new)
    );
    stage.alice("post", &format!(r#"{{"text":"{}"}}"#, "x".repeat(20_000))).unwrap();
    assert_eq!(
        stage.room.messages.iter().map(|message| message.seq).collect::<Vec<_>>(),
        [Seq::new(52)],
        "the last one stays"
    );
    let smaller = Arc::new(RoomConfig { max_state_bytes: 100, ..Default::default() });
    let room = Room::restore(smaller, Seq::new(52), &stage.room.snapshot()).unwrap();
    assert_eq!(room.messages.len(), 1);
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let body = prop_oneof![
        4 => "[a-z]{0,8}".prop_map(|text| format!(r#"{{"text":"{text}"}}"#)),
        1 => Just("[1]".to_owned()),
        1 => Just(r#"{"a":{"b":[1,2.50,"é\u00e9"]}, "c":1e400}"#.to_owned()),
    ];
    let seq = 0..30u64;
    let op = prop_oneof![
        4 => body.clone().prop_map(|body| Attempt::new("post", body)),
        2 => (seq.clone(), body).prop_map(|(seq, body)| Attempt::new("edit", format!(r#"{{"seq":{seq},"body":{body}}}"#))),
        1 => seq.clone().prop_map(|seq| Attempt::new("delete", format!(r#"{{"seq":{seq}}}"#))),
        1 => seq.clone().prop_map(|seq| Attempt::new("purge", format!(r#"{{"seq":{seq}}}"#))),
        4 => (seq, "[a-e]", any::<bool>())
            .prop_map(|(seq, emoji, remove)| Attempt::new("react", format!(r#"{{"seq":{seq},"emoji":"{emoji}","remove":{remove}}}"#))),
        1 => ("[a-z]{0,6}", "[0-9]{1,3}").prop_map(|(op, body)| Attempt::new(&op, body.trim_start_matches('0').to_owned() + "0")),
    ];
    let attempt = (op, prop_oneof![Just("alice"), Just("bob"), Just("carol")], any::<bool>());
    prop::collection::vec(
        attempt.prop_map(|(op, from, moderator)| Attempt { from, moderator, ..op }),
        0..40,
    )
}

proptest! {
    #[test]
    fn the_law_holds(attempts in attempts(), messages in 0..8usize, max_state_bytes in 0..2000usize) {
        let few = RoomConfig { max_reactions: 3, max_reactors: 5, ..RoomConfig::default() };
        let config = RoomConfig { messages, max_state_bytes, ..few };
        law::holds(&BehaviourConfig::Room(config.into()), &attempts);
    }
}
