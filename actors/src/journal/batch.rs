//! How queued messages become one transaction.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::fast::RandomState;
use greenroom_protocol::{EntityId, Seq};
use tokio::sync::oneshot;

use super::{Control, Progress, Reign, ToJournal, TrimShare};
use crate::store::{Erasure, JournalRow, Rewrite, SnapshotRow, Trim};

/// What one transaction writes, and who is notified of its outcome.
#[derive(Debug, Default)]
pub struct Gathered {
    /// At most one row per entity.
    pub rows: Vec<JournalRow>,
    /// At most one snapshot per entity.
    pub snapshots: Vec<SnapshotRow>,
    /// What it deletes.
    pub trims: Vec<Trim>,
    /// Notes of what must be erased.
    pub erasures: Vec<(EntityId, Erasure)>,
    /// What it erases.
    pub rewrites: Vec<Rewrite>,
    /// Notified when the rewrites are on disk.
    pub written: Vec<oneshot::Sender<()>>,
    /// The lives whose events it holds, with the seq that each reaches.
    pub tell: Vec<(Arc<Progress>, Seq)>,
    /// The lives whose snapshots, trims and rewrites it holds. They are notified only if it fails.
    pub others: Vec<Arc<Progress>>,
    /// Notified when everything queued before them has an outcome.
    pub barriers: Vec<oneshot::Sender<()>>,
    /// The number of events in `rows`.
    pub ops: usize,
    /// The shares of `trims` and `rewrites`, until the transaction is over.
    pub shares: Vec<TrimShare>,
    /// Bytes in `rows` and `snapshots`.
    pub bytes: usize,
    /// The reign whose lives it takes messages of.
    pub reign: Reign,
    /// Whether it is committed even if it writes nothing.
    pub beat: bool,
    index: HashMap<EntityId, usize, RandomState>,
}

impl Gathered {
    /// What lives of `reign` have queued.
    pub fn of_reign(reign: Reign) -> Self {
        Self { reign, ..Self::default() }
    }

    /// Whether the transaction would write nothing.
    pub fn is_empty(&self) -> bool {
        !self.beat
            && self.rows.is_empty()
            && self.snapshots.is_empty()
            && self.trims.is_empty()
            && self.rewrites.is_empty()
    }

    /// Adds a message, unless its life has ended.
    pub fn add(&mut self, message: ToJournal) {
        match message {
            ToJournal::Event { progress, .. }
            | ToJournal::Snapshot { progress, .. }
            | ToJournal::Trim { progress, .. }
            | ToJournal::Rewrite { progress, .. }
                if progress.is_over(self.reign) => {}
            ToJournal::Event { entity, epoch, seq, text, erasure, progress } => {
                self.erasures.extend(erasure.map(|erasure| (entity.clone(), *erasure)));
                self.ops += 1;
                self.bytes += text.len() + 1;
                let text = std::str::from_utf8(&text).expect("entities queue JSON, which is UTF-8");
                match self.index.entry(entity) {
                    Entry::Occupied(at) => {
                        let row = &mut self.rows[*at.get()];
                        debug_assert_eq!(
                            row.last_seq.next(),
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
            ToJournal::Control(Control::Beat) => self.beat = true,
            // The committer takes these itself.
            ToJournal::Control(Control::Term { .. } | Control::Change { .. }) => {
                debug_assert!(false, "a batch ends before them");
            }
        }
    }
}
