//! Answers that may be large are counted before they are made.

use super::*;
use crate::budget::{Budget, Standing};
use crate::clock::Clock;
use crate::limits::{Accounts, Allowance, Payer, Rate};
use crate::messages::Responder;

const LIMIT: usize = 100_000;

fn payer(burst: u32) -> Payer {
    let rate = Rate::new(1, burst);
    Accounts::alike(Allowance { requests: rate, wakes: rate, awake: 9 })
        .with_clock(Clock::manual())
        .payer(None, [192, 0, 2, 1].into(), Mono::ZERO)
}

/// Every request with an answer that may be large, of an entity with a few kilobytes in its log and
/// its state.
fn requests(reply: impl Fn() -> Responder) -> Vec<(&'static str, ToEntity)> {
    let history = params::History {
        entity: entity("room:a"),
        before: None,
        after: Some(Seq::ZERO),
        limit: Some(9),
    };
    let subscribe = |number, after| {
        ToEntity::Subscribe(Box::new(SubscribeRequest {
            spec: spec(0, number),
            after,
            reply: reply(),
        }))
    };
    vec![
        ("read", ToEntity::Read(reply())),
        ("history", ToEntity::History(history, reply())),
        ("subscribe", subscribe(1, None)),
        ("subscribe after", subscribe(2, Some(Position { epoch: epoch(), seq: Seq::ZERO }))),
        (
            "presence",
            ToEntity::Presence {
                action: PresenceAction::List,
                meta: None,
                user: "alice".into(),
                reply: reply(),
            },
        ),
    ]
}

fn large() -> Rig {
    let mut rig = Rig::of(
        kind_of(Settings { max_body_bytes: 10_000, ring_bytes: 1_000_000, ..settings() }),
        Loaded::default(),
    );
    for n in 1..=3 {
        let reply = rig.line.reply(0, 1);
        rig.op(post("alice", Some(n), &"x".repeat(3000), reply));
        rig.commit(n);
    }
    for (slot, user) in (1..).zip(["alice", "bob", "carol"]) {
        let meta = Some(RawJson::from_value(&"m".repeat(1000)).unwrap());
        let reply = rig.line.reply(slot, 1);
        rig.take(ToEntity::Presence {
            action: PresenceAction::Enter,
            meta,
            user: user.into(),
            reply,
        });
    }
    rig
}

#[test]
fn nothing_is_made_that_nobody_has_room_for() {
    let mut rig = large();
    let budget = Budget::new(LIMIT);
    budget.holds(LIMIT);
    let reply = |standing| rig.line.budgeted_reply(&budget, None, standing);
    let asked = requests(|| reply(Standing::Clear));
    for (name, message) in asked {
        assert_eq!(rig.take(message), ["#1 overloaded outboxes"], "{name}");
        assert_eq!(budget.used(), LIMIT, "{name}");
    }
    assert_eq!(rig.entity.followers().count(), 0, "whoever was refused does not follow");
}

#[test]
fn what_is_being_made_is_counted_until_it_is_there() {
    let mut rig = large();
    let budget = Budget::new(LIMIT);
    // So full that only those for whom nothing waits have room.
    budget.holds(LIMIT - LIMIT / 8);
    for (name, message) in requests(|| rig.line.budgeted_reply(&budget, None, Standing::Behind)) {
        assert_eq!(rig.take(message), ["#1 overloaded outboxes"], "{name}");
    }
    for (name, message) in requests(|| rig.line.budgeted_reply(&budget, None, Standing::Clear)) {
        rig.entity.take(message, &mut rig.fx);
        let made = budget.used() - (LIMIT - LIMIT / 8);
        assert!((3000..12_000).contains(&made), "{name}: {made} bytes");
        rig.out();
        assert_eq!(budget.used(), LIMIT - LIMIT / 8, "{name}");
    }
}

#[test]
fn large_answers_cost_more() {
    let state = "x".repeat(40_000);
    let mut rig = Rig::of(
        kind_of(Settings { max_body_bytes: 100_000, ring_bytes: 1_000_000, ..settings() }),
        Loaded::default(),
    );
    let reply = rig.line.reply(0, 1);
    rig.op(post("alice", None, &state, reply));
    rig.commit(1);
    let budget = Budget::new(LIMIT * 10);
    let left = |payer: &Payer| {
        (0..).take_while(|_| payer.account().request(1, Mono::ZERO).is_ok()).count()
    };
    let free = ["presence"];
    for index in 0..5 {
        let payer = payer(100);
        let (name, message) =
            requests(|| rig.line.budgeted_reply(&budget, Some(&payer), Standing::Clear))
                .remove(index);
        rig.take(message);
        let cost = 100 - left(&payer);
        assert_eq!(cost, if free.contains(&name) { 0 } else { 40_000 / 16_384 }, "{name}");
    }
}
