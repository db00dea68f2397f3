//! Which rows of an entity's journal are deleted next.
//!
//! Rows are deleted a few at a time while others are written: deleting a row costs more than writing
//! one, and rooms that post at one rate would otherwise have it all done at one moment, with
//! everybody's posts behind it.
//!
//! How many events go at a time follows from the surplus, which is the number of events that are
//! neither deleted nor to be kept. So whatever was missed is made up for: by lives of a row each, by a
//! server that stopped, by a kind that has kept everything before.
//!
//! For example, a kind has `keep_events = 5`, each row of the log holds one event, and a snapshot of
//! seq 100 is in the queue. The surplus is the 95 events up to seq 95. A 32nd of that is less than
//! [`TRIM_MIN`], so the first step deletes the rows up to seq 16, the second those up to 32, and the
//! sixth step the last 15, up to 95. There is a step after the first row that a life writes, and
//! after every fourth from then on.
//!
//! With rows of 400 events and a snapshot of seq 4,000 the first step goes up to seq 124, a 32nd of
//! 3,995. No row ends there or before, so nothing is deleted yet. A later step that goes up to seq 400
//! or beyond deletes the first row, because each step looks back from where the last one ended by the
//! length of the longest row.

use std::num::NonZeroU64;

use greenroom_protocol::{EntityId, Seq};

use crate::store::{Loaded, MAX_ROW_EVENTS, Trim};

/// Checks for deletable rows after the first row of a life, and then after every `TRIM_EVERY` rows.
const TRIM_EVERY: u32 = 4;
/// The part of the events too many that goes at a time: within [`TRIM_MIN`] and [`TRIM_MAX`].
const TRIM_SHARE: u64 = 32;
/// Four times what has come meanwhile, where rows have one event.
const TRIM_MIN: u64 = 16;
/// Should each of them be a row of its own, this takes less than a tenth of a second.
const TRIM_MAX: u64 = 1024;
/// Rows are not taken to be longer than this, or a step could delete far more of them than it says.
const LONG_ROW: u64 = 16;
#[derive(Debug)]
pub(super) struct Retention {
    /// Rows that end here or before are deleted, or queued to be.
    trimmed: Seq,
    /// Most events that any row on disk can have.
    longest_row: u32,
    /// The end of the log when this life began.
    inherited: Seq,
    /// Rows that this life has on disk; as several may be reported together, there may be more.
    rows: u32,
}

/// How far a log has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// The last event decided.
    pub decided: Seq,
    /// The last event on disk.
    pub durable: Seq,
    /// The last event that is covered by a snapshot in the journal's queue, or on disk.
    pub covered: Seq,
}

impl Retention {
    /// For a life that begins with what was `loaded`, at `seq`.
    pub(super) fn new(loaded: &Loaded, seq: Seq) -> Self {
        let (trimmed, longest) =
            loaded.snapshot.as_ref().map_or((Seq::ZERO, 1), |row| (row.trimmed, row.longest_row));
        Self { trimmed, longest_row: longest.max(loaded.longest_row), inherited: seq, rows: 0 }
    }

    /// What a snapshot is to say of the journal, while `pending` events are not known to be on disk:
    /// up to where rows are deleted, and how long they can be.
    pub(super) fn for_snapshot(&mut self, pending: u64) -> (Seq, u32) {
        self.row_of(pending);
        (self.trimmed, self.longest_row)
    }

    /// A row of `events` is on disk, or several. Returns whether it is time to delete something, if
    /// snapshots cover the log up to `covered` and `keep` events, or all, are kept before that.
    pub(super) fn row_written(
        &mut self,
        events: u64,
        covered: Seq,
        keep: Option<NonZeroU64>,
    ) -> bool {
        self.row_of(events);
        self.rows = self.rows.saturating_add(1);
        self.rows % TRIM_EVERY == 1 && self.surplus(covered, keep) > 0
    }

    /// No row has more than [`MAX_ROW_EVENTS`].
    fn row_of(&mut self, events: u64) {
        self.longest_row = self.longest_row.max(events.min(MAX_ROW_EVENTS) as u32);
    }

    /// What of `entity` to delete next, if `keep` events, or all, are kept. It must be queued.
    pub(super) fn trim(
        &mut self,
        entity: &EntityId,
        log: Extent,
        keep: Option<NonZeroU64>,
    ) -> Option<Trim> {
        let surplus = self.surplus(log.covered, keep);
        if surplus == 0 {
            return None;
        }
        // A row that is on disk without our knowledge holds some of what is pending.
        self.row_of(log.decided.saturating_since(log.durable));
        let events = (surplus / TRIM_SHARE).clamp(TRIM_MIN, TRIM_MAX).min(surplus);
        let written = log.durable.since(self.inherited);
        let each = (written / u64::from(self.rows.max(1))).clamp(1, LONG_ROW);
        // The row that goes on behind what was deleted last stayed. It holds the last seq of that
        // and the next one.
        let from = (self.trimmed + 2).saturating_sub(u64::from(self.longest_row));
        self.trimmed += events;
        Some(Trim {
            entity: entity.clone(),
            from,
            through: self.trimmed,
            rows: events.div_ceil(each) as u32,
        })
    }

    /// Whether this life has written anything.
    pub(super) fn has_rows(&self) -> bool {
        self.rows > 0
    }

    /// Events that are neither deleted nor to be kept; without `keep` all are kept.
    fn surplus(&self, covered: Seq, keep: Option<NonZeroU64>) -> u64 {
        keep.map_or(0, |keep| covered.saturating_sub(keep.get()).saturating_since(self.trimmed))
    }
}

#[cfg(test)]
mod tests;
