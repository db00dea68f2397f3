use proptest::prelude::*;

use super::super::super::map::trials::{MOST_DEATHS, Stage, Trial};
use super::super::super::map::{NOBODY, PeerState};
use super::super::super::slot::{SlotId, slot_of};
use super::super::super::target::target;
use super::super::super::target::tests::map_of;
use super::super::MapChange;
use super::*;

const UP: PeerState = PeerState::Up;

fn nodes(count: usize) -> ClusterMap {
    map_of(&vec![(1, UP, "1"); count], |slot| slot % count)
}

fn slot() -> SlotId {
    slot_of(&greenroom_protocol::EntityId::parse("room:lobby").unwrap())
}

fn owner(map: &ClusterMap) -> NodeId {
    map.owner(slot()).unwrap().id
}

/// The slot's owner is taken over.
fn dies(map: &ClusterMap) -> ClusterMap {
    map.take_over(owner(map), &[]).unwrap()
}

/// The slot's owner says that it opens it.
fn opens(map: &ClusterMap) -> ClusterMap {
    map.opening(owner(map)).unwrap()
}

fn trial(map: &ClusterMap) -> Option<(u8, Stage)> {
    map.trials().get(slot()).map(|trial| (trial.deaths, trial.stage))
}

/// Three owners in a row have died early.
fn quarantined() -> ClusterMap {
    let map = dies(&nodes(6));
    let map = dies(&map);
    let map = dies(&opens(&map));
    dies(&opens(&map))
}

#[test]
fn a_slot_that_three_owners_die_of_is_left_alone_for_a_while() {
    let map = dies(&nodes(6));
    assert_eq!(trial(&map), Some((0, Stage::Opened)), "the first one had served it for long");
    let map = dies(&map);
    assert_eq!(trial(&map), Some((1, Stage::Given)));
    let map = dies(&opens(&map));
    assert_eq!(trial(&map), Some((2, Stage::Given)));
    let map = dies(&opens(&map));
    assert_eq!(trial(&map), Some((3, Stage::Quarantined)));
    assert_eq!(map.trials().get(slot()).unwrap().since, map.version());

    assert_eq!(map.owner(slot()), None);
    assert!(map.quarantined().contains(slot()) && map.unowned().is_empty());
    assert_eq!(target(&map)[slot().index()], NOBODY);
    assert_eq!(map.assign(), Err(MapError::Same));
    // What was never with it is served.
    assert!(map.quarantined().len() < 300, "{}", map.quarantined().len());

    let over = map.end_quarantine(&map.quarantined()).unwrap();
    assert_eq!(over.end_quarantine(&map.quarantined()), Err(MapError::Same));
    assert!(over.quarantined().is_empty() && over.unowned().is_empty());
    assert_eq!(trial(&over), Some((2, Stage::Given)));
    assert_eq!(trial(&dies(&opens(&over))), Some((3, Stage::Quarantined)), "one more is enough");
}

#[test]
fn a_node_that_was_dead_when_it_was_given_a_slot_does_not_count() {
    let mut map = dies(&dies(&nodes(9)));
    for _ in 0..6 {
        map = dies(&map);
        assert_eq!(trial(&map), Some((1, Stage::Given)));
    }
}

#[test]
fn an_owner_that_has_served_a_slot_for_long_ends_its_trial() {
    let map = opens(&dies(&dies(&nodes(6))));
    let slots: SlotSet = [slot()].into_iter().collect();
    let me = owner(&map);
    let passed = map.passed(me, &slots).unwrap();
    assert_eq!(trial(&passed), None);
    assert_eq!(passed.passed(me, &slots), Err(MapError::Same));
    let other = map.peers().iter().find(|peer| peer.id != me).unwrap().id;
    assert_eq!(map.passed(other, &slots), Err(MapError::NotOwner(slot(), other)));
    assert_eq!(trial(&dies(&passed)), Some((0, Stage::Opened)));
}

#[test]
fn who_is_handed_a_slot_opens_it_like_who_takes_it_over() {
    let map = opens(&dies(&dies(&nodes(6))));
    let from = owner(&map);
    let to = map.peers().iter().find(|peer| peer.id != from).unwrap().id;
    let slots: SlotSet = [slot()].into_iter().collect();
    assert_eq!(trial(&map.hand_over(&slots, from, to).unwrap()), Some((1, Stage::Given)));
    assert_eq!(trial(&map.yield_slots(from, &[]).unwrap()), Some((1, Stage::Given)));
    let first = dies(&nodes(6));
    let from = owner(&first);
    let to = first.peers().iter().find(|peer| peer.id != from).unwrap().id;
    assert_eq!(trial(&first.hand_over(&slots, from, to).unwrap()), Some((0, Stage::Opened)));
}

#[test]
fn the_row_has_the_trials_in_groups() {
    let map = quarantined();
    let row = serde_json::to_value(&map).unwrap();
    let trials = row["trials"].as_array().unwrap();
    let group = trials.iter().find(|group| group["stage"] == "quarantined").unwrap();
    assert_eq!((&group["deaths"], &group["since"]), (&3.into(), &map.version().into()));
    assert!(group["slots"].as_array().unwrap().contains(&slot().number().into()));
    assert!(trials.len() < 10, "{}", trials.len());
    assert_eq!(serde_json::from_value::<ClusterMap>(row).unwrap(), map);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Dies,
    Opens,
    Passes,
    Moves,
    Joins,
    Ends,
    Assigns,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Dies),
        3 => Just(Step::Opens),
        1 => Just(Step::Passes),
        1 => Just(Step::Moves),
        2 => Just(Step::Joins),
        1 => Just(Step::Ends),
        1 => Just(Step::Assigns),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Of one slot: it is in quarantine exactly when three owners that had opened it have died since
    /// one has passed, and it has no owner then.
    #[test]
    fn only_three_early_deaths_put_a_slot_into_quarantine(steps in steps()) {
        let mut map = nodes(3);
        let mut joined = 0;
        // Early deaths in a row; `None` without a trial.
        let mut deaths: Option<u8> = None;
        let mut opened = true;
        for step in steps {
            let quarantined = map.quarantined();
            let peers: Vec<_> = map.peers().iter().map(|peer| peer.id).collect();
            let own = map.owner(slot()).map(|peer| peer.id);
            let slots: SlotSet = [slot()].into_iter().collect();
            let change = match (step, own) {
                (Step::Dies, Some(dead)) => MapChange::TakeOver { dead, avoid: vec![] },
                (Step::Opens, Some(own)) => MapChange::Opening(own),
                (Step::Passes, Some(own)) => MapChange::Passed(own, slots),
                (Step::Moves, Some(from)) => match peers.iter().find(|id| **id != from) {
                    Some(to) => MapChange::HandOver { slots, from, to: *to },
                    None => continue,
                },
                (Step::Joins, _) => {
                    joined += 1;
                    let peer = crate::cluster::map::Peer {
                        id: NodeId(joined), ..nodes(1).peers()[0].clone()
                    };
                    MapChange::Join(super::super::Newcomer { peer }, super::super::Rejoin::Never)
                }
                (Step::Ends, _) => MapChange::EndQuarantine(quarantined.clone()),
                (Step::Assigns, _) => MapChange::Assign,
                _ => continue,
            };
            let Ok(next) = map.changed(&change) else { continue };
            prop_assert_eq!(next.validate(), Ok(()));
            match step {
                Step::Dies => {
                    deaths = Some(deaths.map_or(0, |count| count + u8::from(opened)));
                    opened = deaths == Some(0);
                }
                Step::Opens => opened = true,
                Step::Passes => (deaths, opened) = (None, true),
                Step::Moves => opened = deaths.is_none_or(|count| count == 0),
                Step::Ends if quarantined.contains(slot()) => {
                    (deaths, opened) = (Some(MOST_DEATHS - 1), false);
                }
                Step::Ends | Step::Joins | Step::Assigns => {}
            }
            let wanted = deaths == Some(MOST_DEATHS);
            prop_assert_eq!(next.quarantined().contains(slot()), wanted);
            prop_assert!(!wanted || next.owner(slot()).is_none());
            let known = next.trials().get(slot()).map(|Trial { deaths, stage, .. }| {
                (*deaths, *stage == Stage::Opened)
            });
            prop_assert_eq!(known, deaths.map(|count| (count, opened && !wanted)));
            map = next;
        }
    }

    /// Nobody is to own a slot in quarantine, and everybody else has a share as ever.
    #[test]
    fn what_is_in_quarantine_is_placed_nowhere(weights in prop::collection::vec(1_u16..4, 1..6)) {
        let quarantined = quarantined();
        let mut row = serde_json::to_value(&quarantined).unwrap();
        let peers: Vec<_> = weights.iter().map(|weight| (*weight, UP, "1")).collect();
        let others = serde_json::to_value(map_of(&peers, |_| 99)).unwrap();
        (row["peers"], row["slots"]) = (others["peers"].clone(), others["slots"].clone());
        let map: ClusterMap = serde_json::from_value(row).unwrap();
        let target = target(&map);
        for slot in SlotId::all() {
            prop_assert_eq!(target[slot.index()] == NOBODY, map.quarantined().contains(slot));
        }
        let assigned = map.assign().unwrap();
        prop_assert_eq!(assigned.quarantined(), map.quarantined());
        prop_assert!(assigned.unowned().is_empty());
    }
}
