//! A commit fails: what was not on disk is forgotten, and its ops are looked up.

use super::*;

#[test]
fn ops_are_answered_by_what_the_store_says() {
    let mut rig = Rig::new();
    for n in 1..=3 {
        rig.post(0, n);
    }
    let unnumbered = post("alice", None, "x", rig.line.reply(0, 4));
    rig.op(unnumbered);
    let unsettled = rig.entity.fail();
    assert_eq!(unsettled.len(), 4);
    let written: Vec<_> = rig.written[..2].iter().map(|event| (**event).clone()).collect();
    assert_eq!(
        rig.reload(written, unsettled),
        ["#1 seq 1", "#2 seq 2", "#3 unavailable", "#4 unavailable"]
    );
    assert_eq!(rig.post(0, 3), nothing(), "what was not executed may be repeated");
    assert_eq!(rig.written.last().unwrap().seq, Seq::new(3));
    assert_eq!(rig.commit(3), ["#3 seq 3"]);
    assert_eq!(rig.post(0, 2), ["#2 seq 2 duplicate"]);
}

#[test]
fn other_requests_are_answered_unavailable() {
    let mut rig = Rig::new();
    rig.post(0, 1);
    rig.read();
    rig.subscribe(spec(1, 1), None);
    rig.unsubscribe(2, 1);
    rig.post(0, 1);
    drop(rig.entity.fail());
    let mut answers = rig.line.take();
    answers.sort();
    assert_eq!(
        answers,
        [
            "#1 unavailable",
            "#1 unavailable",
            "#100 unavailable",
            "#101 unavailable",
            "#102 unavailable"
        ]
    );
}

#[test]
fn presence_stays_and_followers_follow_anew() {
    let mut rig = Rig::new();
    rig.subscribe(spec(1, 1), None);
    rig.presence(1, PresenceAction::Enter, "alice");
    rig.presence(2, PresenceAction::Enter, "bob");
    rig.post(0, 1);
    let unsettled = rig.entity.fail();
    rig.take(ToEntity::Gone(session(2)));
    rig.entity.reload(Loaded::default(), unsettled, &mut rig.fx).unwrap();
    assert!(rig.fx.presence_due, "what changed before is still to be told");
    rig.out();
    assert_eq!(rig.entity.followers().count(), 0);
    assert_eq!(rig.presence(1, PresenceAction::List, "alice"), ["#104 count 1"]);
    rig.entity.flush_presence(&mut rig.fx);
    rig.out();
    assert_eq!(rig.catch_up(spec(1, 1), 0, true), ["1 goes from 0 to 0 live: presence count 1"]);
    assert_eq!(rig.entity.followers().collect::<Vec<_>>(), [(session(1), 1)]);
}

#[test]
fn the_log_keeps_its_name() {
    let mut rig = Rig::new();
    let unsettled = rig.entity.fail();
    rig.reload(Vec::new(), unsettled);
    assert_eq!(*rig.entity.epoch(), epoch());
}

#[test]
fn what_was_read_before_comes_too_late() {
    let mut rig = Rig::with_events(kind(), 8);
    rig.subscribe(spec(1, 1), Some((epoch(), 1)));
    let unsettled = rig.entity.fail();
    let written = rig.written.iter().map(|event| (**event).clone()).collect();
    rig.reload(written, unsettled);
    assert_eq!(rig.fetch(), ["#100 unavailable"]);
    assert_eq!(rig.entity.followers().count(), 0);
}
