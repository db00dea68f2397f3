use super::*;
use crate::testing::{Line, entity, session};

fn gone(slot: u32) -> ToEntity {
    ToEntity::Gone(session(slot))
}

/// Which session a shard is notified of.
fn slot(message: Option<ToDirectory>) -> u32 {
    match message {
        Some(ToDirectory::Route(_, ToEntity::Gone(session))) => session.slot,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_entity_has_one_shard() {
    let (directory, mut queues) = Directory::channels(4, 2);
    let shard = directory.shard_of(&entity("room:a"));
    let line = Line::new();
    assert!(directory.route(entity("room:a"), ToEntity::Read(line.reply(0, 1))).is_ok());
    assert!(directory.route(entity("room:a"), ToEntity::Read(line.reply(0, 2))).is_ok());
    let refused = directory.route(entity("room:a"), ToEntity::Read(line.reply(0, 3)));
    assert!(matches!(refused, Err(ToEntity::Read(_))), "a full queue gives the request back");
    assert!((0..4).all(|other| (queues[other].try_recv().is_ok()) == (other == shard)));
}

#[tokio::test]
async fn control_messages_wait_for_room_in_the_queue() {
    let (directory, mut queues) = Directory::channels(1, 1);
    for number in 0..3 {
        directory.route_control(&entity("room:a"), gone(number));
    }
    for number in 0..3 {
        assert_eq!(slot(queues[0].recv().await), number);
    }
}

#[tokio::test]
async fn what_must_not_be_lost_keeps_its_order_behind_a_full_queue() {
    let (directory, mut queues) = Directory::channels(1, 1);
    let room = entity("room:a");
    for number in 0..4 {
        directory.route_control(&room, gone(number));
    }
    assert_eq!(slot(queues[0].recv().await), 0);
    // There is space now, but waiting messages come first.
    assert!(directory.route(room.clone(), gone(9)).is_err());
    directory.route_control(&room, gone(4));
    for number in 1..5 {
        assert_eq!(slot(queues[0].recv().await), number);
    }
    tokio::task::yield_now().await;
    assert!(directory.route(room, gone(5)).is_ok(), "nothing waits any more");
    assert_eq!(slot(queues[0].recv().await), 5);
}
