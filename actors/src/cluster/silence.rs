//! Who has been silent: which nodes may be gone, by this node's own clock (rule M6).
//!
//! Each transaction of a node changes its lease row, so nobody sends heartbeats or compares clocks.
//! An observer only measures how long a row has not changed, as Amazon's lock client for DynamoDB
//! does. A node is silent if all of this holds:
//!
//! * Its row has not changed for the length of a lease. The time counts from the arrival of the
//!   answer that first showed the row as it is. The row may have been written just before that, so
//!   counting from the request would take a node over while it still serves reads.
//! * A transaction of the observer was sent in the second half of that time, and succeeded. If the
//!   database stalls for all, nobody is silent.
//! * The observer has had answers, and its transactions have succeeded, all the time: after half a
//!   lease without one of either, all times start again. An observer that was stopped knows nothing
//!   about others, and when a database works again, all have a whole lease to use it.
//! * If there are several observers, each waits a little longer than the one before it in rendezvous
//!   order, so that usually one of them tries.
//!
//! It is an accusation and no proof: the takeover's transaction compares the row once more.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::map::{LeaseRow, NodeId};
use super::target::score;
use crate::clock::Mono;

/// What one node knows of the others' lease rows.
#[derive(Debug, Clone)]
pub struct Silence {
    /// Milliseconds without a change after which a node is silent.
    lease: u64,
    /// Milliseconds that each observer waits longer than the one before it.
    step: u64,
    rows: BTreeMap<NodeId, Seen>,
    /// When the latest answer arrived.
    heard: Option<Mono>,
    /// When the latest of this node's transactions that succeeded was sent.
    committed: Option<Mono>,
    /// When this node last learned that a transaction of its own had succeeded.
    worked: Option<Mono>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    row: LeaseRow,
    /// When the answer arrived that first showed the row as it is.
    since: Mono,
}

impl Silence {
    /// Nothing has been seen. `lease` is the lease's length and `step` the time that each observer
    /// waits longer than the one before it, in milliseconds.
    pub const fn new(lease: u64, step: u64) -> Self {
        Self { lease, step, rows: BTreeMap::new(), heard: None, committed: None, worked: None }
    }

    /// An answer with all lease rows has arrived. Answers must be passed on in the order in which
    /// they were asked for, and never with the time at which they were.
    pub fn answer(&mut self, arrived: Mono, rows: impl IntoIterator<Item = (NodeId, LeaseRow)>) {
        let attentive = self.recent(self.heard, arrived);
        self.heard = Some(arrived);
        let before = std::mem::take(&mut self.rows);
        for (node, row) in rows {
            let same = before.get(&node).filter(|seen| attentive && seen.row == row);
            self.rows.insert(node, Seen { row, since: same.map_or(arrived, |seen| seen.since) });
        }
    }

    /// A transaction of this node that was sent at `sent` has succeeded, as is known `now`.
    pub fn committed(&mut self, sent: Mono, now: Mono) {
        if !self.recent(self.worked, now) {
            for seen in self.rows.values_mut() {
                seen.since = seen.since.max(now);
            }
        }
        self.worked = Some(now);
        self.committed = self.committed.max(Some(sent));
    }

    /// When the latest answer arrived.
    pub const fn heard(&self) -> Option<Mono> {
        self.heard
    }

    /// The row of a node as the latest answer showed it.
    pub fn row(&self, node: NodeId) -> Option<LeaseRow> {
        self.rows.get(&node).map(|seen| seen.row)
    }

    /// How long a node's row has not changed, in milliseconds, as far as this node knows.
    pub fn unchanged(&self, node: NodeId, now: Mono) -> Option<u64> {
        self.rows.get(&node).map(|seen| now.since(seen.since))
    }

    /// Whether a node is silent, for an observer whom nobody comes before.
    pub fn silent(&self, node: NodeId, now: Mono) -> bool {
        self.silent_for(node, now, self.lease)
    }

    /// Whether it is this observer's turn to take a silent node over. `survivors` are the nodes that
    /// could do it, including `me`; those that are silent themselves do not count.
    pub fn due(&self, node: NodeId, me: NodeId, survivors: &[NodeId], now: Mono) -> bool {
        if !self.silent(node, now) {
            return false;
        }
        let mut able: Vec<_> = survivors
            .iter()
            .filter(|peer| **peer == me || (**peer != node && !self.silent(**peer, now)))
            .collect();
        able.sort_unstable_by_key(|peer| Reverse((score(node.0, **peer), **peer)));
        let rank = able.iter().position(|peer| **peer == me).unwrap_or(able.len());
        let wait = self.step.saturating_mul(rank as u64);
        self.silent_for(node, now, self.lease.saturating_add(wait))
    }

    fn silent_for(&self, node: NodeId, now: Mono, time: u64) -> bool {
        let Some(Seen { since, .. }) = self.rows.get(&node) else { return false };
        let length = now.since(*since);
        let middle = since.after(length / 2);
        length >= time
            && self.committed.is_some_and(|sent| sent >= middle)
            && self.recent(self.heard, now)
            && self.recent(self.worked, now)
    }

    fn recent(&self, time: Option<Mono>, now: Mono) -> bool {
        time.is_some_and(|time| now.since(time) <= self.lease / 2)
    }
}

#[cfg(test)]
mod tests;
