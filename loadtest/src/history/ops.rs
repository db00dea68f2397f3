//! What was sent and what it was answered, and whether the log agrees: each acknowledged op once
//! and where it was said to be, and after everything that had been known before it was sent.

use std::collections::HashMap;

use greenroom_protocol::{Epoch, Seq};

use super::check::Tally;
use super::clock::Moment;
use super::digest::Name;
use super::entry::{Effect, Entry, Event, What};
use super::findings::{Findings, Kind};
use super::known::Known;
use super::log::Log;

/// An op from its first sending on.
pub struct Op {
    name: Name,
    client: u32,
    /// What it does.
    pub effect: Effect,
    invoked: Moment,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an op, as far as its client knows.
pub enum Outcome {
    /// Nobody said: it may be in the log once, or not at all.
    Open,
    /// It must not be in the log.
    Refused,
    /// It must be in the log, here.
    Acked { epoch: Epoch, seq: Seq, at: u64, duplicate: bool },
}

/// The ops of an entity.
#[derive(Default)]
pub struct Ops {
    /// In the order in which they were first sent.
    all: Vec<Op>,
    by_name: HashMap<Name, usize>,
}

impl Ops {
    /// Collects what `entries`, in the order of their moments, tell about ops.
    pub fn of(entries: &[&Entry], findings: &mut Findings) -> Self {
        let mut ops = Self::default();
        for entry in entries {
            let (op, client) = match &entry.what {
                What::Invoked { op, effect } => {
                    ops.invoke(*op, *effect, entry, findings);
                    continue;
                }
                What::Acked { op, .. } | What::Refused { op } => (*op, entry.client),
                _ => continue,
            };
            let known = ops.by_name.get(&op).and_then(|at| ops.all.get_mut(*at));
            match known
                .filter(|known| known.client == client && matches!(known.outcome, Outcome::Open))
            {
                Some(known) => known.outcome = outcome(&entry.what),
                None => findings.add(Kind::Malformed, || {
                    format!(
                        "client {client} got an answer to op {op}, for which it was not waiting"
                    )
                }),
            }
        }
        ops
    }

    fn invoke(&mut self, name: Name, effect: Effect, entry: &Entry, findings: &mut Findings) {
        let op =
            Op { name, client: entry.client, effect, invoked: entry.t, outcome: Outcome::Open };
        match self.by_name.get(&name).copied() {
            None => {
                self.by_name.insert(name, self.all.len());
                self.all.push(op);
            }
            // Refused for sure and sent again: it begins anew.
            Some(at)
                if self.all[at].client == op.client
                    && matches!(self.all[at].outcome, Outcome::Refused) =>
            {
                self.all[at] = op;
            }
            Some(_) => {
                findings.add(Kind::Malformed, || {
                    format!(
                        "op {name} was sent by client {} although it is there already",
                        entry.client
                    )
                });
            }
        }
    }

    /// The op with this content.
    pub fn get(&self, name: Name) -> Option<&Op> {
        self.by_name.get(&name).and_then(|at| self.all.get(*at))
    }

    /// Compares all of them with the log, and with what was known before each was sent.
    pub fn judge(&self, log: &Log, known: &Known, tally: &mut Tally, findings: &mut Findings) {
        for op in &self.all {
            let Op { name, client, invoked, outcome, .. } = op;
            tally.ops += 1;
            if let Some(seq) = log.place(*name) {
                let before = known.before(*invoked);
                if seq <= before {
                    findings.add(Kind::StaleOp, || {
                        format!("op {name} of client {client} is at {seq}, and {before} was known before it was sent")
                    });
                }
            }
            match outcome {
                Outcome::Open => tally.unanswered += 1,
                Outcome::Refused => tally.refused += 1,
                Outcome::Acked { epoch, seq, at, duplicate } => {
                    tally.acked += 1;
                    tally.duplicates += u64::from(*duplicate);
                    let who = || format!("the answer to op {name} of client {client}");
                    if log.is(epoch, findings, who)
                        && log.has(&Event { seq: *seq, at: *at, op: *name })
                    {
                        tally.held += 1;
                    } else if let Some(here) = log.place(*name) {
                        findings.add(Kind::Misplaced, || {
                            format!("op {name} of client {client} was acknowledged at {seq}, and is at {here}, or at another time")
                        });
                    } else {
                        findings
                            .add(Kind::Lost, || format!("op {name} of client {client} was acknowledged at {seq}, and is not in the log"));
                    }
                }
            }
        }
    }
}

fn outcome(what: &What) -> Outcome {
    match what {
        What::Acked { epoch, seq, at, duplicate, .. } => {
            Outcome::Acked { epoch: epoch.clone(), seq: *seq, at: *at, duplicate: *duplicate }
        }
        _ => Outcome::Refused,
    }
}
