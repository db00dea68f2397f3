//! How long nobody is served after one fault, in a world where everything else is fast.

use super::super::super::Phase;
use super::node::Node;
use super::world::{HOSTS, MS, Time, World};
use crate::cluster::membership::Order;

/// When the fault happens: everything has been joined and divided by then.
const FAULT: Time = 8000 * MS;
const SEEDS: u64 = 20;

/// Runs seeds with one fault. Returns the longest time in milliseconds without an acknowledgement,
/// of any log, in the fifteen seconds after it, and the takeovers; `check` is called at the end.
fn longest_pause(fault: impl Fn(&mut World, usize), check: impl Fn(&World, usize)) -> (Time, u64) {
    let mut longest = 0;
    let mut takeovers = 0;
    for seed in 0..SEEDS {
        let mut world = World::calm(seed);
        world.run_until(FAULT).unwrap();
        world.now = FAULT;
        // The node that has the most to lose.
        let owned = |host: &usize| {
            let own = world.map.slots_of(world.nodes[*host].id());
            world.watched.iter().filter(|slot| own.contains(**slot)).count()
        };
        let host = (0..HOSTS).max_by_key(owned).unwrap();
        assert!(owned(&host) > 0);
        fault(&mut world, host);
        let end = FAULT + 15_000 * MS;
        world.run_until(end).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        for log in &world.logs {
            let after = log.acks.iter().copied().filter(|time| *time >= FAULT);
            let times: Vec<_> = [FAULT].into_iter().chain(after).chain([end]).collect();
            let pause = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
            longest = longest.max(pause / MS);
        }
        takeovers += world.seen.0.get("takeovers").copied().unwrap_or_default();
        check(&world, host);
    }
    println!("at most {longest} ms, {takeovers} takeovers in {SEEDS} runs");
    (longest, takeovers)
}

fn is_member(world: &World, host: usize) {
    assert_eq!(world.nodes[host].machine.phase(), Phase::Member);
}

#[test]
fn a_crash_is_over_in_three_seconds() {
    let (longest, takeovers) = longest_pause(Node::restart, is_member);
    assert!(longest < 3000 && takeovers == SEEDS, "{longest} ms, {takeovers} takeovers");
}

#[test]
fn a_node_that_is_stopped_is_taken_over_and_comes_back() {
    let stop = |world: &mut World, host: usize| {
        world.nodes[host].paused_until = FAULT + 10_000 * MS;
        world.at(11_000 * MS, move |world| is_member(world, host));
    };
    let (longest, takeovers) = longest_pause(stop, is_member);
    assert!(longest < 3000 && takeovers == SEEDS, "{longest} ms, {takeovers} takeovers");
}

#[test]
fn a_short_stop_moves_nothing() {
    let stop = |world: &mut World, host: usize| {
        world.nodes[host].paused_until = FAULT + 1400 * MS;
    };
    let (longest, takeovers) = longest_pause(stop, is_member);
    assert!(longest < 1600 && takeovers == 0, "{longest} ms, {takeovers} takeovers");
}

#[test]
fn a_node_that_is_cut_off_from_the_database_is_taken_over() {
    let cut = |world: &mut World, host: usize| {
        world.nodes[host].cut_until = FAULT + 10_000 * MS;
    };
    let (longest, takeovers) = longest_pause(cut, is_member);
    assert!(longest < 3000 && takeovers == SEEDS, "{longest} ms, {takeovers} takeovers");
}

#[test]
fn nothing_moves_while_the_database_is_away_for_all() {
    let away = |world: &mut World, _| {
        for node in &mut world.nodes {
            node.cut_until = FAULT + 5000 * MS;
        }
    };
    let (longest, takeovers) = longest_pause(away, is_member);
    assert!(longest < 6000 && takeovers == 0, "{longest} ms, {takeovers} takeovers");
}

#[test]
fn nothing_moves_while_the_database_does_not_commit() {
    let stall = |world: &mut World, _| world.writes_stall = FAULT + 5000 * MS;
    let (longest, takeovers) = longest_pause(stall, is_member);
    assert!(longest < 6000 && takeovers == 0, "{longest} ms, {takeovers} takeovers");
}

#[test]
fn a_hand_off_takes_less_than_a_tenth_of_a_second() {
    let (longest, takeovers) = longest_pause(World::move_slots, is_member);
    assert!(longest < 100 && takeovers == 0, "{longest} ms, {takeovers} takeovers");
}

#[test]
fn a_node_that_drains_stays_until_it_is_told_to_leave() {
    let drain = |world: &mut World, host| Node::order(world, host, Order::Drain);
    let stays = |world: &World, host: usize| {
        assert_eq!(world.seen.0.get("departures"), None);
        assert!(world.nodes[host].machine.is_drained());
    };
    let (longest, takeovers) = longest_pause(drain, stays);
    assert!(longest < 200 && takeovers == 0, "{longest} ms, {takeovers} takeovers");
}

#[test]
fn a_node_that_leaves_does_so_without_a_takeover() {
    let drain = |world: &mut World, host| Node::order(world, host, Order::Leave);
    let left = |world: &World, _: usize| assert_eq!(world.seen.0.get("departures"), Some(&1));
    let (longest, takeovers) = longest_pause(drain, left);
    assert!(longest < 200 && takeovers == 0, "{longest} ms, {takeovers} takeovers");
}

#[test]
fn all_nodes_may_be_killed() {
    let kill = |world: &mut World, _| {
        for host in 0..HOSTS {
            Node::restart(world, host);
        }
    };
    let (longest, takeovers) = longest_pause(kill, is_member);
    // They are started within two seconds and half a second.
    assert!(longest < 5500 && takeovers == HOSTS as u64 * SEEDS, "{longest} ms, {takeovers}");
}
