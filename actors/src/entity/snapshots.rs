//! When an entity's next snapshot is due.
//!
//! The first snapshot of a life is early, by a share that the entity's name gives: rooms that post at
//! one rate would otherwise make their snapshots at one moment, with everybody's posts behind them.
//!
//! For example, a kind has `snapshot_every = 1000`, and the name of an entity without any log gives a
//! share of 16 in 64. Its first snapshot is due at seq 250, if the events until then have a quarter of
//! the weight that a snapshot has. The second is due at seq 1,250, if the events after the first have
//! all of that weight; if the state is so large that they never do, it is due at seq 16,250.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use greenroom_protocol::{EntityId, Seq};

/// A snapshot is due after this multiple of its interval, however large it is.
const AT_THE_LATEST: u64 = 16;
/// The share of a snapshot's interval that all of it is.
const WHOLE: u8 = 64;

#[derive(Debug)]
pub(super) struct Snapshots {
    /// The seq of the latest snapshot.
    latest: Seq,
    /// The seq of the latest snapshot that is in the journal's queue, or on disk.
    queued: Seq,
    /// Bytes of events since the latest snapshot, up to 4 GiB.
    bytes: u32,
    /// How much of the interval makes the next snapshot due, in parts of [`WHOLE`].
    share: u8,
}

impl Snapshots {
    /// For a life that begins with a snapshot of the seq `latest`, and `bytes` of events behind it.
    pub(super) fn new(id: &EntityId, latest: Seq, bytes: usize) -> Self {
        let share = 1 + (FixedState::default().hash_one(id) % u64::from(WHOLE)) as u8;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self { latest, queued: latest, bytes, share }
    }

    /// An event was decided.
    pub(super) fn event(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Whether `seq` is far enough from the latest snapshot: `every` events with as many bytes as
    /// `weight` returns. However large the state is, [`AT_THE_LATEST`] times `every` events are enough,
    /// because nothing can be deleted that no snapshot covers.
    pub(super) fn is_due(&self, seq: Seq, every: u64, weight: impl FnOnce() -> usize) -> bool {
        let share = u64::from(self.share);
        let whole = u64::from(WHOLE);
        let far = seq.since(self.latest).saturating_mul(whole) >= every.saturating_mul(share);
        let late = || seq.since(self.latest) >= every.saturating_mul(AT_THE_LATEST);
        far && (late()
            || u64::from(self.bytes).saturating_mul(whole)
                >= (weight() as u64).saturating_mul(share))
    }

    /// A snapshot of `seq` was made.
    pub(super) fn made(&mut self, seq: Seq) {
        *self = Self { latest: seq, bytes: 0, share: WHOLE, ..*self };
    }

    /// The latest snapshot is in the journal's queue. What is queued from now on is written with it
    /// or after it.
    pub(super) fn latest_is_queued(&mut self) {
        self.queued = self.latest;
    }

    /// The seq of the latest snapshot.
    pub(super) fn latest(&self) -> Seq {
        self.latest
    }

    /// The seq of the latest snapshot that is in the journal's queue, or on disk.
    pub(super) fn queued(&self) -> Seq {
        self.queued
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshots(name: &str) -> Snapshots {
        Snapshots::new(&EntityId::parse(name).unwrap(), Seq::ZERO, 0)
    }

    /// Whether a snapshot is due at `seq`, if one is due every 1000 events.
    fn is_due(snapshots: &Snapshots, seq: u64, weight: impl FnOnce() -> usize) -> bool {
        snapshots.is_due(Seq::new(seq), 1000, weight)
    }

    #[test]
    fn the_first_snapshots_of_many_are_spread_over_the_interval() {
        let first = |name: usize| {
            let snapshots = snapshots(&format!("room:{name}"));
            (1..=1000).find(|seq| is_due(&snapshots, *seq, || 0)).unwrap()
        };
        let mut quarters = [0; 4];
        for name in 0..400 {
            quarters[(first(name) as usize - 1) / 250] += 1;
        }
        assert!(quarters.iter().all(|count| (60..=140).contains(count)), "{quarters:?}");
        let mut snapshots = snapshots("room:1");
        snapshots.made(Seq::new(100));
        assert!(
            !is_due(&snapshots, 1099, || 0) && is_due(&snapshots, 1100, || 0),
            "later ones take all of it"
        );
        assert!(!is_due(&snapshots, 1100, || 1), "and the bytes");
        snapshots.event(1);
        assert!(is_due(&snapshots, 1100, || 1));
        let large = || usize::MAX / 2;
        assert!(
            !is_due(&snapshots, 16_099, large) && is_due(&snapshots, 16_100, large),
            "nor is a large state put off for ever"
        );
    }

    #[test]
    fn a_snapshot_covers_something_once_it_is_queued() {
        let mut snapshots = snapshots("room:a");
        snapshots.made(Seq::new(100));
        let seqs = (snapshots.latest(), snapshots.queued());
        assert_eq!(seqs, (Seq::new(100), Seq::ZERO), "it may have been left out");
        snapshots.latest_is_queued();
        assert_eq!(snapshots.queued(), Seq::new(100));
    }

    #[test]
    fn the_example_of_the_head_is_right() {
        let mut snapshots = Snapshots { share: 16, ..snapshots("room:a") };
        let weight = || 400;
        snapshots.event(99);
        assert!(!is_due(&snapshots, 250, weight));
        snapshots.event(1);
        assert!(!is_due(&snapshots, 249, weight) && is_due(&snapshots, 250, weight));
        snapshots.made(Seq::new(250));
        snapshots.event(399);
        assert!(!is_due(&snapshots, 1250, weight) && is_due(&snapshots, 16_250, weight));
        snapshots.event(1);
        assert!(!is_due(&snapshots, 1249, weight) && is_due(&snapshots, 1250, weight));
    }
}
