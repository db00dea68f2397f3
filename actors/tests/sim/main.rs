//! Deterministic simulation of the core: one seed decides everything that happens, a checker judges what clients are told.
//!
//! What runs is the real thing: sessions, relays, directory shards, lives of entities, the committer, and their channels.
//! The shell around them is simulated: who goes next is up to the seed, and so is what fails: commits, answers of the store,
//! reads, connections, entities, the whole node. There are no threads, no clock, and no sleep.
//!
//! `SIM_SEED=n` runs one seed and tells what happened; `SIM_SEEDS=n` says how many to run.

mod client;
mod log;
mod node;
mod store;
mod world;

use greenroom_actors::behaviour::BehaviourConfig;
use greenroom_actors::behaviour::room::RoomConfig;
use greenroom_actors::capability::Permissions;
use greenroom_actors::kind::{Kind, Kinds};
use greenroom_protocol::EntityId;
use std::time::Duration;

use world::World;

/// A mistake made on purpose, in the simulation's own wiring, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Entities are told that everything is on disk before it is.
    AckBeforeCommit,
    /// Snapshots are stored without the outcomes of ops.
    OutcomesNotStored,
    /// A subscription begins behind events that are released with it.
    GapOnSubscribe,
    /// After a failed transaction the rest of that life's events is written all the same.
    NoSkipAfterFailure,
}

/// The bounds of a run, drawn from its seed: small ones meet more of the rare cases.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    workers: usize,
    directory: usize,
    relay: usize,
    journal: usize,
    inbox: usize,
    batch_ops: usize,
    batch_bytes: usize,
    outbox: usize,
    link: usize,
    max_loading: usize,
    resume_events: u64,
    ring_events: usize,
    keep_events: u64,
    /// How many times out of 16 a commit, a read, that could go on does not.
    slow: (u8, u8),
}

impl Sizes {
    fn draw(rng: &mut fastrand::Rng) -> Self {
        let resume_events = rng.u64(3..20);
        Self {
            workers: rng.usize(1..3),
            directory: rng.usize(2..40),
            relay: rng.usize(1..20),
            journal: rng.usize(2..40),
            inbox: rng.usize(1..20),
            batch_ops: rng.usize(1..10),
            batch_bytes: rng.usize(100..3000),
            outbox: rng.usize(200..3000),
            link: rng.usize(1..8),
            max_loading: rng.usize(1..3),
            resume_events,
            ring_events: rng.usize(0..8),
            keep_events: if rng.bool() { 0 } else { resume_events + rng.u64(..5) },
            slow: (rng.u8(..16), rng.u8(..16)),
        }
    }

    fn kinds(self) -> Kinds {
        Kinds::new([Kind {
            name: "room",
            behaviour: BehaviourConfig::Room(RoomConfig { messages: 3, ..RoomConfig::default() }),
            default_permissions: Permissions::ALL,
            anonymous_permissions: Permissions::NONE,
            max_body_bytes: 4096,
            ops_per_second: 1_000_000_000,
            ops_burst: 1_000_000_000,
            resume_events: self.resume_events,
            ring_events: self.ring_events,
            ring_bytes: 2000,
            keep_events: self.keep_events,
            snapshot_every: 3,
            dedupe_clients: 100,
            dedupe_ops: 100,
            max_present: 100,
            presence_interval: Duration::from_millis(1),
            idle_timeout: Duration::ZERO,
            max_pending_ops: 50,
        }])
    }
}

/// The entities that clients use.
pub fn entities() -> Vec<EntityId> {
    ["room:a", "room:bb"].map(|id| EntityId::parse(id).expect("these are entity ids")).into()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("`{variable}` is `{text}`, not a number")))
}

/// Runs seeds until one fails, which must be within `most`; says why it failed.
fn found(bug: Bug, most: u64) -> String {
    let first = (1..=most).find_map(|seed| World::new(seed, Some(bug)).run().err().map(|why| (seed, why)));
    let (seed, why) = first.unwrap_or_else(|| panic!("{bug:?} is not found within {most} seeds"));
    println!("{bug:?} is found at seed {seed}: {why}");
    why
}

#[test]
fn every_seed_keeps_the_promises() {
    if let Some(seed) = number("SIM_SEED") {
        let mut world = World::new(seed, None);
        let outcome = world.run();
        world.trace.iter().for_each(|line| println!("{line}"));
        return outcome.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    let seeds = number("SIM_SEEDS").unwrap_or(if cfg!(debug_assertions) { 150 } else { 2000 });
    let mut seen = world::Seen::default();
    for seed in 1..=seeds {
        let mut world = World::new(seed, None);
        if let Err(why) = world.run() {
            panic!("seed {seed}: {why}\nrun it alone with SIM_SEED={seed}");
        }
        seen.add(&world.seen);
    }
    println!("{seeds} seeds: {seen:?}");
    // A simulation in which nothing goes wrong proves nothing.
    assert!(seen.all_at_least(seeds / 20), "too little happened: {seen:?}");
}

#[test]
fn acknowledging_before_the_commit_is_found() {
    let why = found(Bug::AckBeforeCommit, 10);
    assert!(why.contains("on disk"), "{why}");
}

#[test]
fn forgetting_the_outcomes_of_ops_is_found() {
    let why = found(Bug::OutcomesNotStored, 100);
    assert!(why.contains("more than once") || why.contains("and is at"), "{why}");
}

#[test]
fn a_gap_on_subscribing_is_found() {
    let why = found(Bug::GapOnSubscribe, 50);
    assert!(why.contains("was due") || why.contains("rests at"), "{why}");
}

#[test]
fn writing_on_after_a_failure_is_found() {
    let why = found(Bug::NoSkipAfterFailure, 50);
    assert!(why.contains("the disk refused"), "{why}");
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
