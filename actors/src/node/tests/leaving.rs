//! Nodes that are not in the map any more, and are still heard; and sessions that leave.

use greenroom_protocol::params::PresenceAction;

use super::*;
use crate::cluster::slot::slot_of;
use crate::messages::Adopt;

#[test]
fn what_came_late_of_a_node_that_is_gone_ends_with_its_silence() {
    let mut world = World::new(3);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(0);
    let left = &mut world.machines[2];
    (left.commits, left.polls) = (false, false);
    let alone = |world: &World| world.machines[0].node.membership().map().peers().len() == 2;
    world.until(10_000, "it is taken out", alone);
    world.machines[0].local.clear();
    world.machines[2].ask(&room, 1);
    world.until(1000, "it still asks", |world| !world.machines[0].local.is_empty());
    let (_, message) = world.machines[0].local.pop().unwrap();
    let node = message.into_reply().unwrap().session().node;
    world.machines[2].stopped = true;
    let over = |own: &Own| matches!(own, Own::LinkOver(other) if *other == node);
    world.run(1000);
    assert!(!world.machines[0].owned.iter().any(over), "its sessions may come back");
    world.run(16_000);
    assert!(world.machines[0].owned.iter().any(over), "nobody is present over that link");
    assert_eq!(world.machines[0].node.links.len(), 1);
}

#[test]
fn a_session_leaves_though_its_request_is_given_up() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(1);
    let ids = (world.machines[0].id, world.machines[1].id);
    world.cut.push(ids);
    world.run(2000);
    let (asker, mut queue) = world.machines[0].asker(0);
    let (key, user): (_, Arc<str>) = (asker.session, "anna".into());
    let adopt = Adopt { from: key, to: key, user: Arc::clone(&user), meta: RawJson::NULL };
    let presence = |action| {
        let reply = Responder::request(&asker, "presence", Some(RequestId::Number(1)));
        ToEntity::Presence { action, meta: None, user: Arc::clone(&user), reply }
    };
    let exchange = &world.machines[0].exchange;
    exchange.elsewhere(room.clone(), ToEntity::Adopt(Box::new(adopt)));
    exchange.elsewhere(room.clone(), presence(PresenceAction::Leave));
    world.run(4000);
    world.machines[0].exchange.elsewhere(room, presence(PresenceAction::Enter));
    world.run(2000);
    let Ok(ToRelay::Answer(answer)) = queue.try_recv() else { panic!("it is answered") };
    assert_eq!(answer.error(), Some(ErrorCode::Unavailable));
    world.cut.clear();
    world.until(1000, "the rest arrives", |world| world.machines[1].local.len() == 3);
    let arrived: Vec<_> = world.machines[1].local.iter().map(|(_, message)| message).collect();
    let [ToEntity::Adopt(_), ToEntity::Leave(left), ToEntity::Presence { action, .. }] =
        arrived[..]
    else {
        panic!("{arrived:?}")
    };
    assert_eq!((left.slot, *action), (key.slot, PresenceAction::Enter));
}

#[test]
fn what_comes_back_after_its_link_is_over_leaves_nothing() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(0);
    world.machines[1].ask(&room, 1);
    let gone = ToEntity::Gone(SessionKey::here(WorkerId(0), 4, 1));
    world.machines[1].exchange.elsewhere(room.clone(), gone);
    world.until(100, "both arrive", |world| world.machines[0].local.len() == 2);
    let now = Mono::at(world.now);
    let machine = &mut world.machines[0];
    let (node, _, round) = machine.local[0].1.asked_elsewhere().unwrap();
    machine.node.reset_link(node, now);
    // Its slot has been closed meanwhile, so the shard does not serve them.
    machine.node.open = Scope::EMPTY;
    for (entity, message) in std::mem::take(&mut machine.local) {
        machine.node.take(ToExchange::Elsewhere(entity, message), now);
    }
    assert!(machine.node.missed.is_empty());
    assert!(machine.node.refusals.takes_ask(node, slot_of(&room), round, true));
}
