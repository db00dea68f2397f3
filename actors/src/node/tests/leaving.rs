//! Nodes that are not in the map any more, and are still heard.

use super::*;

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
