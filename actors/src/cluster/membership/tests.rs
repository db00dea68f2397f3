use std::sync::Arc;

use super::*;
use crate::cluster::change::{Fence, MapChange, MapError};
use crate::cluster::map::{Common, LeaseRow, Versions};
use crate::cluster::slot::{SlotId, SlotSet};
use crate::cluster::target::tests::map_of;

mod deaf;
mod model;

const UP: PeerState = PeerState::Up;

/// One machine, and rows that the test writes for all the others.
struct Lab {
    machine: Membership,
    validity: Arc<Validity>,
    now: u64,
    map: ClusterMap,
    leases: Vec<(NodeId, LeaseRow)>,
}

impl Lab {
    /// A node that has not joined, and a map with others.
    fn new(map: ClusterMap) -> Self {
        let versions = Versions { min: 1, max: 1 };
        let me = Peer {
            number: 0,
            id: NodeId(77),
            term: Term(0),
            name: "me".into(),
            state: UP,
            proto: versions,
            schema: versions,
            version: "1".into(),
            weight: 1,
            joined: 5,
            common: Common::default(),
        };
        let validity = Arc::new(Validity::new(Lease::default()));
        let machine =
            Membership::new(me, Settings::default(), Arc::clone(&validity), Mono::at(1000));
        let leases =
            map.peers().iter().map(|peer| (peer.id, LeaseRow { term: peer.term, number: 1 }));
        Self { machine, validity, now: 1000, leases: leases.collect(), map }
    }

    /// A member with all that it is given by the others' map, which it has read.
    fn member(others: usize) -> Self {
        let peers = vec![(1, UP, "1"); others];
        let mut lab = Self::new(map_of(&peers, |slot| slot % (others + 1)));
        lab.join();
        if others == 0 || !lab.map.unowned().is_empty() {
            lab.map = lab.map.assign().unwrap();
        }
        lab.read();
        lab
    }

    fn now(&self) -> Mono {
        Mono::at(self.now)
    }

    fn later(&mut self, ms: u64) -> Vec<Action> {
        self.now += ms;
        self.machine.tick(self.now())
    }

    /// A poll that is asked for and answered now.
    fn read(&mut self) -> Vec<Action> {
        let poll = self.ask();
        self.answer(poll)
    }

    fn ask(&mut self) -> PollNumber {
        let now = self.now();
        let asked = self.machine.notice(now, u64::MAX);
        let [Action::Poll(poll)] = asked[..] else { panic!("{asked:?}") };
        poll
    }

    fn answer(&mut self, poll: PollNumber) -> Vec<Action> {
        let view = View { map: self.map.clone(), leases: self.leases.clone() };
        self.machine.answer(self.now(), poll, view)
    }

    fn row(&mut self, node: NodeId) -> &mut LeaseRow {
        let at = self.leases.iter().position(|(id, _)| *id == node);
        let at = at.unwrap_or_else(|| {
            self.leases.push((node, LeaseRow::default()));
            self.leases.len() - 1
        });
        &mut self.leases[at].1
    }

    fn commit(&mut self) {
        let term = self.machine.term().unwrap();
        let id = self.machine.id();
        self.row(id).number += 1;
        let now = self.now();
        self.machine.committed(now, term, now);
    }

    /// Lets time pass with commits of this node, and of the others but those that are stopped.
    fn pass(&mut self, ms: u64, stopped: &[NodeId]) -> Vec<Action> {
        let mut all = Vec::new();
        for _ in 0..ms / 50 {
            self.now += 50;
            self.commit();
            for (id, row) in &mut self.leases {
                if !stopped.contains(id) {
                    row.number += 1;
                }
            }
            let ticked = self.machine.tick(self.now());
            for action in ticked {
                match action {
                    Action::Poll(poll) => all.extend(self.answer(poll)),
                    other => all.push(other),
                }
            }
            all.retain(|action| !matches!(action, Action::Poll(_) | Action::Beat));
            if !all.is_empty() {
                break;
            }
        }
        all
    }

    fn join(&mut self) {
        let join = self.attempt();
        *self.row(NodeId(77)) = LeaseRow { term: join.term, number: 0 };
        self.map = join.change.map;
        self.joined(join.id, Outcome::Done);
    }

    fn attempt(&mut self) -> Join {
        match &self.read()[..] {
            [Action::Join(join)] => join.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn joined(&mut self, id: ChangeId, outcome: Outcome) -> Vec<Action> {
        let now = self.now();
        self.machine.joined(now, Joined { id, sent: now, outcome })
    }

    /// Writes a change to the map and reports it as done.
    fn done(&mut self, action: &Action) -> Vec<Action> {
        let Action::Change(id, change, _) = action else { panic!("{action:?}") };
        assert_eq!(change.expects, self.map.version());
        self.map = change.map.clone();
        self.commit();
        let out = self.machine.decided(self.now(), *id, Outcome::Done);
        let version = Action::Notice(self.map.version());
        assert!(out.contains(&version), "{out:?}");
        out.into_iter().filter(|action| *action != version && !is_poll(action)).collect()
    }

    fn own(&self) -> SlotSet {
        self.map.slots_of(self.machine.id())
    }
}

fn is_poll(action: &Action) -> bool {
    matches!(action, Action::Poll(_))
}

fn without_polls(actions: Vec<Action>) -> Vec<Action> {
    actions.into_iter().filter(|action| !is_poll(action)).collect()
}

#[track_caller]
fn change_of(actions: &[Action]) -> &MapChange {
    match actions {
        [Action::Change(_, change, _)] => &change.what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_node_takes_all_slots() {
    let mut lab = Lab::new(ClusterMap::empty());
    assert!(matches!(lab.later(0)[..], [Action::Poll(_)]));
    let join = lab.attempt();
    assert_eq!((join.lease, join.term, join.change.expects), (None, Term(1), 0));
    lab.map = join.change.map.clone();
    *lab.row(NodeId(77)) = LeaseRow { term: Term(1), number: 0 };
    let out = lab.joined(join.id, Outcome::Done);
    assert!(matches!(out[..], [Action::Notice(1), Action::Poll(_)]), "{out:?}");
    assert!(lab.validity.holds(lab.now()));
    assert!(lab.machine.open().is_empty());
    let assign = lab.read();
    assert_eq!(change_of(&assign), &MapChange::Assign);
    assert!(lab.done(&assign[0]).is_empty(), "it opens nothing before it has read the map (M2)");
    assert_eq!(lab.read(), [Action::Open(Scope::of_slots(SlotId::all().collect()))]);
}

#[test]
fn an_attempt_to_join_whose_answer_is_lost_is_made_again() {
    let mut lab = Lab::new(map_of(&[(1, UP, "1")], |_| 0));
    let join = lab.attempt();
    let before = lab.ask();
    assert!(lab.answer(before).is_empty(), "an attempt is in flight");
    lab.joined(join.id, Outcome::Unknown);
    // It was committed, and the node was even given slots.
    *lab.row(NodeId(77)) = LeaseRow { term: Term(1), number: 0 };
    let other = lab.map.peers()[0].id;
    let slots = lab.map.slots_of(other).iter().take(3).collect();
    lab.map = join.change.map.hand_over(&slots, other, NodeId(77)).unwrap();
    lab.now += 200;
    let again = lab.attempt();
    assert_eq!(again.lease, Some(LeaseRow { term: Term(1), number: 0 }));
    assert_eq!((again.term, again.change.map.slots_of(NodeId(77))), (Term(2), slots));
    // The first outcome comes after all, and concerns nobody.
    assert!(lab.joined(join.id, Outcome::Done).is_empty());
    assert_eq!(lab.machine.phase(), Phase::Joining);
}

#[test]
fn a_node_of_another_release_ends() {
    let mut lab = Lab::new(map_of(&[(1, UP, "1")], |_| 0));
    lab.machine.me.proto = Versions { min: 5, max: 6 };
    let out = lab.read();
    let [Action::Ended(Ended::Incompatible(MapError::Proto { .. }))] = &out[..] else {
        panic!("{out:?}")
    };
    assert_eq!(lab.machine.phase(), Phase::Out);
    assert!(lab.later(1000).is_empty());
}

#[test]
fn a_node_that_cannot_join_ends_after_a_while() {
    let mut lab = Lab::new(ClusterMap::empty());
    assert!(lab.later(29_999).iter().all(is_poll));
    let ended = Action::Ended(Ended::CannotJoin(30, None));
    assert_eq!(without_polls(lab.later(1)), [ended]);
}

#[test]
fn no_map_is_acted_on_that_was_read_before_the_own_change() {
    let mut lab = Lab::member(1);
    let (own, other) = (lab.own(), lab.map.peers()[0].id);
    let slots: SlotSet = own.iter().take(4).collect();
    let now = lab.now();
    let offer = lab.machine.order(now, Order::Move(slots.clone(), other)).unwrap();
    let [Action::Offer(id, _, _)] = offer[..] else { panic!("{offer:?}") };
    lab.machine.accepted(now, id);
    let change = lab.machine.flushed(now, id);
    let old = lab.map.clone();
    let (first, second) = (lab.ask(), lab.ask());
    let theirs = lab.map.slots_of(other).iter().take(1).collect();
    lab.map = old.hand_over(&theirs, other, NodeId(77)).unwrap();
    assert!(lab.answer(first).is_empty(), "a change is in flight");
    lab.map = old.clone();
    assert_eq!(lab.done(&change[0]), [Action::Release(Scope::of_slots(slots.clone()))]);
    let new = lab.map.clone();
    // One comes back, in a version that is higher than what it has written.
    let one: SlotSet = slots.iter().take(1).collect();
    lab.map = new.hand_over(&one, other, NodeId(77)).unwrap();
    assert!(lab.answer(second).is_empty(), "asked for before it was decided");
    lab.map = old;
    assert!(lab.read().is_empty(), "a lower version than it has written");
    lab.map = new.clone();
    assert!(lab.read().is_empty());
    assert_eq!(lab.machine.open().slots, own.without(&slots));
    lab.map = new.hand_over(&one, other, NodeId(77)).unwrap();
    assert_eq!(lab.read(), [Action::Open(Scope::of_slots(one))]);
}

#[test]
fn answers_are_taken_in_the_order_of_their_polls() {
    let mut lab = Lab::member(1);
    let (first, second) = (lab.ask(), lab.ask());
    lab.answer(second);
    let other = lab.map.peers()[0].id;
    lab.row(other).number = 99;
    lab.answer(first);
    assert_ne!(lab.machine.silence.row(other).unwrap().number, 99);
    let late = lab.ask();
    lab.now += 1000;
    lab.answer(late);
    assert_ne!(lab.machine.silence.row(other).unwrap().number, 99);
}

#[test]
fn a_fenced_node_rejoins_with_what_it_has_in_the_map() {
    let mut lab = Lab::member(1);
    let own = lab.own();
    let now = lab.now();
    let out = lab.machine.fenced(now, Term(1));
    assert_eq!(out, [Action::Demote(Demotion::Fenced)]);
    assert!(!lab.validity.holds(now) && lab.machine.open().is_empty());
    // Late answers of the old term do nothing.
    lab.machine.committed(now, Term(1), now);
    assert!(!lab.validity.holds(now));
    assert!(lab.machine.fenced(now, Term(1)).is_empty());
    lab.machine.lives_ended();
    assert!(lab.read().is_empty(), "not at once");
    lab.now += 200;
    lab.join();
    assert_eq!(lab.machine.term(), Some(Term(2)));
    assert_eq!(lab.read(), [Action::Open(Scope::of_slots(own))]);
}

#[test]
fn a_node_that_was_taken_over_joins_without_slots() {
    let mut lab = Lab::member(2);
    lab.map = lab.map.take_over(NodeId(77), &[]).unwrap();
    lab.row(NodeId(77)).term = Term(2);
    assert_eq!(lab.read(), [Action::Demote(Demotion::NotInMap)]);
    lab.now += 200;
    assert!(lab.read().is_empty(), "a thread may still serve something");
    lab.machine.lives_ended();
    lab.join();
    assert_eq!(lab.machine.term(), Some(Term(3)));
    assert!(lab.read().is_empty() && lab.own().is_empty());
}

#[test]
fn a_silent_node_is_taken_over_and_its_row_compared() {
    let mut lab = Lab::member(1);
    let dead = lab.map.peers()[0].id;
    lab.pass(1000, &[]);
    let row = *lab.row(dead);
    let begun = lab.now;
    let out = lab.pass(3000, &[dead]);
    assert!((2000..=2300).contains(&(lab.now - begun)), "after {} ms", lab.now - begun);
    let [Action::Change(_, change, Reason::Silent)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(change.what, MapChange::TakeOver { dead, avoid: vec![] });
    assert_eq!(change.fences, [(dead, Fence::Raise(row))]);
    assert_eq!(change.expects, lab.map.version());
    let before = lab.own();
    assert!(lab.done(&out[0]).is_empty());
    let more = SlotId::all().collect::<SlotSet>().without(&before);
    assert_eq!(lab.read(), [Action::Open(Scope::of_slots(more))]);
}

#[test]
fn nobody_is_taken_over_by_a_node_whose_own_lease_is_over() {
    let mut lab = Lab::member(1);
    lab.pass(1000, &[]);
    let mut all = Vec::new();
    for _ in 0..100 {
        let out = lab.later(50);
        for action in out {
            match action {
                Action::Poll(poll) => all.extend(lab.answer(poll)),
                Action::Beat => {}
                other => all.push(other),
            }
        }
    }
    assert_eq!(all, [], "reads work, commits do not");
}

#[test]
fn a_node_with_too_much_hands_slots_over_in_steps() {
    let mut lab = Lab::member(0);
    let new = Peer { id: NodeId(5), term: Term(1), ..lab.map.peers()[0].clone() };
    let newcomer = crate::cluster::change::Newcomer { peer: new };
    lab.map = lab.map.join(&newcomer, crate::cluster::change::Rejoin::Never).unwrap();
    *lab.row(NodeId(5)) = LeaseRow { term: Term(1), number: 0 };
    let out = lab.pass(20_000, &[]);
    let [Action::Offer(id, NodeId(5), slots)] = &out[..] else { panic!("{out:?}") };
    assert!(lab.now >= 11_000 && slots.len() == 16);
    let (id, scope, now) = (*id, Scope::of_slots(slots.clone()), lab.now());
    let out = lab.machine.accepted(now, id);
    assert_eq!(out, [Action::Close(scope.clone()), Action::Flush(id, scope.clone())]);
    assert!(lab.machine.accepted(now, id).is_empty(), "once");
    assert_eq!(lab.machine.open().slots.len(), 1008);
    lab.machine.order(now, Order::Yield).unwrap_err();
    let out = lab.machine.flushed(now, id);
    let [Action::Change(change_id, change, Reason::Rebalance)] = &out[..] else {
        panic!("{out:?}")
    };
    assert_eq!(change.fences, [(NodeId(77), Fence::OwnNumber)]);
    // Refused: the slots are opened again once a map shows that they are still here.
    let out = lab.machine.decided(now, *change_id, Outcome::Refused);
    assert!(matches!(out[..], [Action::Poll(_)]), "{out:?}");
    assert_eq!(lab.read()[..1], [Action::Open(scope)]);
    assert_eq!(lab.machine.open().slots.len(), 1024);
}

#[test]
fn an_offer_that_is_declined_or_a_flush_that_takes_too_long_changes_nothing() {
    let mut lab = Lab::member(1);
    let (slots, other) = (lab.own().iter().take(2).collect::<SlotSet>(), lab.map.peers()[0].id);
    let scope = Scope::of_slots(slots.clone());
    let order = Order::Move(slots, other);
    let id = |out: &[Action]| match out {
        [Action::Offer(id, ..)] => *id,
        other => panic!("{other:?}"),
    };
    let now = lab.now();
    let first = id(&lab.machine.order(now, order.clone()).unwrap());
    lab.machine.declined(now, first);
    assert!(lab.machine.accepted(now, first).is_empty());
    let second = id(&lab.machine.order(now, order).unwrap());
    lab.machine.accepted(now, second);
    let opened = lab.pass(6000, &[]);
    assert_eq!(opened, [Action::Open(scope)]);
    assert!(lab.now() >= now.after(5000));
    let now = lab.now();
    assert!(lab.machine.flushed(now, second).is_empty());
}

#[test]
fn an_unknown_outcome_stays_in_flight_until_it_is_settled() {
    let mut lab = Lab::member(1);
    let now = lab.now();
    let out = lab.machine.order(now, Order::Cordon).unwrap();
    let [Action::Change(id, ..)] = &out[..] else { panic!("{out:?}") };
    assert!(lab.machine.decided(now, *id, Outcome::Unknown).is_empty());
    assert!(lab.pass(1500, &[]).is_empty());
    assert!(!lab.machine.receives());
    assert!(lab.done(&out[0]).is_empty());
    assert_eq!(lab.map.peer(NodeId(77)).unwrap().state, PeerState::Cordoned);
}

#[test]
fn a_draining_node_gives_everything_and_leaves_when_it_is_told_to() {
    let mut lab = Lab::member(1);
    let now = lab.now();
    let state = lab.machine.order(now, Order::Drain).unwrap();
    assert_eq!(change_of(&state), &MapChange::SetState(NodeId(77), PeerState::Draining));
    lab.done(&state[0]);
    // In steps, without waiting for the peers to settle.
    let offer = lab.pass(100, &[]);
    let [Action::Offer(id, ..)] = offer[..] else { panic!("{offer:?}") };
    let now = lab.now();
    lab.machine.accepted(now, id);
    let change = lab.machine.flushed(now, id);
    lab.done(&change[0]);
    // Nobody accepts more: after ten seconds it yields the rest.
    let mut last = Vec::new();
    while !matches!(last[..], [Action::Close(_), Action::Flush(..)]) {
        last = lab.pass(2000, &[]);
    }
    assert!(lab.now >= 11_000);
    let [_, Action::Flush(id, scope)] = &last[..] else { panic!("{last:?}") };
    assert_eq!(scope.slots, lab.own());
    let now = lab.now();
    let change = lab.machine.flushed(now, *id);
    assert!(matches!(change_of(&change), MapChange::Yield { .. }));
    lab.done(&change[0]);
    // It stays for as long as its sessions need it, and hands back at once what it is given.
    assert!(lab.pass(60_000, &[]).is_empty());
    assert!(lab.machine.is_drained() && !lab.machine.receives());
    let other = lab.map.peers()[0].id;
    let slots: SlotSet = lab.map.slots_of(other).iter().take(1).collect();
    lab.map = lab.map.hand_over(&slots, other, NodeId(77)).unwrap();
    let given = lab.pass(300, &[]);
    let [Action::Open(_), Action::Close(_), Action::Flush(id, scope)] = &given[..] else {
        panic!("{given:?}")
    };
    assert_eq!(scope.slots, slots);
    assert!(!lab.machine.is_drained());
    let now = lab.now();
    let change = lab.machine.flushed(now, *id);
    lab.done(&change[0]);
    assert!(lab.pass(1000, &[]).is_empty());

    let now = lab.now();
    let leave = lab.machine.order(now, Order::Leave).unwrap();
    assert_eq!(change_of(&leave), &MapChange::Leave(NodeId(77)));
    assert_eq!(lab.done(&leave[0]), [Action::Ended(Ended::Left)]);
    assert_eq!(lab.machine.phase(), Phase::Out);
}

#[test]
fn a_node_that_is_told_to_leave_drains_first() {
    let mut lab = Lab::member(1);
    let now = lab.now();
    let state = lab.machine.order(now, Order::Leave).unwrap();
    assert_eq!(change_of(&state), &MapChange::SetState(NodeId(77), PeerState::Draining));
    lab.done(&state[0]);
    // The other node is as good as gone: it accepts nothing.
    let mut last = Vec::new();
    while !matches!(last[..], [Action::Close(_), Action::Flush(..)]) {
        last = lab.pass(2000, &[]);
    }
    let [_, Action::Flush(id, _)] = &last[..] else { panic!("{last:?}") };
    let now = lab.now();
    let change = lab.machine.flushed(now, *id);
    assert!(matches!(change_of(&change), MapChange::Yield { .. }));
    lab.done(&change[0]);
    let leave = lab.pass(300, &[]);
    assert_eq!(change_of(&leave), &MapChange::Leave(NodeId(77)));

    let mut lab = Lab::new(ClusterMap::empty());
    let now = lab.now();
    let left = lab.machine.order(now, Order::Leave).unwrap();
    assert_eq!(left, [Action::Ended(Ended::Left)], "it has not joined");
}

#[test]
fn a_draining_node_that_loses_its_lease_is_back_for_its_sessions() {
    let mut lab = Lab::member(1);
    let now = lab.now();
    let state = lab.machine.order(now, Order::Stop).unwrap();
    lab.done(&state[0]);
    let now = lab.now();
    let out = lab.machine.fenced(now, lab.machine.term().unwrap());
    assert_eq!(out, [Action::Demote(Demotion::Fenced)]);
    lab.map = lab.map.take_over(NodeId(77), &[]).unwrap();
    let now = lab.now();
    assert_eq!(lab.machine.order(now, Order::Uncordon), Err(BadOrder::NotMember));
    lab.machine.lives_ended();
    lab.later(1000);
    lab.join();
    assert_eq!(lab.map.peer(NodeId(77)).unwrap().state, PeerState::Draining);
    lab.read();
    assert!(lab.machine.is_drained());
    let now = lab.now();
    let leave = lab.machine.order(now, Order::Leave).unwrap();
    assert_eq!(change_of(&leave), &MapChange::Leave(NodeId(77)));

    // One that leaves has nobody to be back for.
    let now = lab.now();
    let out = lab.machine.fenced(now, lab.machine.term().unwrap());
    let ended = Action::Ended(Ended::FencedWhileDraining);
    assert_eq!(out, [Action::Demote(Demotion::Fenced), ended]);
}

#[test]
fn an_operator_may_take_a_drain_back_but_not_a_stop() {
    let mut lab = Lab::member(1);
    let now = lab.now();
    let state = lab.machine.order(now, Order::Drain).unwrap();
    lab.done(&state[0]);
    let now = lab.now();
    let state = lab.machine.order(now, Order::Uncordon).unwrap();
    assert_eq!(change_of(&state), &MapChange::SetState(NodeId(77), UP));
    lab.done(&state[0]);
    assert!(lab.machine.receives() && lab.machine.phase() == Phase::Member);
    assert!(!lab.own().is_empty(), "it keeps what it has not given up");

    let now = lab.now();
    let state = lab.machine.order(now, Order::Drain).unwrap();
    lab.done(&state[0]);
    let now = lab.now();
    lab.machine.order(now, Order::Stop).unwrap();
    assert_eq!(lab.machine.order(now, Order::Uncordon), Err(BadOrder::NotMember));
    assert!(!lab.machine.receives());
}

/// Has a node stop that commits and cannot hand anything over.
fn stops_after_twenty_seconds(lab: &mut Lab) {
    let ended = Action::Ended(Ended::DrainTimedOut);
    let now = lab.now();
    lab.machine.order(now, Order::Stop).unwrap();
    for _ in 0..199 {
        lab.commit();
        assert!(!lab.later(100).contains(&ended));
    }
    lab.commit();
    assert_eq!(lab.later(100).last(), Some(&ended));
}

#[test]
fn a_stop_ends_in_time_whatever_happens() {
    let ended = Action::Ended(Ended::DrainTimedOut);
    stops_after_twenty_seconds(&mut Lab::member(1));

    // Without the database there is nothing to wait for.
    let mut lab = Lab::member(1);
    let now = lab.now();
    lab.machine.order(now, Order::Stop).unwrap();
    assert!(!lab.later(9999).contains(&ended));
    assert_eq!(lab.later(1).last(), Some(&ended));

    // A drain that an operator ordered ends no process.
    let mut lab = Lab::member(1);
    let now = lab.now();
    lab.machine.order(now, Order::Drain).unwrap();
    assert!(!lab.later(60_000).contains(&ended));
    // Nor does it take time from the stop that follows.
    stops_after_twenty_seconds(&mut lab);
}

#[test]
fn slots_that_come_while_a_node_yields_are_closed_before_they_go() {
    let mut lab = Lab::member(1);
    let (own, other) = (lab.own(), lab.map.peers()[0].id);
    let now = lab.now();
    let out = lab.machine.order(now, Order::Yield).unwrap();
    let [Action::Close(_), Action::Flush(id, _)] = out[..] else { panic!("{out:?}") };
    let more: SlotSet = lab.map.slots_of(other).iter().take(2).collect();
    lab.map = lab.map.hand_over(&more, other, NodeId(77)).unwrap();
    assert_eq!(lab.read(), [Action::Open(Scope::of_slots(more.clone()))]);
    assert!(lab.machine.flushed(now, id).is_empty(), "the new ones are open");
    assert_eq!(lab.read()[..1], [Action::Open(Scope::of_slots(own))]);
}

#[test]
fn a_pin_is_written_down_by_whoever_is_asked_and_followed_by_the_owner() {
    let mut lab = Lab::member(1);
    let (own, other) = (lab.own(), lab.map.peers()[0].clone());
    let hot = (0..)
        .map(|n| greenroom_protocol::EntityId::parse(&format!("room:{n}")).unwrap())
        .find(|entity| own.contains(crate::cluster::slot::slot_of(entity)))
        .unwrap();
    let order = |lab: &mut Lab, order| lab.machine.order(lab.now(), order);
    let nobody = Order::Pin(hot.clone(), "nobody".into());
    let refused = BadOrder::Map(MapError::NobodyNamed("nobody".into()));
    assert_eq!(order(&mut lab, nobody), Err(refused));
    let out = order(&mut lab, Order::Pin(hot.clone(), other.name.clone())).unwrap();
    assert_eq!(change_of(&out), &MapChange::Pin(hot.clone(), other.name.clone()));
    let again = order(&mut lab, Order::Unpin(hot.clone()));
    assert_eq!(again, Err(BadOrder::Busy), "one after the other");
    // It is refused since the map has changed meanwhile, and made from the next one.
    let [Action::Change(id, ..)] = out[..] else { panic!("{out:?}") };
    let now = lab.now();
    lab.machine.decided(now, id, Outcome::Refused);
    let out = lab.read();
    assert_eq!(change_of(&out), &MapChange::Pin(hot.clone(), other.name.clone()));
    lab.done(&out[0]);
    let out = lab.read();
    let [Action::Offer(id, to, ref slots)] = out[..] else { panic!("{out:?}") };
    assert_eq!((to, slots.len()), (other.id, 1));
    let now = lab.now();
    lab.machine.accepted(now, id);
    let change = lab.machine.flushed(now, id);
    lab.done(&change[0]);
    assert_eq!(lab.map.owner_of(&hot).unwrap().id, other.id);

    // A pinned slot is not moved by hand.
    lab.map = lab.map.pin(&hot, "me").unwrap();
    let slots = slots.clone();
    lab.map = lab.map.hand_over(&slots, other.id, NodeId(77)).unwrap();
    lab.read();
    let moved = order(&mut lab, Order::Move(slots, other.id));
    assert_eq!(moved, Err(BadOrder::Pinned(hot, "me".into())));
}

#[test]
fn a_pin_is_offered_again_until_it_is_accepted() {
    let mut lab = Lab::member(1);
    let (own, other) = (lab.own(), lab.map.peers()[0].clone());
    let hot = (0..)
        .map(|n| greenroom_protocol::EntityId::parse(&format!("room:{n}")).unwrap())
        .find(|entity| own.contains(crate::cluster::slot::slot_of(entity)))
        .unwrap();
    assert!(lab.pass(12_000, &[]).is_empty(), "it has nothing to hand over");
    // An offer of something else came to nothing.
    let slots = own.iter().take(2).collect();
    let now = lab.now();
    lab.machine.order(now, Order::Move(slots, other.id)).unwrap();
    assert!(lab.pass(1500, &[]).is_empty());
    lab.map = lab.map.pin(&hot, &other.name).unwrap();
    for offer in 0..4 {
        let out = lab.pass(1500, &[]);
        let [Action::Offer(id, to, _)] = out[..] else { panic!("offer {offer}: {out:?}") };
        assert_eq!(to, other.id);
        if offer % 2 == 0 {
            let now = lab.now();
            lab.machine.declined(now, id);
        }
    }
}

#[test]
fn orders_are_refused_when_they_cannot_be_carried_out() {
    let mut lab = Lab::new(ClusterMap::empty());
    let now = lab.now();
    assert_eq!(lab.machine.order(now, Order::Yield), Err(BadOrder::NotMember));
    let mut lab = Lab::member(1);
    let other = lab.map.peers()[0].id;
    let theirs = lab.map.slots_of(other);
    let order = |lab: &mut Lab, order| lab.machine.order(now, order).unwrap_err();
    assert_eq!(order(&mut lab, Order::Move(theirs, other)), BadOrder::NotOwner);
    let own = lab.own();
    let nowhere = BadOrder::Map(MapError::NotIn(NodeId(5)));
    assert_eq!(order(&mut lab, Order::Move(own, NodeId(5))), nowhere);
}
