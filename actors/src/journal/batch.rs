//! How queued messages become one transaction.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::fast::RandomState;
use greenroom_protocol::{EntityId, Seq};
use tokio::sync::oneshot;

use super::{Progress, ToJournal, TrimShare};
use crate::store::{Erasure, JournalRow, Rewrite, SnapshotRow, Trim};

/// What one transaction writes, and whom to tell of it.
#[derive(Debug, Default)]
pub struct Gathered {
    /// At most one row per entity.
    pub rows: Vec<JournalRow>,
    /// At most one snapshot per entity.
    pub snapshots: Vec<SnapshotRow>,
    /// What it deletes.
    pub trims: Vec<Trim>,
    /// What is to be erased from now on.
    pub erasures: Vec<(EntityId, Erasure)>,
    /// What it erases.
    pub rewrites: Vec<Rewrite>,
    /// Who is told of those when they are on disk.
    pub written: Vec<oneshot::Sender<()>>,
    /// The lives whose progress it is, with the seq it brings them to.
    pub tell: Vec<(Arc<Progress>, Seq)>,
    /// The lives whose snapshots, trims and rewrites it holds. They need not be told of it unless
    /// it fails.
    pub others: Vec<Arc<Progress>>,
    /// Who waits for everything before.
    pub barriers: Vec<oneshot::Sender<()>>,
    /// Events in `rows`.
    pub ops: usize,
    /// The shares of `trims` and `rewrites`, until the transaction is over.
    pub shares: Vec<TrimShare>,
    /// Bytes in `rows` and `snapshots`.
    pub bytes: usize,
    index: HashMap<EntityId, usize, RandomState>,
}

impl Gathered {
    /// Whether the transaction would write nothing.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.snapshots.is_empty()
            && self.trims.is_empty()
            && self.rewrites.is_empty()
    }

    /// Takes one message in; what belongs to a life that has ended is skipped.
    pub fn add(&mut self, message: ToJournal) {
        match message {
            ToJournal::Event { progress, .. }
            | ToJournal::Snapshot { progress, .. }
            | ToJournal::Trim { progress, .. }
            | ToJournal::Rewrite { progress, .. }
                if progress.ended() => {}
            ToJournal::Event { entity, epoch, seq, text, erasure, progress } => {
                self.erasures.extend(erasure.map(|erasure| (entity.clone(), *erasure)));
                self.ops += 1;
                self.bytes += text.len() + 1;
                let text = std::str::from_utf8(&text).expect("entities queue JSON, which is UTF-8");
                match self.index.entry(entity) {
                    Entry::Occupied(at) => {
                        let row = &mut self.rows[*at.get()];
                        debug_assert_eq!(
                            row.last_seq + 1,
                            seq,
                            "a life queues its events without gaps"
                        );
                        row.last_seq = seq;
                        row.events.pop();
                        row.events.push(',');
                        row.events.push_str(text);
                        row.events.push(']');
                        self.tell[*at.get()].1 = seq;
                    }
                    Entry::Vacant(at) => {
                        let row = JournalRow {
                            entity: at.key().clone(),
                            epoch,
                            first_seq: seq,
                            last_seq: seq,
                            events: format!("[{text}]"),
                        };
                        at.insert(self.rows.len());
                        self.rows.push(row);
                        self.tell.push((progress, seq));
                    }
                }
            }
            ToJournal::Snapshot { row, progress } => {
                self.others.push(progress);
                self.bytes += row.state.len() + row.dedupe.len();
                match self.snapshots.iter_mut().find(|old| old.entity == row.entity) {
                    Some(old) => *old = *row,
                    None => self.snapshots.push(*row),
                }
            }
            ToJournal::Trim { trim, share, progress } => {
                self.others.push(progress);
                self.shares.push(share);
                self.trims.push(trim);
            }
            ToJournal::Rewrite { rewrite, share, progress, written } => {
                self.others.push(progress);
                self.shares.push(share);
                self.rewrites.push(rewrite);
                self.written.push(written);
            }
            ToJournal::Barrier(done) => self.barriers.push(done),
        }
    }
}
