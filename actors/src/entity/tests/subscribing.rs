//! Events or a snapshot, and no gap behind either.

use super::*;

#[test]
fn without_a_position_there_is_a_snapshot() {
    let mut rig = Rig::with_events(kind(), 5);
    assert_eq!(
        rig.subscribe(spec(1, 1), None),
        ["1 joins at 5: #100 seq 5 reason no_position state [3,4,5]"]
    );
}

#[test]
fn a_position_in_the_ring_gets_events() {
    let mut rig = Rig::with_events(kind(), 8);
    assert_eq!(
        rig.subscribe(spec(1, 1), Some((epoch(), 5))),
        ["1 joins at 8: #100 seq 8 events [6,7,8]"]
    );
    assert_eq!(
        rig.subscribe(spec(2, 1), Some((epoch(), 8))),
        ["2 joins at 8: #100 seq 8 events []"]
    );
    assert!(rig.fetches.is_empty(), "memory has it all");
}

#[test]
fn an_older_position_is_read_from_the_store() {
    let mut rig = Rig::with_events(kind(), 8);
    assert_eq!(rig.subscribe(spec(1, 1), Some((epoch(), 2))), nothing());
    rig.post(0, 9);
    rig.commit(9);
    assert_eq!(
        rig.fetch(),
        ["1 joins at 9: #100 seq 9 events [3,4,5,6,7,8,9]"],
        "what came meanwhile is there too"
    );
    rig.post(0, 10);
    assert_eq!(rig.commit(10), ["events 10 to 10", "#10 seq 10"]);
}

#[test]
fn events_that_the_store_has_before_the_entity_knows_are_left_for_later() {
    let mut rig = Rig::with_events(kind(), 8);
    rig.subscribe(spec(1, 1), Some((epoch(), 2)));
    rig.post(0, 9);
    assert_eq!(rig.fetch(), nothing(), "it waits for event 9, which the entity has decided");
    assert_eq!(rig.commit(9), ["#9 seq 9", "1 joins at 9: #100 seq 9 events [3,4,5,6,7,8,9]"]);
}

#[test]
fn other_logs_and_impossible_positions_get_a_snapshot() {
    let mut rig = Rig::with_events(kind(), 2);
    let changed = ["1 joins at 2: #100 seq 2 reason epoch_changed state [1,2]"];
    assert_eq!(rig.subscribe(spec(1, 1), Some((Epoch::from_bits(8), 1))), changed);
    assert_eq!(rig.subscribe(spec(1, 2), Some((epoch(), 3))), changed);
}

#[test]
fn a_gap_that_is_too_long_or_trimmed_gets_a_snapshot() {
    let mut rig = Rig::with_events(kind(), 12);
    let too_old = ["1 joins at 12: #100 seq 12 reason too_old state [10,11,12]"];
    assert_eq!(
        rig.subscribe(spec(1, 1), Some((epoch(), 1))),
        too_old,
        "longer than `resume_events`"
    );
    assert_eq!(rig.subscribe(spec(1, 2), Some((epoch(), 2))), nothing());
    let kept = rig.written[5..].iter().map(|event| (**event).clone()).collect();
    assert_eq!(rig.fetch_from(Ok(kept)), too_old);
}

#[test]
fn a_failed_read_is_told() {
    let mut rig = Rig::with_events(kind(), 8);
    rig.subscribe(spec(1, 1), Some((epoch(), 1)));
    assert_eq!(
        rig.fetch_from(Err(StoreError::Unavailable("told to".into()))),
        ["#100 unavailable"]
    );
    assert!(rig.entity.idle());
}

#[test]
fn a_read_under_way_keeps_the_entity_awake() {
    let mut rig = Rig::with_events(kind(), 8);
    assert!(rig.entity.idle());
    rig.subscribe(spec(1, 1), Some((epoch(), 1)));
    assert!(!rig.entity.idle());
}

#[test]
fn unsubscribing_overtakes_a_read() {
    let mut rig = Rig::with_events(kind(), 8);
    rig.subscribe(spec(1, 1), Some((epoch(), 1)));
    assert_eq!(rig.unsubscribe(1, 1), ["1 leaves", "#101"]);
    assert_eq!(rig.fetch(), ["#100 unavailable"]);
    assert_eq!(rig.entity.followers().count(), 0, "the last word was to leave");
}

#[test]
fn a_session_that_ends_overtakes_a_read() {
    let mut rig = Rig::with_events(kind(), 8);
    rig.subscribe(spec(1, 1), Some((epoch(), 1)));
    rig.take(ToEntity::Gone(session(1)));
    rig.fetch();
    assert!(rig.entity.idle());
}

#[test]
fn a_later_subscription_overtakes_a_read() {
    let mut rig = Rig::with_events(kind(), 8);
    rig.subscribe(spec(1, 1), Some((epoch(), 1)));
    assert_eq!(rig.subscribe(spec(1, 2), None).len(), 1);
    assert_eq!(rig.fetch(), ["#100 unavailable"]);
    assert_eq!(rig.entity.followers().collect::<Vec<_>>(), [(session(1), 2)]);
}

#[test]
fn a_ring_that_moves_on_meanwhile_makes_it_a_snapshot() {
    let mut rig = Rig::with_events(kind(), 4);
    rig.post(0, 5);
    assert_eq!(rig.subscribe(spec(1, 1), Some((epoch(), 3))), nothing());
    rig.entity.forget_ring();
    assert_eq!(
        rig.commit(5),
        ["#5 seq 5", "1 joins at 5: #100 seq 5 reason too_old state [3,4,5]"]
    );
}

#[test]
fn a_ring_that_moves_on_does_not_bring_back_who_has_left() {
    let mut rig = Rig::with_events(kind(), 4);
    rig.post(0, 5);
    rig.subscribe(spec(1, 1), Some((epoch(), 3)));
    rig.unsubscribe(1, 1);
    rig.entity.forget_ring();
    assert_eq!(rig.commit(5), ["#5 seq 5", "#100 unavailable", "1 leaves", "#101"]);
    assert_eq!(rig.entity.followers().count(), 0);
}

#[test]
fn whoever_left_stays_away_for_late_messages() {
    let mut rig = Rig::new();
    rig.subscribe(spec(1, 2), None);
    rig.take(ToEntity::Unfollow(session(1), Subscriptions::Through(1)));
    assert_eq!(
        rig.entity.followers().collect::<Vec<_>>(),
        [(session(1), 2)],
        "an older subscription's end is no news"
    );
    rig.take(ToEntity::Unfollow(session(1), Subscriptions::Through(2)));
    assert_eq!(rig.entity.followers().count(), 0);
    assert_eq!(rig.unsubscribe(1, 2), ["1 leaves", "#101"], "not being subscribed is no error");
}

#[test]
fn followers_on_another_node_get_one_message_for_all_their_workers() {
    let mut rig = Rig::new();
    let on = |node, worker, slot| SubSpec {
        session: SessionKey { node: NodeIndex(node), worker: WorkerId(worker), ..session(slot) },
        ..spec(slot, 1)
    };
    for (slot, (node, worker)) in [(7, 0), (0, 0), (7, 70), (8, 1), (7, 2)].into_iter().enumerate()
    {
        rig.subscribe(on(node, worker, slot as u32), None);
    }
    rig.out();
    rig.post(0, 1);
    rig.entity.committed_through(Seq::FIRST, &mut rig.fx);
    assert_eq!(rig.fx.parts.len(), 1, "this node's own relay");
    let workers: Vec<_> = rig
        .fx
        .elsewhere
        .iter()
        .map(|(node, parts)| {
            let [(workers, Part::Events { .. })] = &parts[..] else { panic!("{parts:?}") };
            (node.0, workers.iter().map(|worker| worker.0).collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(workers, [(7, vec![0, 2, 70]), (8, vec![1])]);
}
