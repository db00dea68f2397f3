//! An entity that ends its process: its slot does not walk through the cluster for long.

use super::bugs::Bug;
use super::node::Node;
use super::world::{HOSTS, MS, Time, World};
use crate::cluster::slot::{SlotId, SlotSet};

/// Runs until something is so, and fails after a minute and a half.
fn until(world: &mut World, what: &str, wanted: impl Fn(&World) -> bool) {
    let end = world.now + 90_000 * MS;
    while !wanted(world) {
        assert!(world.now < end, "not within 90 s: {what}\n{}", world.trace.join("\n"));
        let next = world.now + 10 * MS;
        world.run_until(next).unwrap();
        world.now = next;
    }
}

/// The host that serves a slot.
fn serving(world: &World, slot: SlotId) -> Option<usize> {
    (0..HOSTS).find(|host| world.nodes[*host].machine.open().slots.contains(slot))
}

/// Kills whoever serves a slot as soon as it does, until nobody is to own it. Returns how many
/// were killed.
fn kill_all_owners(world: &mut World, slot: SlotId) -> usize {
    let mut killed = 0;
    while !world.map.quarantined().contains(slot) {
        until(world, "an owner, or none for a while", |world| {
            serving(world, slot).is_some() || world.map.quarantined().contains(slot)
        });
        if let Some(host) = serving(world, slot) {
            Node::restart(world, host);
            killed += 1;
        }
    }
    killed
}

#[test]
fn a_slot_that_kills_its_owners_rests_for_a_minute_and_the_others_are_served() {
    for seed in 0..5 {
        let mut world = World::calm(seed);
        world.run_until(8000 * MS).unwrap();
        world.now = 8000 * MS;
        let slot = world.watched[0];
        until(&mut world, "an owner", |world| serving(world, slot).is_some());
        assert_eq!(kill_all_owners(&mut world, slot), 4, "the one that had it, and three more");

        let begun = world.now;
        until(&mut world, "all know it", |world| {
            world
                .nodes
                .iter()
                .all(|node| node.machine.quarantine_left(slot, node.clock(world.now)).is_some())
        });
        let left = world.nodes[0].machine.quarantine_left(slot, world.nodes[0].clock(world.now));
        assert!((55_000..=60_000).contains(&left.unwrap()), "{left:?}");
        until(&mut world, "the others are served", |world| {
            let served: usize =
                world.nodes.iter().map(|node| node.machine.open().slots.len()).sum();
            served + world.map.quarantined().len() == 1024
        });
        assert!(world.map.quarantined().len() < 600, "{}", world.map.quarantined().len());
        assert!(world.now - begun < 5_000 * MS, "{}", world.now - begun);

        until(&mut world, "an owner again", |world| serving(world, slot).is_some());
        let rested: Time = world.now - begun;
        // The clocks differ by up to 2.4 percent.
        assert!((58_000 * MS..63_500 * MS).contains(&rested), "{rested}");
        assert_eq!(kill_all_owners(&mut world, slot), 1, "one more death is enough");

        until(&mut world, "an owner again", |world| serving(world, slot).is_some());
        until(&mut world, "the end of its trial", |world| world.map.trials().get(slot).is_none());
        until(&mut world, "the end of all", |world| {
            world.map.quarantined().is_empty() && world.map.trials() == &<_>::default()
        });
    }
}

/// Every slot has had an owner that died early, and two of three nodes are killed so soon after each
/// other that the first is taken over before the second is known to be dead. Returns the number of
/// slots with two early deaths, and of those in quarantine.
fn two_are_killed_at_once(seed: u64, bug: Option<Bug>) -> (usize, usize) {
    let mut world = World::calm(seed);
    world.bug = bug;
    let run = |world: &mut World, ms: Time| {
        let end = world.now + ms * MS;
        world.run_until(end).unwrap();
        world.now = end;
    };
    run(&mut world, 8000);
    let (all, version) = (SlotId::all().collect::<SlotSet>(), world.map.version() + 1);
    world.map.version = version;
    world.map.trials.owner_died(&all, version);
    world.map.trials.owner_died(&all, version);
    world.map.trials.opening(&all, version);
    run(&mut world, 500);
    for host in 1..HOSTS {
        Node::restart(&mut world, host);
        run(&mut world, 1000);
    }
    run(&mut world, 5000);
    assert!(world.map.unowned().is_empty());
    let deaths = |slot| world.map.trials().get(slot).map_or(0, |trial| trial.deaths);
    let twice = SlotId::all().filter(|slot| deaths(*slot) == 2).count();
    (twice, world.map.quarantined().len())
}

#[test]
fn nodes_that_are_killed_all_at_once_put_nothing_into_quarantine() {
    for seed in 0..10 {
        let (twice, quarantined) = two_are_killed_at_once(seed, None);
        assert!(twice > 500, "they have died early, as far as anybody knows: {twice}");
        assert_eq!(quarantined, 0);
    }
}

#[test]
fn a_dead_node_that_counts_is_found() {
    let found = |seed| two_are_killed_at_once(seed, Some(Bug::GivenIsOpened)).1 > 0;
    assert!((0..10).any(found));
}
