//! The verdict over a room: what was invoked, answered and seen, against what its log holds in the end.
//!
//! An op is a post with a name of its own, so a log is a list to which each op appends one element, and the checks are
//! those of such lists: each element once, all readers see prefixes of one list, and an op that began after another's end comes later.

use std::collections::{HashMap, HashSet};

use greenroom_protocol::results::SnapshotReason;
use greenroom_protocol::{Epoch, Seq};

use super::record::{Mark, Op, Outcome, Seen, View};
use crate::check::{SeqCheck, Verdict};

/// All that is known about a room after the drill.
#[derive(Debug, Clone)]
pub struct Room {
    /// The log that its history was read from.
    pub epoch: Epoch,
    /// Its history, whole and as read; events without a mark are none of the drill's.
    pub history: Vec<(Seq, Option<Mark>)>,
    /// The ops that were sent to it.
    pub ops: Vec<Op>,
    /// What its subscribers saw.
    pub views: Vec<View>,
}

/// A verdict. All zero is what is promised, except for the counts of the first block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Ops sent.
    pub ops: u64,
    /// Ops acknowledged.
    pub acked: u64,
    /// Acknowledgements that say to be a repeat's.
    pub duplicates: u64,
    /// Acknowledged ops that the history holds, where it was said.
    pub held: u64,
    /// Snapshots that took the place of missed events, after the first.
    pub snapshots: u64,

    /// Ops that were never answered.
    pub unanswered: u64,
    /// Ops that were refused for good.
    pub refused: u64,
    /// Acknowledged ops that the history does not hold.
    pub lost: u64,
    /// Executions of an op after its first.
    pub doubled: u64,
    /// Acknowledged ops that are elsewhere than was said.
    pub misplaced: u64,
    /// Ops whose seq is not above that of an op that was acknowledged before they were sent.
    pub stale: u64,
    /// Seqs of the history that do not follow the one before; the first must be 1.
    pub gaps: u64,
    /// Events of the history that nobody sent.
    pub strange: u64,
    /// What subscribers saw of the events that they should have seen.
    pub delivered: Verdict,
    /// Events that were seen as another op than the history has at their seq.
    pub altered: u64,
    /// Resumptions whose position is not where their events end.
    pub misled: u64,
    /// Snapshots that go back behind what was seen, or that belong to another log.
    pub went_back: u64,
    /// Snapshots without a reason, or said to be for want of a position by a subscriber that gave one.
    pub unreasoned: u64,
}

/// Judges a room.
pub fn judge(room: &Room) -> Tally {
    let mut tally = Tally { ops: room.ops.len() as u64, ..Tally::default() };
    judge_history(room, &mut tally);
    judge_order(&room.ops, &mut tally);
    let truth: HashMap<Seq, Option<Mark>> = room.history.iter().copied().collect();
    let head = room.history.iter().map(|(seq, _)| *seq).max().unwrap_or(0);
    for view in &room.views {
        judge_view(view, &room.epoch, &truth, head, &mut tally);
    }
    tally
}

/// Each acknowledged op once and where it was said to be, and nothing that nobody sent.
fn judge_history(room: &Room, tally: &mut Tally) {
    let sent: HashSet<Mark> = room.ops.iter().map(|op| op.mark).collect();
    let mut places: HashMap<Mark, Vec<Seq>> = HashMap::new();
    let mut last = 0;
    for (seq, mark) in &room.history {
        tally.gaps += u64::from(*seq != last + 1);
        last = *seq;
        match mark {
            Some(mark) if sent.contains(mark) => places.entry(*mark).or_default().push(*seq),
            _ => tally.strange += 1,
        }
    }
    tally.doubled = places.values().map(|seqs| seqs.len() as u64 - 1).sum();
    for op in &room.ops {
        match &op.outcome {
            Outcome::Unanswered => tally.unanswered += 1,
            Outcome::Refused => tally.refused += 1,
            Outcome::Acked { seq, epoch, duplicate, .. } => {
                tally.acked += 1;
                tally.duplicates += u64::from(*duplicate);
                match places.get(&op.mark) {
                    Some(seqs) if *epoch == room.epoch && seqs.contains(seq) => tally.held += 1,
                    Some(_) if *epoch == room.epoch => tally.misplaced += 1,
                    _ => tally.lost += 1,
                }
            }
        }
    }
}

/// Real-time order: an op that was invoked after another's acknowledgement had come has a larger seq.
fn judge_order(ops: &[Op], tally: &mut Tally) {
    // Moments in order; at an invocation its seq is compared with the highest acknowledged by then.
    let mut moments = Vec::with_capacity(ops.len() * 2);
    for op in ops {
        if let Outcome::Acked { at, seq, .. } = op.outcome {
            moments.push((op.invoked, false, seq));
            moments.push((at, true, seq));
        }
    }
    moments.sort_unstable();
    let mut highest = 0;
    for (_, acknowledged, seq) in moments {
        if acknowledged {
            highest = highest.max(seq);
        } else {
            tally.stale += u64::from(seq <= highest);
        }
    }
}

/// Each event from the subscriber's first position to the end of the log: once, in order, and the same as in the history, except
/// where a snapshot with a reason took its place.
fn judge_view(view: &View, epoch: &Epoch, truth: &HashMap<Seq, Option<Mark>>, head: Seq, tally: &mut Tally) {
    let mut check = SeqCheck::after(0);
    for (index, seen) in view.seen.iter().enumerate() {
        match seen {
            Seen::Event { seq, mark } => {
                check.event(*seq);
                tally.altered += u64::from(truth.get(seq) != Some(mark));
            }
            Seen::Resumed { epoch: log, seq } => tally.misled += u64::from(log != epoch || *seq != check.last()),
            Seen::Jump { epoch: log, seq, reason } => {
                let first = index == 0;
                tally.snapshots += u64::from(!first);
                tally.went_back += u64::from(log != epoch || *seq < check.last());
                tally.unreasoned += u64::from(reason.is_none() || !first && *reason == Some(SnapshotReason::NoPosition));
                // What is missing before a snapshot was never delivered; only what comes after the last event is covered by it.
                tally.delivered += check.verdict(check.last());
                check = SeqCheck::after(*seq);
            }
        }
    }
    tally.delivered += check.verdict(head);
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.ops += other.ops;
        self.acked += other.acked;
        self.duplicates += other.duplicates;
        self.held += other.held;
        self.snapshots += other.snapshots;
        self.unanswered += other.unanswered;
        self.refused += other.refused;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.misplaced += other.misplaced;
        self.stale += other.stale;
        self.gaps += other.gaps;
        self.strange += other.strange;
        self.delivered += other.delivered;
        self.altered += other.altered;
        self.misled += other.misled;
        self.went_back += other.went_back;
        self.unreasoned += other.unreasoned;
    }
}

#[cfg(test)]
mod tests;
