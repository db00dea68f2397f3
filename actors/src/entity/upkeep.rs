//! When an entity's next snapshot is due, and which rows of its journal are deleted next.
//!
//! Rows are deleted a few at a time while others are written: deleting a row costs more than
//! writing one, and rooms that post at one rate would otherwise have it all done at one moment,
//! with everybody's posts behind it. For the same reason the first snapshot of a life is early, by
//! a share that the entity's name gives.
//!
//! How many events go at a time follows from how many are too many, so that whatever was missed is
//! made up for: by lives of a row each, by a server that stopped, by a kind that has kept
//! everything before.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
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
/// A snapshot is due after this multiple of its interval, however large it is.
const AT_THE_LATEST: u64 = 16;
/// The share of a snapshot's interval that all of it is.
const WHOLE: u8 = 64;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Upkeep {
    /// The seq of the latest snapshot.
    snapshot: Seq,
    /// The seq of the latest snapshot that is in the journal's queue, or on disk.
    queued: Seq,
    /// Bytes of events since the latest snapshot, up to 4 GiB.
    bytes: u32,
    /// How much of the interval makes the next snapshot due, in parts of [`WHOLE`].
    share: u8,
    /// Rows that end here or before are deleted, or queued to be.
    trimmed: Seq,
    /// Most events that any row on disk can have.
    longest_row: u32,
    /// The end of the log when this life began.
    inherited: Seq,
    /// Rows that this life has on disk; as some are told of together, there may be more.
    rows: u32,
}

impl Upkeep {
    /// For a life that begins with what was `loaded`, at `seq`, with `bytes` of events behind the
    /// snapshot.
    pub(super) fn new(id: &EntityId, loaded: &Loaded, seq: Seq, bytes: usize) -> Self {
        let (snapshot, trimmed, longest) = loaded
            .snapshot
            .as_ref()
            .map_or((0, 0, 1), |row| (row.seq, row.trimmed, row.longest_row));
        let share = 1 + (FixedState::default().hash_one(id) % u64::from(WHOLE)) as u8;
        let longest_row = longest.max(loaded.longest_row);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self {
            snapshot,
            queued: snapshot,
            bytes,
            share,
            trimmed,
            longest_row,
            inherited: seq,
            rows: 0,
        }
    }

    /// An event was decided.
    pub(super) fn event(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Whether `seq` is far enough from the latest snapshot: `every` events and the bytes that
    /// `weight` tells, or, however large the state is, [`AT_THE_LATEST`] times `every`: nothing can
    /// be deleted that no snapshot covers.
    pub(super) fn snapshot_due(
        &self,
        seq: Seq,
        every: u64,
        weight: impl FnOnce() -> usize,
    ) -> bool {
        let (share, whole) = (u64::from(self.share), u64::from(WHOLE));
        let far = (seq - self.snapshot).saturating_mul(whole) >= every.saturating_mul(share);
        let late = || seq - self.snapshot >= every.saturating_mul(AT_THE_LATEST);
        far && (late()
            || u64::from(self.bytes).saturating_mul(whole)
                >= (weight() as u64).saturating_mul(share))
    }

    /// A snapshot was made, while `pending` events were not known to be on disk. Tells what it is
    /// to say of the journal: up to where rows are deleted, and how long they can be.
    pub(super) fn snapshot_made(&mut self, seq: Seq, pending: usize) -> (Seq, u32) {
        (self.snapshot, self.bytes, self.share) = (seq, 0, WHOLE);
        self.row_of(pending as u64);
        (self.trimmed, self.longest_row)
    }

    /// The latest snapshot is in the journal's queue. What is queued from now on is written with it
    /// or after it.
    pub(super) fn snapshot_queued(&mut self) {
        self.queued = self.snapshot;
    }

    /// The seq of the latest snapshot.
    pub(super) fn snapshot(&self) -> Seq {
        self.snapshot
    }

    /// The seq of the latest snapshot that is in the journal's queue, or on disk.
    pub(super) fn queued(&self) -> Seq {
        self.queued
    }

    /// A row of `events` is on disk, or several. Tells whether it is time to delete something,
    /// where `keep` events are kept behind a snapshot.
    pub(super) fn row_written(&mut self, events: u64, keep: u64) -> bool {
        self.row_of(events);
        self.rows = self.rows.saturating_add(1);
        self.rows % TRIM_EVERY == 1 && self.excess(keep) > 0
    }

    /// No row has more than [`MAX_ROW_EVENTS`].
    fn row_of(&mut self, events: u64) {
        self.longest_row = self.longest_row.max(events.min(MAX_ROW_EVENTS) as u32);
    }

    /// What of `entity` to delete next, while its log is on disk up to `durable`, and decided up to
    /// `seq`. It must be queued.
    pub(super) fn trim(
        &mut self,
        entity: &EntityId,
        durable: Seq,
        seq: Seq,
        keep: u64,
    ) -> Option<Trim> {
        let excess = self.excess(keep);
        if excess == 0 {
            return None;
        }
        // A row that is on disk without our knowledge holds some of what is pending.
        self.row_of(seq.saturating_sub(durable));
        let events = (excess / TRIM_SHARE).clamp(TRIM_MIN, TRIM_MAX).min(excess);
        let each = ((durable - self.inherited) / u64::from(self.rows.max(1))).clamp(1, LONG_ROW);
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
        let (entity, epoch, state, dedupe) =
            (id("room:a"), Epoch("e".into()), empty.clone(), empty);
        Loaded {
            snapshot: Some(SnapshotRow { entity, epoch, seq, state, dedupe, trimmed, longest_row }),
            ..Loaded::default()
        }
    }

    fn snapshot_at(upkeep: &mut Upkeep, seq: Seq) {
        upkeep.snapshot_made(seq, 0);
        upkeep.snapshot_queued();
    }

    fn trim(upkeep: &mut Upkeep, durable: Seq, keep: u64) -> Option<(Seq, Seq, u32)> {
        upkeep
            .trim(&id("room:a"), durable, durable, keep)
            .map(|trim| (trim.from, trim.through, trim.rows))
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
        assert!(
            !upkeep.snapshot_due(1099, 1000, || 0) && upkeep.snapshot_due(1100, 1000, || 0),
            "later ones take all of it"
        );
        assert!(!upkeep.snapshot_due(1100, 1000, || 1), "and the bytes");
        upkeep.event(1);
        assert!(upkeep.snapshot_due(1100, 1000, || 1));
        let large = || usize::MAX / 2;
        assert!(
            !upkeep.snapshot_due(16_099, 1000, large) && upkeep.snapshot_due(16_100, 1000, large),
            "nor is a large state put off for ever"
        );
    }

    #[test]
    fn what_no_snapshot_in_the_queue_covers_is_kept() {
        let mut upkeep = upkeep("room:a", &Loaded::default(), 0);
        assert!((1..=100).all(|_| !upkeep.row_written(1, 5)), "there is no snapshot");
        assert_eq!(trim(&mut upkeep, 100, 5), None);
        upkeep.snapshot_made(100, 0);
        assert_eq!(trim(&mut upkeep, 100, 5), None, "it may have been left out");
        upkeep.snapshot_queued();
        assert_eq!(trim(&mut upkeep, 100, 0), None, "all is kept");
        assert_eq!(
            (101..=105).map(|_| upkeep.row_written(1, 5)).collect::<Vec<_>>(),
            [true, false, false, false, true]
        );
        assert!((106..=110).all(|_| !upkeep.row_written(1, 100)), "nothing to delete");
        assert_eq!(trim(&mut upkeep, 110, 5), Some((1, 16, 16)));
        assert_eq!(
            trim(&mut upkeep, 110, 80),
            Some((17, 20, 4)),
            "no more than may go, and rows have one event"
        );
        assert_eq!(trim(&mut upkeep, 110, 80), None);
    }

    #[test]
    fn a_step_follows_what_is_too_much_and_says_how_many_rows_that_may_be() {
        let mut upkeep = upkeep("room:a", &Loaded::default(), 0);
        (1..=10).for_each(|_| assert!(!upkeep.row_written(400, 5)));
        snapshot_at(&mut upkeep, 4000);
        assert_eq!(
            trim(&mut upkeep, 4000, 5),
            Some((0, 124, 8)),
            "rows have 400 events, and are taken to have 16"
        );
        assert_eq!(
            trim(&mut upkeep, 4000, 5),
            Some((0, 244, 8)),
            "a row of 400 may begin there and end behind 124"
        );
        let mut upkeep = Upkeep::new(
            &id("room:a"),
            &Loaded { longest_row: 3, ..stored(1_000_000, (90, 9)) },
            1_000_000,
            0,
        );
        assert_eq!(
            trim(&mut upkeep, 1_000_000, 10),
            Some((83, 1114, 1024)),
            "of other lives nothing is known"
        );
        assert_eq!(
            upkeep.snapshot_made(1_000_001, 1),
            (1114, 9),
            "a later life goes on from there"
        );
        assert_eq!(
            upkeep.snapshot_made(1_000_001, 30),
            (1114, 30),
            "what is pending may become one row"
        );
        assert_eq!(
            Upkeep::new(
                &id("room:a"),
                &Loaded { longest_row: 30, ..stored(1000, (90, 9)) },
                1000,
                0
            )
            .longest_row,
            30
        );
    }

    /// What is on disk of one entity.
    #[derive(Default)]
    struct Disk {
        rows: Vec<(Seq, Seq)>,
        loaded: Loaded,
        seq: Seq,
    }

    impl Disk {
        /// A life with rows of these lengths and a snapshot after every so many, which does what an
        /// entity does. Without sleep it ends in a crash.
        fn live(&mut self, lengths: &[u64], every: usize, keep: u64, sleeps: bool) {
            let covered = self.loaded.snapshot.as_ref().map_or(0, |row| row.seq);
            let tail = self
                .rows
                .iter()
                .filter(|(_, last)| *last > covered)
                .map(|(first, last)| last + 1 - first);
            self.loaded.longest_row = tail.max().unwrap_or(0) as u32;
            let mut upkeep = upkeep("room:a", &self.loaded, self.seq);
            for (i, length) in lengths.iter().enumerate() {
                self.rows.push((self.seq + 1, self.seq + length));
                self.seq += length;
                if i % every == every - 1 {
                    // Before it is known that the row is on disk.
                    self.snapshot(&mut upkeep, *length);
                }
                if upkeep.row_written(*length, keep) {
                    self.trim(&mut upkeep, keep);
                }
            }
            if sleeps && upkeep.has_rows() {
                self.trim(&mut upkeep, keep);
                self.snapshot(&mut upkeep, 0);
            }
        }

        fn snapshot(&mut self, upkeep: &mut Upkeep, pending: u64) {
            self.loaded = stored(self.seq, upkeep.snapshot_made(self.seq, pending as usize));
            upkeep.snapshot_queued();
        }

        fn trim(&mut self, upkeep: &mut Upkeep, keep: u64) {
            let Some(trim) = upkeep.trim(&id("room:a"), self.seq, self.seq, keep) else { return };
            assert!(trim.through + keep <= self.loaded.snapshot.as_ref().unwrap().seq, "{trim:?}");
            self.rows.retain(|(first, last)| *first < trim.from || *last > trim.through);
        }

        fn events(&self) -> u64 {
            self.rows.iter().map(|(first, last)| last + 1 - first).sum()
        }
    }

    proptest! {
        /// Whatever the rows are, and however lives end: no row is left behind, and none is deleted
        /// too early.
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
            // Then nothing but lives of a row each, as many as it takes.
            for _ in 0..1000 {
                disk.live(&[1], 1, keep, true);
            }
            prop_assert!(disk.events() <= keep + 3, "{} events of which {keep} are to be kept: {:?}", disk.events(), disk.rows);
        }
    }

    #[test]
    fn no_sort_of_life_leaves_more_and_more() {
        // Rows of a life, whether it sleeps, and what it may hold besides what is to be kept.
        let table: &[(&[u64], bool, u64)] = &[
            (&[1], true, 3),
            (&[1; 3], true, 10),
            (&[1; 4], false, 40),
            (&[1; 40], true, 100),
            (&[50], true, 2_000),
            (&[50; 4], true, 4_000),
            (&[30; 200], true, 16_000),
            (&[200; 50], false, 32_000),
        ];
        for (rows, sleeps, surplus) in table {
            let mut disk = Disk::default();
            disk.live(&[30; 200], 7, 500, false);
            for _ in 0..600 {
                disk.live(rows, rows.len(), 500, *sleeps);
            }
            assert!(
                disk.events() <= 500 + surplus,
                "{} events after lives of {rows:?}",
                disk.events()
            );
        }
    }
}
