//! When an entity's next snapshot is due, and which rows of its journal are deleted next.
//!
//! Rows are deleted a few at a time while ops come, twice as fast as they are written: deleting a row costs more than writing
//! one, and rooms that post at one rate would otherwise have it all done at one moment, with everybody's posts behind it.
//! For the same reason the first snapshot of a life is early, by a share that the entity's name gives.

use std::hash::BuildHasher;
use std::ops::RangeInclusive;

use foldhash::fast::FixedState;
use greenroom_protocol::{EntityId, Seq};

use crate::store::{MAX_ROW_EVENTS, SnapshotRow};

/// After how many events it is looked whether something can be deleted.
const TRIM_EVERY: u64 = 4;
/// How many events' rows are deleted at a time, at least, where there are so many: twice what has come since the last time.
const TRIM_MIN: u64 = 2 * TRIM_EVERY;
/// At most, where much has been left over.
const TRIM_MAX: u64 = 64;
/// So many times as much has to be left over for one event more at a time.
const TRIM_SHARE: u64 = 128;
/// The share of a snapshot's interval that all of it is.
const WHOLE: u8 = 64;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Upkeep {
    /// The seq of the latest snapshot.
    snapshot: Seq,
    /// The seq of the latest snapshot that is in the journal's queue, or on disk.
    queued: Seq,
    /// Bytes of events since the latest snapshot.
    bytes: usize,
    /// How much of the interval makes the next snapshot due, in parts of [`WHOLE`].
    share: u8,
    /// No row begins before this.
    first_row: Seq,
    /// Rows that end here or before are deleted.
    trimmed: Seq,
    /// The end of the log when this life began.
    inherited: Seq,
    /// Most events that a row of this life can have.
    longest_row: u32,
}

impl Upkeep {
    /// For a life that begins with this snapshot, at `seq`, with so many bytes of events behind the snapshot.
    pub(super) fn new(id: &EntityId, snapshot: Option<&SnapshotRow>, seq: Seq, bytes: usize) -> Self {
        let (snapshot, first_row) = snapshot.map_or((0, 0), |row| (row.seq, row.first_row));
        let share = 1 + (FixedState::default().hash_one(id) % u64::from(WHOLE)) as u8;
        let trimmed = first_row.saturating_sub(1);
        Self { snapshot, queued: snapshot, bytes, share, first_row, trimmed, inherited: seq, longest_row: 1 }
    }

    /// An event was decided, which makes `pending` that are not known to be on disk: no row can hold more.
    pub(super) fn event(&mut self, bytes: usize, pending: usize) {
        self.bytes += bytes;
        // No row has more than `MAX_ROW_EVENTS`.
        self.longest_row = self.longest_row.max(pending.min(MAX_ROW_EVENTS as usize) as u32);
    }

    /// Whether `seq` is far enough from the latest snapshot: `every` events, and the bytes that `weight` tells.
    pub(super) fn snapshot_due(&self, seq: Seq, every: u64, weight: impl FnOnce() -> usize) -> bool {
        let (share, whole) = (u64::from(self.share), u64::from(WHOLE));
        let far = (seq - self.snapshot).saturating_mul(whole) >= every.saturating_mul(share);
        far && (self.bytes as u64).saturating_mul(whole) >= (weight() as u64).saturating_mul(share)
    }

    /// A snapshot was made. Tells before which seq no row begins.
    pub(super) fn snapshot_made(&mut self, seq: Seq) -> Seq {
        (self.snapshot, self.bytes, self.share) = (seq, 0, WHOLE);
        self.first_row
    }

    /// The latest snapshot is in the journal's queue. What is queued from now on is written with it or after it.
    pub(super) fn snapshot_queued(&mut self) {
        self.queued = self.snapshot;
    }

    /// The seq of the latest snapshot.
    pub(super) fn snapshot(&self) -> Seq {
        self.snapshot
    }

    /// Whether it is time to delete something after the event `seq`, where `keep` events are kept behind a snapshot.
    pub(super) fn trim_due(&self, seq: Seq, keep: u64) -> bool {
        seq.is_multiple_of(TRIM_EVERY) && self.excess(keep) > 0
    }

    /// What to delete next: rows that begin in this range and end in it.
    pub(super) fn trim(&mut self, keep: u64) -> Option<RangeInclusive<Seq>> {
        let excess = self.excess(keep);
        if excess == 0 {
            return None;
        }
        self.trimmed += (excess / TRIM_SHARE).clamp(TRIM_MIN, TRIM_MAX).min(excess);
        let range = self.first_row..=self.trimmed;
        // The row that goes on behind the range stays. It holds the last seq of the range and the next one.
        let longest = if self.trimmed < self.inherited { MAX_ROW_EVENTS } else { u64::from(self.longest_row) };
        self.first_row = self.first_row.max((self.trimmed + 2).saturating_sub(longest));
        Some(range)
    }

    /// Events that are neither deleted nor to be kept.
    fn excess(&self, keep: u64) -> u64 {
        if keep == 0 { 0 } else { self.queued.saturating_sub(keep).saturating_sub(self.trimmed) }
    }
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::{Epoch, RawJson};
    use proptest::prelude::*;

    use super::*;

    fn id(name: &str) -> EntityId {
        EntityId::parse(name).unwrap()
    }

    fn stored(seq: Seq, first_row: Seq) -> SnapshotRow {
        let empty = RawJson::from_text("{}").unwrap();
        SnapshotRow { entity: id("room:a"), epoch: Epoch("e".into()), seq, state: empty.clone(), dedupe: empty, first_row }
    }

    fn snapshot_at(upkeep: &mut Upkeep, seq: Seq) {
        upkeep.snapshot_made(seq);
        upkeep.snapshot_queued();
    }

    #[test]
    fn the_first_snapshots_of_many_are_spread_over_the_interval() {
        let first = |name: usize| {
            let upkeep = Upkeep::new(&id(&format!("room:{name}")), None, 0, 0);
            (1..=1000).find(|seq| upkeep.snapshot_due(*seq, 1000, || 0)).unwrap()
        };
        let mut quarters = [0; 4];
        (0..400).for_each(|name| quarters[(first(name) as usize - 1) / 250] += 1);
        assert!(quarters.iter().all(|count| (60..=140).contains(count)), "{quarters:?}");
        let mut upkeep = Upkeep::new(&id("room:1"), None, 0, 0);
        snapshot_at(&mut upkeep, 100);
        assert!(!upkeep.snapshot_due(1099, 1000, || 0) && upkeep.snapshot_due(1100, 1000, || 0), "later ones take all of it");
        assert!(!upkeep.snapshot_due(1100, 1000, || 1), "and the bytes");
        upkeep.event(1, 1);
        assert!(upkeep.snapshot_due(1100, 1000, || 1));
    }

    #[test]
    fn what_no_snapshot_in_the_queue_covers_is_kept() {
        let mut upkeep = Upkeep::new(&id("room:a"), None, 0, 0);
        assert_eq!(upkeep.trim(5), None);
        upkeep.snapshot_made(100);
        assert_eq!(upkeep.trim(5), None, "it may have been left out");
        upkeep.snapshot_queued();
        assert_eq!(upkeep.trim(0), None, "all is kept");
        assert!(upkeep.trim_due(100, 5) && !upkeep.trim_due(101, 5) && !upkeep.trim_due(100, 100));
        assert_eq!(upkeep.trim(5), Some(0..=8));
        assert_eq!(upkeep.trim(85), Some(9..=15), "no more than may go, and no row of this life has two events");
        assert_eq!(upkeep.trim(85), None);
    }

    #[test]
    fn a_long_log_is_deleted_in_larger_pieces() {
        let mut upkeep = Upkeep::new(&id("room:a"), Some(&stored(1_000_000, 0)), 1_000_000, 0);
        let pieces = std::iter::from_fn(|| upkeep.trim(10)).count();
        assert!((1_000_000 / 64..1_000_000 / 32).contains(&pieces), "{pieces}");
    }

    proptest! {
        /// Whatever the rows are, and wherever lives end: what is deleted was covered and not to be kept, and no row is left behind.
        #[test]
        fn every_row_is_deleted_and_none_too_early(
            lives in proptest::collection::vec((proptest::collection::vec(1u64..40, 1..30), 1usize..12), 1..6),
            keep in 1u64..60,
        ) {
            let mut rows: Vec<(Seq, Seq)> = Vec::new();
            let (mut disk, mut seq) = (None::<SnapshotRow>, 0);
            for (lengths, every) in lives {
                let mut upkeep = Upkeep::new(&id("room:a"), disk.as_ref(), seq, 0);
                for (i, length) in lengths.into_iter().enumerate() {
                    (1..=length).for_each(|pending| upkeep.event(1, pending as usize));
                    rows.push((seq + 1, seq + length));
                    seq += length;
                    if i % every == 0 {
                        let first_row = upkeep.snapshot_made(seq);
                        disk = Some(stored(seq, first_row));
                        upkeep.snapshot_queued();
                    }
                    if let Some(range) = upkeep.trim(keep) {
                        prop_assert!(range.end() + keep <= disk.as_ref().unwrap().seq);
                        rows.retain(|(first, last)| !(range.contains(first) && range.contains(last)));
                    }
                }
                let first_row = upkeep.snapshot_made(seq);
                disk = Some(stored(seq, first_row));
                upkeep.snapshot_queued();
                while let Some(range) = upkeep.trim(keep) {
                    rows.retain(|(first, last)| !(range.contains(first) && range.contains(last)));
                }
                prop_assert!(rows.iter().all(|(_, last)| last + keep > seq), "{rows:?} at {seq}, of which {keep} are to be kept");
            }
        }
    }
}
