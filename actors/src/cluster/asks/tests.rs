//! Random runs among nodes that answer, bounce, move slots and die; and single scenes.

use proptest::prelude::*;

use super::planted::Bug;
use script::{Step, any_step, drawn};
use world::{Met, World};

mod node;
mod scenes;
mod script;
mod world;

/// Runs of the random test. `ASKS_SEEDS=n` runs that many, `ASKS_SEED=n` one.
const SEEDS: u64 = 1_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

fn judge(script: &[Step], bug: Option<Bug>) -> (Met, Vec<String>) {
    let mut world = World::new(bug);
    script.iter().for_each(|step| world.step(*step));
    world.settle();
    (world.met, world.complaints)
}

#[test]
fn order_is_kept_and_everything_is_decided_once() {
    let first = number("ASKS_SEED");
    let seeds = match first {
        Some(seed) => seed..seed + 1,
        None => 0..number("ASKS_SEEDS").unwrap_or(SEEDS),
    };
    let mut met = Vec::new();
    for seed in seeds {
        let script = drawn(seed);
        let (this, complaints) = judge(&script, None);
        assert!(complaints.is_empty(), "ASKS_SEED={seed}: {complaints:#?}\n{script:#?}");
        met.push(this);
    }
    if first.is_none() {
        // A promise that was never put to the test says nothing.
        for (what, count) in MET {
            let runs = met.iter().filter(|met| count(met) > 0).count();
            println!("{runs} runs met {what}");
            assert!(runs >= 5, "only {runs} runs met {what}");
        }
    }
}

type Count = fn(&Met) -> u32;

/// What the runs must meet.
const MET: [(&str, Count); 10] = [
    ("bounces", |m| m.bounces),
    ("repeats", |m| m.repeats),
    ("repeated control messages", |m| m.tells_repeated),
    ("unknown outcomes", |m| m.unknown),
    ("ops without a number that were bounced", |m| m.once_again),
    ("asks that were held too long", |m| m.held_too_long),
    ("dropped control messages", |m| m.tells_dropped),
    ("full tables", |m| m.full),
    ("requests for this node", |m| m.local),
    ("bounces of the rest of a round", |m| m.rest_of_round),
];

proptest! {
    #[test]
    fn any_script_is_survived(script in proptest::collection::vec(any_step(), 1..120)) {
        let (_, complaints) = judge(&script, None);
        prop_assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

#[test]
fn planted_mistakes_are_found() {
    for (bug, seeds, complaint) in [
        (Bug::BouncedAfterLater, 100, "order: "),
        (Bug::OnceTwice, 100, "twice: "),
        (Bug::HeldOvertaken, 300, "order: "),
        (Bug::Undecided, 100, "order: "),
        (Bug::SameRound, 100, "stuck: "),
        (Bug::RestTaken, 300, "order: "),
        (Bug::TellNotRepeated, 100, "left: "),
        (Bug::NeverResumed, 100, "stuck: "),
    ] {
        let found = (0..seeds).find_map(|seed| {
            let (_, complaints) = judge(&drawn(seed), Some(bug));
            let found = complaints.into_iter().find(|found| found.starts_with(complaint))?;
            Some(format!("{seed}: {found}"))
        });
        println!("{bug:?}: {found:?}");
        assert!(found.is_some(), "{bug:?} is not found within {seeds} seeds");
    }
}
