//! Small histories, each with exactly one fault, and what must be found in each.

use greenroom_protocol::results::SnapshotReason;
use greenroom_protocol::{Epoch, Position, Seq};

use super::model;
use crate::history::{
    Effect, Entry, Event, Follow, Got, History, Kind, Name, Page, State, What, check,
};

const WINDOW: usize = 2;

fn epoch() -> Epoch {
    Epoch::from_bits(1)
}

fn op(n: u64) -> Name {
    Name::of("ann", "post", &n.to_string())
}

fn event(seq: Seq, n: u64) -> Event {
    Event { seq, at: 100, op: op(n) }
}

/// The log of [`valid`], whose op at seq 4 was never answered.
fn log() -> Vec<Event> {
    vec![event(1, 1), event(2, 2), event(3, 3), event(4, 6)]
}

fn state(seq: Seq) -> State {
    let log: Vec<_> = log().into_iter().map(|event| (event, 0)).collect();
    model::state(0, &log, seq, WINDOW)
}

fn invoked(n: u64) -> What {
    What::Invoked { op: op(n), effect: Effect::Post }
}

fn acked(n: u64, seq: Seq) -> What {
    What::Acked { op: op(n), epoch: epoch(), seq, at: 100, duplicate: false }
}

fn read(asked: u64, seq: Seq) -> What {
    What::Read { asked, epoch: epoch(), seq, state: state(seq) }
}

fn page(asked: u64, after: Option<Seq>, seqs: std::ops::RangeInclusive<Seq>, more: bool) -> What {
    let events = log().into_iter().filter(|event| seqs.contains(&event.seq)).collect();
    What::Page(Box::new(Page { asked, after, epoch: epoch(), events, more }))
}

fn joined(asked: u64, seq: Seq) -> What {
    joined_with(asked, seq, state(seq))
}

fn joined_with(asked: u64, seq: Seq, state: State) -> What {
    let got = Got::Snapshot { state, reason: Some(SnapshotReason::NoPosition) };
    What::Followed(Box::new(Follow { asked, after: None, epoch: epoch(), seq, got }))
}

fn resumed(asked: u64, from: Seq, to: Seq) -> What {
    let got = Got::Events(
        log().into_iter().filter(|event| event.seq > from && event.seq <= to).collect(),
    );
    let after = Some(Position { epoch: epoch(), seq: from });
    What::Followed(Box::new(Follow { asked, after, epoch: epoch(), seq: to, got }))
}

fn reset(seq: Seq, reason: SnapshotReason) -> What {
    What::Reset { epoch: epoch(), seq, state: state(seq), reason }
}

fn at(t: u64, client: u32, what: What) -> Entry {
    Entry { t, client, entity: 0, what }
}

/// Two senders, two subscribers, reads, a resumption, a reset, an op that was refused, one that was
/// never answered and not executed, and one that was never answered and executed.
fn valid() -> History {
    let entries = vec![
        at(2, 2, joined(1, 0)),
        at(4, 3, joined(3, 0)),
        at(10, 0, invoked(1)),
        at(12, 1, invoked(2)),
        at(20, 0, acked(1, 1)),
        at(22, 2, What::Told(event(1, 1))),
        at(40, 1, acked(2, 2)),
        at(45, 2, What::Told(event(2, 2))),
        at(50, 0, invoked(3)),
        at(52, 0, invoked(4)),
        at(53, 1, invoked(5)),
        at(54, 1, invoked(6)),
        at(58, 0, What::Refused { op: op(4) }),
        at(60, 0, acked(3, 3)),
        at(62, 3, reset(2, SnapshotReason::TooOld)),
        at(64, 1, read(61, 3)),
        at(66, 0, page(65, Some(1), 2..=3, false)),
        at(67, 3, What::Told(event(3, 3))),
        at(70, 3, What::Told(event(4, 6))),
        at(72, 1, page(71, None, 3..=4, true)),
        at(80, 2, resumed(75, 2, 4)),
        at(84, 1, read(83, 4)),
        at(100, 4, What::Log { epoch: epoch(), events: log() }),
    ];
    History { entities: vec!["room:a".parse().expect("it is an entity id")], entries }
}

/// What is found, and how often.
fn found(history: &History) -> Vec<(Kind, u64)> {
    check(history).1.found().collect()
}

/// The entry of that moment, to be changed.
fn entry(history: &mut History, t: u64) -> &mut What {
    &mut history
        .entries
        .iter_mut()
        .find(|entry| entry.t == t)
        .unwrap_or_else(|| panic!("nothing happens at {t}"))
        .what
}

fn without(history: &mut History, t: u64) {
    history.entries.retain(|entry| entry.t != t);
}

fn with(history: &mut History, new: Entry) {
    let place = history.entries.partition_point(|entry| entry.t <= new.t);
    history.entries.insert(place, new);
}

/// The log in the end is another, and nobody was told of the ops at these moments.
fn log_is(history: &mut History, events: Vec<Event>, silent: &[u64]) {
    silent.iter().for_each(|t| without(history, *t));
    *entry(history, 100) = What::Log { epoch: epoch(), events };
}

/// All that says more than that ops were sent and answered.
const ALL_TOLD: [u64; 13] = [2, 4, 22, 45, 62, 64, 66, 67, 70, 72, 80, 84, 1000];

#[test]
fn a_valid_history_passes() {
    let (tally, findings) = check(&valid());
    assert_eq!(findings.found().collect::<Vec<_>>(), [], "{:?}", findings.told());
    assert_eq!(
        (tally.ops, tally.acked, tally.held, tally.refused, tally.unanswered),
        (6, 3, 3, 1, 2)
    );
    assert_eq!(
        (tally.events, tally.told, tally.reads, tally.pages, tally.snapshots),
        (4, 6, 2, 2, 1)
    );
}

type Fault = (&'static str, fn(&mut History), &'static [(Kind, u64)]);

const FAULTS: [Fault; 51] = [
    // What the log holds.
    (
        "an acknowledged op is not there",
        |h| log_is(h, vec![event(1, 1), event(2, 2)], &ALL_TOLD),
        &[(Kind::Lost, 1)],
    ),
    ("none is there", |h| log_is(h, vec![], &ALL_TOLD), &[(Kind::Lost, 3)]),
    (
        "an acknowledged op is there again",
        |h| log_is(h, [log(), vec![event(5, 2)]].concat(), &ALL_TOLD),
        &[(Kind::Doubled, 1)],
    ),
    (
        "an unanswered op is there again",
        |h| log_is(h, [log(), vec![event(5, 6)]].concat(), &ALL_TOLD),
        &[(Kind::Doubled, 1)],
    ),
    (
        "two ops changed places",
        |h| log_is(h, vec![event(1, 2), event(2, 1), event(3, 3)], &ALL_TOLD),
        &[(Kind::Misplaced, 2)],
    ),
    (
        "an op has another time than was said",
        |h| log_is(h, vec![event(1, 1), Event { at: 101, ..event(2, 2) }, event(3, 3)], &ALL_TOLD),
        &[(Kind::Misplaced, 1)],
    ),
    (
        "a refused op is there",
        |h| log_is(h, [log(), vec![event(5, 4)]].concat(), &ALL_TOLD),
        &[(Kind::RefusedDone, 1)],
    ),
    (
        "an event is there that nobody sent",
        |h| log_is(h, [log(), vec![event(5, 9)]].concat(), &ALL_TOLD),
        &[(Kind::Phantom, 1)],
    ),
    (
        "the body of an unanswered op was altered",
        |h| log_is(h, vec![event(1, 1), event(2, 2), event(3, 3), event(4, 60)], &ALL_TOLD),
        &[(Kind::Phantom, 1)],
    ),
    (
        "a seq is left out",
        |h| log_is(h, vec![event(1, 1), event(2, 2), event(3, 3), event(5, 6)], &ALL_TOLD),
        &[(Kind::Gap, 1)],
    ),
    (
        "a seq comes twice",
        |h| log_is(h, vec![event(1, 1), event(2, 2), event(3, 3), event(3, 6)], &ALL_TOLD),
        &[(Kind::Gap, 1)],
    ),
    ("nobody read it", |h| without(h, 100), &[(Kind::Unread, 1)]),
    (
        "its pages are of two logs",
        |h| with(h, at(101, 4, What::Log { epoch: Epoch::from_bits(2), events: vec![] })),
        &[(Kind::AnotherLog, 1)],
    ),
    (
        "an op was acknowledged in another log",
        |h| {
            *entry(h, 60) = What::Acked {
                op: op(3),
                epoch: Epoch::from_bits(2),
                seq: 3,
                at: 100,
                duplicate: false,
            }
        },
        &[(Kind::AnotherLog, 1), (Kind::Misplaced, 1)],
    ),
    // Real time among ops.
    (
        "an op is before one that was acknowledged before it was sent",
        |h| {
            log_is(h, vec![event(1, 3), event(2, 2), event(3, 1)], &ALL_TOLD);
            (*entry(h, 20), *entry(h, 60)) = (acked(1, 3), acked(3, 1));
        },
        &[(Kind::StaleOp, 1)],
    ),
    (
        "an unanswered op is before one that was acknowledged before it was sent",
        |h| {
            log_is(h, vec![event(1, 1), event(2, 6), event(3, 2), event(4, 3)], &ALL_TOLD);
            (*entry(h, 40), *entry(h, 60)) = (acked(2, 3), acked(3, 4));
        },
        &[(Kind::StaleOp, 1)],
    ),
    (
        "an event was told before it was sent",
        |h| {
            with(h, at(48, 2, What::Told(event(3, 3))));
            *entry(h, 80) = resumed(75, 3, 4);
        },
        &[(Kind::StaleOp, 1)],
    ),
    (
        "an op was in a state before it was sent",
        |h| with(h, at(49, 1, read(47, 3))),
        &[(Kind::StaleOp, 1)],
    ),
    // Reads.
    (
        "a read misses another client's acknowledged op",
        |h| *entry(h, 64) = read(63, 2),
        &[(Kind::Stale, 1)],
    ),
    (
        "a read goes back behind what its client had read",
        |h| *entry(h, 84) = read(83, 3),
        &[(Kind::WentBack, 1)],
    ),
    (
        "a read misses an event that another client was told",
        |h| {
            without(h, 72);
            without(h, 80);
            *entry(h, 84) = read(83, 3);
            with(h, at(90, 2, resumed(89, 2, 4)));
        },
        &[(Kind::Stale, 1)],
    ),
    (
        "a client's read misses its own op",
        |h| with(h, at(42, 1, read(41, 1))),
        &[(Kind::WentBack, 1)],
    ),
    (
        "a state is another",
        |h| *entry(h, 84) = What::Read { asked: 83, epoch: epoch(), seq: 4, state: state(3) },
        &[(Kind::WrongState, 1)],
    ),
    (
        "a state is none of a room",
        |h| *entry(h, 84) = What::Read { asked: 83, epoch: epoch(), seq: 4, state: State::Sum(3) },
        &[(Kind::WrongState, 1)],
    ),
    (
        "a state cannot be read",
        |h| {
            *entry(h, 84) =
                What::Read { asked: 83, epoch: epoch(), seq: 4, state: State::Other(op(9)) }
        },
        &[(Kind::WrongState, 1)],
    ),
    (
        "a snapshot is another state",
        |h| {
            *entry(h, 2) = joined_with(1, 0, state(1));
        },
        &[(Kind::WrongState, 1)],
    ),
    (
        "a read is of another log",
        |h| {
            *entry(h, 84) =
                What::Read { asked: 83, epoch: Epoch::from_bits(2), seq: 4, state: state(4) }
        },
        &[(Kind::AnotherLog, 1)],
    ),
    (
        "a read shows more than there is",
        |h| *entry(h, 84) = What::Read { asked: 83, epoch: epoch(), seq: 5, state: state(4) },
        &[(Kind::Vanished, 1)],
    ),
    (
        "a page misses an acknowledged op",
        |h| *entry(h, 66) = page(65, Some(1), 2..=2, false),
        &[(Kind::WentBack, 1)],
    ),
    (
        "the last page misses what another client was told",
        |h| *entry(h, 72) = page(71, None, 2..=3, true),
        &[(Kind::Stale, 1)],
    ),
    (
        "a page begins too late",
        |h| *entry(h, 66) = page(65, Some(1), 3..=3, false),
        &[(Kind::TornPage, 1)],
    ),
    (
        "the last page says that it is all",
        |h| *entry(h, 72) = page(71, None, 3..=4, false),
        &[(Kind::TornPage, 1)],
    ),
    (
        "a page says that there is more than there is",
        |h| with(h, at(86, 0, page(85, Some(2), 3..=4, true))),
        &[(Kind::TornPage, 1)],
    ),
    (
        "a page has a hole",
        |h| {
            let What::Page(page) = entry(h, 66) else { return };
            page.after = Some(0);
            page.events = vec![event(1, 1), event(3, 3)];
        },
        &[(Kind::TornPage, 1)],
    ),
    (
        "a page has another body",
        |h| {
            let What::Page(page) = entry(h, 66) else { return };
            page.events[0].op = op(9);
        },
        &[(Kind::Altered, 1)],
    ),
    // Subscriptions.
    ("an event is not told", |h| without(h, 22), &[(Kind::Skipped, 1)]),
    ("the last event is not told", |h| without(h, 70), &[(Kind::Skipped, 1)]),
    (
        "an event between a reset and the next is not told",
        |h| without(h, 67),
        &[(Kind::Skipped, 1)],
    ),
    (
        "an event is told twice",
        |h| with(h, at(23, 2, What::Told(event(1, 1)))),
        &[(Kind::Repeated, 1)],
    ),
    (
        "an event that a snapshot covers is told",
        |h| with(h, at(63, 3, What::Told(event(2, 2)))),
        &[(Kind::Repeated, 1)],
    ),
    (
        "two events are told in the wrong order",
        |h| (*entry(h, 67), *entry(h, 70)) = (What::Told(event(4, 6)), What::Told(event(3, 3))),
        &[(Kind::Reordered, 1)],
    ),
    (
        "an event is told with another body",
        |h| *entry(h, 45) = What::Told(event(2, 5)),
        &[(Kind::Altered, 1)],
    ),
    (
        "an event is told with another time",
        |h| *entry(h, 45) = What::Told(Event { at: 99, ..event(2, 2) }),
        &[(Kind::Altered, 1)],
    ),
    (
        "an event is told that the log lost",
        |h| with(h, at(90, 2, What::Told(event(5, 5)))),
        &[(Kind::Vanished, 1)],
    ),
    (
        "a resumption leaves an event out",
        |h| {
            let What::Followed(follow) = entry(h, 80) else { return };
            follow.got = Got::Events(vec![event(4, 6)]);
        },
        &[(Kind::Skipped, 1)],
    ),
    (
        "a resumption stands elsewhere",
        |h| {
            let What::Followed(follow) = entry(h, 80) else { return };
            follow.seq = 3;
        },
        &[(Kind::Stale, 1), (Kind::Misled, 1)],
    ),
    (
        "a resumption is older than what was known",
        |h| {
            *entry(h, 80) = resumed(75, 2, 3);
            with(h, at(90, 2, What::Told(event(4, 6))));
        },
        &[(Kind::Stale, 1)],
    ),
    (
        "a resumption is of another log",
        |h| {
            let What::Followed(follow) = entry(h, 80) else { return };
            follow.epoch = Epoch::from_bits(2);
        },
        &[(Kind::AnotherLog, 1), (Kind::Misled, 1)],
    ),
    (
        "a reset has no reason that can be true",
        |h| *entry(h, 62) = reset(2, SnapshotReason::NoPosition),
        &[(Kind::Unreasoned, 1)],
    ),
    (
        "a reset goes back",
        |h| {
            with(h, at(68, 3, reset(2, SnapshotReason::TooOld)));
            with(h, at(69, 3, What::Told(event(3, 3))));
        },
        &[(Kind::WentBack, 1)],
    ),
    (
        "an event is told after the subscription is over",
        |h| with(h, at(25, 2, What::Unfollowed)),
        &[(Kind::Unasked, 1)],
    ),
];

#[test]
fn each_fault_is_found_as_what_it_is() {
    for (fault, make, want) in FAULTS {
        let mut history = valid();
        make(&mut history);
        assert_ne!(history, valid(), "{fault}: the row changes nothing");
        assert_eq!(found(&history), want, "{fault}: {:?}", check(&history).1.told());
    }
}

#[test]
fn histories_that_contradict_themselves_are_told_apart() {
    type Row = (&'static str, fn(&mut History));
    let table: [Row; 8] = [
        ("an answer comes before its question", |h| {
            without(h, 20);
            with(h, at(9, 0, acked(1, 1)));
        }),
        ("an op is answered twice", |h| with(h, at(21, 0, acked(1, 1)))),
        ("an op is answered that was refused", |h| with(h, at(59, 0, acked(4, 3)))),
        ("an op is answered to somebody else", |h| {
            h.entries.iter_mut().filter(|entry| entry.t == 20).for_each(|entry| entry.client = 1);
        }),
        ("two ops have one content", |h| with(h, at(61, 1, invoked(3)))),
        ("a client's moments go back", |h| {
            let last = h.entries.len() - 1;
            h.entries.swap(last - 1, 15);
        }),
        ("a read ends before it was asked for", |h| *entry(h, 84) = read(84, 4)),
        ("an entity is not there", |h| {
            with(h, at(90, 0, What::Unfollowed));
            h.entries.iter_mut().filter(|entry| entry.t == 90).for_each(|entry| entry.entity = 1);
        }),
    ];
    for (fault, make) in table {
        let mut history = valid();
        make(&mut history);
        assert!(check(&history).1.count(Kind::Malformed) > 0, "{fault}: {:?}", found(&history));
    }
}

#[test]
fn ops_that_overlap_may_come_in_any_order_and_refused_ones_may_be_sent_again() {
    let mut history = valid();
    log_is(&mut history, vec![event(1, 2), event(2, 1), event(3, 3), event(4, 4)], &ALL_TOLD);
    (*entry(&mut history, 20), *entry(&mut history, 40)) = (acked(1, 2), acked(2, 1));
    assert_eq!(found(&history), [(Kind::RefusedDone, 1)]);
    with(&mut history, at(91, 0, invoked(4)));
    assert_eq!(found(&history), []);
    with(&mut history, at(92, 0, acked(4, 4)));
    assert_eq!(found(&history), []);
    // It begins anew: what is known by then counts.
    with(
        &mut history,
        at(
            90,
            3,
            What::Page(Box::new(Page {
                asked: 89,
                after: Some(3),
                epoch: epoch(),
                events: vec![event(4, 4)],
                more: false,
            })),
        ),
    );
    assert_eq!(found(&history), [(Kind::StaleOp, 1)]);
}

#[test]
fn counters_add_up_and_states_that_cannot_be_foreseen_agree() {
    let read =
        |t: u64, state: State| at(t, 0, What::Read { asked: t - 1, epoch: epoch(), seq: 2, state });
    let history = |effects: [Effect; 2], states: [State; 2]| {
        let mut entries = Vec::new();
        for (n, effect) in (1..=2).zip(effects) {
            entries.push(at(10 * n, 0, What::Invoked { op: op(n), effect }));
            entries.push(at(10 * n + 5, 0, acked(n, n)));
        }
        entries.extend([read(32, states[0]), read(34, states[1])]);
        entries.push(at(
            40,
            1,
            What::Log { epoch: epoch(), events: vec![event(1, 1), event(2, 2)] },
        ));
        found(&History { entities: vec!["doc:a".parse().expect("it is an entity id")], entries })
    };
    let adds = [Effect::Add(3), Effect::Add(4)];
    assert_eq!(history(adds, [State::Sum(7), State::Sum(7)]), []);
    assert_eq!(history(adds, [State::Sum(7), State::Sum(6)]), [(Kind::WrongState, 1)]);
    assert_eq!(history(adds, [State::Sum(6), State::Sum(7)]), [(Kind::WrongState, 1)]);
    assert_eq!(history(adds, [State::Sum(6), State::Sum(6)]), [(Kind::WrongState, 2)]);
    assert_eq!(history(adds, [State::Other(op(7)), State::Sum(7)]), [(Kind::WrongState, 1)]);
    let others = [Effect::Add(3), Effect::Other];
    assert_eq!(history(others, [State::Other(op(7)), State::Other(op(7))]), []);
    assert_eq!(
        history(others, [State::Other(op(7)), State::Other(op(8))]),
        [(Kind::WrongState, 1)]
    );
}

#[test]
fn every_kind_has_a_row() {
    let rows: Vec<_> =
        FAULTS.iter().flat_map(|(_, _, kinds)| kinds.iter().map(|(kind, _)| *kind)).collect();
    for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::Malformed) {
        assert!(rows.contains(kind), "{kind:?}");
    }
}
