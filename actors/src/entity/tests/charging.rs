//! Ops that are more work than an ordinary one are charged to the session that sent them.

use greenroom_protocol::RequestId;

use super::*;
use crate::behaviour::BehaviourConfig;
use crate::behaviour::document::{DocumentConfig, Initial};
use crate::clock::Clock;
use crate::limits::{Accounts, Allowance, Rate};
use crate::messages::{Asker, Responder};

/// A document whose array has so many elements that changing copies of it is dear.
fn rig() -> Rig {
    let array = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(99_999));
    let document = DocumentConfig {
        initial: Initial::new(&RawJson::from_text(array).unwrap()).unwrap(),
        ..DocumentConfig::default()
    };
    let kind = Kind::new("doc", BehaviourConfig::Document(document), settings()).unwrap();
    Rig::of(kind, Loaded::default())
}

/// Somebody with this much of a rate.
fn asker(rig: &Rig, burst: u32) -> Arc<Asker> {
    let allowance = Allowance { requests: Rate::new(1, burst), wakes: Rate::new(1, 1), awake: 1 };
    let payer = Accounts::alike(allowance).with_clock(Clock::manual()).payer(
        None,
        [192, 0, 2, 1].into(),
        Mono::ZERO,
    );
    Arc::new(
        Asker::new(session(0), CodecKind::Json, encoder(), rig.line.handle.clone()).paid_by(payer),
    )
}

/// What a patch costs beyond the token it was let in for.
fn cost(rig: &mut Rig, asker: &Arc<Asker>, operations: &str) -> u32 {
    let reply = Responder::request(asker, "send", None);
    let body = RawJson::from_text(format!("[{operations}]")).unwrap();
    rig.op(OpRequest { r#type: "patch".into(), body, ..post("alice", None, "", reply) });
    asker.take_owed(u32::MAX)
}

const CHANGED_COPY: &str = r#"{"op":"copy","from":"/a","path":"/x"},{"op":"replace","path":"/x/0","value":1},{"op":"remove","path":"/x"}"#;

#[test]
fn an_ordinary_op_costs_nothing_more() {
    let mut rig = rig();
    let asker = asker(&rig, 100);
    assert_eq!(cost(&mut rig, &asker, r#"{"op":"add","path":"/b","value":1}"#), 0);
    assert_eq!(cost(&mut rig, &asker, r#"{"op":"add","path":"/a/50000","value":1}"#), 0);
    assert_eq!(cost(&mut rig, &asker, r#"{"op":"remove","path":"/nowhere"}"#), 0);
    assert!(!rig.entity.settled(), "two of them were accepted");
}

#[test]
fn dear_ops_are_charged_whether_accepted_or_refused() {
    let mut rig = rig();
    let asker = asker(&rig, 100);
    let account = asker.payer.clone().unwrap();
    assert_eq!(cost(&mut rig, &asker, CHANGED_COPY), 10);
    assert_eq!(
        cost(&mut rig, &asker, &format!(r#"{CHANGED_COPY},{{"op":"remove","path":"/nowhere"}}"#)),
        10
    );
    assert!(account.account().request(80, Mono::ZERO).is_ok(), "the user has paid for both");
    assert!(account.account().request(1, Mono::ZERO).is_err());
}

#[test]
fn erasing_is_charged_for_the_rows_that_are_written_again() {
    let mut rig = Rig::with_events(kind(), 1);
    let asker = asker(&rig, 100);
    let mut delete = |n, seq: u64| {
        let body = RawJson::from_value(&serde_json::json!({ "seq": seq })).unwrap();
        let reply = Responder::request(&asker, "send", None);
        rig.op(OpRequest { r#type: "delete".into(), body, ..post("alice", Some(n), "", reply) });
        asker.take_owed(u32::MAX)
    };
    assert_eq!(delete(2, 1), 8);
    assert_eq!(delete(3, 7), 0, "there is no such message");
}

#[test]
fn events_are_charged_before_they_are_read() {
    let kind = kind_of(Settings { resume_events: 1000, ..settings() });
    let mut rig = Rig::with_events(kind, 3 * 64 + 10);
    let asker = asker(&rig, 2);
    let subscribe = |number: u32, after| {
        let reply = Responder::request(&asker, "subscribe", Some(RequestId::Number(number.into())));
        let after = Some(Position { epoch: epoch(), seq: Seq::new(after) });
        let request = SubscribeRequest { spec: spec(0, number), after, reply };
        ToEntity::Subscribe(Box::new(request))
    };
    assert_eq!(rig.take(subscribe(1, 0)), nothing());
    assert_eq!(rig.fetches.len(), 1);
    assert_eq!(rig.take(subscribe(2, 0)), ["#2 rate_limited user"], "the debt comes first");
    assert_eq!(rig.fetches.len(), 1, "nothing is read that was not paid for");
    assert_eq!(rig.take(subscribe(3, 190)), nothing(), "fewer than 64 events cost nothing more");
    let history = |id: i64| {
        let before = None;
        let after = Some(Seq::ZERO);
        let limit = Some(130);
        let params = params::History { entity: entity("room:a"), before, after, limit };
        ToEntity::History(
            params,
            Responder::request(&asker, "history", Some(RequestId::Number(id))),
        )
    };
    assert_eq!(rig.take(history(4)), ["#4 rate_limited user"]);
    assert_eq!(asker.take_owed(u32::MAX), 3, "the session owes what its user does");
    rig.fetch();
    rig.fetch();
    assert_eq!(asker.take_owed(u32::MAX), 0, "it was not charged again for the answers");
}

#[test]
fn a_bucket_of_any_size_lets_the_longest_page_be_read() {
    let kind = kind_of(Settings { resume_events: 1000, ..settings() });
    let mut rig = Rig::with_events(kind, 10 * 64);
    let asker = asker(&rig, 2);
    let payer = asker.payer.clone().unwrap();
    payer.account().request(2, Mono::ZERO).expect("the session lets in what the bucket holds");
    let params = params::History {
        entity: entity("room:a"),
        before: None,
        after: Some(Seq::ZERO),
        limit: Some(600),
    };
    let reply = Responder::request(&asker, "history", Some(RequestId::Number(1)));
    assert_eq!(rig.take(ToEntity::History(params, reply)), nothing());
    assert_eq!(rig.fetches.len(), 1);
}
