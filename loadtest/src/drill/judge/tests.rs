//! Well-formed histories that must pass, and ill-formed ones that must fail, each in its own way.

use super::*;

/// What is wrong, by its name in reports, and how often.
type Wrong = (&'static str, u64);
/// A history of the drill's own events: seq, and the op's number.
type Log<'a> = &'a [(Seq, u64)];

fn epoch() -> Epoch {
    Epoch::from_bits(1)
}

fn mark(n: u64) -> Mark {
    Mark { client: 0, n }
}

/// Op `n`, from one moment to another, acknowledged at `seq`.
fn acked(n: u64, (invoked, at): (u64, u64), seq: Seq) -> Op {
    Op { mark: mark(n), room: 0, invoked, outcome: Outcome::Acked { at, seq, epoch: epoch(), duplicate: false } }
}

fn open(n: u64, outcome: Outcome) -> Op {
    Op { mark: mark(n), room: 0, invoked: 100 + n, outcome }
}

fn event(seq: Seq, n: u64) -> Seen {
    Seen::Event { seq, mark: Some(mark(n)) }
}

fn jump(seq: Seq, reason: SnapshotReason) -> Seen {
    Seen::Jump { epoch: epoch(), seq, reason: Some(reason) }
}

fn joined(seq: Seq) -> Seen {
    jump(seq, SnapshotReason::NoPosition)
}

fn resumed(seq: Seq) -> Seen {
    Seen::Resumed { epoch: epoch(), seq }
}

/// Three ops one after the other; the history and one subscriber's view of it can be exchanged.
fn room(history: Log<'_>, seen: Vec<Seen>) -> Room {
    let ops = vec![acked(1, (1, 2), 1), acked(2, (3, 4), 2), acked(3, (5, 6), 3)];
    let history = history.iter().map(|(seq, n)| (*seq, Some(mark(*n)))).collect();
    Room { epoch: epoch(), history, ops, views: vec![View { room: 0, seen }] }
}

const LOG: [(Seq, u64); 3] = [(1, 1), (2, 2), (3, 3)];

fn all_seen() -> Vec<Seen> {
    vec![joined(0), event(1, 1), event(2, 2), event(3, 3)]
}

fn wrongs(tally: &Tally) -> Vec<Wrong> {
    super::super::verdict::broken(tally).into_iter().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn well_formed_histories_pass() {
    let views = [
        all_seen(),
        vec![joined(2), event(3, 3)],
        vec![joined(3)],
        vec![joined(0), event(1, 1), event(2, 2), resumed(2), event(3, 3)],
        vec![joined(0), event(1, 1), event(2, 2), event(3, 3), resumed(3)],
        vec![joined(0), event(1, 1), jump(3, SnapshotReason::TooOld)],
        vec![joined(0), jump(2, SnapshotReason::TooOld), event(3, 3)],
    ];
    for seen in views {
        let tally = judge(&room(&LOG, seen.clone()));
        assert_eq!(wrongs(&tally), [], "{seen:?}");
        assert_eq!((tally.ops, tally.acked, tally.held), (3, 3, 3));
    }
}

#[test]
fn ops_that_overlap_may_come_in_any_order() {
    let mut room = room(&[(1, 2), (2, 1)], vec![joined(2)]);
    room.ops = vec![acked(1, (1, 4), 2), acked(2, (2, 3), 1)];
    assert_eq!(wrongs(&judge(&room)), []);
}

#[test]
fn histories_that_differ_from_what_was_acknowledged_fail() {
    // What the history holds; what is wrong with it. The subscriber joined late enough to have seen nothing of it.
    let table: [(Log<'_>, &[Wrong]); 7] = [
        (&[(1, 1), (2, 2)], &[("lost", 1)]),
        (&[], &[("lost", 3)]),
        (&[(1, 1), (2, 2), (3, 3), (4, 2)], &[("doubled", 1)]),
        (&[(1, 2), (2, 1), (3, 3)], &[("misplaced", 2)]),
        (&[(1, 1), (3, 3)], &[("gaps", 1), ("lost", 1)]),
        (&[(2, 2), (3, 3)], &[("gaps", 1), ("lost", 1)]),
        (&[(1, 1), (2, 2), (3, 3), (4, 9)], &[("strange", 1)]),
    ];
    for (history, want) in table {
        let got = wrongs(&judge(&room(history, vec![joined(4)])));
        let (mut got, mut want) = (got, want.to_vec());
        got.sort_unstable();
        want.sort_unstable();
        assert_eq!(got, want, "{history:?}");
    }
}

#[test]
fn views_that_differ_from_the_history_fail() {
    let elsewhere = Epoch::from_bits(2);
    let table: [(Vec<Seen>, &[Wrong]); 15] = [
        (vec![], &[("deliveries_lost", 3)]),
        (vec![joined(0), event(1, 1), event(2, 2)], &[("deliveries_lost", 1)]),
        (vec![joined(0), event(1, 1), event(3, 3)], &[("deliveries_lost", 1)]),
        (vec![joined(0), event(1, 1), event(3, 3), jump(3, SnapshotReason::TooOld)], &[("deliveries_lost", 1)]),
        (vec![joined(0), event(1, 1), event(2, 2), event(2, 2), event(3, 3)], &[("deliveries_doubled", 1)]),
        (vec![joined(0), event(1, 1), event(3, 3), event(2, 2)], &[("deliveries_reordered", 1)]),
        (vec![joined(1), event(1, 1), event(2, 2), event(3, 3)], &[("deliveries_doubled", 1)]),
        (vec![joined(0), event(1, 1), event(2, 3), event(3, 2)], &[("altered", 2)]),
        (vec![joined(0), event(1, 1), event(2, 2), Seen::Event { seq: 3, mark: None }], &[("altered", 1)]),
        (vec![joined(0), event(1, 1), resumed(2), event(2, 2), event(3, 3)], &[("misled", 1)]),
        (vec![joined(0), event(1, 1), resumed(3)], &[("deliveries_lost", 2), ("misled", 1)]),
        (vec![joined(0), event(1, 1), event(2, 2), jump(1, SnapshotReason::TooOld), event(2, 2), event(3, 3)], &[("went_back", 1)]),
        (vec![joined(0), event(1, 1), joined(3)], &[("unreasoned", 1)]),
        (vec![joined(0), Seen::Jump { epoch: epoch(), seq: 3, reason: None }], &[("unreasoned", 1)]),
        (vec![joined(0), Seen::Jump { epoch: elsewhere, seq: 3, reason: Some(SnapshotReason::EpochChanged) }], &[("went_back", 1)]),
    ];
    for (seen, want) in table {
        assert_eq!(wrongs(&judge(&room(&LOG, seen.clone()))), want, "{seen:?}");
    }
}

#[test]
fn an_op_that_began_after_anothers_end_must_come_later() {
    let mut room = room(&[(1, 2), (2, 1)], vec![joined(2)]);
    room.ops = vec![acked(1, (1, 2), 2), acked(2, (3, 4), 1)];
    assert_eq!(wrongs(&judge(&room)), [("stale", 1)]);

    // It need not be the op before: the first ends before the third begins, the second overlaps both.
    room.history = vec![(1, Some(mark(3))), (2, Some(mark(1))), (3, Some(mark(2)))];
    room.ops = vec![acked(1, (1, 3), 2), acked(2, (2, 6), 3), acked(3, (4, 5), 1)];
    room.views.clear();
    assert_eq!(wrongs(&judge(&room)), [("stale", 1)]);

    // Two acknowledgements of one seq cannot both be true.
    room.history = vec![(1, Some(mark(1)))];
    room.ops = vec![acked(1, (1, 2), 1), acked(2, (3, 4), 1)];
    assert_eq!(wrongs(&judge(&room)), [("lost", 1), ("stale", 1)]);
}

#[test]
fn an_acknowledgement_of_another_log_is_lost() {
    let mut room = room(&LOG, all_seen());
    room.epoch = Epoch::from_bits(2);
    room.views.clear();
    assert_eq!(wrongs(&judge(&room)), [("lost", 3)]);
}

#[test]
fn ops_without_a_good_answer_fail_whether_they_were_executed_or_not() {
    let mut room = room(&LOG, all_seen());
    room.ops[2] = open(3, Outcome::Unanswered);
    room.ops.push(open(4, Outcome::Refused));
    assert_eq!(wrongs(&judge(&room)), [("unanswered", 1), ("refused", 1)]);
}
