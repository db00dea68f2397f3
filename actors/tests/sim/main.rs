//! Deterministic simulation of the core: a seed decides everything that happens, and a checker
//! judges everything that clients receive.
//!
//! Sessions, relays, directory shards, entities, the committer and their channels are the real
//! ones. What surrounds them is simulated: the seed decides which part runs next, what time it is,
//! and what fails (commits, answers of the store, reads, wires, handlers, nodes, leases). There are
//! no threads and no sleeps.
//!
//! `SIM_SEED=n` runs one seed and prints what happened; `SIM_SEEDS=n` sets the number of seeds.
//! Scripts (`script.rs`) replace the seed by explicit steps; `lab/fuzz` builds this as a library to
//! run them.
#![cfg_attr(
    not(test),
    allow(dead_code, unused_imports, reason = "the tests that use it are not in the library")
)]

mod bugs;
mod client;
mod clock;
mod cluster;
mod log;
mod net;
mod node;
mod panics;
pub mod script;
mod seen;
mod sizes;
mod store;
mod truth;
mod world;

use world::World;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("`{variable}` is `{text}`, not a number")))
}

#[test]
fn every_seed_keeps_the_promises() {
    if let Some(seed) = number("SIM_SEED") {
        let mut world = World::new(seed, None);
        let outcome = world.run();
        for line in &world.trace {
            println!("{line}");
        }
        return outcome.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    let seeds = number("SIM_SEEDS").unwrap_or(if cfg!(debug_assertions) { 150 } else { 2000 });
    let mut seen = seen::Seen::default();
    for seed in 1..=seeds {
        let mut world = World::new(seed, None);
        if let Err(why) = world.run() {
            panic!("seed {seed}: {why}\nrun it alone with SIM_SEED={seed}");
        }
        seen.add(&world.seen());
    }
    println!("{seeds} seeds: {seen:?}");
    // A simulation without faults proves nothing.
    let mut rare = seen.rarer_than(seeds / 50);
    rare.retain(|name| !name.starts_with("cluster_"));
    assert!(rare.is_empty(), "too little of {rare:?}: {seen:?}");
    let everywhere = seen.crashed_at[..seen::Wait::ALONE].iter().all(|count| *count > 0);
    assert!(
        everywhere || seeds < 2000,
        "nothing crashed at some of the points where it can wait: {seen:?}"
    );
}

#[test]
fn a_seed_decides_everything() {
    let trace = |seed| {
        let mut world = World::new(seed, None);
        world.run().unwrap();
        world.trace
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}
