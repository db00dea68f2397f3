//! The checker. It takes n log n steps for n entries: everything is sorted once by time, and the
//! rest is lookups in sorted lists and hash tables.

use super::entry::{Entry, Event, History, Moment};
use super::findings::{Findings, Kind, Tally};
use super::known::Known;
use super::log::Log;
use super::ops::{Op, Ops, Outcome};
use super::reads::Knowledge;
use super::{reads, views};

pub fn check(history: &History) -> (Tally, Findings) {
    let (mut tally, mut findings) = (Tally::default(), Findings::default());
    judge_moments(&history.entries, &mut findings);
    let mut entries: Vec<Vec<&Entry>> = vec![Vec::new(); history.entities.len()];
    for entry in &history.entries {
        match entries.get_mut(entry.entity as usize) {
            Some(list) => list.push(entry),
            None => {
                findings.add(Kind::Malformed, || format!("there is no entity {}", entry.entity));
            }
        }
    }
    for (entity, mut entries) in history.entities.iter().zip(entries) {
        // Stable: entries of one moment, which no clock of ours gives, stay in each client's order.
        entries.sort_by_key(|entry| entry.t);
        let ops = Ops::of(&entries, &mut findings);
        match Log::read(&entries, &ops, &mut findings) {
            Some(log) => judge_entity(&entries, &ops, log, &mut tally, &mut findings),
            None if entries.is_empty() => {}
            None => findings
                .add(Kind::Unread, || format!("nobody read the log of `{entity}` in the end")),
        }
    }
    (tally, findings)
}

fn judge_entity(
    entries: &[&Entry],
    ops: &Ops,
    mut log: Log,
    tally: &mut Tally,
    findings: &mut Findings,
) {
    tally.events += log.len() as u64;
    let knowledge = Knowledge::of(entries, &log);
    ops.all().for_each(|op| judge_op(op, &log, &knowledge.all, tally, findings));
    reads::judge(entries, &mut log, &knowledge, tally, findings);
    views::judge(entries, &mut log, &knowledge, tally, findings);
}

/// Each acknowledged op must be in the log once, at its acknowledged place, and every op must come
/// after everything that was known before it was sent.
fn judge_op(op: &Op, log: &Log, known: &Known, tally: &mut Tally, findings: &mut Findings) {
    let Op { name, client, invoked, outcome, .. } = op;
    let who = || format!("op {name} of client {client}");
    findings.about(*invoked);
    let place = log.place(*name);
    let before = known.before(*invoked);
    if let Some(seq) = place.filter(|seq| *seq <= before) {
        findings.add(Kind::StaleOp, || {
            format!("{} is at {seq}, and {before} was known before it was sent", who())
        });
    }
    tally.ops += 1;
    match outcome {
        Outcome::Open => tally.unanswered += 1,
        Outcome::Refused => tally.refused += 1,
        Outcome::Acked { epoch, seq, at, duplicate } => {
            tally.acked += 1;
            tally.duplicates += u64::from(*duplicate);
            let same = log.is(epoch, findings, || format!("the answer to {}", who()));
            if same && log.has(&Event { seq: *seq, at: *at, op: *name }) {
                tally.held += 1;
            } else if let Some(here) = place {
                findings.add(Kind::Misplaced, || {
                    format!(
                        "{} was acknowledged at {seq}, and is at {here}, or at another time",
                        who()
                    )
                });
            } else {
                findings.add(Kind::Lost, || {
                    format!("{} was acknowledged at {seq}, and is not in the log", who())
                });
            }
        }
    }
}

/// The times of a client must not go back, and no answer may come before its request.
fn judge_moments(entries: &[Entry], findings: &mut Findings) {
    let mut last = std::collections::HashMap::<u32, Moment>::new();
    for entry in entries {
        let last = last.entry(entry.client).or_default();
        if entry.t < *last || entry.what.asked().is_some_and(|asked| asked >= entry.t) {
            findings.add(Kind::Malformed, || {
                format!("client {}'s moments go back at {}", entry.client, entry.t)
            });
        }
        *last = (*last).max(entry.t);
    }
}
