//! Any mix of pipelined requests, stalled readers, changing rights and clocks keeps the promises:
//! every granted subscription has everything in the end, nothing is delivered after an answered
//! `unsubscribe` or the loss of a right, and every session keeps to its limits.

use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::*;

/// Steps that a readable script has at most.
const READABLE: usize = 24;

fn limits() -> impl Strategy<Value = Limits> {
    (
        200u16..3000,
        1u8..8,
        1u8..20,
        1u8..5,
        4u8..17,
        option::weighted(0.2, 3u8..30),
        0u8..8,
        option::weighted(0.2, 200u16..2000),
    )
        .prop_map(|(outbox, link, queues, subscriptions, in_flight, requests, ring, token)| {
            Limits { outbox, link, queues, subscriptions, in_flight, requests, ring, token }
        })
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    let both = || (client(), 0..ENTITIES);
    let cut = prop_oneof![Just(Cut::Clean), Just(Cut::Lossy), Just(Cut::HalfOpen)];
    prop_oneof![
        4 => client().prop_map(|client| Step::Connect { client }),
        1 => (client(), cut).prop_map(|(client, cut)| Step::Lose { client, cut }),
        6 => (both(), any::<u8>()).prop_map(|((client, entity), byte)| Step::Subscribe { client, entity, terms: terms(byte) }),
        2 => both().prop_map(|(client, entity)| Step::Unsubscribe { client, entity }),
        2 => both().prop_map(|(client, entity)| Step::Enter { client, entity }),
        1 => both().prop_map(|(client, entity)| Step::Leave { client, entity }),
        2 => (client(), 0u8..1 << ENTITIES).prop_map(|(client, covers)| Step::Refresh { client, covers }),
        5 => (both(), 1u8..5, 0u16..500).prop_map(|((client, entity), count, bytes)| Step::Post { client, entity, count, bytes }),
        1 => both().prop_map(|(client, entity)| Step::Signal { client, entity }),
        1 => both().prop_map(|(client, entity)| Step::Read { client, entity }),
        1 => client().prop_map(|client| Step::CatchUp { client }),
        2 => client().prop_map(|client| Step::Stall { client }),
        1 => client().prop_map(|client| Step::ReadOn { client }),
        1 => (0u16..2000).prop_map(|ms| Step::Pass { ms }),
        1 => (-300_000..300_000).prop_map(|ms| Step::SetClock { ms }),
        1 => Just(Step::Sweep),
        8 => (0u8..60, any::<u8>()).prop_map(|(steps, order)| Step::Work { steps, order }),
    ]
}

fn scripts() -> impl Strategy<Value = Script> {
    (limits(), prop::collection::vec(step(), 1..80))
        .prop_map(|(limits, steps)| Script { limits, steps })
}

/// Every run generates the same scripts, so a finding is repeatable.
fn runner(cases: u32) -> TestRunner {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 5_000, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn cases() -> u32 {
    let cases = crate::number("SCRIPTS").unwrap_or(if cfg!(debug_assertions) { 100 } else { 1500 });
    cases.try_into().expect("not that many scripts")
}

/// Removes every step without which the script still fails. proptest tries each step only once,
/// before it simplifies the rest.
fn shortest(mut script: Script, bug: Option<Bug>) -> Script {
    let mut before = usize::MAX;
    while script.steps.len() < before {
        before = script.steps.len();
        for index in (0..before).rev() {
            let step = script.steps.remove(index);
            if script.run(bug).is_ok() {
                script.steps.insert(index, step);
            }
        }
    }
    script
}

/// Runs scripts until one fails, and returns the complaint and the shortest such script.
fn first_failure(bug: Option<Bug>, cases: u32) -> Option<(String, Script)> {
    let done = runner(cases).run(&scripts(), |script| script.run(bug).map_err(TestCaseError::fail));
    let script = match done {
        Ok(()) => return None,
        Err(TestError::Fail(_, script)) => shortest(script, bug),
        Err(other) => panic!("{other}"),
    };
    let why = script.run(bug).expect_err("it still fails");
    Some((why, script))
}

#[test]
fn every_script_keeps_the_promises() {
    if let Some((why, script)) = first_failure(None, cases()) {
        panic!("{why}\n{script}");
    }
}

/// Asserts that the bug is found with one of these complaints, and shrinks to a readable script.
fn found(bug: Bug, cases: u32, reasons: &[&str]) {
    let (why, script) = first_failure(Some(bug), cases)
        .unwrap_or_else(|| panic!("{bug:?} is not found within {cases} scripts"));
    println!("{bug:?} is found: {why}\n{script}");
    assert!(reasons.iter().any(|reason| why.contains(reason)), "{why}");
    assert!(script.steps.len() <= READABLE, "more than {READABLE} steps:\n{script}");
    assert_eq!(script.run(None), Ok(()), "without the bug");
}

#[test]
fn numbers_given_too_soon_are_found() {
    found(
        Bug::NumberedTooSoon,
        300,
        &[
            "not at rest",
            "no subscription",
            "was not told",
            "the entity knows",
            "rests at",
            "sees Crowd",
        ],
    );
}

#[test]
fn rights_that_outlive_their_token_are_found() {
    found(Bug::OldRights, 300, &["does not cover", "none of its tokens covers"]);
}

#[test]
fn a_reader_that_is_forgotten_is_found() {
    found(Bug::ForgetsWhoReads, 300, &["rests at", "not at rest", "sees Crowd"]);
}

#[test]
fn a_subscription_that_goes_on_after_its_end_is_found() {
    found(
        Bug::GoesOnAfterTheEnd,
        300,
        &["without a subscription", "nobody wants", "the entity knows"],
    );
}

#[test]
fn one_subscription_too_many_is_found() {
    found(Bug::OneTooMany, 300, &["subscriptions,"]);
}

#[test]
fn a_gap_on_subscribing_is_found() {
    found(Bug::GapOnSubscribe, 300, &["was due", "rests at"]);
}

#[test]
fn a_page_for_another_subscription_is_found() {
    found(Bug::PageForAnother, 2000, &["was due", "without a subscription"]);
}
