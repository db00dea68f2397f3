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

fn event(seq: u64, n: u64) -> Event {
    Event { seq: Seq::new(seq), at: 100, op: op(n) }
}

/// The log of [`valid`], whose op at seq 4 was never answered.
fn log() -> Vec<Event> {
    vec![event(1, 1), event(2, 2), event(3, 3), event(4, 6)]
}

fn state(seq: u64) -> State {
    let log: Vec<_> = log().into_iter().map(|event| (event, 0)).collect();
    model::state(0, &log, Seq::new(seq), WINDOW)
}

fn invoked(n: u64) -> What {
    What::Invoked { op: op(n), effect: Effect::Post }
}

fn acked(n: u64, seq: u64) -> What {
    What::Acked { op: op(n), epoch: epoch(), seq: Seq::new(seq), at: 100, duplicate: false }
}

fn read(asked: u64, seq: u64) -> What {
    read_as(asked, seq, state(seq))
}

fn read_as(asked: u64, seq: u64, state: State) -> What {
    What::Read { asked, epoch: epoch(), seq: Seq::new(seq), state }
}

fn page(asked: u64, after: Option<u64>, seqs: std::ops::RangeInclusive<u64>, more: bool) -> What {
    let events = log().into_iter().filter(|event| seqs.contains(&event.seq.get())).collect();
    let after = after.map(Seq::new);
    What::Page(Box::new(Page { asked, after, epoch: epoch(), events, more }))
}

fn joined(asked: u64, seq: u64) -> What {
    joined_with(asked, seq, state(seq))
}

fn joined_with(asked: u64, seq: u64, state: State) -> What {
    let got = Got::Snapshot { state, reason: Some(SnapshotReason::NoPosition) };
    What::Followed(Box::new(Follow { asked, after: None, epoch: epoch(), seq: Seq::new(seq), got }))
}

fn resumed(asked: u64, from: u64, to: u64) -> What {
    let [from, to] = [from, to].map(Seq::new);
    let got = Got::Events(
        log().into_iter().filter(|event| event.seq > from && event.seq <= to).collect(),
    );
    let after = Some(Position { epoch: epoch(), seq: from });
    What::Followed(Box::new(Follow { asked, after, epoch: epoch(), seq: to, got }))
}

fn reset(seq: u64, reason: SnapshotReason) -> What {
    What::Reset { epoch: epoch(), seq: Seq::new(seq), state: state(seq), reason }
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
fn log_is(history: &mut History, events: Vec<Event>) {
    ALL_TOLD.iter().for_each(|t| without(history, *t));
    *entry(history, 100) = What::Log { epoch: epoch(), events };
}

fn three_and(seq: u64, n: u64) -> Vec<Event> {
    [first(3), vec![event(seq, n)]].concat()
}

fn log_and(seq: u64, n: u64) -> Vec<Event> {
    [log(), vec![event(seq, n)]].concat()
}

fn first(count: usize) -> Vec<Event> {
    log()[..count].to_vec()
}

fn told(seq: u64, n: u64) -> What {
    What::Told(event(seq, n))
}

fn page_at(history: &mut History, t: u64) -> &mut Page {
    let What::Page(page) = entry(history, t) else { panic!("there is another entry at {t}") };
    page
}

fn resumption(history: &mut History) -> &mut Follow {
    let What::Followed(follow) = entry(history, 80) else { panic!("there is another entry") };
    follow
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

macro_rules! faults {
    ($($name:literal, [$($kind:ident $count:literal),*], $history:ident => $make:expr;)*) => {
        /// Each fault: its name, how it is made, and what must be found, and how often.
        const FAULTS: &[(&str, fn(&mut History), &[(Kind, u64)])] =
            &[$(($name, |$history| $make, &[$((Kind::$kind, $count)),*])),*];
    };
}

faults! {
    // What the log holds.
    "an acknowledged op is not there", [Lost 1], h => log_is(h, first(2));
    "none is there", [Lost 3], h => log_is(h, vec![]);
    "an acknowledged op is there again", [Doubled 1], h => log_is(h, log_and(5, 2));
    "an unanswered op is there again", [Doubled 1], h => log_is(h, log_and(5, 6));
    "two ops changed places", [Misplaced 2], h =>
        log_is(h, vec![event(1, 2), event(2, 1), event(3, 3)]);
    "an op has another time than was said", [Misplaced 1], h =>
        log_is(h, vec![event(1, 1), Event { at: 101, ..event(2, 2) }, event(3, 3)]);
    "a refused op is there", [RefusedDone 1], h => log_is(h, log_and(5, 4));
    "an event is there that nobody sent", [Phantom 1], h => log_is(h, log_and(5, 9));
    "the body of an unanswered op was altered", [Phantom 1], h => log_is(h, three_and(4, 60));
    "a seq is left out", [Gap 1], h => log_is(h, three_and(5, 6));
    "a seq comes twice", [Gap 1], h => log_is(h, three_and(3, 6));
    "nobody read it", [Unread 1], h => without(h, 100);
    "its pages are of two logs", [AnotherLog 1], h =>
        with(h, at(101, 4, What::Log { epoch: Epoch::from_bits(2), events: vec![] }));
    "an op was acknowledged in another log", [AnotherLog 1, Misplaced 1], h =>
        if let What::Acked { epoch, .. } = entry(h, 60) { *epoch = Epoch::from_bits(2) };
    // Real time among ops.
    "an op is before one that was acknowledged before it was sent", [StaleOp 1], h => {
        log_is(h, vec![event(1, 3), event(2, 2), event(3, 1)]);
        (*entry(h, 20), *entry(h, 60)) = (acked(1, 3), acked(3, 1));
    };
    "an unanswered op is before one that was acknowledged before it was sent", [StaleOp 1], h => {
        log_is(h, vec![event(1, 1), event(2, 6), event(3, 2), event(4, 3)]);
        (*entry(h, 40), *entry(h, 60)) = (acked(2, 3), acked(3, 4));
    };
    "an event was told before it was sent", [StaleOp 1], h => {
        with(h, at(48, 2, told(3, 3)));
        *entry(h, 80) = resumed(75, 3, 4);
    };
    "an op was in a state before it was sent", [StaleOp 1], h => with(h, at(49, 1, read(47, 3)));
    // Reads.
    "a read misses another client's acknowledged op", [Stale 1], h => *entry(h, 64) = read(63, 2);
    "a read goes back behind what its client had read", [WentBack 1], h =>
        *entry(h, 84) = read(83, 3);
    "a read misses an event that another client was told", [Stale 1], h => {
        without(h, 72);
        without(h, 80);
        *entry(h, 84) = read(83, 3);
        with(h, at(90, 2, resumed(89, 2, 4)));
    };
    "a client's read misses its own op", [WentBack 1], h => with(h, at(42, 1, read(41, 1)));
    "a state is another", [WrongState 1], h => *entry(h, 84) = read_as(83, 4, state(3));
    "a state is none of a room", [WrongState 1], h => *entry(h, 84) = read_as(83, 4, State::Sum(3));
    "a state cannot be read", [WrongState 1], h =>
        *entry(h, 84) = read_as(83, 4, State::Other(op(9)));
    "a snapshot is another state", [WrongState 1], h => *entry(h, 2) = joined_with(1, 0, state(1));
    "a read is of another log", [AnotherLog 1], h =>
        if let What::Read { epoch, .. } = entry(h, 84) { *epoch = Epoch::from_bits(2) };
    "a read shows more than there is", [Vanished 1], h => *entry(h, 84) = read_as(83, 5, state(4));
    "a page misses an acknowledged op", [WentBack 1], h =>
        *entry(h, 66) = page(65, Some(1), 2..=2, false);
    "the last page misses what another client was told", [Stale 1], h =>
        *entry(h, 72) = page(71, None, 2..=3, true);
    "a page begins too late", [TornPage 1], h => *entry(h, 66) = page(65, Some(1), 3..=3, false);
    "the last page says that it is all", [TornPage 1], h =>
        *entry(h, 72) = page(71, None, 3..=4, false);
    "a page says that there is more than there is", [TornPage 1], h =>
        with(h, at(86, 0, page(85, Some(2), 3..=4, true)));
    "a page has a hole", [TornPage 1], h => {
        let page = page_at(h, 66);
        page.after = Some(Seq::ZERO);
        page.events = vec![event(1, 1), event(3, 3)];
    };
    "a page has another body", [Altered 1], h => {
        let page = page_at(h, 66);
        page.events[0].op = op(9);
    };
    // Subscriptions.
    "an event is not told", [Skipped 1], h => without(h, 22);
    "the last event is not told", [Skipped 1], h => without(h, 70);
    "an event between a reset and the next is not told", [Skipped 1], h => without(h, 67);
    "an event is told twice", [Repeated 1], h => with(h, at(23, 2, told(1, 1)));
    "an event that a snapshot covers is told", [Repeated 1], h => with(h, at(63, 3, told(2, 2)));
    "two events are told in the wrong order", [Reordered 1], h =>
        (*entry(h, 67), *entry(h, 70)) = (told(4, 6), told(3, 3));
    "an event is told with another body", [Altered 1], h => *entry(h, 45) = told(2, 5);
    "an event is told with another time", [Altered 1], h =>
        *entry(h, 45) = What::Told(Event { at: 99, ..event(2, 2) });
    "an event is told that the log lost", [Vanished 1], h => with(h, at(90, 2, told(5, 5)));
    "a resumption leaves an event out", [Skipped 1], h => {
        let follow = resumption(h);
        follow.got = Got::Events(vec![event(4, 6)]);
    };
    "a resumption stands elsewhere", [Stale 1, Misled 1], h => {
        let follow = resumption(h);
        follow.seq = Seq::new(3);
    };
    "a resumption is older than what was known", [Stale 1], h => {
        *entry(h, 80) = resumed(75, 2, 3);
        with(h, at(90, 2, told(4, 6)));
    };
    "a resumption is of another log", [AnotherLog 1, Misled 1], h => {
        let follow = resumption(h);
        follow.epoch = Epoch::from_bits(2);
    };
    "a reset has no reason that can be true", [Unreasoned 1], h =>
        *entry(h, 62) = reset(2, SnapshotReason::NoPosition);
    "a reset goes back", [WentBack 1], h => {
        with(h, at(68, 3, reset(2, SnapshotReason::TooOld)));
        with(h, at(69, 3, told(3, 3)));
    };
    "an event is told after the subscription is over", [Unasked 1], h =>
        with(h, at(25, 2, What::Unfollowed));
}

#[test]
fn each_fault_is_found_as_what_it_is() {
    for &(fault, make, want) in FAULTS {
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
    log_is(&mut history, vec![event(1, 2), event(2, 1), event(3, 3), event(4, 4)]);
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
                after: Some(Seq::new(3)),
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
    let read = |t: u64, state: State| at(t, 0, read_as(t - 1, 2, state));
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
