use super::super::target::tests::map_of;
use super::*;
use crate::cluster::slot::SLOTS;

const UP: PeerState = PeerState::Up;

fn three() -> ClusterMap {
    map_of(&[(1, UP, "1"), (1, UP, "1"), (1, UP, "1")], |slot| slot % 3)
}

fn ids(map: &ClusterMap) -> Vec<NodeId> {
    map.peers().iter().map(|peer| peer.id).collect()
}

fn newcomer(id: u64, term: u64) -> Newcomer {
    let peer = Peer { id: NodeId(id), term: Term(term), number: 0, ..three().peers[0].clone() };
    Newcomer { peer }
}

/// Every change keeps the map valid and increases its version by one.
fn checked(before: &ClusterMap, change: &MapChange) -> ClusterMap {
    let after = before.changed(change).unwrap();
    assert_eq!(after.validate(), Ok(()));
    assert_eq!(after.version(), before.version() + 1);
    after
}

#[test]
fn a_newcomer_gets_the_lowest_free_number_and_no_slots() {
    let map = three();
    let [_, second, _] = ids(&map)[..] else { panic!() };
    let map = checked(&map, &MapChange::TakeOver { dead: second, avoid: vec![] });
    let map = checked(&map, &MapChange::Join(newcomer(9, 1), Rejoin::Never));
    let peer = map.peer(NodeId(9)).unwrap();
    assert_eq!((peer.number, peer.term), (2, Term(1)));
    assert!(map.slots_of(NodeId(9)).is_empty());
}

#[test]
fn a_node_that_is_configured_differently_does_not_join() {
    let map = three();
    for common in [
        Common { lease: 4000, ..Common::default() },
        Common { cluster: "other".into(), ..Common::default() },
    ] {
        let mut new = newcomer(9, 1);
        new.peer.common = common.clone();
        let (peer, theirs) = (ids(&map)[0], Common::default());
        let refused = MapError::Common { peer, own: common, theirs };
        assert_eq!(map.join(&new, Rejoin::Never), Err(refused));
    }
}

#[test]
fn a_node_that_rejoins_keeps_its_slots_only_with_the_term_it_raises() {
    let map = three();
    let me = ids(&map)[0];
    let again = |term| newcomer(me.0, term);
    assert_eq!(map.join(&again(2), Rejoin::Never), Err(MapError::AlreadyIn(me, 1)));
    let old = MapError::OldTerm { node: me, has: 1, wants: 1 };
    assert_eq!(map.join(&again(1), Rejoin::From(Term(1))), Err(old));
    assert!(map.join(&again(2), Rejoin::From(Term(0))).is_err());
    let after = checked(&map, &MapChange::Join(again(2), Rejoin::From(Term(1))));
    assert_eq!(after.peer(me).unwrap().term, Term(2));
    assert_eq!(after.slots(), map.slots());
    // The row was raised without the map: by a join whose map was never written, say.
    assert!(map.join(&again(4), Rejoin::From(Term(3))).is_ok());
    // After a takeover it is a newcomer.
    let taken = checked(&map, &MapChange::TakeOver { dead: me, avoid: vec![] });
    let after = checked(&taken, &MapChange::Join(again(3), Rejoin::From(Term(2))));
    assert!(after.slots_of(me).is_empty());
}

#[test]
fn nodes_that_cannot_work_together_are_refused() {
    let map = three();
    let mut new = newcomer(9, 1);
    new.peer.proto = Versions { min: 2, max: 3 };
    let why = map.join(&new, Rejoin::Never).unwrap_err().to_string();
    assert!(why.starts_with("this node speaks versions 2 to 3 of the protocol"), "{why}");
    new.peer.proto = Versions { min: 1, max: 3 };
    new.peer.schema = Versions { min: 0, max: 0 };
    let why = map.join(&new, Rejoin::Never).unwrap_err().to_string();
    assert!(why.contains("schemas 0 to 0 and peer") && why.contains("with 1 to 1"), "{why}");
}

#[test]
fn a_full_map_takes_nobody() {
    let mut map = ClusterMap::empty();
    for id in 1..=100 {
        map = checked(&map, &MapChange::Join(newcomer(id, 1), Rejoin::Never));
    }
    assert_eq!(map.join(&newcomer(101, 1), Rejoin::Never), Err(MapError::Full));
    assert!(map.join(&newcomer(100, 2), Rejoin::From(Term(1))).is_ok());
}

#[test]
fn a_takeover_gives_the_slots_of_the_dead_only() {
    let map = three();
    let [first, second, third] = ids(&map)[..] else { panic!() };
    let after = checked(&map, &MapChange::TakeOver { dead: first, avoid: vec![] });
    assert_eq!(after.peer(first), None);
    assert_eq!(after.slots_of(second).len(), 512);
    for id in [second, third] {
        assert!(map.slots_of(id).without(&after.slots_of(id)).is_empty());
    }
    let after = checked(&map, &MapChange::TakeOver { dead: first, avoid: vec![second] });
    assert_eq!(after.slots_of(second), map.slots_of(second));
    assert_eq!(after.slots_of(third).len(), 1024 - map.slots_of(second).len());
    assert_eq!(after.take_over(first, &[]), Err(MapError::NotIn(first)));
}

#[test]
fn slots_are_handed_over_by_their_owner() {
    let map = three();
    let [first, second, third] = ids(&map)[..] else { panic!() };
    let slots: SlotSet = map.slots_of(first).iter().take(16).collect();
    let hand = |from, to| MapChange::HandOver { slots: slots.clone(), from, to };
    let after = checked(&map, &hand(first, second));
    assert_eq!(after.slots_of(first).len(), map.slots_of(first).len() - 16);
    assert_eq!(after.slots_of(second), map.slots_of(second).with(&slots));
    let one = slots.iter().next().unwrap();
    assert_eq!(after.changed(&hand(first, third)), Err(MapError::NotOwner(one, first)));
    assert_eq!(map.changed(&hand(first, NodeId(1))), Err(MapError::NotIn(NodeId(1))));
    assert_eq!(map.changed(&hand(first, first)), Err(MapError::Same));
}

#[test]
fn who_yields_gets_nothing_back_and_can_leave() {
    let map = three();
    let [first, second, _] = ids(&map)[..] else { panic!() };
    assert_eq!(map.leave(first), Err(MapError::HasSlots(first, 342)));
    let yielded = checked(&map, &MapChange::Yield { from: first, avoid: vec![] });
    assert!(yielded.slots_of(first).is_empty() && yielded.unowned().is_empty());
    assert_eq!(yielded.yield_slots(first, &[]), Err(MapError::Same));
    let left = checked(&yielded, &MapChange::Leave(first));
    assert_eq!(left.peers().len(), 2);
    assert_eq!(left.leave(first), Err(MapError::NotIn(first)));
    assert_eq!(left.slots_of(second).len(), 512);
}

#[test]
fn slots_without_owner_are_assigned_once_somebody_can_own_them() {
    let map = map_of(&[(1, PeerState::Cordoned, "1")], |_| 0);
    let id = ids(&map)[0];
    let alone = checked(&map, &MapChange::Yield { from: id, avoid: vec![] });
    assert_eq!(alone.unowned().len(), usize::from(SLOTS));
    assert_eq!(alone.assign(), Err(MapError::Same));
    let up = checked(&alone, &MapChange::SetState(id, UP));
    assert_eq!(up.set_state(id, UP), Err(MapError::Same));
    let assigned = checked(&up, &MapChange::Assign);
    assert_eq!(assigned.slots_of(id).len(), usize::from(SLOTS));
}
