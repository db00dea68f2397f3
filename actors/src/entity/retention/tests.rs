use greenroom_protocol::{Epoch, RawJson};
use proptest::prelude::*;

use super::*;
use crate::store::SnapshotRow;

fn id() -> EntityId {
    EntityId::parse("room:a").unwrap()
}

fn stored(seq: u64, (trimmed, longest_row): (u64, u32)) -> Loaded {
    let empty = RawJson::from_text("{}").unwrap();
    let row = SnapshotRow {
        entity: id(),
        epoch: Epoch("e".into()),
        seq: Seq::new(seq),
        state: empty.clone(),
        dedupe: empty,
        trimmed: Seq::new(trimmed),
        longest_row,
    };
    Loaded { snapshot: Some(row), ..Loaded::default() }
}

/// A step with all that is decided on disk, as the first and last seq of the rows and their number.
fn trim(
    retention: &mut Retention,
    durable: u64,
    covered: u64,
    keep: u64,
) -> Option<(u64, u64, u32)> {
    let durable = Seq::new(durable);
    let covered = Seq::new(covered);
    let trim = retention.trim(
        &id(),
        Extent { decided: durable, durable, covered },
        NonZeroU64::new(keep),
    )?;
    Some((trim.from.get(), trim.through.get(), trim.rows))
}

#[test]
fn what_no_snapshot_in_the_queue_covers_is_kept() {
    let mut retention = Retention::new(&Loaded::default(), Seq::ZERO);
    assert!(
        (1..=100).all(|_| !retention.row_written(1, Seq::ZERO, NonZeroU64::new(5))),
        "there is no snapshot"
    );
    assert_eq!(trim(&mut retention, 100, 0, 5), None);
    assert_eq!(trim(&mut retention, 100, 100, 0), None, "all is kept");
    assert_eq!(
        (101..=105)
            .map(|_| retention.row_written(1, Seq::new(100), NonZeroU64::new(5)))
            .collect::<Vec<_>>(),
        [true, false, false, false, true]
    );
    assert!(
        (106..=110).all(|_| !retention.row_written(1, Seq::new(100), NonZeroU64::new(100))),
        "nothing to delete"
    );
    assert_eq!(trim(&mut retention, 110, 100, 5), Some((1, 16, 16)));
    assert_eq!(
        trim(&mut retention, 110, 100, 80),
        Some((17, 20, 4)),
        "no more than may go, and rows have one event"
    );
    assert_eq!(trim(&mut retention, 110, 100, 80), None);
}

#[test]
fn the_first_example_of_the_head_is_right() {
    let mut retention = Retention::new(&Loaded::default(), Seq::ZERO);
    for _ in 0..100 {
        retention.row_written(1, Seq::ZERO, NonZeroU64::new(5));
    }
    let steps: Vec<_> =
        std::iter::from_fn(|| trim(&mut retention, 100, 100, 5)).map(|(_, last, _)| last).collect();
    assert_eq!(steps, [16, 32, 48, 64, 80, 95]);
}

#[test]
fn a_step_follows_the_surplus_and_says_how_many_rows_that_may_be() {
    let mut retention = Retention::new(&Loaded::default(), Seq::ZERO);
    for _ in 1..=10 {
        assert!(!retention.row_written(400, Seq::ZERO, NonZeroU64::new(5)));
    }
    assert_eq!(
        trim(&mut retention, 4000, 4000, 5),
        Some((0, 124, 8)),
        "rows have 400 events, and are taken to have 16"
    );
    assert_eq!(
        trim(&mut retention, 4000, 4000, 5),
        Some((0, 244, 8)),
        "a row of 400 may begin there and end behind 124"
    );
    let loaded = Loaded { longest_row: 3, ..stored(1_000_000, (90, 9)) };
    let mut retention = Retention::new(&loaded, Seq::new(1_000_000));
    assert_eq!(
        trim(&mut retention, 1_000_000, 1_000_000, 10),
        Some((83, 1114, 1024)),
        "of other lives nothing is known"
    );
    assert_eq!(retention.for_snapshot(1), (Seq::new(1114), 9), "a later life goes on from there");
    assert_eq!(
        retention.for_snapshot(30),
        (Seq::new(1114), 30),
        "what is pending may become one row"
    );
    let loaded = Loaded { longest_row: 30, ..stored(1000, (90, 9)) };
    assert_eq!(Retention::new(&loaded, Seq::new(1000)).longest_row, 30);
}

/// What is on disk of one entity.
#[derive(Default)]
struct Disk {
    rows: Vec<(Seq, Seq)>,
    loaded: Loaded,
    seq: Seq,
}

impl Disk {
    /// A life with rows of these lengths and a snapshot after every `every` rows, which does what an
    /// entity does. Without sleep it ends in a crash.
    fn live(&mut self, lengths: &[u64], every: usize, keep: u64, sleeps: bool) {
        let covered = self.covered();
        let tail = self
            .rows
            .iter()
            .filter(|(_, last)| *last > covered)
            .map(|(first, last)| last.since(*first) + 1);
        self.loaded.longest_row = tail.max().unwrap_or(0) as u32;
        let mut retention = Retention::new(&self.loaded, self.seq);
        for (i, length) in lengths.iter().enumerate() {
            self.rows.push((self.seq.next(), self.seq + *length));
            self.seq += *length;
            if i % every == every - 1 {
                // Before it is known that the row is on disk.
                self.snapshot(&mut retention, *length);
            }
            if retention.row_written(*length, self.covered(), NonZeroU64::new(keep)) {
                self.trim(&mut retention, keep);
            }
        }
        if sleeps && retention.has_rows() {
            self.trim(&mut retention, keep);
            self.snapshot(&mut retention, 0);
        }
    }

    /// The seq of the snapshot, which is on disk as soon as it is made.
    fn covered(&self) -> Seq {
        self.loaded.snapshot.as_ref().map_or(Seq::ZERO, |row| row.seq)
    }

    fn snapshot(&mut self, retention: &mut Retention, pending: u64) {
        let (trimmed, longest_row) = retention.for_snapshot(pending);
        self.loaded = stored(self.seq.get(), (trimmed.get(), longest_row));
    }

    fn trim(&mut self, retention: &mut Retention, keep: u64) {
        let log = Extent { decided: self.seq, durable: self.seq, covered: self.covered() };
        let Some(trim) = retention.trim(&id(), log, NonZeroU64::new(keep)) else { return };
        assert!(trim.through + keep <= self.covered(), "{trim:?}");
        self.rows.retain(|(first, last)| *first < trim.from || *last > trim.through);
    }

    fn events(&self) -> u64 {
        self.rows.iter().map(|(first, last)| last.since(*first) + 1).sum()
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
            let begins = disk.rows.first().map_or(disk.seq.next(), |(first, _)| *first);
            prop_assert!(disk.rows.iter().try_fold(begins, |next, (first, last)| (*first == next).then_some(last.next())).is_some());
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
        assert!(disk.events() <= 500 + surplus, "{} events after lives of {rows:?}", disk.events());
    }
}
