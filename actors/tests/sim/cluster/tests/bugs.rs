//! Bugs planted on purpose between nodes: each must be found, and for the right reason. Other
//! complaints do not count.

use crate::bugs::Bug;
use crate::number;
use crate::world::World;

/// Runs seeds until one fails, which must happen within `most` seeds and for one of these reasons.
fn found(bug: Bug, most: u64, reasons: &[&str]) {
    let most = number("SIM_BUG_SEEDS").unwrap_or(most);
    let fails = |seed| World::of_nodes(seed, Some(bug)).run_nodes().err();
    let right = |why: &String| reasons.iter().any(|reason| why.contains(reason));
    let first = (1..=most).find_map(|seed| Some((seed, fails(seed).filter(right)?)));
    let (seed, why) = first.unwrap_or_else(|| panic!("{bug:?} is not found within {most} seeds"));
    println!("{bug:?} is found at seed {seed}: {why}");
}

#[test]
fn a_takeover_that_does_not_raise_the_term_is_found() {
    found(Bug::TermNotRaised, 500, &["which the map gives to", "the disk refused"]);
}

#[test]
fn a_release_before_the_flush_is_found() {
    found(Bug::ReleaseBeforeFlush, 50, &["which the map gives to", "the disk refused"]);
}

#[test]
fn lives_that_go_on_after_a_demotion_are_found() {
    found(Bug::DemotionIgnored, 200, &["the disk refused", "had been seen"]);
}

#[test]
fn followers_of_a_link_that_was_reset_are_found() {
    found(Bug::DeadFollowersKept, 100, &["the entity knows", "stay awake"]);
}

#[test]
fn relays_that_never_follow_again_are_found() {
    found(Bug::NeverFollowsAnew, 50, &["rests at", "the entity knows"]);
}

#[test]
fn presence_that_never_goes_is_found() {
    found(Bug::GhostsStay, 50, &["sees Crowd", "stay awake"]);
}

#[test]
fn outcomes_that_are_not_carried_over_are_found() {
    found(Bug::OutcomesNotStored, 50, &["more than once", "and is at"]);
}
