//! Runs of several nodes.

use crate::number;
use crate::seen::Seen;
use crate::world::World;

mod bugs;

#[test]
fn every_seed_keeps_the_promises_with_several_nodes() {
    if let Some(seed) = number("SIM_NODES_SEED") {
        let mut world = World::of_nodes(seed, None);
        let outcome = world.run_nodes();
        for line in &world.trace {
            println!("{line}");
        }
        return outcome.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    let seeds = number("SIM_NODES_SEEDS").unwrap_or(if cfg!(debug_assertions) { 25 } else { 2000 });
    let first = number("SIM_NODES_FIRST").unwrap_or(1);
    let mut seen = Seen::default();
    let all = number("SIM_NODES_ALL").is_some();
    for seed in first..first + seeds {
        let done = std::panic::catch_unwind(|| {
            let mut world = World::of_nodes(seed, None);
            world.run_nodes().map(|()| world.seen())
        });
        match done {
            Ok(Ok(more)) => seen.add(&more),
            Ok(Err(why)) if all => println!("seed {seed}: {why}"),
            Err(_) if all => println!("seed {seed} panics"),
            Ok(Err(why)) => panic!("seed {seed}: {why}\nrun it alone with SIM_NODES_SEED={seed}"),
            Err(why) => std::panic::resume_unwind(why),
        }
    }
    println!("{seeds} seeds: {seen:?}");
}
