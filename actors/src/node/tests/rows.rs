//! What other nodes have written into the map: pins, and slots in quarantine.

use serde_json::json;

use super::*;
use crate::cluster::change::MapChange;
use crate::cluster::slot::slot_of;

impl World {
    /// Changes the map as a test likes, in a transaction of the first node.
    fn rewrite(&mut self, edit: impl FnOnce(&mut serde_json::Value)) {
        let map = now_or_panic(self.registry.view()).unwrap().map;
        let mut row = serde_json::to_value(&map).unwrap();
        edit(&mut row);
        row["version"] = json!(map.version() + 1);
        let (what, fences) = (MapChange::Assign, Vec::new());
        let next = serde_json::from_value(row).unwrap();
        let change = Change { what, expects: map.version(), fences, map: next };
        let machine = &mut self.machines[0];
        let note = Note { by: machine.id, what: String::new(), at: self.now };
        let fence = machine.fence();
        now_or_panic(self.registry.change(machine.id, fence, &change, &note)).unwrap();
        machine.number += 1;
    }
}

#[test]
fn the_first_offer_to_a_node_that_joins_reaches_it() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(0);
    let name = peer(NodeId(3000), Term(0)).name;
    world.rewrite(|row| row["pins"] = json!([{"entity": room.to_string(), "node": name}]));
    world.run(500);
    // The map that names the node comes before anything that it sends itself.
    world.cut.push((world.machines[0].id, NodeId(3000)));
    world.start();
    let joined = |world: &World| world.machines[0].node.membership().map().peers().len() == 3;
    world.until(5000, "it has joined", joined);
    world.cut.clear();
    // An offer is waited for for a second before there is another one.
    world.until(800, "it has what is pinned to it", |world| {
        world.machines[2].node.membership().open().contains(&room)
    });
}

#[test]
fn nothing_waits_for_a_slot_in_quarantine() {
    let mut world = World::new(2);
    world.until(20_000, "balanced", World::is_balanced);
    let room = world.entity_of(1);
    let slot = slot_of(&room);
    world.rewrite(|row| {
        row["slots"][slot.index()] = json!(0);
        let slots = [slot.number()];
        row["trials"] = json!([{"deaths": 3, "stage": "quarantined", "since": 1, "slots": slots}]);
    });
    world.run(500);
    let machine = &world.machines[0];
    let (asker, mut queue) = machine.asker(0);
    for _ in 0..100 {
        machine.exchange.elsewhere(room.clone(), ToEntity::Leave(asker.session));
    }
    let reply = Responder::request(&asker, "read", Some(RequestId::Number(1)));
    machine.exchange.elsewhere(room, ToEntity::Read(reply));
    world.run(100);
    assert_eq!(world.machines[0].node.asks.len(), 0);
    let Ok(ToRelay::Answer(answer)) = queue.try_recv() else { panic!("it is answered") };
    assert_eq!(answer.error(), Some(ErrorCode::Unavailable));
}
