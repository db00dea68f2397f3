//! Runs of two nodes over a bad wire, and single scenes.

use proptest::prelude::*;

use super::Counters;
use super::planted::Bug;
use script::{Step, any_step, drawn, judge};
use world::World;

mod place;
mod scenes;
mod script;
mod world;

/// Runs of the random test. `LINK_SEEDS=n` runs that many, `LINK_SEED=n` one.
const SEEDS: u64 = 2_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

#[test]
fn links_keep_their_promises_over_a_bad_wire() {
    let first = number("LINK_SEED");
    let seeds = match first {
        Some(seed) => seed..seed + 1,
        None => 0..number("LINK_SEEDS").unwrap_or(SEEDS),
    };
    let mut met = Vec::new();
    for seed in seeds {
        let script = drawn(seed);
        match judge(seed, &script, None) {
            Ok(world) => met.extend(world.counters().copied()),
            Err(complaint) => panic!("LINK_SEED={seed}: {complaint}\n{script:#?}"),
        }
    }
    if first.is_none() {
        // A promise that was never put to the test says nothing.
        for (what, count) in MET {
            let runs = met.iter().filter(|counters| count(counters) > 0).count();
            assert!(runs >= 5, "only {runs} links met {what}");
        }
    }
}

type Count = fn(&Counters) -> u64;

/// What the runs must meet.
const MET: [(&str, Count); 13] = [
    ("resends", |c| c.resends),
    ("nacks", |c| c.nacks_sent),
    ("repeats", |c| c.repeats),
    ("gaps", |c| c.gaps),
    ("overruns", |c| c.overruns),
    ("stale frames", |c| c.stale),
    ("strays", |c| c.strays),
    ("silences", |c| c.silences),
    ("resets because of a full link", |c| c.resets_full),
    ("resets because of a silence", |c| c.resets_silence),
    ("resets because of a stall", |c| c.resets_stalled),
    ("resets because of the peer", |c| c.resets_peer),
    ("items", |c| c.items_read),
];

proptest! {
    #[test]
    fn any_script_is_survived(seed: u64, script in proptest::collection::vec(any_step(), 1..25)) {
        if let Err(complaint) = judge(seed, &script, None) {
            return Err(TestCaseError::fail(complaint));
        }
    }
}

/// The first seed that finds the mistake, and how.
fn found(bug: Bug, seeds: u64) -> String {
    for seed in 0..seeds {
        if let Err(complaint) = judge(seed, &drawn(seed), Some(bug)) {
            return format!("{seed}: {complaint}");
        }
    }
    panic!("{bug:?} is not found within {seeds} seeds");
}

#[test]
fn planted_mistakes_are_found() {
    for (bug, seeds, complaints) in [
        (Bug::GapTaken, 60, &["order: "][..]),
        (Bug::OldEpochTaken, 60, &["epoch: ", "order: ", "events: an item while down"]),
        (Bug::AckBeforeTake, 60, &["missing: "]),
        (Bug::NackStorm, 60, &["storm: "]),
        (Bug::LateHelloResets, 300, &["unmatched: "]),
    ] {
        let complaint = found(bug, seeds);
        println!("{bug:?}: {complaint}");
        let why = complaint.split_once(": ").unwrap().1;
        assert!(complaints.iter().any(|one| why.starts_with(one)), "{bug:?}: {complaint}");
    }
}

/// Nothing goes wrong: a bounded number of frames per item, none twice, no reset.
#[test]
fn a_good_wire_costs_what_it_must() {
    for delay in [0, 5, 60] {
        let mut world = World::new(7, None);
        for to in 0..2 {
            world.step(&Step::Way { to, loss: 0, late: 0, twice: 0, delay });
        }
        world.step(&Step::Wait(1_000));
        let before = world.frames();
        assert!(before < 12, "{before} frames to come up");
        for _ in 0..200 {
            for at in 0..2 {
                world.step(&Step::Push { at, count: 10, size: 50 });
            }
            world.step(&Step::Wait(50));
        }
        world.run(1_000);
        assert!(world.settled().is_some());
        world.verdict().unwrap();
        // 10 items are one frame; at most two acknowledgements for each.
        let frames = world.frames() - before;
        assert!((400..=1_200).contains(&frames), "{frames} frames for 400 pushes");
        assert_eq!((world.resets(), world.resends()), (0, 0));
    }
}
