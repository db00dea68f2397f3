//! Nothing escapes before the commit.

use super::*;

#[test]
fn an_op_is_answered_and_told_after_its_commit() {
    let mut rig = Rig::new();
    rig.subscribe(spec(1, 1), None);
    assert_eq!(rig.post(0, 1), nothing());
    assert_eq!(rig.written.len(), 1, "it is on its way to the journal");
    assert_eq!(rig.commit(0), nothing());
    assert_eq!(rig.commit(1), ["events 1 to 1", "#1 seq 1"]);
    assert_eq!(rig.commit(1), nothing(), "and only once");
}

#[test]
fn ops_do_not_wait_for_each_other() {
    let mut rig = Rig::new();
    rig.subscribe(spec(1, 1), None);
    for n in 1..=4 {
        rig.post(0, n);
    }
    assert_eq!(
        rig.written.iter().map(|event| event.seq).collect::<Vec<_>>(),
        [1, 2, 3, 4].map(Seq::new)
    );
    assert_eq!(rig.commit(3), ["events 1 to 3", "#1 seq 1", "#2 seq 2", "#3 seq 3"]);
    assert_eq!(rig.commit(4), ["events 4 to 4", "#4 seq 4"]);
}

#[test]
fn whatever_saw_the_state_waits() {
    let mut rig = Rig::new();
    assert_eq!(rig.read(), ["#102 seq 0 state []"], "nothing is uncommitted");
    rig.post(0, 1);
    assert_eq!(rig.read(), nothing());
    let mut conflict = post("alice", Some(2), "x", rig.line.reply(0, 2));
    conflict.if_seq = Some(Seq::ZERO);
    assert_eq!(rig.op(conflict), nothing());
    let mut refused = post("alice", Some(3), "x", rig.line.reply(0, 3));
    refused.r#type = "explode".into();
    assert_eq!(rig.op(refused), nothing());
    assert_eq!(rig.post(0, 1), nothing(), "a repeat's answer says as much as the first one");
    assert_eq!(rig.subscribe(spec(1, 1), None), nothing());
    let all = rig.commit(1);
    let joined = "1 joins at 1: #100 seq 1 reason no_position state [1]";
    assert_eq!(
        all,
        [
            "#1 seq 1",
            "#102 seq 1 state [1]",
            "#2 conflict",
            "#3 rejected unknown_op",
            "#1 seq 1 duplicate",
            joined
        ]
    );
}

#[test]
fn a_subscription_begins_where_its_answer_says_though_more_is_released_with_it() {
    let mut rig = Rig::new();
    rig.post(0, 1);
    rig.subscribe(spec(1, 1), None);
    rig.post(0, 2);
    rig.subscribe(spec(2, 1), Some((epoch(), 1)));
    rig.post(0, 3);
    let all: Vec<_> = rig.commit(3).into_iter().filter(|line| !line.starts_with('#')).collect();
    let first = "1 joins at 1: #100 seq 1 reason no_position state [1]";
    assert_eq!(
        all,
        [first, "events 2 to 2", "2 joins at 2: #100 seq 2 events [2]", "events 3 to 3"]
    );
}

#[test]
fn leaving_keeps_its_place_too() {
    let mut rig = Rig::new();
    rig.subscribe(spec(1, 1), None);
    rig.post(0, 1);
    assert_eq!(rig.unsubscribe(1, 1), nothing());
    rig.post(0, 2);
    assert_eq!(rig.commit(2), ["events 1 to 1", "#1 seq 1", "1 leaves", "#101", "#2 seq 2"]);
}

#[test]
fn signals_do_not_wait() {
    let mut rig = Rig::new();
    rig.subscribe(spec(1, 1), None);
    rig.post(0, 1);
    let signal = params::Signal {
        entity: entity("room:a"),
        r#type: "typing".into(),
        body: RawJson::NULL,
        key: None,
    };
    let request = crate::messages::SignalRequest {
        session: session(0),
        user: "alice".into(),
        signal,
        reply: rig.line.reply(0, 5),
    };
    assert_eq!(rig.take(ToEntity::Signal(Box::new(request))), ["signal", "#5"]);
}

#[test]
fn a_full_journal_and_too_many_pending_ops_are_told() {
    let mut rig = Rig::new();
    let request = post("alice", Some(1), "x", rig.line.reply(0, 1));
    rig.entity.op(request, 5000, JournalSpace::Full, &mut rig.fx);
    assert_eq!(rig.out(), ["#1 overloaded journal"]);
    for n in 1..=8 {
        rig.post(0, n);
    }
    assert_eq!(rig.post(0, 9), ["#9 overloaded journal"]);
    assert_eq!(rig.written.len(), 8);
    rig.commit(1);
    assert_eq!(
        rig.post(0, 9),
        nothing(),
        "there is room again, and what was refused was not executed"
    );
}

#[test]
fn an_op_that_a_node_asks_again_does_not_come_behind_a_later_one() {
    let mut rig = Rig::new();
    assert_eq!(rig.post(0, 2), nothing());
    let mut again = |n| {
        let op = post("alice", Some(n), "x", rig.line.reply(0, n as i64));
        let mut message = ToEntity::Op(Box::new(op));
        message.may_have_happened();
        let ToEntity::Op(op) = message else { unreachable!("it is an op") };
        rig.op(*op)
    };
    assert_eq!(again(1), ["#1 unavailable"], "its refusal was lost with the link");
    assert_eq!(again(3), nothing());
    assert_eq!(rig.post(0, 1), nothing(), "its client may send it again");
}

#[test]
fn too_many_ops_a_second_are_told() {
    let mut rig = Rig::of(
        kind_of(Settings { ops_per_second: 1, ops_burst: 2, ..settings() }),
        Loaded::default(),
    );
    assert_eq!((rig.post(0, 1), rig.post(0, 2)), (nothing(), nothing()));
    assert_eq!(rig.post(0, 3), ["#3 rate_limited entity"]);
}

#[test]
fn times_never_go_back() {
    let mut rig = Rig::new();
    for (n, now) in [(1, 70), (2, 60), (3, 80)] {
        let request = post("alice", Some(n), "x", rig.line.reply(0, 1));
        rig.entity.op(request, now, JournalSpace::Free, &mut rig.fx);
        rig.out();
    }
    assert_eq!(rig.written.iter().map(|event| event.at).collect::<Vec<_>>(), [70, 70, 80]);
}
