//! One entity's rows.

use std::collections::BTreeMap;

use greenroom_protocol::Seq;

use crate::record::EventRecord;
use crate::store::{
    Erasure, JournalRow, Loaded, Page, REWRITE_EVENTS, Rewrite, SnapshotRow, StoreError, Trim,
};

/// The journal rows of an entity by their first seq, and its latest snapshot.
#[derive(Debug, Default)]
pub(super) struct Log {
    rows: BTreeMap<Seq, JournalRow>,
    snapshot: Option<SnapshotRow>,
    /// What is to be erased, by message.
    pub(super) erasures: BTreeMap<Seq, Erasure>,
}

impl Log {
    /// Whether `row` is well formed and goes on where `log` ends.
    pub(super) fn check(log: Option<&Self>, row: &JournalRow) -> Result<(), String> {
        let events = unpack(row).map_err(|error| error.to_string())?;
        let seqs = events.iter().map(|event| event.seq);
        if row.last_seq < row.first_seq || !seqs.eq(row.first_seq.through(row.last_seq)) {
            return Err(format!(
                "the row of `{}` does not hold events {} to {}",
                row.entity, row.first_seq, row.last_seq
            ));
        }
        // A new epoch is a new log, and says where it begins.
        if let Some(last) = log.filter(|log| log.is_epoch_of(row)).map(Self::last_seq)
            && row.first_seq != last.next()
        {
            return Err(format!(
                "the row of `{}` begins at {}, and the log ends at {last}",
                row.entity, row.first_seq
            ));
        }
        Ok(())
    }

    pub(super) fn append(&mut self, row: JournalRow) {
        if !self.is_epoch_of(&row) {
            *self = Self::default();
        }
        self.rows.insert(row.first_seq, row);
    }

    pub(super) fn replace_snapshot(&mut self, new: SnapshotRow) {
        if self.snapshot.as_ref().is_some_and(|old| old.epoch == new.epoch && old.seq > new.seq) {
            return;
        }
        self.snapshot = Some(new);
    }

    /// Whether a snapshot that is here, or that comes in the same batch, covers what is to be
    /// deleted.
    pub(super) fn check_trim(
        log: Option<&Self>,
        coming: Option<&SnapshotRow>,
        trim: &Trim,
    ) -> Result<(), String> {
        let covered = coming.or_else(|| log?.snapshot.as_ref()).map_or(Seq::ZERO, |row| row.seq);
        if trim.through > covered {
            return Err(format!(
                "`{}` is to be trimmed through {}, and its snapshot is at {covered}",
                trim.entity, trim.through
            ));
        }
        Ok(())
    }

    pub(super) fn trim(&mut self, trim: &Trim) {
        self.rows.retain(|first, row| *first < trim.from || row.last_seq > trim.through);
    }

    /// Whether a rewrite is as small as it should be, and of what is on disk.
    pub(super) fn check_rewrite(log: Option<&Self>, rewrite: &Rewrite) -> Result<(), String> {
        let Some((last, _)) = rewrite.events.last() else { return Ok(()) };
        let end = log.map_or(Seq::ZERO, Self::last_seq);
        if !rewrite.events.is_sorted_by_key(|(seq, _)| *seq)
            || rewrite.events.len() > REWRITE_EVENTS
            || *last > end
        {
            return Err(format!(
                "`{}` is to be rewritten at {:?}, and ends at {end}",
                rewrite.entity, rewrite.events
            ));
        }
        Ok(())
    }

    pub(super) fn rewrite(&mut self, rewrite: &Rewrite) {
        for row in self.rows.values_mut() {
            if rewrite.events.iter().any(|(seq, _)| (row.first_seq..=row.last_seq).contains(seq)) {
                row.erase(&rewrite.events).expect("rows are checked when they are written");
            }
        }
        for message in &rewrite.done {
            self.erasures.remove(message);
        }
    }

    pub(super) fn load(&self) -> Result<Loaded, StoreError> {
        let covered = self.snapshot.as_ref().map_or(Seq::ZERO, |snapshot| snapshot.seq);
        let tail = self.page(Page::After { after: covered, limit: usize::MAX })?;
        if !tail.iter().zip(1..).all(|(event, n)| event.seq == covered + n) {
            return Err(StoreError::Corrupt(format!("there is a gap behind seq {covered}").into()));
        }
        let epoch = self
            .snapshot
            .as_ref()
            .map(|snapshot| &snapshot.epoch)
            .or_else(|| self.rows.values().next_back().map(|row| &row.epoch));
        let behind = self.rows.values().filter(|row| row.last_seq > covered);
        let longest = behind.map(|row| row.last_seq.since(row.first_seq) + 1).max().unwrap_or(0);
        Ok(Loaded {
            snapshot: self.snapshot.clone(),
            epoch: epoch.cloned(),
            tail,
            longest_row: u32::try_from(longest).unwrap_or(u32::MAX),
            erasures: self.erasures.values().copied().collect(),
        })
    }

    pub(super) fn page(&self, page: Page) -> Result<Vec<EventRecord>, StoreError> {
        let mut events = Vec::new();
        match page {
            Page::After { after, limit } => {
                // The first event wanted may be in the middle of the row that begins before it.
                let start =
                    self.rows.range(..=after).next_back().map_or(Seq::ZERO, |(first, _)| *first);
                for row in self.rows.range(start..).map(|(_, row)| row) {
                    if events.len() >= limit {
                        break;
                    }
                    events.extend(unpack(row)?.into_iter().filter(|event| event.seq > after));
                }
                events.truncate(limit);
            }
            Page::Before { before, limit } => {
                for row in self.rows.range(..before).rev().map(|(_, row)| row) {
                    if events.len() >= limit {
                        break;
                    }
                    events
                        .extend(unpack(row)?.into_iter().rev().filter(|event| event.seq < before));
                }
                events.truncate(limit);
                events.reverse();
            }
        }
        Ok(events)
    }

    fn last_seq(&self) -> Seq {
        let snapshot = self.snapshot.as_ref().map_or(Seq::ZERO, |snapshot| snapshot.seq);
        self.rows.values().next_back().map_or(snapshot, |row| row.last_seq.max(snapshot))
    }

    fn is_epoch_of(&self, row: &JournalRow) -> bool {
        let rows = self.rows.values().next_back().map(|row| &row.epoch);
        rows.or(self.snapshot.as_ref().map(|snapshot| &snapshot.epoch))
            .is_none_or(|epoch| *epoch == row.epoch)
    }
}

fn unpack(row: &JournalRow) -> Result<Vec<EventRecord>, StoreError> {
    serde_json::from_str(&row.events).map_err(|error| {
        let why = format!("the row of `{}` at {}: {error}", row.entity, row.first_seq);
        StoreError::Corrupt(why.into())
    })
}
