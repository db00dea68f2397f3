//! Several nodes in a random world: the real state machines of three nodes on a model of the
//! database's rows, with pauses, cuts, crashes, a database that is away or does not commit, clocks of
//! different speeds, and answers that come late. A seed decides everything.
//!
//! Clients ask any node. What they are answered is judged:
//!
//! * a write is at the position that its acknowledgement says, behind all that was known before;
//! * nothing is written twice or with a hole before it;
//! * a read shows at least what was known before it was asked for.
//!
//! In calm worlds, `bounds.rs` measures how long nobody is served after one fault.
//!
//! `CLUSTER_SEED=n` runs one seed and prints what happened; `CLUSTER_SEEDS=n` sets their number.

use super::super::{Membership, PollNumber};
use crate::clock::Mono;

mod bounds;
mod bugs;
mod deaths;
mod node;
mod world;

use world::{Seen, World};

impl Membership {
    /// For planted bugs: the next answer, to this poll and with this version, is acted on whatever
    /// rule M3 says.
    fn forget_rule_m3(&mut self, poll: PollNumber, version: u64) {
        self.polls.counts_from = PollNumber(0);
        self.map.version = self.map.version.min(version);
        if self.polls.waiting.iter().all(|(waiting, _)| *waiting != poll) {
            self.polls.waiting.push_front((poll, Mono::NEVER));
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("`{variable}` is `{text}`, not a number")))
}

#[test]
fn no_ack_is_out_of_place_and_no_read_is_stale() {
    if let Some(seed) = number("CLUSTER_SEED") {
        let mut world = World::new(seed, None);
        let outcome = world.run();
        println!("{}", world.trace.join("\n"));
        return outcome.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    let seeds = number("CLUSTER_SEEDS").unwrap_or(500);
    let mut total = Seen::default();
    for seed in 0..seeds {
        let mut world = World::new(seed, None);
        if let Err(why) = world.run() {
            panic!("seed {seed}: {why}\nrun it alone with CLUSTER_SEED={seed}");
        }
        for (what, count) in world.seen.0 {
            *total.0.entry(what).or_default() += count;
        }
    }
    println!("{seeds} seeds: {:?}", total.0);
    // A model in which nothing happens proves nothing.
    let often = ["acks", "reads", "refused requests"];
    let sometimes = [
        "takeovers",
        "demotions",
        "hand-offs",
        "yields",
        "departures",
        "joins",
        "rejoins",
        "pauses",
        "cuts",
        "crashes",
        "database away",
        "writes stalled",
        "unknown outcomes",
        "offers accepted",
        "offers declined",
    ];
    for what in often {
        assert!(total.0.get(what).is_some_and(|count| *count >= 50 * seeds), "{what}: {total:?}");
    }
    for what in sometimes {
        assert!(total.0.get(what).is_some_and(|count| *count >= seeds / 10), "{what}: {total:?}");
    }
}

#[test]
fn a_seed_decides_everything() {
    let run = |seed| {
        let mut world = World::new(seed, None);
        world.run().unwrap();
        (world.seen, world.trace)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
