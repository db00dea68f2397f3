use super::super::super::map::PeerState;
use super::super::super::slot::{SlotId, SlotSet};
use super::super::super::target::tests::map_of;
use super::super::super::target::{moves, pinned_elsewhere, target};
use super::super::MapChange;
use super::*;
use crate::cluster::map::NodeId;
use proptest::prelude::*;

const UP: PeerState = PeerState::Up;

fn entity(text: &str) -> EntityId {
    EntityId::parse(text).unwrap()
}

/// Three nodes, `node-0` to `node-2`, and the ids of two of them: the owner of `room:hot`, and
/// another one with its name.
fn three() -> (ClusterMap, NodeId, (NodeId, String)) {
    let map = map_of(&[(1, UP, "1"), (1, UP, "1"), (1, UP, "1")], |slot| slot % 3);
    let owner = map.owner_of(&entity("room:hot")).unwrap().id;
    let other = map.peers().iter().find(|peer| peer.id != owner).unwrap();
    let other = (other.id, other.name.clone());
    (map, owner, other)
}

#[test]
fn pins_name_nodes_of_the_map_and_end() {
    let (map, _, (_, name)) = three();
    let hot = entity("room:hot");
    let pinned = map.pin(&hot, &name).unwrap();
    assert_eq!((pinned.validate(), pinned.version()), (Ok(()), map.version() + 1));
    assert_eq!(pinned.slots(), map.slots(), "it moves nothing by itself");
    assert_eq!(pinned.pin(&hot, &name), Err(MapError::Same));
    assert_eq!(map.pin(&hot, "nobody"), Err(MapError::NobodyNamed("nobody".into())));
    let elsewhere = map.peers().iter().find(|peer| peer.name != name).unwrap().name.clone();
    let moved = pinned.pin(&hot, &elsewhere).unwrap();
    assert_eq!(moved.pins(), [Pin { entity: hot.clone(), node: elsewhere.clone() }]);

    let same = (0..).map(|n| entity(&format!("doc:{n}")));
    let same = same.into_iter().find(|other| slot_of(other) == slot_of(&hot)).unwrap();
    let refused = MapError::SlotPinned(hot.clone(), name.clone());
    assert_eq!(pinned.pin(&same, &elsewhere), Err(refused));
    assert_eq!(pinned.pin(&same, &name).unwrap().pins().len(), 2);

    let free = pinned.unpin(&hot).unwrap();
    assert_eq!(free.pins(), []);
    assert_eq!(free.unpin(&hot), Err(MapError::NotPinned(hot.clone())));
    let full = (0..64).fold(map, |map, n| {
        let next = map.pin(&entity(&format!("room:{n}")), &name);
        next.unwrap_or(map)
    });
    assert_eq!(full.pins().len(), 64);
    assert_eq!(full.pin(&hot, &name), Err(MapError::PinsFull));
}

#[test]
fn pins_to_nodes_that_are_gone_give_way() {
    let (map, _, (id, name)) = three();
    let hot = entity("room:hot");
    let same = (0..).map(|n| entity(&format!("doc:{n}")));
    let same = same.into_iter().find(|other| slot_of(other) == slot_of(&hot)).unwrap();
    let here = map.peers().iter().find(|peer| peer.name != name).unwrap().name.clone();
    let gone = map.pin(&hot, &name).unwrap().take_over(id, &[]).unwrap();
    assert_eq!(gone.pins().len(), 1, "a node of that name may come back");
    let next = gone.pin(&same, &here).unwrap();
    assert_eq!(next.pins(), [Pin { entity: same, node: here.clone() }]);

    let more = entity("room:more");
    let mut full = map.pin(&hot, &name).unwrap();
    for n in 0.. {
        match full.pin(&entity(&format!("room:{n}")), &here) {
            Err(MapError::PinsFull) => break,
            next => full = next.unwrap_or(full),
        }
    }
    assert_eq!(full.pin(&more, &here), Err(MapError::PinsFull));
    let full = full.take_over(id, &[]).unwrap().pin(&more, &here).unwrap();
    assert_eq!((full.pins().len(), full.validate()), (64, Ok(())));
    assert!(full.pins().iter().all(|pin| pin.node == here));
}

#[test]
fn a_pinned_slot_goes_to_its_node_and_stays_there() {
    let (map, owner, (to, name)) = three();
    let hot = entity("room:hot");
    let slots: SlotSet = [slot_of(&hot)].into_iter().collect();
    let map = map.pin(&hot, &name).unwrap();
    assert_eq!(pinned_elsewhere(&map, owner, 16), Some((to, slots.clone())));
    assert_eq!(pinned_elsewhere(&map, to, 16), None);
    let there = map.hand_over(&slots, owner, to).unwrap();
    assert_eq!(pinned_elsewhere(&there, owner, 16), None);
    let number = there.peer(to).unwrap().number;
    assert_eq!(target(&there)[slot_of(&hot).index()], number);

    // While the node stops, and when it is gone, the slot is like any other.
    let draining = there.set_state(to, PeerState::Draining).unwrap();
    assert_ne!(target(&draining)[slot_of(&hot).index()], number);
    let gone = there.take_over(to, &[]).unwrap();
    let now = gone.owner_of(&hot).unwrap().id;
    assert_eq!(pinned_elsewhere(&gone, now, 16), None);
    // A process of the same name is the node again.
    let peer = crate::cluster::map::Peer { id: NodeId(5), ..there.peer(to).unwrap().clone() };
    let newcomer = super::super::Newcomer { peer };
    let back = gone.join(&newcomer, super::super::Rejoin::Never).unwrap();
    assert_eq!(pinned_elsewhere(&back, now, 16), Some((NodeId(5), slots)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever else is moved, each pinned slot ends where it is pinned, everything has an owner, and
    /// then nothing moves.
    #[test]
    fn pins_and_balance_come_to_rest(
        weights in prop::collection::vec(0_u16..4, 2..6),
        pins in prop::collection::vec((0_u32..200, 0_usize..6), 0..30),
        seed in any::<u64>(),
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let peers: Vec<_> = weights.iter().map(|weight| (*weight, UP, "1")).collect();
        let owners: Vec<_> = (0..1024).map(|_| random.usize(..weights.len())).collect();
        let mut map = map_of(&peers, |slot| owners[slot]);
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        for (n, at) in pins {
            let change = MapChange::Pin(entity(&format!("room:{n}")), format!("node-{at}"));
            map = map.changed(&change).unwrap_or(map);
        }
        let mut quiet = 0;
        for round in 0..5000 {
            let me = map.peers()[round % weights.len()].id;
            let next = pinned_elsewhere(&map, me, 16).or_else(|| {
                let (to, slots) = moves(&map, me, 16).into_iter().next()?;
                Some((to, slots.into_iter().collect()))
            });
            quiet = if next.is_none() { quiet + 1 } else { 0 };
            if let Some((to, slots)) = next {
                map = map.hand_over(&slots, me, to).unwrap();
            }
            if quiet > weights.len() {
                break;
            }
        }
        prop_assert!(quiet > weights.len(), "slots move to and fro");
        for slot in SlotId::all() {
            let owner = map.owner(slot).unwrap().id;
            if let Some(to) = map.pinned_to(slot) {
                prop_assert_eq!(to.id, owner);
            }
        }
        prop_assert_eq!(target(&map), map.slots());
    }
}
