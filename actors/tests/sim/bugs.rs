//! Bugs planted on purpose in the simulation's wiring. The tests check that the simulation finds
//! each of them.

use super::world::World;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Entities are notified that everything is on disk before it is.
    AckBeforeCommit,
    /// Snapshots are stored without the outcomes of ops.
    OutcomesNotStored,
    /// Snapshots are stored without the horizon before which clients are forgotten.
    HorizonNotStored,
    /// Deleted bodies are not erased from the journal, although the store reports that they are.
    ErasedNowhere,
    /// The next life of an entity forgets what is still to be erased.
    ErasuresForgotten,
    /// A subscription begins after events that are released together with it.
    GapOnSubscribe,
    /// The page for a paused subscription is delivered to the one that has replaced it.
    PageForAnother,
    /// A signal is delivered twice.
    SignalTwice,
    /// After a failed transaction, the rest of that life's events are still written.
    NoSkipAfterFailure,
    /// Requests that wait at the gate of an entity that panics are never answered.
    PanicLosesAnswers,
    /// A node that stops does not wait for the journal.
    DrainWithoutBarrier,
    /// A lost session's presence ends at once.
    NoGrace,
    /// Sessions measure durations by the wall clock.
    DurationsByTheWallClock,
    /// A node that has lost its lease takes it back and writes.
    StaleLeaseWrites,
    /// The permissions of a newer token are ignored.
    OldRights,
    /// A subscription is numbered when the client requests it, not when the entity is asked.
    NumberedTooSoon,
    /// A paused subscription's request to read on is dropped silently.
    ForgetsWhoReads,
    /// A relay continues a subscription that has ended.
    GoesOnAfterTheEnd,
    /// The bucket for a connection's requests is never refilled.
    ConnectionsNeverRefill,
    /// The bucket for an entity's ops is never refilled.
    EntitiesNeverRefill,
    /// A session may have one subscription more than its limit.
    OneTooMany,
    /// The expiry of tokens is never checked.
    TokensNeverExpire,
    /// A takeover does not raise the term of the node that it takes out.
    TermNotRaised,
    /// Slots are released before what is queued for them is decided.
    ReleaseBeforeFlush,
    /// The lives of a node that has lost its lease go on.
    DemotionIgnored,
    /// Entities keep followers of links that were reset.
    DeadFollowersKept,
    /// Relays do not follow again when an owner has changed.
    NeverFollowsAnew,
    /// Entities keep who was present over a link that was reset.
    GhostsStay,
}

/// Runs seeds until one fails, which must happen within `most` seeds and for one of these reasons.
fn found(bug: Bug, most: u64, reasons: &[&str]) {
    let first =
        (1..=most).find_map(|seed| World::new(seed, Some(bug)).run().err().map(|why| (seed, why)));
    let (seed, why) = first.unwrap_or_else(|| panic!("{bug:?} is not found within {most} seeds"));
    println!("{bug:?} is found at seed {seed}: {why}");
    assert!(reasons.iter().any(|reason| why.contains(reason)), "{why}");
}

#[test]
fn acknowledging_before_the_commit_is_found() {
    found(Bug::AckBeforeCommit, 10, &["on disk"]);
}

#[test]
fn forgetting_the_outcomes_of_ops_is_found() {
    found(Bug::OutcomesNotStored, 100, &["more than once", "and is at"]);
}

#[test]
fn forgetting_the_horizon_is_found() {
    found(Bug::HorizonNotStored, 1000, &["more than once", "too old for that"]);
}

#[test]
fn deleted_bodies_in_the_journal_are_found() {
    found(Bug::ErasedNowhere, 50, &["shows what is deleted"]);
}

#[test]
fn a_life_that_forgets_what_to_erase_is_found() {
    found(Bug::ErasuresForgotten, 1000, &["shows what is deleted", "not at rest"]);
}

#[test]
fn a_gap_on_subscribing_is_found() {
    found(Bug::GapOnSubscribe, 50, &["was due", "rests at"]);
}

#[test]
fn a_page_for_another_subscription_is_found() {
    found(Bug::PageForAnother, 1000, &["was due", "without a subscription"]);
}

#[test]
fn a_signal_that_comes_twice_is_found() {
    found(Bug::SignalTwice, 50, &["it came after"]);
}

#[test]
fn writing_on_after_a_failure_is_found() {
    found(Bug::NoSkipAfterFailure, 200, &["the disk refused", "is written behind", "not at rest"]);
}

#[test]
fn a_panic_that_loses_answers_is_found() {
    found(Bug::PanicLosesAnswers, 50, &["not at rest"]);
}

#[test]
fn a_drain_without_the_barrier_is_found() {
    found(Bug::DrainWithoutBarrier, 100, &["on the way to the disk"]);
}

#[test]
fn a_stale_lease_that_writes_is_found() {
    found(Bug::StaleLeaseWrites, 100, &["another node had the lease", "the disk refused"]);
}

#[test]
fn presence_without_its_grace_is_found() {
    found(Bug::NoGrace, 5000, &["was said to have left"]);
}

#[test]
fn durations_by_the_wall_clock_are_found() {
    found(
        Bug::DurationsByTheWallClock,
        200,
        &[
            "closed with Some(PingTimeout)",
            "closed with Some(ConnectTimeout)",
            "was said to have left",
        ],
    );
}

#[test]
fn rights_that_outlive_their_token_are_found() {
    found(Bug::OldRights, 50, &["does not cover"]);
}

#[test]
fn numbers_given_too_soon_are_found() {
    found(
        Bug::NumberedTooSoon,
        50,
        &["not at rest", "no subscription", "was not told", "the entity knows", "rests at"],
    );
}

#[test]
fn a_reader_that_is_forgotten_is_found() {
    found(Bug::ForgetsWhoReads, 50, &["rests at", "not at rest", "sees Crowd"]);
}

#[test]
fn a_subscription_that_goes_on_after_its_end_is_found() {
    found(
        Bug::GoesOnAfterTheEnd,
        50,
        &["without a subscription", "nobody wants", "the entity knows"],
    );
}

#[test]
fn connections_that_never_refill_are_found() {
    found(Bug::ConnectionsNeverRefill, 50, &["came back as it was told"]);
}

#[test]
fn entities_that_never_refill_are_found() {
    found(Bug::EntitiesNeverRefill, 20, &["not at rest"]);
}

#[test]
fn one_subscription_too_many_is_found() {
    found(Bug::OneTooMany, 50, &["subscriptions,"]);
}

#[test]
fn tokens_that_never_expire_are_found() {
    found(Bug::TokensNeverExpire, 20, &["after its token's end"]);
}
