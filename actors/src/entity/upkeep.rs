//! When an entity's next snapshot is due, and which rows of its journal are deleted next.
//!
//! Rows are deleted a few at a time while others are written, twice as fast: deleting a row costs more than writing one, and rooms
//! that post at one rate would otherwise have it all done at one moment, with everybody's posts behind it. For the same reason the
//! first snapshot of a life is early, by a share that the entity's name gives.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use greenroom_protocol::{EntityId, Seq};

use crate::store::{Loaded, Trim};

/// After how many rows it is looked whether something can be deleted.
const TRIM_EVERY: u32 = 4;
/// How many rows of this life are deleted at a time, about: twice as many as were written since the last time.
const TRIM_ROWS: u32 = 2 * TRIM_EVERY;
/// Of earlier lives: so many events, as nobody remembers how many a row has.
const TRIM_INHERITED: u32 = 4 * TRIM_EVERY;
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
    /// Rows that end here or before are deleted, or queued to be.
    trimmed: Seq,
    /// Most events that any row of the log can have.
    longest_row: u32,
    /// The end of the log when this life began.
    inherited: Seq,
    /// Rows that this life has on disk; as some are told of together, there may be more.
    rows: u32,
}

impl Upkeep {
    /// For a life that begins with what was `loaded`, at `seq`, with so many bytes of events behind the snapshot.
    pub(super) fn new(id: &EntityId, loaded: &Loaded, seq: Seq, bytes: usize) -> Self {
        let (snapshot, trimmed, longest) = loaded.snapshot.as_ref().map_or((0, 0, 1), |row| (row.seq, row.trimmed, row.longest_row));
        let share = 1 + (FixedState::default().hash_one(id) % u64::from(WHOLE)) as u8;
        let longest_row = longest.max(loaded.longest_row);
        Self { snapshot, queued: snapshot, bytes, share, trimmed, longest_row, inherited: seq, rows: 0 }
    }

    /// An event was decided, which makes `pending` that are not known to be on disk: no row can hold more.
    pub(super) fn event(&mut self, bytes: usize, pending: usize) {
        self.bytes += bytes;
        self.longest_row = self.longest_row.max(u32::try_from(pending).unwrap_or(u32::MAX));
    }

    /// Whether `seq` is far enough from the latest snapshot: `every` events, and the bytes that `weight` tells.
    pub(super) fn snapshot_due(&self, seq: Seq, every: u64, weight: impl FnOnce() -> usize) -> bool {
        let (share, whole) = (u64::from(self.share), u64::from(WHOLE));
        let far = (seq - self.snapshot).saturating_mul(whole) >= every.saturating_mul(share);
        far && (self.bytes as u64).saturating_mul(whole) >= (weight() as u64).saturating_mul(share)
    }

    /// A snapshot was made. Tells what it is to say of the journal: up to where rows are deleted, and how long they can be.
    pub(super) fn snapshot_made(&mut self, seq: Seq) -> (Seq, u32) {
        (self.snapshot, self.bytes, self.share) = (seq, 0, WHOLE);
        (self.trimmed, self.longest_row)
    }

    /// The latest snapshot is in the journal's queue. What is queued from now on is written with it or after it.
    pub(super) fn snapshot_queued(&mut self) {
        self.queued = self.snapshot;
    }

    /// The seq of the latest snapshot.
    pub(super) fn snapshot(&self) -> Seq {
        self.snapshot
    }

    /// A row is on disk. Tells whether it is time to delete something, where `keep` events are kept behind a snapshot.
    pub(super) fn row_written(&mut self, keep: u64) -> bool {
        self.rows = self.rows.saturating_add(1);
        self.rows.is_multiple_of(TRIM_EVERY) && self.excess(keep) > 0
    }

    /// What of `entity` to delete next, while its log is on disk up to `durable`; it must be queued.
    pub(super) fn trim(&mut self, entity: &EntityId, durable: Seq, keep: u64) -> Option<Trim> {
        let excess = self.excess(keep);
        if excess == 0 {
            return None;
        }
        let (events, rows) = if self.trimmed < self.inherited {
            (u64::from(TRIM_INHERITED), TRIM_INHERITED)
        } else {
            let each = ((durable - self.inherited) / u64::from(self.rows.max(1))).max(1);
            (each * u64::from(TRIM_ROWS), TRIM_ROWS)
        };
        // The row that goes on behind what was deleted last stayed. It holds the last seq of that and the next one.
        let from = (self.trimmed + 2).saturating_sub(u64::from(self.longest_row));
        self.trimmed += events.min(excess);
        Some(Trim { entity: entity.clone(), from, through: self.trimmed, rows })
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
    use crate::store::SnapshotRow;

    fn id(name: &str) -> EntityId {
        EntityId::parse(name).unwrap()
    }

    fn upkeep(name: &str, loaded: &Loaded, seq: Seq) -> Upkeep {
        Upkeep::new(&id(name), loaded, seq, 0)
    }

    fn stored(seq: Seq, (trimmed, longest_row): (Seq, u32)) -> Loaded {
        let empty = RawJson::from_text("{}").unwrap();
        let (entity, epoch, state, dedupe) = (id("room:a"), Epoch("e".into()), empty.clone(), empty);
        Loaded { snapshot: Some(SnapshotRow { entity, epoch, seq, state, dedupe, trimmed, longest_row }), ..Loaded::default() }
    }

    fn snapshot_at(upkeep: &mut Upkeep, seq: Seq) {
        upkeep.snapshot_made(seq);
        upkeep.snapshot_queued();
    }

    fn trim(upkeep: &mut Upkeep, durable: Seq, keep: u64) -> Option<(Seq, Seq, u32)> {
        upkeep.trim(&id("room:a"), durable, keep).map(|trim| (trim.from, trim.through, trim.rows))
    }

    #[test]
    fn the_first_snapshots_of_many_are_spread_over_the_interval() {
        let first = |name: usize| {
            let upkeep = upkeep(&format!("room:{name}"), &Loaded::default(), 0);
            (1..=1000).find(|seq| upkeep.snapshot_due(*seq, 1000, || 0)).unwrap()
        };
        let mut quarters = [0; 4];
        (0..400).for_each(|name| quarters[(first(name) as usize - 1) / 250] += 1);
        assert!(quarters.iter().all(|count| (60..=140).contains(count)), "{quarters:?}");
        let mut upkeep = upkeep("room:1", &Loaded::default(), 0);
        snapshot_at(&mut upkeep, 100);
        assert!(!upkeep.snapshot_due(1099, 1000, || 0) && upkeep.snapshot_due(1100, 1000, || 0), "later ones take all of it");
        assert!(!upkeep.snapshot_due(1100, 1000, || 1), "and the bytes");
        upkeep.event(1, 1);
        assert!(upkeep.snapshot_due(1100, 1000, || 1));
    }

    #[test]
    fn what_no_snapshot_in_the_queue_covers_is_kept() {
        let mut upkeep = upkeep("room:a", &Loaded::default(), 0);
        for _ in 1..=100 {
            upkeep.row_written(5);
        }
        assert_eq!(trim(&mut upkeep, 100, 5), None);
        upkeep.snapshot_made(100);
        assert_eq!(trim(&mut upkeep, 100, 5), None, "it may have been left out");
        upkeep.snapshot_queued();
        assert_eq!(trim(&mut upkeep, 100, 0), None, "all is kept");
        assert_eq!((101..=104).map(|_| upkeep.row_written(5)).collect::<Vec<_>>(), [false, false, false, true]);
        assert_eq!((105..=108).map(|_| upkeep.row_written(100)).collect::<Vec<_>>(), [false; 4], "nothing to delete");
        assert_eq!(trim(&mut upkeep, 104, 5), Some((1, 8, 8)));
        assert_eq!(trim(&mut upkeep, 104, 85), Some((9, 15, 8)), "no more than may go, and rows have one event");
        assert_eq!(trim(&mut upkeep, 104, 85), None);
    }

    #[test]
    fn where_rows_are_long_more_events_go_at_a_time() {
        let mut upkeep = upkeep("room:a", &Loaded::default(), 0);
        for _ in 1..=10 {
            upkeep.row_written(5);
        }
        upkeep.event(1, 70);
        snapshot_at(&mut upkeep, 500);
        assert_eq!(trim(&mut upkeep, 500, 5), Some((0, 400, 8)), "eight rows of fifty");
        assert_eq!(trim(&mut upkeep, 500, 5), Some((332, 495, 8)), "a row of seventy may begin there and end behind 400");
    }

    #[test]
    fn what_earlier_lives_left_goes_in_small_pieces() {
        let mut upkeep = upkeep("room:a", &Loaded { longest_row: 3, ..stored(1000, (90, 9)) }, 1000);
        assert_eq!(trim(&mut upkeep, 1000, 10), Some((83, 106, 16)));
        assert_eq!(trim(&mut upkeep, 1000, 10), Some((99, 122, 16)));
        assert_eq!(upkeep.snapshot_made(1001), (122, 9), "a later life goes on from there");
        assert_eq!(Upkeep::new(&id("room:a"), &Loaded { longest_row: 30, ..stored(1000, (90, 9)) }, 1000, 0).longest_row, 30);
    }

    /// What is on disk of one entity.
    #[derive(Default)]
    struct Disk {
        rows: Vec<(Seq, Seq)>,
        loaded: Loaded,
        seq: Seq,
    }

    impl Disk {
        /// A life with rows of these lengths and a snapshot after every so many, which does what an entity does.
        fn live(&mut self, lengths: &[u64], every: usize, keep: u64, sleeps: bool) {
            let covered = self.loaded.snapshot.as_ref().map_or(0, |row| row.seq);
            let tail = self.rows.iter().filter(|(_, last)| *last > covered).map(|(first, last)| last + 1 - first);
            self.loaded.longest_row = tail.max().unwrap_or(0) as u32;
            let mut upkeep = upkeep("room:a", &self.loaded, self.seq);
            for (i, length) in lengths.iter().enumerate() {
                (1..=*length).for_each(|pending| upkeep.event(1, pending as usize));
                self.rows.push((self.seq + 1, self.seq + length));
                self.seq += length;
                if i % every == every - 1 {
                    self.snapshot(&mut upkeep);
                }
                if upkeep.row_written(keep) {
                    self.trim(&mut upkeep, keep);
                }
            }
            if sleeps {
                self.trim(&mut upkeep, keep);
                self.snapshot(&mut upkeep);
            }
        }

        fn snapshot(&mut self, upkeep: &mut Upkeep) {
            self.loaded = stored(self.seq, upkeep.snapshot_made(self.seq));
            upkeep.snapshot_queued();
        }

        fn trim(&mut self, upkeep: &mut Upkeep, keep: u64) {
            let Some(trim) = upkeep.trim(&id("room:a"), self.seq, keep) else { return };
            assert!(trim.through + keep <= self.loaded.snapshot.as_ref().unwrap().seq, "{trim:?}");
            self.rows.retain(|(first, last)| *first < trim.from || *last > trim.through);
        }
    }

    proptest! {
        /// Whatever the rows are, and however lives end: no row is left behind, and none is deleted too early.
        #[test]
        fn every_row_is_deleted_and_none_too_early(
            lives in proptest::collection::vec((proptest::collection::vec(1u64..40, 0..30), 1usize..12, any::<bool>()), 1..12),
            keep in 1u64..60,
        ) {
            let mut disk = Disk::default();
            for (lengths, every, sleeps) in lives {
                disk.live(&lengths, every, keep, sleeps);
                let begins = disk.rows.first().map_or(disk.seq + 1, |(first, _)| *first);
                prop_assert!(disk.rows.iter().try_fold(begins, |next, (first, last)| (*first == next).then_some(last + 1)).is_some());
            }
            // Then nothing but short lives, as many as it takes.
            for _ in 0..2000 {
                disk.live(&[1], 1, keep, true);
            }
            let held: u64 = disk.rows.iter().map(|(first, last)| last + 1 - first).sum();
            prop_assert!(held <= keep + 3, "{held} events of which {keep} are to be kept: {:?}", disk.rows);
        }
    }

    #[test]
    fn short_lives_keep_up() {
        for events in [1, 3, 4, 40] {
            let mut disk = Disk::default();
            disk.live(&[30; 200], 7, 50, false);
            for _ in 0..1000 {
                disk.live(&vec![1; events], 1000, 50, true);
            }
            assert!(disk.rows.len() as u64 <= 50 + 3 * events as u64 + 20, "{} rows in lives of {events}", disk.rows.len());
        }
    }
}
