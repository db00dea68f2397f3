//! Nodes that do not hear the others.

use super::*;

/// Lets time pass and makes what is decided true; returns the changes of the map.
fn settle(lab: &mut Lab, ms: u64) -> Vec<MapChange> {
    let end = lab.now + ms;
    let mut made = Vec::new();
    while lab.now < end {
        let mut due = VecDeque::from(lab.pass(end - lab.now, &[]));
        while let Some(action) = due.pop_front() {
            match action {
                Action::Change(_, ref change, _) => {
                    made.push(change.what.clone());
                    due.extend(lab.done(&action));
                    due.extend(lab.read());
                }
                Action::Flush(id, _) => due.extend(lab.machine.flushed(lab.now(), id)),
                _ => {}
            }
        }
    }
    made
}

#[test]
fn a_deaf_node_gives_its_slots_to_those_who_hear() {
    let mut lab = Lab::member(2);
    lab.machine.hears(lab.now(), false);
    assert_eq!(settle(&mut lab, 200), [], "it may have been stopped for a moment");
    lab.machine.hears(lab.now(), true);
    lab.machine.hears(lab.now(), false);
    lab.now += 250;
    lab.machine.hears(lab.now(), false);
    let deaf = MapChange::SetState(NodeId(77), PeerState::Deaf);
    assert_eq!(settle(&mut lab, 900), [deaf]);
    assert!(!lab.own().is_empty(), "others may be deaf as well");
    assert!(!lab.machine.is_cut_off(lab.now()), "nor are its clients sent away");
    let yields = MapChange::Yield { from: NodeId(77), avoid: Vec::new() };
    assert_eq!(settle(&mut lab, 300), [yields]);
    assert!(lab.own().is_empty() && lab.map.unowned().is_empty());
    assert!(lab.machine.is_cut_off(lab.now()));
    lab.machine.hears(lab.now(), true);
    assert!(!lab.machine.is_cut_off(lab.now()), "whatever the map still says");
    let up = MapChange::SetState(NodeId(77), PeerState::Up);
    assert_eq!(settle(&mut lab, 200), [up]);
}

#[test]
fn where_all_are_deaf_everybody_keeps_what_it_has() {
    let mut lab = Lab::member(1);
    let (own, other) = (lab.own(), lab.map.peers()[0].id);
    lab.machine.hears(lab.now(), false);
    lab.now += 250;
    lab.machine.hears(lab.now(), false);
    assert_eq!(settle(&mut lab, 200).len(), 1);
    lab.map = lab.map.changed(&MapChange::SetState(other, PeerState::Deaf)).unwrap();
    assert_eq!(settle(&mut lab, 5000), []);
    assert_eq!(lab.own(), own);
}

#[test]
fn nobody_is_sent_away_while_nodes_hear_again_one_by_one() {
    let mut lab = Lab::member(1);
    let (own, other) = (lab.own(), lab.map.peers()[0].id);
    let set = |lab: &Lab, state| lab.map.changed(&MapChange::SetState(other, state)).unwrap();
    lab.machine.hears(lab.now(), false);
    lab.now += 250;
    lab.machine.hears(lab.now(), false);
    assert_eq!(settle(&mut lab, 200).len(), 1);
    lab.map = set(&lab, PeerState::Deaf);
    assert_eq!(settle(&mut lab, 5000), []);
    lab.map = set(&lab, PeerState::Up);
    assert_eq!(settle(&mut lab, 900), []);
    assert!(!lab.machine.is_cut_off(lab.now()), "it may be about to hear as well");
    lab.machine.hears(lab.now(), true);
    let up = MapChange::SetState(NodeId(77), PeerState::Up);
    assert_eq!(settle(&mut lab, 5000), [up]);
    assert_eq!(lab.own(), own);
}
