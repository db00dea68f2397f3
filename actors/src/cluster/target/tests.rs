use proptest::prelude::*;

use super::super::map::{LeaseRow, Term, Versions};
use super::*;
use crate::cluster::slot::SlotSet;

/// A map with these peers (weight, state, version) and an owner for each slot by index; what is out
/// of range has none.
pub(in crate::cluster) fn map_of(
    peers: &[(u16, PeerState, &str)],
    owners: impl Fn(usize) -> usize,
) -> ClusterMap {
    let list: Vec<_> = peers.iter().enumerate().map(|(at, peer)| peer_at(at, *peer)).collect();
    let slots: Vec<_> = (0..usize::from(SLOTS))
        .map(|slot| list.get(owners(slot)).map_or(NOBODY, |peer| peer.number))
        .collect();
    let row = serde_json::json!({"version": 7, "slots": slots, "peers": list});
    serde_json::from_value(row).unwrap()
}

fn peer_at(at: usize, (weight, state, version): (u16, PeerState, &str)) -> Peer {
    let versions = Versions { min: 1, max: 1 };
    Peer {
        number: at as u16 + 1,
        // Spread like random ids, but the same in each run.
        id: NodeId((at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        term: LeaseRow { term: Term(1), number: 0 }.term,
        name: format!("node-{at}"),
        state,
        proto: versions,
        schema: versions,
        version: version.into(),
        weight,
        joined: 0,
        common: crate::cluster::map::Common::default(),
    }
}

const UP: PeerState = PeerState::Up;

fn counts(slots: &[u16], peers: usize) -> Vec<usize> {
    (0..=peers).map(|number| slots.iter().filter(|n| usize::from(**n) == number).count()).collect()
}

/// The map after moves.
fn apply(map: &ClusterMap, from: NodeId, moves: &[(NodeId, Vec<SlotId>)]) -> ClusterMap {
    moves.iter().fold(map.clone(), |map, (to, slots)| {
        let slots: SlotSet = slots.iter().copied().collect();
        map.hand_over(&slots, from, *to).unwrap()
    })
}

#[test]
fn a_new_cluster_is_divided_by_weight() {
    let map = map_of(&[(1, UP, "1"), (2, UP, "1"), (1, UP, "1"), (0, UP, "1")], |_| 99);
    assert_eq!(counts(&target(&map), 4), [0, 256, 512, 256, 0]);
    // 1024 by three: the one slot more goes to the lowest id, here the third.
    let map = map_of(&[(1, UP, "1"), (1, UP, "1"), (1, UP, "1")], |_| 99);
    let lowest = map.peers().iter().min_by_key(|peer| peer.id).unwrap().number;
    let counts = counts(&target(&map), 3);
    assert_eq!((counts[usize::from(lowest)], counts.iter().sum::<usize>()), (342, 1024));
    assert!(counts[1..].iter().all(|count| (341..=342).contains(count)));
}

#[test]
fn a_fourth_node_takes_a_quarter_from_the_others() {
    let peers = [(1, UP, "1"), (1, UP, "1"), (1, UP, "1"), (1, UP, "1")];
    let map = map_of(&peers, |slot| slot % 3);
    let target = target(&map);
    assert_eq!(counts(&target, 4), [0, 256, 256, 256, 256]);
    let moved = target.iter().zip(map.slots()).filter(|(a, b)| a != b).count();
    assert_eq!(moved, 256);
}

#[test]
fn cordoned_peers_keep_and_draining_peers_give() {
    let peers = [(1, UP, "1"), (1, PeerState::Cordoned, "1"), (1, PeerState::Draining, "1")];
    let map = map_of(&peers, |slot| slot % 3);
    let before = counts(map.slots(), 3);
    let after = counts(&target(&map), 3);
    assert_eq!(after, [0, before[1] + before[3], before[2], 0]);
}

#[test]
fn without_a_receiver_slots_have_no_owner() {
    let map = map_of(&[(1, PeerState::Draining, "1"), (0, UP, "1")], |slot| slot % 2);
    assert_eq!(counts(&target(&map), 2), [1024, 0, 0]);
    assert!(moves(&map, map.peers()[0].id, 16).is_empty());
}

#[test]
fn in_a_deployment_a_slot_moves_once() {
    // Three old nodes are replaced one by one by new ones, as Kubernetes does with `maxSurge` 1.
    let old = (1, UP, "1.9.0");
    let gone = (0, UP, "1.9.0");
    let new = (1, UP, "1.10.0-rc.1");
    let none = (0, UP, "1.10.0-rc.1");
    let steps = [
        [old, old, old, new, none, none],
        [gone, old, old, new, none, none],
        [gone, old, old, new, new, none],
        [gone, gone, old, new, new, none],
        [gone, gone, old, new, new, new],
        [gone, gone, gone, new, new, new],
    ];
    let mut slots: Vec<usize> = (0..1024).map(|slot| slot % 3).collect();
    let mut moved = vec![0; 1024];
    for peers in steps {
        let map = map_of(&peers, |slot| slots[slot]);
        let target = target(&map);
        for (slot, to) in target.iter().enumerate() {
            let to = usize::from(*to) - 1;
            if to != slots[slot] {
                assert!(to >= 3, "slot {slot} goes to an old node");
                moved[slot] += 1;
                slots[slot] = to;
            }
        }
    }
    assert!(moved.iter().all(|times| *times == 1), "{moved:?}");
    // The rest of the old nodes leaves the map, and the new ones divide the slots evenly.
    let map = map_of(&[none, none, none, new, new, new], |slot| slots[slot]);
    assert!(counts(&target(&map), 6)[4..].iter().all(|count| (341..=342).contains(count)));
}

#[test]
fn old_nodes_receive_what_new_ones_cannot() {
    let gone = (1, PeerState::Draining, "1");
    let peers = [gone, gone, gone, (1, UP, "1"), (1, UP, "1"), (1, UP, "2")];
    let map = map_of(&peers, |slot| slot % 4);
    // Shares are 341 or 342: the new one gets twice that, and the old ones the rest.
    let counts = counts(&target(&map), 6);
    assert_eq!(counts[..4], [0; 4]);
    assert!((682..=684).contains(&counts[6]), "{counts:?}");
    assert!(counts[4] > 256 && counts[5] > 0 && counts[4..].iter().sum::<usize>() == 1024);
}

#[test]
fn releases_are_compared_by_number() {
    let ordered = ["0.9", "1.0.0-rc.1", "1.0.0-rc.2", "1.0.0", "v1.0.1", "1.2.0", "1.10.0", "next"];
    for (at, a) in ordered.iter().enumerate() {
        for (other, b) in ordered.iter().enumerate() {
            assert_eq!(compare_versions(a, b), at.cmp(&other), "{a} and {b}");
        }
    }
    assert_eq!(compare_versions("1.0.0+abc", "1.0.0+def"), Ordering::Equal);
}

#[test]
fn the_target_never_changes() {
    let map = map_of(&[(1, UP, "1"), (1, UP, "1"), (1, UP, "1")], |slot| slot % 2);
    let text: Vec<_> = target(&map).iter().map(u16::to_string).collect();
    assert_eq!(xxhash_rust::xxh3::xxh3_64(text.join(",").as_bytes()), 18_057_842_138_924_253_320);
}

fn peers() -> impl Strategy<Value = Vec<(u16, PeerState, &'static str)>> {
    let state = prop_oneof![
        4 => Just(PeerState::Up),
        1 => Just(PeerState::Cordoned),
        1 => Just(PeerState::Draining)
    ];
    let version = prop_oneof![3 => Just("1.0.0"), 1 => Just("1.1.0")];
    prop::collection::vec((0_u16..4, state, version), 1..8)
}

fn maps() -> impl Strategy<Value = ClusterMap> {
    (peers(), any::<u64>(), 1_usize..12).prop_map(|(peers, seed, spread)| {
        let mut random = fastrand::Rng::with_seed(seed);
        let owners: Vec<_> = (0..1024).map(|_| random.usize(..spread)).collect();
        map_of(&peers, |slot| owners[slot])
    })
}

fn able(peer: &Peer) -> bool {
    peer.state == PeerState::Up && peer.weight > 0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_slot_has_an_owner_if_somebody_can_own_it(map in maps()) {
        let target = target(&map);
        prop_assert_eq!(target.len(), 1024);
        if map.peers().iter().any(able) {
            prop_assert!(!target.contains(&NOBODY));
        }
        for (slot, to) in target.iter().enumerate() {
            if *to != map.slots()[slot] && *to != NOBODY {
                prop_assert!(able(map.peer_numbered(*to).unwrap()));
            }
        }
    }

    #[test]
    fn shares_are_kept_and_no_more_moves_than_must(map in maps()) {
        let target = target(&map);
        let able: Vec<_> = map.peers().iter().filter(|peer| able(peer)).collect();
        prop_assume!(!able.is_empty());
        let uniform = map.peers().iter().all(|peer| peer.version == able[0].version);
        let kept: usize = map.peers().iter().filter(|peer| peer.state == PeerState::Cordoned)
            .map(|peer| map.slots_of(peer.id).len()).sum();
        let weights: usize = able.iter().map(|peer| usize::from(peer.weight)).sum();
        let mut moves = map.unowned().len();
        for peer in map.peers() {
            let had = map.slots_of(peer.id).len();
            let has = target.iter().filter(|number| **number == peer.number).count();
            let share = if able.contains(&peer) {
                (1024 - kept) * usize::from(peer.weight) / weights
            } else { 0 };
            match peer.state {
                PeerState::Cordoned => prop_assert_eq!(had, has),
                _ if uniform => {
                    prop_assert!((share..=share + 1).contains(&has), "{} of {}", has, share);
                    moves += had.saturating_sub(has);
                }
                // Nobody receives more than twice its share, and who has too much never gets more.
                _ => prop_assert!(has <= had.max(2 * (share + 1)), "{} of {}", has, share),
            }
        }
        let moved = target.iter().zip(map.slots()).filter(|(a, b)| a != b).count();
        if uniform {
            prop_assert_eq!(moved, moves);
        }
    }

    #[test]
    fn it_is_the_same_in_any_order_of_the_peers(map in maps(), seed in any::<u64>()) {
        let mut other = map.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut other.peers);
        prop_assert_eq!(target(&map), target(&other));
    }

    #[test]
    fn at_the_target_nothing_moves(map in maps()) {
        let at_target = ClusterMap { slots: target(&map), ..map };
        prop_assert_eq!(target(&at_target), at_target.slots);
    }

    #[test]
    fn moves_step_by_step_lead_to_the_shares(map in maps(), at_once in 1_usize..40) {
        let mut map = map.assign().unwrap_or(map);
        let mut quiet = 0;
        let mut moved = 0;
        for round in 0.. {
            let me = map.peers()[round % map.peers().len()].id;
            let moves = moves(&map, me, at_once);
            let count: usize = moves.iter().map(|(_, slots)| slots.len()).sum();
            prop_assert!(count <= at_once);
            quiet = if count == 0 { quiet + 1 } else { 0 };
            moved += count;
            prop_assert!(moved <= 1024, "slots move to and fro");
            if quiet > map.peers().len() {
                break;
            }
            map = apply(&map, me, &moves);
        }
        for peer in map.peers() {
            let rest = map.slots_of(peer.id).len();
            let receiver = map.peers().iter().any(able);
            if receiver && !able(peer) && peer.state != PeerState::Cordoned {
                prop_assert_eq!(rest, 0);
            }
        }
        if map.peers().iter().any(able) {
            prop_assert_eq!(target(&map), map.slots());
        }
    }
}
