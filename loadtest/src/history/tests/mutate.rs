//! Spoils valid histories, each in one way that must be found as a certain kind.

use std::collections::HashMap;

use fastrand::Rng;
use greenroom_protocol::results::SnapshotReason;
use greenroom_protocol::{Epoch, Seq};

use super::model;
use crate::history::{Effect, Entry, Event, Got, History, Kind, Name, State, What};

/// Something that no client ever sent.
const NOBODYS: Name = Name(0x00ba_dbad);

/// Spoils `history` so that `kind` must be found; false where it holds nothing that could be spoilt
/// like that.
pub fn spoil(kind: Kind, history: &mut History, window: usize, rng: &mut Rng) -> bool {
    let mut spoiler = Spoiler { history, rng };
    let spoilt = match kind {
        Kind::Malformed => spoiler.answer_before_question(),
        Kind::Unread => spoiler.forget_log(),
        Kind::AnotherLog => spoiler.change_epoch(),
        Kind::Lost => spoiler.lose(),
        Kind::Doubled => spoiler.append(true),
        Kind::Misplaced => spoiler.swap_in_log(),
        Kind::RefusedDone => spoiler.refuse(),
        Kind::Gap => spoiler.gap(),
        Kind::Phantom => spoiler.phantom(),
        Kind::StaleOp => spoiler.swap_everywhere(),
        Kind::Stale => spoiler.older_read(window, false),
        Kind::WentBack => spoiler.older_read(window, true),
        Kind::WrongState => spoiler.other_state(),
        Kind::Vanished => spoiler.vanish(),
        Kind::Altered => spoiler.alter(),
        Kind::TornPage => spoiler.tear(),
        Kind::Skipped => spoiler.pair_of_told().map(|(first, _)| spoiler.remove(first)),
        Kind::Repeated => spoiler.repeat(),
        Kind::Reordered => spoiler.pair_of_told().map(|(a, b)| spoiler.swap(a, b)),
        Kind::Misled => spoiler.mislead(),
        Kind::Unreasoned => spoiler.unreason(),
        Kind::Unasked => spoiler.tell_a_stranger(),
    };
    spoilt.is_some()
}

struct Spoiler<'a> {
    history: &'a mut History,
    rng: &'a mut Rng,
}

impl Spoiler<'_> {
    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.rng.usize(0..from.len())])
    }

    /// The place of an entry that is as wanted.
    fn find(&mut self, wanted: impl Fn(&What) -> bool) -> Option<usize> {
        let entries = self.history.entries.iter().enumerate();
        let found: Vec<_> =
            entries.filter(|(_, entry)| wanted(&entry.what)).map(|(at, _)| at).collect();
        self.pick(&found)
    }

    fn what(&mut self, at: usize) -> &mut What {
        &mut self.history.entries[at].what
    }

    fn remove(&mut self, at: usize) {
        self.history.entries.remove(at);
    }

    /// Two entries keep their moments, and change what happens at them.
    fn swap(&mut self, a: usize, b: usize) {
        let what = self.what(a).clone();
        *self.what(a) = std::mem::replace(self.what(b), what);
    }

    fn entity(&mut self) -> u32 {
        self.rng.u32(0..self.history.entities.len() as u32)
    }

    /// The events of the log of `entity`; the histories that are spoilt here have logs of one page.
    fn log(&mut self, entity: u32) -> Option<&mut Vec<Event>> {
        let mut entries = self.history.entries.iter_mut().filter(|entry| entry.entity == entity);
        entries.find_map(|entry| match &mut entry.what {
            What::Log { events, .. } => Some(events),
            _ => None,
        })
    }

    /// An op that was acknowledged, and its entity.
    fn acked(&mut self) -> Option<(u32, Event)> {
        let at = self.find(|what| matches!(what, What::Acked { .. }))?;
        let What::Acked { op, seq, at: time, .. } = *self.what(at) else { return None };
        Some((self.history.entries[at].entity, Event { seq, at: time, op }))
    }

    /// An event that somebody was told, and its entity.
    fn told(&mut self) -> Option<(usize, u32, Event)> {
        let at = self.find(|what| matches!(what, What::Told(_)))?;
        let What::Told(event) = *self.what(at) else { return None };
        Some((at, self.history.entries[at].entity, event))
    }

    /// Two events that one subscriber was told one after the other.
    fn pair_of_told(&mut self) -> Option<(usize, usize)> {
        let mut pairs = Vec::new();
        let entries = &self.history.entries;
        for (at, first) in entries.iter().enumerate() {
            let What::Told(event) = first.what else { continue };
            let about_it = |entry: &Entry| {
                (entry.client, entry.entity) == (first.client, first.entity)
                    && (matches!(entry.what, What::Told(_) | What::Followed(_) | What::Unfollowed)
                        || matches!(entry.what, What::Reset { .. }))
            };
            let next = (at + 1..entries.len()).find(|next| about_it(&entries[*next]));
            let told = |next: &usize| matches!(entries[*next].what, What::Told(told) if told.seq == event.seq + 1);
            pairs.extend(next.filter(told).map(|next| (at, next)));
        }
        self.pick(&pairs)
    }

    fn answer_before_question(&mut self) -> Option<()> {
        let (_, event) = self.acked()?;
        let about = |what: &What| matches!(what, What::Invoked { op, .. } | What::Acked { op, .. } if *op == event.op);
        let entries = self.history.entries.iter().enumerate();
        let places: Vec<_> =
            entries.filter(|(_, entry)| about(&entry.what)).map(|(at, _)| at).collect();
        let [.., asked, answered] = places[..] else { return None };
        self.swap(asked, answered);
        Some(())
    }

    fn forget_log(&mut self) -> Option<()> {
        let entity = self.entity();
        let entries = &mut self.history.entries;
        entries.retain(|entry| entry.entity != entity || !matches!(entry.what, What::Log { .. }));
        entries.iter().any(|entry| entry.entity == entity).then_some(())
    }

    fn change_epoch(&mut self) -> Option<()> {
        let at = self.find(|what| epoch_of(&mut what.clone()).is_some())?;
        *epoch_of(self.what(at))? = Epoch::from_bits(99);
        Some(())
    }

    /// An acknowledged op is not in the log; what follows it takes its place, or leaves it empty.
    fn lose(&mut self) -> Option<()> {
        let (entity, event) = self.acked()?;
        let closes = self.rng.bool();
        let log = self.log(entity)?;
        log.retain(|other| other.op != event.op);
        for later in log.iter_mut().filter(|later| closes && later.seq > event.seq) {
            later.seq -= 1;
        }
        Some(())
    }

    /// One more event in the log: one that is there already, or one that nobody sent.
    fn append(&mut self, again: bool) -> Option<()> {
        let entity = self.entity();
        let events = self.log(entity)?.clone();
        let op = if again { self.pick(&events)?.op } else { NOBODYS };
        let last = events.last().map_or(Event { seq: 0, at: 0, op }, |last| *last);
        self.log(entity)?.push(Event { seq: last.seq + 1, at: last.at, op });
        Some(())
    }

    fn swap_in_log(&mut self) -> Option<()> {
        let (entity, event) = self.acked()?;
        let other = self.rng.usize(..);
        let log = self.log(entity)?;
        let this = log.iter().position(|logged| logged.op == event.op)?;
        let other = other % log.len();
        let (a, b) = (log[this].op, log[other].op);
        (log[this].op, log[other].op) = (b, a);
        (a != b).then_some(())
    }

    /// An acknowledgement becomes a refusal.
    fn refuse(&mut self) -> Option<()> {
        let at = self.find(|what| matches!(what, What::Acked { .. }))?;
        let What::Acked { op, .. } = *self.what(at) else { return None };
        *self.what(at) = What::Refused { op };
        Some(())
    }

    fn gap(&mut self) -> Option<()> {
        let (entity, from) = (self.entity(), self.rng.usize(..));
        let log = self.log(entity)?;
        let from = from.checked_rem(log.len())?;
        log[from..].iter_mut().for_each(|event| event.seq += 1);
        Some(())
    }

    /// An event that nobody sent: one more, or one whose body was altered.
    fn phantom(&mut self) -> Option<()> {
        if self.rng.bool() {
            return self.append(false);
        }
        let (entity, event) = self.acked()?;
        self.log(entity)?.iter_mut().find(|logged| logged.op == event.op)?.op = NOBODYS;
        Some(())
    }

    /// Two ops, one of which was acknowledged before the other was sent, change places wherever
    /// they are told of.
    fn swap_everywhere(&mut self) -> Option<()> {
        let (entity, early) = self.acked()?;
        let events = self.log(entity)?.clone();
        let entries = &self.history.entries;
        let is_ack = |what: &What| matches!(what, What::Acked { op, .. } if *op == early.op);
        let acked_at = entries.iter().find(|entry| is_ack(&entry.what))?.t;
        let sent = |name: Name| {
            let of_it =
                |entry: &&Entry| matches!(entry.what, What::Invoked { op, .. } if op == name);
            entries.iter().filter(of_it).map(|entry| entry.t).min()
        };
        let later = events.into_iter().filter(|event| sent(event.op).is_some_and(|t| t > acked_at));
        let later: Vec<_> = later.collect();
        let late = self.pick(&later)?;
        let swap = |event: &mut Event| {
            if event.op == early.op {
                *event = Event { op: early.op, ..late };
            } else if event.op == late.op {
                *event = Event { op: late.op, ..early };
            }
        };
        for entry in &mut self.history.entries {
            match &mut entry.what {
                What::Acked { op, seq, at, .. } => {
                    let mut event = Event { seq: *seq, at: *at, op: *op };
                    swap(&mut event);
                    (*seq, *at) = (event.seq, event.at);
                }
                What::Told(event) => swap(event),
                What::Log { events, .. } => {
                    events.iter_mut().for_each(swap);
                    events.sort_by_key(|event| event.seq);
                }
                _ => {}
            }
        }
        Some(())
    }

    /// A read shows the right state of a moment that is too old: older than what its client knew
    /// (`own`), or than what others did.
    fn older_read(&mut self, window: usize, own: bool) -> Option<()> {
        let mut candidates = Vec::new();
        for (at, entry) in self.history.entries.iter().enumerate() {
            let What::Read { asked, .. } = entry.what else { continue };
            let known = |mine: bool| {
                let before = self.history.entries.iter().filter(|other| {
                    (other.entity == entry.entity && other.t < asked)
                        && (!mine || other.client == entry.client)
                });
                before.filter_map(|other| seq_of(&other.what)).max().unwrap_or(0)
            };
            match (own, known(true), known(false)) {
                (true, mine, _) if mine > 0 => candidates.push((at, self.rng.u64(0..mine))),
                (false, mine, all) if mine < all => {
                    candidates.push((at, self.rng.u64(mine..all)));
                }
                _ => {}
            }
        }
        let (at, old) = self.pick(&candidates)?;
        let entity = self.history.entries[at].entity;
        let add = |entry: &Entry| match entry.what {
            What::Invoked { op, effect: Effect::Add(by) } => Some((op, by)),
            _ => None,
        };
        let adds: HashMap<_, _> = self.history.entries.iter().filter_map(add).collect();
        let with_add = |event: &Event| (*event, adds.get(&event.op).copied().unwrap_or(0));
        let log: Vec<_> = self.log(entity)?.iter().map(with_add).collect();
        if let What::Read { seq, state, .. } = self.what(at) {
            (*seq, *state) = (old, model::state(entity, &log, old, window));
        }
        Some(())
    }

    fn other_state(&mut self) -> Option<()> {
        let at = self.find(|what| what.state().is_some())?;
        let coin = self.rng.bool();
        let state = match self.what(at) {
            What::Read { state, .. } | What::Reset { state, .. } => state,
            What::Followed(follow) => match &mut follow.got {
                Got::Snapshot { state, .. } => state,
                Got::Events(_) => return None,
            },
            _ => return None,
        };
        match state {
            State::Room(messages) if coin => messages.all.0 ^= 1,
            // Another number of messages might only make the others' number wrong, and no shape is
            // no state at all.
            State::Room(messages) => messages.count += 1,
            State::Sum(sum) => *sum += if coin { 1 } else { -1 },
            State::Other(_) => return None,
        }
        Some(())
    }

    /// The log ends before something that somebody was told.
    fn vanish(&mut self) -> Option<()> {
        let (_, entity, event) = self.told()?;
        self.log(entity)?.retain(|logged| logged.seq < event.seq);
        Some(())
    }

    fn alter(&mut self) -> Option<()> {
        let (at, _, event) = self.told()?;
        let altered = match self.rng.bool() {
            true => Event { op: NOBODYS, ..event },
            false => Event { at: event.at + 1, ..event },
        };
        *self.what(at) = What::Told(altered);
        Some(())
    }

    fn repeat(&mut self) -> Option<()> {
        let (at, ..) = self.told()?;
        let again = self.history.entries[at].clone();
        self.history.entries.insert(at, again);
        Some(())
    }

    fn tear(&mut self) -> Option<()> {
        let at = self.find(|what| matches!(what, What::Page(page) if page.events.len() > 2))?;
        let way = self.rng.u32(0..3);
        let What::Page(page) = self.what(at) else { return None };
        match way {
            0 if page.after.is_some() => drop(page.events.remove(0)),
            1 => drop(page.events.remove(1)),
            _ => page.events.swap(0, 1),
        }
        Some(())
    }

    fn mislead(&mut self) -> Option<()> {
        let at = self.find(
            |what| matches!(what, What::Followed(follow) if matches!(follow.got, Got::Events(_))),
        )?;
        let coin = self.rng.bool();
        let What::Followed(follow) = self.what(at) else { return None };
        if coin {
            follow.seq += 1;
        } else {
            follow.after = None;
        }
        Some(())
    }

    fn unreason(&mut self) -> Option<()> {
        let at = self.find(|what| matches!(what, What::Followed(follow) if matches!(follow.got, Got::Snapshot { .. })))?;
        let coin = self.rng.bool();
        let What::Followed(follow) = self.what(at) else { return None };
        let wrong = if follow.after.is_some() {
            SnapshotReason::NoPosition
        } else {
            SnapshotReason::TooOld
        };
        let Got::Snapshot { reason, .. } = &mut follow.got else { return None };
        *reason = coin.then_some(wrong);
        Some(())
    }

    /// An event goes to somebody who has unfollowed, or not followed yet.
    fn tell_a_stranger(&mut self) -> Option<()> {
        let (entity, client) = (self.entity(), self.rng.u32(0..3));
        let event = *self.log(entity)?.first()?;
        self.history.entries.insert(0, Entry { t: 0, client, entity, what: What::Told(event) });
        Some(())
    }
}

/// The epoch of which it speaks. Another epoch of the log itself is not found where nobody spoke of
/// the old one.
fn epoch_of(what: &mut What) -> Option<&mut Epoch> {
    match what {
        What::Acked { epoch, .. } | What::Read { epoch, .. } | What::Reset { epoch, .. } => {
            Some(epoch)
        }
        What::Page(page) => Some(&mut page.epoch),
        What::Followed(follow) => Some(&mut follow.epoch),
        _ => None,
    }
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
