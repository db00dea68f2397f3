//! What was sent, and what it was answered.

use std::collections::HashMap;

use greenroom_protocol::{Epoch, Seq};

use super::digest::Name;
use super::entry::{Effect, Entry, Moment, What};
use super::findings::{Findings, Kind};

/// An op from its first sending on.
pub struct Op {
    pub name: Name,
    pub client: u32,
    pub effect: Effect,
    pub invoked: Moment,
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

    pub fn get(&self, name: Name) -> Option<&Op> {
        self.by_name.get(&name).and_then(|at| self.all.get(*at))
    }

    /// All of them, in the order in which they were first sent.
    pub fn all(&self) -> impl Iterator<Item = &Op> {
        self.all.iter()
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
