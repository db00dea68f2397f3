//! The checker. It takes n log n steps for n entries: everything is sorted once by its moment, and
//! everything else is a look into sorted lists and hash tables.

use super::clock::Moment;
use super::entry::{Entry, History};
use super::findings::{Findings, Kind};
use super::log::Log;
use super::ops::Ops;
use super::reads::Knowledge;
use super::{reads, views};

/// What a history holds, apart from what is wrong with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Ops sent.
    pub ops: u64,
    /// Ops acknowledged.
    pub acked: u64,
    /// Acknowledgements that say to be a repeat's.
    pub duplicates: u64,
    /// Ops refused for sure.
    pub refused: u64,
    /// Ops of which nobody said what became of them.
    pub unanswered: u64,
    /// Acknowledged ops that the log holds, where it was said.
    pub held: u64,
    /// Events in the logs.
    pub events: u64,
    /// Events that subscribers were told, repeats not counted.
    pub told: u64,
    /// States read, those of subscriptions not counted.
    pub reads: u64,
    /// Pages read, those in the end not counted.
    pub pages: u64,
    /// Snapshots and resets that took the place of events.
    pub snapshots: u64,
}

/// Judges a history.
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
    ops.judge(&log, &knowledge.all, tally, findings);
    reads::judge(entries, &mut log, &knowledge, tally, findings);
    views::judge(entries, &mut log, &knowledge, tally, findings);
}

/// A client's moments go on, and nothing is answered before it is asked for.
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
