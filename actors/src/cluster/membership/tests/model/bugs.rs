//! Bugs planted on purpose in what surrounds the state machines, or in their memory from outside.
//! The tests check that the model finds each of them.

use super::world::World;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// A takeover changes the map, and neither compares nor raises the lease of the dead node (M1).
    NoFence,
    /// Changes of the map overwrite each other (M1).
    MapIsNotCompared,
    /// A slot that is opened is not loaded; what its last life here knew is believed (M2).
    OpensFromMemory,
    /// A map that was read before a node's own change is acted on after it (M3).
    OldMapAfterOwnChange,
    /// A map of a lower version is acted on (M3).
    MapGoesBack,
    /// Slots are released before what is queued for them is decided (M4).
    ReleasesBeforeFlush,
    /// Slots that are being handed over accept more (M4).
    AcceptsWhileFlushing,
    /// Reads are served whether the lease is valid or not (M5).
    ReadsWithoutLease,
    /// Nodes are taken over after 1.2 s of silence, with a lease of 2 s (M6).
    HalfTheSilence,
    /// A node that was demoted goes on serving what it had.
    LivesOutliveDemotion,
    /// Whoever is given a slot counts as one who has opened it.
    GivenIsOpened,
}

/// Runs seeds until one fails, which must happen within `most` seeds and for one of these reasons.
fn found(bug: Bug, most: u64, reasons: &[&str]) {
    let first = (0..most).find_map(|seed| {
        let why = World::new(seed, Some(bug)).run().err()?;
        Some((seed, why))
    });
    let (seed, why) = first.unwrap_or_else(|| panic!("{bug:?} is not found within {most} seeds"));
    println!("{bug:?} is found at seed {seed}: {why}");
    assert!(reasons.iter().any(|reason| why.contains(reason)), "{why}");
}

const TWO_OWNERS: [&str; 3] = ["hole or double", "stale read", "though"];

#[test]
fn a_takeover_without_a_fence_is_found() {
    found(Bug::NoFence, 50, &TWO_OWNERS);
}

#[test]
fn a_map_that_is_not_compared_is_found() {
    found(Bug::MapIsNotCompared, 200, &TWO_OWNERS);
}

#[test]
fn opening_from_memory_is_found() {
    found(Bug::OpensFromMemory, 50, &TWO_OWNERS);
}

#[test]
fn an_old_map_after_an_own_change_is_found() {
    found(Bug::OldMapAfterOwnChange, 500, &TWO_OWNERS);
}

#[test]
fn a_map_that_goes_back_is_found() {
    found(Bug::MapGoesBack, 100, &TWO_OWNERS);
}

#[test]
fn a_release_before_the_flush_is_found() {
    found(Bug::ReleasesBeforeFlush, 100, &["hole or double", "stale read"]);
}

#[test]
fn accepting_while_flushing_is_found() {
    found(Bug::AcceptsWhileFlushing, 100, &TWO_OWNERS);
}

#[test]
fn reads_without_a_lease_are_found() {
    found(Bug::ReadsWithoutLease, 50, &["stale read"]);
}

#[test]
fn half_the_silence_is_found() {
    found(Bug::HalfTheSilence, 100, &["stale read"]);
}

#[test]
fn lives_that_outlive_a_demotion_are_found() {
    found(Bug::LivesOutliveDemotion, 100, &TWO_OWNERS);
}
