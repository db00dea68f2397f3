//! Spoils valid histories, each in one way that must be found as a certain kind.

use fastrand::Rng;
use greenroom_protocol::{Epoch, Seq};

use super::model;
use crate::history::{Entry, Event, Got, History, Kind, Name, State, What};

/// Something that no client ever sent.
const NOBODYS: Name = Name(0x00ba_dbad);

/// Spoils `history` so that `kind` must be found; false where it holds nothing that could be spoilt
/// like that.
pub fn spoil(kind: Kind, history: &mut History, window: usize, rng: &mut Rng) -> bool {
    let spoilt = match kind {
        Kind::Malformed => answer_before_question(history, rng),
        Kind::Unread => forget_log(history, rng),
        Kind::AnotherLog => change_epoch(history, rng),
        Kind::Lost => lose(history, rng),
        Kind::Doubled => append(history, rng, |_, log, rng| pick(log, rng).map(|event| event.op)),
        Kind::Misplaced => swap_in_log(history, rng),
        Kind::RefusedDone => refuse(history, rng),
        Kind::Gap => gap(history, rng),
        Kind::Phantom => phantom(history, rng),
        Kind::StaleOp => swap_everywhere(history, rng),
        Kind::Stale => older_read(history, window, rng, false),
        Kind::WentBack => older_read(history, window, rng, true),
        Kind::WrongState => other_state(history, rng),
        Kind::Vanished => vanish(history, rng),
        Kind::Altered => alter(history, rng),
        Kind::TornPage => tear(history, rng),
        Kind::Skipped => {
            pair_of_told(history, rng).map(|(first, _)| drop(history.entries.remove(first)))
        }
        Kind::Repeated => {
            told(history, rng).map(|at| history.entries.insert(at, history.entries[at].clone()))
        }
        Kind::Reordered => pair_of_told(history, rng).map(|(first, second)| {
            let later = history.entries[second].what.clone();
            history.entries[second].what =
                std::mem::replace(&mut history.entries[first].what, later);
        }),
        Kind::Misled => mislead(history, rng),
        Kind::Unreasoned => unreason(history, rng),
        Kind::Unasked => tell_a_stranger(history, rng),
    };
    spoilt.is_some()
}

fn pick<T: Copy>(from: &[T], rng: &mut Rng) -> Option<T> {
    (!from.is_empty()).then(|| from[rng.usize(0..from.len())])
}

/// The place of an entry that is as wanted.
fn find(history: &History, rng: &mut Rng, wanted: impl Fn(&Entry) -> bool) -> Option<usize> {
    let found: Vec<_> = history
        .entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| wanted(entry))
        .map(|(at, _)| at)
        .collect();
    pick(&found, rng)
}

fn told(history: &History, rng: &mut Rng) -> Option<usize> {
    find(history, rng, |entry| matches!(entry.what, What::Told(_)))
}

/// Two events that one subscriber was told one after the other.
fn pair_of_told(history: &History, rng: &mut Rng) -> Option<(usize, usize)> {
    let mut pairs = Vec::new();
    for (at, first) in history.entries.iter().enumerate() {
        let What::Told(event) = first.what else { continue };
        let same = |entry: &(usize, &Entry)| {
            entry.1.client == first.client && entry.1.entity == first.entity
        };
        let told = |what: &What| {
            matches!(
                what,
                What::Told(_) | What::Followed(_) | What::Unfollowed | What::Reset { .. }
            )
        };
        let next = history
            .entries
            .iter()
            .enumerate()
            .skip(at + 1)
            .filter(same)
            .find(|(_, entry)| told(&entry.what));
        if let Some((second, entry)) = next
            && matches!(entry.what, What::Told(next) if next.seq == event.seq + 1)
        {
            pairs.push((at, second));
        }
    }
    pick(&pairs, rng)
}

/// The events of the log of `entity`; the histories that are spoilt here have logs of one page.
fn log(history: &mut History, entity: u32) -> Option<&mut Vec<Event>> {
    history.entries.iter_mut().filter(|entry| entry.entity == entity).find_map(|entry| {
        match &mut entry.what {
            What::Log { events, .. } => Some(events),
            _ => None,
        }
    })
}

fn entity(history: &History, rng: &mut Rng) -> u32 {
    rng.u32(0..history.entities.len() as u32)
}

fn acked(history: &History, rng: &mut Rng) -> Option<(u32, Event)> {
    let at = find(history, rng, |entry| matches!(entry.what, What::Acked { .. }))?;
    let What::Acked { op, seq, at: time, .. } = history.entries[at].what else { return None };
    Some((history.entries[at].entity, Event { seq, at: time, op }))
}

fn answer_before_question(history: &mut History, rng: &mut Rng) -> Option<()> {
    let (_, event) = acked(history, rng)?;
    let about = |what: &What| matches!(what, What::Invoked { op, .. } | What::Acked { op, .. } if *op == event.op);
    let places: Vec<_> = history
        .entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| about(&entry.what))
        .map(|(at, _)| at)
        .collect();
    let [.., asked, answered] = places[..] else { return None };
    let answer = history.entries[answered].what.clone();
    history.entries[answered].what = std::mem::replace(&mut history.entries[asked].what, answer);
    Some(())
}

fn forget_log(history: &mut History, rng: &mut Rng) -> Option<()> {
    let entity = entity(history, rng);
    history
        .entries
        .retain(|entry| entry.entity != entity || !matches!(entry.what, What::Log { .. }));
    history.entries.iter().any(|entry| entry.entity == entity).then_some(())
}

fn change_epoch(history: &mut History, rng: &mut Rng) -> Option<()> {
    let another = Epoch::from_bits(99);
    let at = find(history, rng, |entry| {
        !matches!(
            entry.what,
            What::Told(_) | What::Invoked { .. } | What::Refused { .. } | What::Unfollowed
        )
    })?;
    match &mut history.entries[at].what {
        What::Acked { epoch, .. } | What::Read { epoch, .. } | What::Reset { epoch, .. } => {
            *epoch = another;
        }
        What::Page(page) => page.epoch = another,
        What::Followed(follow) => follow.epoch = another,
        // The log itself has another epoch: somebody must have spoken of it before.
        What::Log { epoch, events } if !events.is_empty() => {
            *epoch = another;
            let entity = history.entries[at].entity;
            let speaks = |what: &What| {
                matches!(
                    what,
                    What::Acked { .. } | What::Read { .. } | What::Page(_) | What::Followed(_)
                )
            };
            return history
                .entries
                .iter()
                .any(|entry| entry.entity == entity && speaks(&entry.what))
                .then_some(());
        }
        _ => return None,
    }
    Some(())
}

/// An acknowledged op is not in the log; what follows it takes its place, or leaves it empty.
fn lose(history: &mut History, rng: &mut Rng) -> Option<()> {
    let (entity, event) = acked(history, rng)?;
    let closes = rng.bool();
    let log = log(history, entity)?;
    log.retain(|other| other.op != event.op);
    for later in log.iter_mut().filter(|later| closes && later.seq > event.seq) {
        later.seq -= 1;
    }
    Some(())
}

/// One more event in the log.
fn append(
    history: &mut History,
    rng: &mut Rng,
    what: impl Fn(&History, &[Event], &mut Rng) -> Option<Name>,
) -> Option<()> {
    let entity = entity(history, rng);
    let events = log(history, entity)?.clone();
    let op = what(history, &events, rng)?;
    let last = events.last().map_or(Event { seq: 0, at: 0, op }, |last| *last);
    log(history, entity)?.push(Event { seq: last.seq + 1, at: last.at, op });
    Some(())
}

fn swap_in_log(history: &mut History, rng: &mut Rng) -> Option<()> {
    let (entity, event) = acked(history, rng)?;
    let log = log(history, entity)?;
    let other = rng.usize(0..log.len());
    let this = log.iter().position(|logged| logged.op == event.op)?;
    let (a, b) = (log[this].op, log[other].op);
    (log[this].op, log[other].op) = (b, a);
    (a != b).then_some(())
}

/// An acknowledgement becomes a refusal.
fn refuse(history: &mut History, rng: &mut Rng) -> Option<()> {
    let at = find(history, rng, |entry| matches!(entry.what, What::Acked { .. }))?;
    let What::Acked { op, .. } = history.entries[at].what else { return None };
    history.entries[at].what = What::Refused { op };
    Some(())
}

fn gap(history: &mut History, rng: &mut Rng) -> Option<()> {
    let entity = entity(history, rng);
    let log = log(history, entity)?;
    let from = if log.is_empty() { return None } else { rng.usize(0..log.len()) };
    log[from..].iter_mut().for_each(|event| event.seq += 1);
    Some(())
}

/// An event that nobody sent: one more, or one whose body was altered.
fn phantom(history: &mut History, rng: &mut Rng) -> Option<()> {
    if rng.bool() {
        return append(history, rng, |_, _, _| Some(NOBODYS));
    }
    let (entity, event) = acked(history, rng)?;
    log(history, entity)?.iter_mut().find(|logged| logged.op == event.op)?.op = NOBODYS;
    Some(())
}

/// Two ops, one of which was acknowledged before the other was sent, change places wherever they
/// are told of.
fn swap_everywhere(history: &mut History, rng: &mut Rng) -> Option<()> {
    let (entity, early) = acked(history, rng)?;
    let acked_at = history
        .entries
        .iter()
        .find(|entry| matches!(entry.what, What::Acked { op, .. } if op == early.op))?
        .t;
    let sent_after = |name: Name| {
        let sent = |entry: &&Entry| {
            entry.t > acked_at && matches!(entry.what, What::Invoked { op, .. } if op == name)
        };
        let never_before = |entry: &Entry| {
            entry.t > acked_at || !matches!(entry.what, What::Invoked { op, .. } if op == name)
        };
        history.entries.iter().find(sent).is_some() && history.entries.iter().all(never_before)
    };
    let events = history.entries.iter().filter(|entry| entry.entity == entity).find_map(
        |entry| match &entry.what {
            What::Log { events, .. } => Some(events.clone()),
            _ => None,
        },
    )?;
    let later: Vec<_> = events.into_iter().filter(|event| sent_after(event.op)).collect();
    let late = pick(&later, rng)?;
    for entry in &mut history.entries {
        let swap = |event: &mut Event| {
            if event.op == early.op {
                *event = Event { op: early.op, ..late };
            } else if event.op == late.op {
                *event = Event { op: late.op, ..early };
            }
        };
        let swap_all = |events: &mut Vec<Event>| {
            events.iter_mut().for_each(swap);
            events.sort_by_key(|event| event.seq);
        };
        match &mut entry.what {
            What::Acked { op, seq, at, .. } => {
                let mut event = Event { seq: *seq, at: *at, op: *op };
                swap(&mut event);
                (*seq, *at) = (event.seq, event.at);
            }
            What::Told(event) => swap(event),
            What::Log { events, .. } => swap_all(events),
            _ => {}
        }
    }
    Some(())
}

/// A read shows the right state of a moment that is too old: older than what its client knew
/// (`own`), or than what others did.
fn older_read(history: &mut History, window: usize, rng: &mut Rng, own: bool) -> Option<()> {
    let mut candidates = Vec::new();
    for (at, entry) in history.entries.iter().enumerate() {
        let What::Read { asked, .. } = entry.what else { continue };
        let known = |mine: bool| {
            let before = history
                .entries
                .iter()
                .filter(|other| other.entity == entry.entity && other.t < asked);
            before
                .filter(|other| !mine || other.client == entry.client)
                .filter_map(|other| seq_of(&other.what))
                .max()
                .unwrap_or(0)
        };
        match (own, known(true), known(false)) {
            (true, mine, _) if mine > 0 => candidates.push((at, rng.u64(0..mine))),
            (false, mine, all) if mine < all => candidates.push((at, rng.u64(mine..all))),
            _ => {}
        }
    }
    let (at, old) = pick(&candidates, rng)?;
    let entity = history.entries[at].entity;
    let adds: std::collections::HashMap<_, _> = history
        .entries
        .iter()
        .filter_map(|entry| match entry.what {
            What::Invoked { op, effect: crate::history::Effect::Add(by) } => Some((op, by)),
            _ => None,
        })
        .collect();
    let log: Vec<_> = log(history, entity)?
        .iter()
        .map(|event| (*event, adds.get(&event.op).copied().unwrap_or(0)))
        .collect();
    if let What::Read { seq, state, .. } = &mut history.entries[at].what {
        (*seq, *state) = (old, model::state(entity, &log, old, window));
    }
    Some(())
}

fn seq_of(what: &What) -> Option<Seq> {
    match what {
        What::Acked { seq, .. } | What::Read { seq, .. } | What::Reset { seq, .. } => Some(*seq),
        What::Told(event) => Some(event.seq),
        What::Page(page) => page.events.last().map(|event| event.seq),
        What::Followed(follow) => Some(follow.seq),
        _ => None,
    }
}

fn other_state(history: &mut History, rng: &mut Rng) -> Option<()> {
    let at = find(history, rng, |entry| entry.what.state().is_some())?;
    let state = match &mut history.entries[at].what {
        What::Read { state, .. } | What::Reset { state, .. } => state,
        What::Followed(follow) => match &mut follow.got {
            Got::Snapshot { state, .. } => state,
            Got::Events(_) => return None,
        },
        _ => return None,
    };
    match state {
        State::Room(messages) if rng.bool() => messages.all.0 ^= 1,
        State::Sum(sum) if rng.bool() => *sum += 1,
        // Another number of messages might only make the others' number wrong, and no shape is no
        // state at all.
        State::Room(messages) => messages.count += 1,
        State::Sum(sum) => *sum -= 1,
        State::Other(_) => return None,
    }
    Some(())
}

/// The log ends before something that somebody was told.
fn vanish(history: &mut History, rng: &mut Rng) -> Option<()> {
    let at = told(history, rng)?;
    let (entity, What::Told(event)) =
        (history.entries[at].entity, history.entries[at].what.clone())
    else {
        return None;
    };
    log(history, entity)?.retain(|logged| logged.seq < event.seq);
    Some(())
}

fn alter(history: &mut History, rng: &mut Rng) -> Option<()> {
    let at = told(history, rng)?;
    let What::Told(event) = &mut history.entries[at].what else { return None };
    if rng.bool() {
        event.op = NOBODYS;
    } else {
        event.at += 1;
    }
    Some(())
}

fn tear(history: &mut History, rng: &mut Rng) -> Option<()> {
    let at = find(
        history,
        rng,
        |entry| matches!(&entry.what, What::Page(page) if page.events.len() > 2),
    )?;
    let What::Page(page) = &mut history.entries[at].what else { return None };
    match rng.u32(0..3) {
        0 if page.after.is_some() => drop(page.events.remove(0)),
        1 => drop(page.events.remove(1)),
        _ => page.events.swap(0, 1),
    }
    Some(())
}

fn mislead(history: &mut History, rng: &mut Rng) -> Option<()> {
    let at = find(
        history,
        rng,
        |entry| matches!(&entry.what, What::Followed(follow) if matches!(follow.got, Got::Events(_))),
    )?;
    let What::Followed(follow) = &mut history.entries[at].what else { return None };
    if rng.bool() {
        follow.seq += 1;
    } else {
        follow.after = None;
    }
    Some(())
}

fn unreason(history: &mut History, rng: &mut Rng) -> Option<()> {
    let at = find(
        history,
        rng,
        |entry| matches!(&entry.what, What::Followed(follow) if matches!(follow.got, Got::Snapshot { .. })),
    )?;
    let What::Followed(follow) = &mut history.entries[at].what else { return None };
    let Got::Snapshot { reason, .. } = &mut follow.got else { return None };
    *reason = match (&follow.after, rng.bool()) {
        (_, true) => None,
        (Some(_), false) => Some(greenroom_protocol::results::SnapshotReason::NoPosition),
        (None, false) => Some(greenroom_protocol::results::SnapshotReason::TooOld),
    };
    Some(())
}

/// An event goes to somebody who has unfollowed, or not followed yet.
fn tell_a_stranger(history: &mut History, rng: &mut Rng) -> Option<()> {
    let entity = entity(history, rng);
    let event = *log(history, entity)?.first()?;
    let (t, client) = (0, rng.u32(0..3));
    history.entries.insert(0, Entry { t, client, entity, what: What::Told(event) });
    Some(())
}
