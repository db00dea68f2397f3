//! Followers whose node's link is reset.

use super::*;
use crate::entity::{Life, Todo};
use crate::journal::{Committed, Journal};

/// A subscription of a session that came over a link.
fn remote(node: NodeIndex, number: u32) -> SubSpec {
    let session = SessionKey { node, ..session(1) };
    SubSpec { session, ..spec(1, number) }
}

const LINK: NodeIndex = NodeIndex(3);

#[test]
fn who_follows_over_a_link_that_is_reset_follows_no_more() {
    let mut rig = Rig::with_events(kind(), 1);
    rig.catch_up(remote(LINK, 1), 1, false);
    rig.catch_up(remote(NodeIndex(4), 1), 1, false);
    rig.take(ToEntity::LinkReset(LINK));
    let others = [(remote(NodeIndex(4), 1).session, 1)];
    assert_eq!(rig.entity.followers().collect::<Vec<_>>(), others);
}

#[test]
fn a_subscription_that_waits_for_a_commit_ends_with_its_link() {
    let mut rig = Rig::new();
    rig.post(0, 1);
    rig.subscribe(remote(LINK, 1), None);
    rig.take(ToEntity::LinkReset(LINK));
    assert_eq!(rig.entity.followers().count(), 0);
    rig.commit(1);
    assert_eq!(rig.entity.followers().count(), 0);
}

#[test]
fn a_subscription_that_must_start_over_ends_with_its_link() {
    let mut rig = Rig::with_events(kind(), 10);
    rig.post(0, 11);
    rig.subscribe(remote(LINK, 1), Some((epoch(), 9)));
    rig.take(ToEntity::LinkReset(LINK));
    rig.entity.forget_ring();
    rig.commit(11);
    assert_eq!(rig.entity.followers().count(), 0);
    assert!(rig.entity.settled(), "nothing of it waits any more");
}

#[test]
fn links_that_are_reset_while_the_database_is_away_take_no_memory() {
    let mut rig = Rig::with_events(kind(), 1);
    rig.catch_up(remote(LINK, 1), 1, false);
    rig.post(0, 2);
    rig.subscribe(remote(NodeIndex(4), 1), None);
    let waiting = rig.entity.waiting();
    for node in [LINK, NodeIndex(4), NodeIndex(5)] {
        rig.take(ToEntity::LinkReset(node));
        rig.take(ToEntity::LinkOver(node));
    }
    assert_eq!(rig.entity.waiting(), waiting + 2, "one for each link that somebody follows over");
    rig.catch_up(remote(LINK, 2), 1, false);
    rig.take(ToEntity::LinkReset(LINK));
    rig.commit(2);
    assert_eq!(rig.entity.followers().count(), 0);
}

#[test]
fn a_page_that_is_read_again_does_not_bring_a_follower_back() {
    let mut rig = Rig::with_events(kind(), 10);
    rig.catch_up(remote(LINK, 1), 1, false);
    rig.catch_up(spec(2, 1), 1, false);
    let Fetch { purpose, .. } = rig.fetches.remove(0);
    rig.entity.fetched(purpose, Err(StoreError::Unavailable("told to".into())), &mut rig.fx);
    let again = std::mem::take(&mut rig.fx.retries);
    assert_eq!(again.len(), 2);
    rig.take(ToEntity::LinkReset(LINK));
    for request in again {
        rig.entity.catch_up_again(request, &mut rig.fx);
    }
    assert_eq!(rig.entity.followers().collect::<Vec<_>>(), [(session(2), 1)]);
    rig.out();
    assert_eq!(rig.fetches.len(), 1, "for the other one");
}

#[test]
fn an_entity_that_need_not_sleep_after_all_keeps_its_followers() {
    let line = Line::new();
    let (journal, _queue) = Journal::channel(10);
    let mut life = Life::new(entity("room:a"), Arc::new(kind()), encoder(), 10, Mono::ZERO);
    let mut todo = Todo::at(Mono::ZERO);
    life.loaded(Ok(Loaded::default()), epoch(), &journal, &mut todo);
    let subscribe = SubscribeRequest { spec: spec(1, 1), after: None, reply: line.reply(1, 1) };
    let post = post("alice", Some(1), "x", line.reply(1, 2));
    for message in [
        ToEntity::Subscribe(Box::new(subscribe)),
        ToEntity::Op(Box::new(post)),
        ToEntity::Sleep { drain: true, mark: 2 },
        ToEntity::Sleep { drain: false, mark: 2 },
    ] {
        life.take(message, 5000, &journal, &mut todo);
    }
    life.committed(Committed { through: Seq::FIRST, ended: false }, &journal, &mut todo);
    assert_eq!(todo.idle, None);
    life.take(ToEntity::Sleep { drain: true, mark: 3 }, 5000, &journal, &mut todo);
    assert_eq!(todo.idle, Some(3));
}
