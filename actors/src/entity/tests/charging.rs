//! Ops that are more work than an ordinary one are charged to the session that sent them.

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
