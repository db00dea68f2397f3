//! Paused subscriptions read on.

use super::*;

#[test]
fn a_small_gap_comes_from_memory() {
    let mut rig = Rig::with_events(kind(), 6);
    assert_eq!(
        rig.catch_up(spec(1, 1), 4, false),
        ["1 goes from 4 to 6 live: event seq 5 type post, event seq 6 type post"]
    );
    rig.post(0, 7);
    assert_eq!(rig.commit(7), ["events 7 to 7", "#7 seq 7"]);
}

#[test]
fn it_waits_behind_the_gate_and_gets_what_was_decided_before() {
    let mut rig = Rig::with_events(kind(), 2);
    rig.post(0, 3);
    assert_eq!(rig.catch_up(spec(1, 1), 2, false), nothing());
    rig.post(0, 4);
    let all: Vec<_> = rig.commit(4).into_iter().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        all,
        ["events 3 to 3", "1 goes from 2 to 3 live: event seq 3 type post", "events 4 to 4"]
    );
}

#[test]
fn a_long_gap_is_read_page_by_page() {
    let mut rig = Rig::with_events(kind(), 10);
    assert_eq!(rig.catch_up(spec(1, 1), 1, false), nothing());
    let page = rig.fetch();
    assert_eq!(page.len(), 1);
    assert!(page[0].starts_with("1 goes from 1 to 10: event seq 2 type post, "), "{page:?}");
    assert_eq!(rig.catch_up(spec(1, 1), 10, false), ["1 goes from 10 to 10 live: "]);
}

#[test]
fn those_who_wait_together_share_a_page() {
    let mut rig = Rig::with_events(kind(), 10);
    for (slot, after) in [(1, 1), (2, 1), (3, 4)] {
        assert_eq!(rig.catch_up(spec(slot, 1), after, false), nothing());
    }
    assert_eq!(rig.fetches.len(), 1);
    let begins: Vec<_> = rig
        .fetch()
        .iter()
        .map(|line| line.split(" type").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        begins,
        [
            "1 goes from 1 to 10: event seq 2",
            "2 goes from 1 to 10: event seq 2",
            "3 goes from 4 to 10: event seq 5"
        ]
    );
    assert!(rig.fetches.is_empty(), "nobody waits any more");
}

#[test]
fn who_is_not_within_the_page_gets_the_next_one() {
    let mut rig = Rig::with_events(kind(), 20);
    rig.catch_up(spec(1, 1), 9, false);
    rig.catch_up(spec(2, 1), 1, false);
    assert!(rig.fetch()[0].starts_with("1 goes from 9 to 20: event seq 10 "));
    let asked: Vec<_> = rig.fetches.iter().map(|fetch| fetch.page).collect();
    assert!(
        matches!(asked[..], [crate::store::Page::After { after, .. }] if after == Seq::FIRST),
        "{asked:?}"
    );
    assert!(rig.fetch()[0].starts_with("2 goes from 1 to 20: event seq 2 "));
}

#[test]
fn a_trimmed_gap_is_a_reset() {
    let mut rig = Rig::with_events(kind(), 10);
    rig.catch_up(spec(1, 1), 1, false);
    let kept = rig.written[5..].iter().map(|event| (**event).clone()).collect();
    assert_eq!(
        rig.fetch_from(Ok(kept)),
        ["1 goes from 1 to 10 live: reset seq 10 reason too_old state [8,9,10]"]
    );
}

#[test]
fn another_log_is_a_reset() {
    let mut rig = Rig::with_events(kind(), 1);
    let after = Position { epoch: Epoch::from_bits(8), seq: Seq::ZERO };
    let request = CatchUp { spec: spec(1, 1), codec: CodecKind::Json, after, presence: false };
    let reset = ["1 goes from 0 to 1 live: reset seq 1 reason epoch_changed state [1]"];
    assert_eq!(rig.take(ToEntity::CatchUp(request)), reset);
}

#[test]
fn who_wants_no_events_gets_none() {
    let mut rig = Rig::with_events(kind(), 10);
    let spec = SubSpec { events: EventPolicy::None, ..spec(1, 1) };
    assert_eq!(rig.catch_up(spec, 0, true), ["1 goes from 0 to 10 live: presence count 0"]);
}

#[test]
fn a_failed_read_is_tried_again() {
    let mut rig = Rig::with_events(kind(), 10);
    rig.catch_up(spec(1, 1), 1, false);
    rig.catch_up(spec(2, 1), 1, false);
    let Fetch { purpose, .. } = rig.fetches.remove(0);
    rig.entity.fetched(purpose, Err(StoreError::Unavailable("told to".into())), &mut rig.fx);
    let again = std::mem::take(&mut rig.fx.retries);
    assert_eq!(
        again.iter().map(|request| request.spec.session).collect::<Vec<_>>(),
        [session(1), session(2)]
    );
    assert!(rig.fetches.is_empty(), "nothing is read until then");
    assert!(!rig.entity.idle(), "it is awake until then");
}

#[test]
fn who_left_meanwhile_gets_nothing() {
    let mut rig = Rig::with_events(kind(), 10);
    rig.catch_up(spec(1, 1), 1, false);
    rig.unsubscribe(1, 1);
    assert_eq!(rig.fetch(), nothing());
    rig.catch_up(spec(1, 1), 1, false);
    rig.subscribe(spec(1, 2), None);
    assert_eq!(rig.fetch(), ["1 is replaced"], "the later subscription has begun anew");
    assert_eq!(rig.entity.followers().collect::<Vec<_>>(), [(session(1), 2)]);
}
