//! The data to write: the log of one entity that receives posts like those of
//! `greenroom-loadtest durable`.

use greenroom_actors::record::EventRecord;
use greenroom_actors::store::{JournalRow, SnapshotRow};
use greenroom_protocol::{EntityId, Epoch, RawJson, Seq};

use super::Result;
use super::variant::Snapshots;

/// A placeholder for the seq and the number of an op in its text.
const MARK: u64 = 9_007_199_254_740_991;

/// A growing log.
pub struct Log {
    entity: EntityId,
    epoch: Epoch,
    /// An event as JSON, split where the seq and the number belong.
    text: [String; 3],
    next: Seq,
    /// The state in snapshots, and the seq at which the next one is due.
    state: RawJson,
    due: Seq,
}

impl Log {
    /// Creates the log of the `index`th of `entities`, whose ops have bodies of `bytes` bytes.
    /// `run` makes its name different in each run. The entities take turns at writing snapshots.
    ///
    /// # Errors
    /// Only if a record's JSON has an unexpected form.
    pub fn new(
        run: u64,
        index: usize,
        entities: usize,
        bytes: usize,
        snapshots: Option<Snapshots>,
    ) -> Result<Self> {
        // The rest of the body is `{"t":123456789012,"pad":""}`.
        let pad = |seed: usize, length: usize| -> String {
            let mut random = fastrand::Rng::with_seed(seed as u64);
            std::iter::repeat_with(|| random.alphanumeric()).take(length).collect()
        };
        let record = EventRecord {
            seq: Seq::new(MARK),
            at: 1_764_000_000_000,
            from: format!("sender-{index}").into(),
            r#type: "post".into(),
            body: RawJson::from_text(format!(
                r#"{{"t":123456789012,"pad":"{}"}}"#,
                pad(index, bytes.saturating_sub(27))
            ))?,
            deleted: None,
            client: Some(format!("01KAWZJ0G6T3V0M9Y2X{index:07}").into()),
            n: Some(MARK),
            began: None,
            tag: None,
            result: None,
        };
        let text = serde_json::to_string(&record)?;
        let parts: Vec<String> = text.split(&MARK.to_string()).map(str::to_owned).collect();
        let text: [String; 3] =
            parts.try_into().map_err(|_| format!("`{text}` does not have a seq and a number"))?;
        let first_due = |every: u64| every - every / entities as u64 * index as u64;
        let state = snapshots.map_or(0, |snapshots| snapshots.bytes);
        Ok(Self {
            entity: EntityId::parse(&format!("room:lobby-{run}-{index}"))?,
            epoch: Epoch::from_bits(index as u64),
            text,
            next: Seq::FIRST,
            state: RawJson::from_text(format!(r#"{{"messages":"{}"}}"#, pad(index, state)))?,
            due: snapshots.map_or(Seq::FIRST, |snapshots| {
                Seq::new(first_due(snapshots.every)).max(Seq::FIRST)
            }),
        })
    }

    /// Adds `count` ops, packed as the committer packs them.
    pub fn pack(&mut self, count: usize) -> JournalRow {
        let first_seq = self.next;
        let mut events = String::from("[");
        for i in 0..count {
            if i > 0 {
                events.push(',');
            }
            self.push_text(&mut events);
        }
        events.push(']');
        JournalRow {
            entity: self.entity.clone(),
            epoch: self.epoch.clone(),
            first_seq,
            last_seq: self.next - 1,
            events,
        }
    }

    /// A snapshot, if one is due.
    pub fn snapshot(&mut self, snapshots: Snapshots) -> Option<SnapshotRow> {
        let seq = self.next - 1;
        (seq >= self.due).then(|| {
            self.due = seq + snapshots.every;
            SnapshotRow {
                entity: self.entity.clone(),
                epoch: self.epoch.clone(),
                seq,
                state: self.state.clone(),
                dedupe: RawJson::NULL,
                trimmed: Seq::ZERO,
                longest_row: 1,
            }
        })
    }

    pub fn entity(&self) -> &EntityId {
        &self.entity
    }

    /// The seq of the last op added.
    pub fn last_seq(&self) -> Seq {
        self.next - 1
    }

    fn push_text(&mut self, to: &mut String) {
        let seq = self.next.to_string();
        let [start, middle, end] = &self.text;
        for part in [start, &seq, middle, &seq, end] {
            to.push_str(part);
        }
        self.next = self.next.next();
    }
}
