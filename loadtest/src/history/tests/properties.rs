//! Valid histories pass, and what is spoilt in one is found as what it is.

use std::collections::HashMap;

use greenroom_protocol::{Epoch, Seq};
use proptest::prelude::*;

use super::model::{self, Size};
use crate::history::{Entry, Event, Got, History, Kind, Name, State, What, check};

/// Long enough for nearly everything to happen.
const LONG: Size = Size { steps: 1000, clients: 3, entities: 2, window: 4 };
/// Something that no client ever sent.
const NOBODYS: Name = Name(0x00ba_dbad);

/// Spoils one entry; false where it is not one that can be spoilt like that.
type Spoil = fn(&mut What) -> bool;

/// What is spoilt, and as what it must be found.
const SPOILT: [(Kind, Spoil); 13] = [
    (Kind::AnotherLog, |what| epoch(what).map(|e| *e = Epoch::from_bits(99)).is_some()),
    (Kind::Misplaced, |what| acked(what).map(|seq| *seq += 1).is_some()),
    (Kind::RefusedDone, |what| {
        let What::Acked { op, .. } = *what else { return false };
        *what = What::Refused { op };
        true
    }),
    (Kind::Lost, |what| log(what).map(Vec::clear).is_some()),
    (Kind::Doubled, |what| {
        log(what)
            .map(|log| log.push(Event { seq: Seq::FIRST + log.len() as u64, ..log[0] }))
            .is_some()
    }),
    (Kind::Gap, |what| log(what).map(|log| log[0].seq += 1).is_some()),
    (Kind::Phantom, |what| log(what).map(|log| log[0].op = NOBODYS).is_some()),
    (Kind::WrongState, |what| match what {
        What::Read { state: State::Room(messages), .. } => {
            messages.all.0 ^= 1;
            true
        }
        What::Read { state: State::Sum(sum), .. } => {
            *sum += 1;
            true
        }
        _ => false,
    }),
    (Kind::Vanished, |what| match what {
        What::Read { seq, .. } => {
            *seq += 1000;
            true
        }
        _ => false,
    }),
    (Kind::Altered, |what| match what {
        What::Told(event) => {
            event.op = NOBODYS;
            true
        }
        _ => false,
    }),
    (Kind::TornPage, |what| match what {
        What::Page(page) if page.events.len() > 2 => {
            page.events.swap(0, 1);
            true
        }
        _ => false,
    }),
    (Kind::Misled, |what| match what {
        What::Followed(follow) if matches!(follow.got, Got::Events(_)) => {
            follow.seq += 1;
            true
        }
        _ => false,
    }),
    (Kind::Unreasoned, |what| match what {
        What::Followed(follow) => match &mut follow.got {
            Got::Snapshot { reason, .. } => reason.take().is_some(),
            Got::Events(_) => false,
        },
        _ => false,
    }),
];

fn acked(what: &mut What) -> Option<&mut Seq> {
    if let What::Acked { seq, .. } = what { Some(seq) } else { None }
}

/// The epoch of which it speaks.
fn epoch(what: &mut What) -> Option<&mut Epoch> {
    match what {
        What::Acked { epoch, .. } | What::Read { epoch, .. } | What::Reset { epoch, .. } => {
            Some(epoch)
        }
        What::Page(page) => Some(&mut page.epoch),
        What::Followed(follow) => Some(&mut follow.epoch),
        _ => None,
    }
}

/// The whole log, which is long enough for somebody to have been acknowledged.
fn log(what: &mut What) -> Option<&mut Vec<Event>> {
    if let What::Log { events, .. } = what { Some(events).filter(|e| e.len() > 20) } else { None }
}

/// Spoils one entry, chosen by chance.
fn spoil(history: &mut History, spoil: Spoil, rng: &mut fastrand::Rng) -> bool {
    let mut order: Vec<_> = (0..history.entries.len()).collect();
    rng.shuffle(&mut order);
    order.into_iter().any(|at| spoil(&mut history.entries[at].what))
}

/// The places of events that a subscriber was told right after the one before.
fn told_in_turn(history: &History) -> Vec<(usize, usize)> {
    let mut last = HashMap::new();
    let mut pairs = Vec::new();
    for (at, entry) in history.entries.iter().enumerate() {
        let who = (entry.client, entry.entity);
        match entry.what {
            What::Told(_) => pairs.extend(last.insert(who, at).map(|before| (before, at))),
            What::Followed(_) | What::Unfollowed | What::Reset { .. } => drop(last.remove(&who)),
            _ => {}
        }
    }
    pairs
}

/// How far the log was known to reach before `t`.
fn known(history: &History, entity: u32, t: u64) -> Seq {
    let before = history.entries.iter().filter(|entry| entry.entity == entity && entry.t < t);
    let told = before.filter_map(|entry| match &entry.what {
        What::Acked { seq, .. } | What::Read { seq, .. } | What::Reset { seq, .. } => Some(*seq),
        What::Told(event) => Some(event.seq),
        What::Followed(follow) => Some(follow.seq),
        _ => None,
    });
    told.max().unwrap_or_default()
}

proptest! {
    #[test]
    fn valid_histories_pass(seed: u64, steps in 0_usize..800, clients in 1_u32..6, entities in 1_u32..4, window in 1_usize..6) {
        let history = model::history(seed, &Size { steps, clients, entities, window });
        let (_, findings) = check(&history);
        prop_assert_eq!(findings.found().collect::<Vec<_>>(), [], "{:?}", findings.told());
    }

    /// The entries of different clients come in any order; their moments tell.
    #[test]
    fn clients_may_be_written_down_one_after_the_other(seed: u64) {
        let mut history = model::history(seed, &Size::default());
        let want = check(&history);
        history.entries.sort_by_key(|entry| entry.client);
        prop_assert_eq!(check(&history), want);
    }

    #[test]
    fn what_is_spoilt_is_found(seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        for (kind, how) in SPOILT {
            let mut history = model::history(seed, &LONG);
            while !spoil(&mut history, how, &mut rng) {
                history = model::history(rng.u64(..), &LONG);
            }
            let (_, findings) = check(&history);
            prop_assert!(findings.count(kind) > 0, "{kind:?} not found: {:?}", findings.told());
        }
    }

    /// Reads and ops that were asked for later than they were, when more was known.
    #[test]
    fn what_is_stale_is_found(seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut valid = std::iter::repeat_with(|| model::history(rng.u64(..), &LONG));
        let later = |history: &History, is: &dyn Fn(&Entry, Seq) -> bool| {
            let known = |entry: &Entry| known(history, entry.entity, entry.t - 1);
            history.entries.iter().position(|entry| is(entry, known(entry)))
        };
        let old = |entry: &Entry, known| matches!(entry.what, What::Read { seq, .. } if seq < known);
        let (mut history, at) = valid
            .find_map(|history| later(&history, &old).map(|at| (history, at)))
            .expect("in most somebody learns more before a read is answered");
        let t = history.entries[at].t;
        if let What::Read { asked, .. } = &mut history.entries[at].what {
            *asked = t - 1;
        }
        let (_, findings) = check(&history);
        prop_assert!(findings.count(Kind::Stale) + findings.count(Kind::WentBack) > 0);

        let told = |entry: &Entry, known| matches!(entry.what, What::Acked { seq, .. } if seq <= known);
        let (mut history, at) = valid
            .find_map(|history| later(&history, &told).map(|at| (history, at)))
            .expect("in most somebody is told an op before its sender");
        let Entry { t, what: What::Acked { op, .. }, .. } = history.entries[at] else {
            return Err(TestCaseError::fail("it was looked for"));
        };
        let sent = |entry: &&mut Entry| matches!(entry.what, What::Invoked { op: sent, .. } if sent == op);
        history.entries.iter_mut().find(sent).expect("it was invoked").t = t - 1;
        prop_assert!(check(&history).1.count(Kind::StaleOp) > 0);
    }

    #[test]
    fn what_is_told_wrong_is_found(seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (valid, (before, at)) = std::iter::repeat_with(|| model::history(rng.u64(..), &LONG))
            .find_map(|valid| told_in_turn(&valid).pop().map(|pair| (valid, pair)))
            .expect("most have such a pair");
        let found = |kind, spoil: &dyn Fn(&mut History)| {
            let mut history = valid.clone();
            spoil(&mut history);
            check(&history).1.count(kind) > 0
        };
        let swap = |history: &mut History| {
            let what = history.entries[at].what.clone();
            history.entries[at].what = std::mem::replace(&mut history.entries[before].what, what);
        };
        let repeat = |history: &mut History| {
            let again = history.entries[at].clone();
            history.entries.insert(at, again);
        };
        prop_assert!(found(Kind::Skipped, &|history| drop(history.entries.remove(before))));
        prop_assert!(found(Kind::Repeated, &repeat));
        prop_assert!(found(Kind::Reordered, &swap));
    }
}

/// Prints how long a large history takes:
/// `HISTORY_OPS=1000000 cargo test --release a_large_history -- --nocapture`.
#[test]
fn a_large_history_is_judged() {
    let ops = std::env::var("HISTORY_OPS")
        .map_or(10_000, |ops| ops.parse().expect("`HISTORY_OPS` is a number"));
    // About every tenth step sends an op.
    let history =
        model::history(1, &Size { steps: ops * 16, clients: 4, entities: 16, window: 100 });
    let began = std::time::Instant::now();
    let (tally, findings) = check(&history);
    let took = began.elapsed();
    println!(
        "{} entries, {} ops, {} reads, {} deliveries: judged in {took:.2?}",
        history.entries.len(),
        tally.ops,
        tally.reads,
        tally.told
    );
    assert_eq!(findings.found().collect::<Vec<_>>(), [], "{:?}", findings.told());
    assert!(tally.ops >= ops as u64 && tally.acked > tally.ops / 2, "{tally:?}");
    assert!(
        tally.reads > 0 && tally.pages > 0 && tally.told > 0 && tally.snapshots > 0,
        "{tally:?}"
    );
}
