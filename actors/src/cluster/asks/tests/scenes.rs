//! Single scenes.

use super::super::{AskId, Asks, Output, Owner, Refusals, Retry, Settings};
use crate::clock::Mono;
use crate::cluster::slot::{SlotId, SlotSet};
use crate::ids::NodeIndex;

const A: NodeIndex = NodeIndex(1);
const B: NodeIndex = NodeIndex(2);

/// A table whose outputs are texts, such as `A.1:first` for what was sent to A in round 1.
struct Scene {
    asks: Asks<&'static str>,
    slot: SlotId,
    now: u64,
    ids: Vec<AskId>,
}

/// What an output says, and the id under which something was sent.
fn shown(output: Output<'_, &'static str>) -> (String, Option<AskId>) {
    let name = |node| if node == A { 'A' } else { 'B' };
    match output {
        Output::Send { node, round, id, message, .. } => {
            (format!("{}.{round}:{message}", name(node)), Some(id))
        }
        Output::Tell { node, round, message, .. } => {
            (format!("{}.{round}:{message}", name(node)), None)
        }
        Output::Local { message, .. } => (format!("here:{message}"), None),
        Output::GiveUp { why, message, .. } => (format!("{why:?}:{message}"), None),
        Output::Drop { message, .. } => (format!("dropped:{message}"), None),
    }
}

impl Scene {
    /// The slot is A's, and both links are up.
    fn new() -> Self {
        let slot = SlotId::try_from(7).unwrap();
        let asks = Asks::new(Settings { hold_bytes: 1_000, ..Settings::default() });
        let mut scene = Self { asks, slot, now: 1_000, ids: Vec::new() };
        scene.does(|asks, mut out| asks.link_up(A, &mut out));
        scene.does(|asks, mut out| asks.link_up(B, &mut out));
        scene.owner(1, Owner::Node(A));
        scene
    }

    fn does(
        &mut self,
        input: impl FnOnce(&mut Asks<&'static str>, &mut dyn FnMut(Output<'_, &'static str>)),
    ) -> String {
        let mut all = Vec::new();
        let ids = &mut self.ids;
        input(&mut self.asks, &mut |output| {
            let (text, id) = shown(output);
            all.push(text);
            if let Some(id) = id.filter(|id| !ids.contains(id)) {
                ids.push(id);
            }
        });
        all.join(" ")
    }

    fn ask(&mut self, message: &'static str) -> String {
        let (slot, now) = (self.slot, Mono::at(self.now));
        let retry = if message.starts_with("once") { Retry::Once } else { Retry::Repeatable };
        self.does(|asks, mut out| asks.ask(slot, 100, retry, message, now, &mut out).unwrap())
    }

    fn tell(&mut self, message: &'static str) -> String {
        let (slot, now) = (self.slot, Mono::at(self.now));
        self.does(|asks, mut out| asks.tell(slot, 100, message, now, &mut out).unwrap())
    }

    fn owner(&mut self, version: u64, owner: Owner) -> String {
        self.does(|asks, mut out| asks.map_changed(version, |_| owner, &mut out))
    }

    /// The ask that was sent as the nth is bounced by a node that knows this version.
    fn bounced(&mut self, from: NodeIndex, nth: usize, version: u64) -> String {
        let (id, slot, now) = (self.ids[nth], self.slot, Mono::at(self.now));
        self.does(|asks, mut out| asks.bounced(from, &[id], slot, version, now, &mut out))
    }

    fn answered(&mut self, from: NodeIndex, nth: usize) -> (Option<&'static str>, String) {
        let (id, mut answered) = (self.ids[nth], None);
        let outputs = self.does(|asks, mut out| answered = asks.answered(from, id, &mut out));
        (answered.map(|answered| answered.message), outputs)
    }

    fn later(&mut self, ms: u64) -> String {
        self.now += ms;
        let now = Mono::at(self.now);
        self.does(|asks, mut out| asks.tick(now, &mut out))
    }
}

#[test]
fn a_move_is_a_pause() {
    let mut scene = Scene::new();
    assert_eq!(scene.ask("1"), "A.1:1");
    assert_eq!(scene.ask("2"), "A.1:2");
    assert_eq!(scene.tell("3"), "A.1:3");
    assert_eq!(scene.ask("4"), "A.1:4");
    // A takes the first one, closes the slot, and gives it to B.
    assert_eq!(scene.bounced(A, 1, 1), "");
    assert_eq!(scene.ask("5"), "");
    assert_eq!(scene.bounced(A, 2, 1), "");
    assert_eq!(scene.owner(2, Owner::Node(B)), "", "the first one is not decided");
    assert_eq!(scene.answered(A, 0), (Some("1"), "B.2:2 B.2:3 B.2:4 B.2:5".into()));
    assert_eq!(scene.ask("6"), "B.2:6");
    assert_eq!(scene.answered(A, 1).0, None, "only B can answer it now");
    assert_eq!(scene.answered(B, 1).0, Some("2"));
    assert_eq!(scene.answered(B, 1).0, None, "once");
    for nth in [2, 3, 4] {
        assert!(scene.answered(B, nth).0.is_some());
    }
    assert!(scene.asks.is_empty() && scene.asks.bytes() == 0);
}

#[test]
fn a_reset_link_repeats_what_may_be_repeated() {
    let mut scene = Scene::new();
    for message in ["1", "once 2", "3"] {
        scene.ask(message);
    }
    scene.tell("4");
    assert_eq!(scene.does(|asks, mut out| asks.link_down(A, &mut out)), "Unknown:once 2");
    assert_eq!(scene.ask("once 5"), "");
    assert_eq!(scene.answered(A, 0).0, None, "the answer is of the old link");
    let again = scene.does(|asks, mut out| asks.link_up(A, &mut out));
    assert_eq!(again, "A.2:1 A.2:3 A.2:4 A.2:once 5");
    // With no ask before it, a control message is gone with its link.
    for nth in [0, 2, 3] {
        assert!(scene.answered(A, nth).0.is_some());
    }
    assert_eq!(scene.tell("6"), "A.2:6");
    scene.does(|asks, mut out| asks.link_down(A, &mut out));
    assert_eq!(scene.does(|asks, mut out| asks.link_up(A, &mut out)), "");
}

#[test]
fn an_op_without_a_number_goes_again_if_it_was_not_taken() {
    let mut scene = Scene::new();
    scene.ask("once 1");
    scene.tell("2");
    scene.ask("once 3");
    assert_eq!(scene.bounced(A, 0, 1), "");
    assert_eq!(scene.bounced(A, 1, 1), "");
    assert_eq!(scene.later(20), "A.2:once 1 A.2:2 A.2:once 3");
    // Now nobody knows.
    let unknown = scene.does(|asks, mut out| asks.link_down(A, &mut out));
    assert_eq!(unknown, "Unknown:once 1 Unknown:once 3");
}

#[test]
fn an_owner_that_bounces_is_asked_again_more_and_more_rarely() {
    let mut scene = Scene::new();
    scene.ask("1");
    let mut tries = Vec::new();
    scene.bounced(A, 0, 1);
    for ms in 0..1_500 {
        if !scene.later(1).is_empty() {
            tries.push(ms + 1);
            scene.bounced(A, 0, 1);
        }
    }
    assert_eq!(tries, [20, 60, 140, 300, 620, 1_120]);
    // A newer map is waited for, and one with another owner ends the pause.
    scene.later(500);
    scene.bounced(A, 0, 4);
    assert_eq!(scene.later(1_000), "");
    assert_eq!(scene.owner(3, Owner::Node(B)), "");
    assert_eq!(scene.owner(4, Owner::Node(B)), "B.9:1");
    assert_eq!(scene.owner(3, Owner::Node(A)), "", "that is an old map");
}

#[test]
fn what_is_held_for_too_long_is_given_up() {
    let mut scene = Scene::new();
    scene.owner(2, Owner::Nobody);
    scene.ask("1");
    scene.tell("2");
    assert_eq!(scene.later(1_000), "");
    scene.ask("3");
    assert_eq!(scene.later(4_000), "Held:1");
    assert_eq!(scene.later(999), "");
    assert_eq!(scene.later(1), "Held:3");
    assert_eq!(scene.later(23_999), "");
    assert_eq!(scene.later(1), "dropped:2");
    assert!(scene.asks.is_empty());
}

#[test]
fn what_becomes_this_nodes_own_waits_until_it_is_open_and_decided() {
    let mut scene = Scene::new();
    scene.ask("1");
    assert_eq!(scene.owner(2, Owner::Here), "");
    assert_eq!(scene.ask("2"), "");
    let open = SlotSet::from_iter([scene.slot]);
    assert_eq!(scene.does(|asks, mut out| asks.opened(&open, &mut out)), "");
    assert_eq!(scene.bounced(A, 0, 2), "", "it is soon asked again, but not of A");
    assert_eq!(scene.later(20), "here:1 here:2");
    assert_eq!(scene.ask("3"), "here:3");
    scene.asks.closed(&open);
    assert_eq!(scene.ask("4"), "");
    assert_eq!(scene.owner(3, Owner::Node(B)), "B.3:4");
}

#[test]
fn asks_cannot_keep_control_messages_out() {
    let mut scene = Scene::new();
    for _ in 0..10 {
        scene.ask("1");
    }
    let (slot, now) = (scene.slot, Mono::at(scene.now));
    let full = scene.asks.ask(slot, 1, Retry::Once, "2", now, &mut |_| panic!("it is full"));
    assert_eq!(full.unwrap_err().0, "2");
    assert_eq!(scene.tell("3"), "A.1:3");
    scene.asks.tell(slot, 26, "4", now, &mut |_| panic!("it is full")).unwrap_err();
    // What goes to this node itself is not held, and is not refused.
    let other = SlotId::try_from(8).unwrap();
    let owner = |slot| if slot == other { Owner::Here } else { Owner::Node(A) };
    scene.does(|asks, mut out| asks.map_changed(2, owner, &mut out));
    scene.does(|asks, mut out| asks.opened(&SlotSet::from_iter([other]), &mut out));
    scene.slot = other;
    assert_eq!(scene.ask("5"), "here:5");
}

#[test]
fn the_rest_of_a_refused_round_is_refused() {
    let mut refusals = Refusals::default();
    let slot = SlotId::try_from(7).unwrap();
    assert!(refusals.takes_ask(A, slot, 3, true));
    assert!(!refusals.takes_tell(A, slot, 3, false));
    assert!(refusals.takes_ask(A, slot, 3, true), "the sender does not learn of the other");
    assert!(!refusals.takes_ask(A, slot, 3, false));
    assert!(!refusals.takes_ask(A, slot, 3, true));
    assert!(!refusals.takes_tell(A, slot, 3, true));
    assert!(refusals.takes_ask(B, slot, 3, true));
    assert!(refusals.takes_ask(A, slot, 4, true));
    assert!(!refusals.takes_ask(A, slot, 4, false));
    refusals.forget(A);
    assert!(refusals.takes_ask(A, slot, 4, true));
}
