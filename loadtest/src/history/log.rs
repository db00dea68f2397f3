//! What an entity's log holds at the end, with which everything else is compared.

use std::collections::HashMap;

use greenroom_protocol::{Epoch, Seq};

use super::digest::{Messages, Name, State};
use super::entry::{Effect, Entry, Event, What};
use super::findings::{Findings, Kind};
use super::ops::{Ops, Outcome};

/// A log, and what it comes to at each seq.
pub struct Log {
    epoch: Epoch,
    /// Ascending by seq, one for each.
    events: Vec<Event>,
    /// Of the first so many events: how many are posts, how many add, and the sum of what they add.
    upto: Vec<Sums>,
    places: HashMap<Name, Seq>,
    /// The most messages that any state has shown, which is as many as the server keeps in one.
    window: usize,
    /// What a state of each seq must be, as far as anybody asked: what the events come to, or else
    /// what was seen first.
    states: HashMap<Seq, State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    posts: usize,
    adds: usize,
    sum: i64,
}

impl Log {
    /// The log as `entries`, in order of their moments, have read it, judged against the ops that
    /// were sent; nothing where nobody read it.
    pub fn read(entries: &[&Entry], ops: &Ops, findings: &mut Findings) -> Option<Self> {
        let mut pages = entries.iter().filter_map(|entry| match &entry.what {
            What::Log { epoch, events } => Some((epoch, events)),
            _ => None,
        });
        let (epoch, first) = pages.next()?;
        let mut events = first.clone();
        for (other, page) in pages {
            if other != epoch {
                findings.add(Kind::AnotherLog, || {
                    format!(
                        "the log was read in pages of `{}` and `{}`",
                        epoch.as_str(),
                        other.as_str()
                    )
                });
            }
            events.extend(page);
        }
        let mut log = Self {
            epoch: epoch.clone(),
            events,
            upto: Vec::new(),
            places: HashMap::new(),
            window: window(entries),
            states: HashMap::new(),
        };
        log.judge(ops, findings);
        log.sum_up(ops);
        Some(log)
    }

    /// Every event once, by somebody, and without gaps.
    fn judge(&mut self, ops: &Ops, findings: &mut Findings) {
        let mut last = Seq::ZERO;
        for Event { seq, op, .. } in &self.events {
            if *seq != last.next() {
                findings.add(Kind::Gap, || format!("the log goes on with {seq} after {last}"));
            }
            last = *seq;
            findings.about(ops.get(*op).map_or(0, |op| op.invoked));
            if let Some(first) = self.places.get(op) {
                findings.add(Kind::Doubled, || format!("op {op} is at {seq} and at {first}"));
                continue;
            }
            self.places.insert(*op, *seq);
            match ops.get(*op).map(|op| &op.outcome) {
                None => {
                    findings.add(Kind::Phantom, || format!("nobody sent the event at {seq}, {op}"));
                }
                Some(Outcome::Refused) => findings
                    .add(Kind::RefusedDone, || format!("op {op} is at {seq}, and was refused")),
                Some(Outcome::Open | Outcome::Acked { .. }) => {}
            }
        }
    }

    /// Prepares for answering what the state is at any seq.
    fn sum_up(&mut self, ops: &Ops) {
        // A log that goes back is a finding already; here it only has to be sorted.
        self.events.sort_by_key(|event| event.seq);
        self.events.dedup_by_key(|event| event.seq);
        let mut sums = Sums::default();
        self.upto = Vec::with_capacity(self.events.len() + 1);
        self.upto.push(sums);
        for event in &self.events {
            match ops.get(event.op).map_or(Effect::Other, |op| op.effect) {
                Effect::Post => sums.posts += 1,
                Effect::Add(by) => {
                    (sums.adds, sums.sum) = (sums.adds + 1, sums.sum.wrapping_add(by));
                }
                Effect::Other => {}
            }
            self.upto.push(sums);
        }
    }

    pub fn head(&self) -> Seq {
        self.events.last().map_or(Seq::ZERO, |event| event.seq)
    }

    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Where an op is, first.
    pub fn place(&self, op: Name) -> Option<Seq> {
        self.places.get(&op).copied()
    }

    pub fn at(&self, seq: Seq) -> Option<&Event> {
        let place = self.events.binary_search_by_key(&seq, |event| event.seq).ok()?;
        self.events.get(place)
    }

    /// Whether something is said about this log; if not, it is a finding.
    pub fn is(&self, epoch: &Epoch, findings: &mut Findings, who: impl FnOnce() -> String) -> bool {
        let same = *epoch == self.epoch;
        if !same {
            findings.add(Kind::AnotherLog, || {
                format!(
                    "{} speaks of `{}`, and the log is `{}`",
                    who(),
                    epoch.as_str(),
                    self.epoch.as_str()
                )
            });
        }
        same
    }

    /// Whether an event is what the log has at its seq.
    pub fn has(&self, event: &Event) -> bool {
        self.at(event.seq) == Some(event)
    }

    /// Compares an event that somebody was told with the log.
    pub fn judge_event(
        &self,
        event: &Event,
        findings: &mut Findings,
        who: impl FnOnce() -> String,
    ) {
        match self.at(event.seq) {
            None => findings.add(Kind::Vanished, || {
                format!("{} was told the event {}, which the log does not hold", who(), event.seq)
            }),
            Some(here) if here != event => {
                let (told, here) = ((event.op, event.at), (here.op, here.at));
                findings.add(Kind::Altered, || {
                    format!(
                        "{} was told of {} as {told:?}, and the log has {here:?}",
                        who(),
                        event.seq
                    )
                });
            }
            Some(_) => {}
        }
    }

    /// Compares a state with what the log comes to at `seq`, and with what others saw there.
    pub fn judge_state(
        &mut self,
        seq: Seq,
        state: State,
        findings: &mut Findings,
        who: impl FnOnce() -> String,
    ) {
        if seq > self.head() {
            findings.add(Kind::Vanished, || {
                format!("{} saw a state at {seq}, and the log ends at {}", who(), self.head())
            });
            return;
        }
        let want = match self.states.get(&seq) {
            Some(want) => *want,
            None => {
                let want = self.comes_to(seq, state).unwrap_or(state);
                self.states.insert(seq, want);
                want
            }
        };
        if state != want {
            findings.add(Kind::WrongState, || {
                format!("{} saw {state:?} at {seq}, where it should be {want:?}", who())
            });
        }
    }

    /// The result of the events up to `seq`, if it is known in advance. Without events it is the
    /// empty state of the shape that was `seen`.
    fn comes_to(&self, seq: Seq, seen: State) -> Option<State> {
        let count = self.events.partition_point(|event| event.seq <= seq);
        let Sums { posts, adds, sum } = self.upto[count];
        match seen {
            State::Other(_) if count == 0 => None,
            State::Sum(_) if count == 0 => Some(State::Sum(0)),
            _ if posts == count => Some(State::Room(self.last_messages(count))),
            _ if adds == count => Some(State::Sum(sum)),
            _ => None,
        }
    }

    /// What the last messages among the first `count` events are, as a room's state shows them.
    fn last_messages(&self, count: usize) -> Messages {
        let shown = &self.events[count.saturating_sub(self.window)..count];
        let all =
            shown.iter().fold(Name::NONE, |all, event| all.then(event.seq, event.at, event.op));
        Messages { count: u32::try_from(shown.len()).unwrap_or(u32::MAX), all }
    }
}

fn window(entries: &[&Entry]) -> usize {
    entries.iter().filter_map(|entry| entry.what.state()).fold(0, |most, state| match state {
        State::Room(messages) => most.max(messages.count as usize),
        State::Sum(_) | State::Other(_) => most,
    })
}
