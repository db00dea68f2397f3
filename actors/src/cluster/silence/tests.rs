use super::*;
use crate::cluster::lease::{Lease, Validity};
use crate::cluster::map::Term;

const DEAD: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);
const ME: NodeId = NodeId(3);

fn row(number: u64) -> LeaseRow {
    LeaseRow { term: Term(1), number }
}

fn at(ms: u64) -> Mono {
    Mono::at(ms)
}

/// Polls every 250 ms from `from` to `to`, with a commit each time, and the numbers that `rows` says
/// for the dead node and the other one.
fn watch(silence: &mut Silence, from: u64, to: u64, rows: impl Fn(u64) -> (u64, u64)) {
    for ms in (from..=to).step_by(250) {
        let (dead, other) = rows(ms);
        silence.answer(at(ms), [(DEAD, row(dead)), (OTHER, row(other))]);
        silence.committed(at(ms), at(ms));
    }
}

#[test]
fn a_row_that_does_not_change_is_silent_after_a_lease() {
    let mut silence = Silence::new(2000, 100);
    watch(&mut silence, 0, 3000, |ms| (ms.min(1000), ms));
    assert!(!silence.silent(DEAD, at(2999)));
    assert!(silence.silent(DEAD, at(3000)));
    assert!(!silence.silent(OTHER, at(3000)));
    assert!(!silence.silent(NodeId(9), at(3000)), "nobody knows it");
    assert_eq!(silence.row(DEAD), Some(row(1000)));
    // It speaks again.
    silence.answer(at(3250), [(DEAD, row(1001))]);
    assert!(!silence.silent(DEAD, at(3250)));
    assert_eq!(silence.row(OTHER), None, "its row is gone");
}

#[test]
fn a_raised_term_is_a_change() {
    let mut silence = Silence::new(2000, 100);
    watch(&mut silence, 0, 1750, |ms| (0, ms));
    silence.answer(at(2000), [(DEAD, LeaseRow { term: Term(2), number: 0 })]);
    silence.committed(at(2000), at(2000));
    assert!(!silence.silent(DEAD, at(2000)));
}

/// The peer commits at 1.9 s. An answer that was asked for at 0 s, and read the row just after that
/// commit, arrives at 1.95 s. `counts_from` chooses what the observer is given as the time.
fn late_answer(counts_from: impl Fn(u64, u64) -> u64) -> (Silence, Validity) {
    let mut silence = Silence::new(2000, 100);
    let validity = Validity::new(Lease::default());
    validity.extend(at(1900));
    silence.committed(at(1950), at(1950));
    silence.answer(at(counts_from(0, 1950)), [(DEAD, row(5))]);
    for ms in (2200..=2500).step_by(100) {
        // The observer is neither stopped nor cut off, just late.
        silence.heard = Some(at(ms - 100));
        silence.answer(at(counts_from(ms - 10, ms)), [(DEAD, row(5))]);
        silence.committed(at(ms), at(ms));
    }
    (silence, validity)
}

#[test]
fn time_counts_from_the_arrival() {
    let (silence, validity) = late_answer(|_asked, arrived| arrived);
    assert!(!silence.silent(DEAD, at(2500)));
    assert!(validity.holds(at(2500)), "it still serves reads");
}

#[test]
fn counting_from_the_request_takes_over_a_node_that_serves_reads() {
    // The planted bug, which the test above would find.
    let (silence, validity) = late_answer(|asked, _arrived| asked);
    assert!(silence.silent(DEAD, at(2500)) && validity.holds(at(2500)));
}

#[test]
fn nobody_is_silent_while_the_store_stalls_for_all() {
    let mut silence = Silence::new(2000, 100);
    watch(&mut silence, 0, 1000, |ms| (ms, ms));
    // Reads work, commits do not: neither ours nor theirs.
    for ms in (1250..=9000).step_by(250) {
        silence.answer(at(ms), [(DEAD, row(1000)), (OTHER, row(1000))]);
        assert!(!silence.silent(DEAD, at(ms)) && !silence.silent(OTHER, at(ms)));
    }
    // It works again: first for us, and the others have a whole lease to be next.
    silence.committed(at(2000), at(9000));
    for ms in (9000..=10_750).step_by(250) {
        assert!(!silence.silent(DEAD, at(ms)), "{ms}");
        silence.answer(at(ms), [(DEAD, row(1000)), (OTHER, row(ms))]);
        silence.committed(at(ms), at(ms));
    }
    assert!(silence.silent(DEAD, at(11_000)));
    assert!(!silence.silent(OTHER, at(11_000)));
}

#[test]
fn a_store_that_answers_nobody_makes_nobody_silent() {
    let mut silence = Silence::new(2000, 100);
    watch(&mut silence, 0, 1000, |ms| (ms, ms));
    silence.answer(at(9000), [(DEAD, row(1000)), (OTHER, row(1000))]);
    silence.committed(at(9000), at(9000));
    assert!(!silence.silent(DEAD, at(9000)));
    // All have a whole lease from there.
    watch(&mut silence, 9250, 10_750, |_| (1000, 1001));
    assert!(!silence.silent(DEAD, at(10_999)));
    watch(&mut silence, 11_000, 11_000, |_| (1000, 1001));
    assert!(silence.silent(DEAD, at(11_000)));
}

#[test]
fn an_observer_that_was_stopped_accuses_nobody() {
    let mut silence = Silence::new(2000, 100);
    watch(&mut silence, 0, 1000, |ms| (ms, ms));
    // Stopped for 10 s. On waking its own commits are old.
    assert!(!silence.silent(DEAD, at(11_000)));
    // Its first commit succeeds before its first answer arrives.
    silence.committed(at(11_000), at(11_000));
    assert!(!silence.silent(DEAD, at(11_005)));
    // An answer that was on the way all the time arrives, and with it everything starts again.
    silence.answer(at(11_010), [(DEAD, row(1000)), (OTHER, row(1000))]);
    assert!(!silence.silent(DEAD, at(11_010)));
    assert!(!silence.silent(DEAD, at(13_000)), "no answers since");
}

#[test]
fn commits_of_the_first_half_do_not_count() {
    let mut silence = Silence::new(2000, 100);
    for ms in (0..=2000).step_by(250) {
        silence.answer(at(ms), [(DEAD, row(1))]);
        // Their answers come, but they were sent long ago.
        silence.committed(at(ms.min(999)), at(ms));
    }
    assert!(!silence.silent(DEAD, at(2000)));
    silence.committed(at(1000), at(2000));
    assert!(silence.silent(DEAD, at(2000)));
    silence.committed(at(500), at(2000));
    assert!(silence.silent(DEAD, at(2000)), "an answer that comes late takes nothing back");
}

#[test]
fn observers_try_one_after_the_other() {
    let mut silence = Silence::new(2000, 100);
    watch(&mut silence, 0, 2500, |ms| (0, ms));
    let peers: Vec<_> = (1..=5).map(NodeId).collect();
    let due = |ms: u64| {
        let due = peers[1..].iter().filter(|me| silence.due(DEAD, **me, &peers, at(ms))).count();
        assert_eq!(due, (1..=4).filter(|rank| 2000 + 100 * (rank - 1) <= ms).count(), "{ms}");
        due
    };
    assert_eq!([1999, 2000, 2099, 2100, 2299, 2300].map(due), [0, 1, 1, 2, 3, 4]);
}

#[test]
fn nobody_waits_for_survivors_that_are_silent() {
    let mut silence = Silence::new(2000, 100);
    watch(&mut silence, 0, 2000, |_| (0, 0));
    for me in [ME, NodeId(4), NodeId(5), NodeId(6)] {
        assert!(silence.due(DEAD, me, &[DEAD, OTHER, me], at(2000)));
    }
}
