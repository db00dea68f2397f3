//! Conversion between SurrealDB's rows and the core's types.

use greenroom_actors::record::EventRecord;
use greenroom_actors::store::{Erasure, JournalRow, Rewrite, SnapshotRow, StoreError, Trim};
use greenroom_protocol::{EntityId, Epoch, RawJson, Seq};
use surrealdb::types::{Array, RecordId, RecordIdKey, SurrealValue};

/// A row of the table `journal` as it is written.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(super) struct JournalRecord {
    id: RecordId,
    epoch: String,
    last_seq: i64,
    events: String,
}

/// A row of the table `snapshot`.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(super) struct SnapshotRecord {
    id: RecordId,
    epoch: String,
    seq: i64,
    state: String,
    dedupe: String,
    trimmed: i64,
    longest_row: i64,
}

/// Rows of the table `journal` to delete.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(super) struct TrimRecord {
    kind: String,
    id: String,
    from: i64,
    through: i64,
}

/// A row of the table `erasure`.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(super) struct ErasureRecord {
    id: RecordId,
    by: i64,
    purge: bool,
}

/// New contents for a row of the table `journal`.
#[derive(SurrealValue)]
#[surreal(crate = "surrealdb::types")]
pub(super) struct RewriteRecord {
    id: RecordId,
    events: String,
}

/// A row of the table `erasure` as it is read: `[message, by, purge]`.
pub(super) type StoredErasure = (i64, i64, bool);

/// A row of the table `journal` as it is read: `[epoch, last_seq, events]`, so that no keys are
/// sent.
pub(super) type StoredRow = (String, i64, String);

/// A row of the table `snapshot` as it is read:
/// `[epoch, seq, state, dedupe, trimmed, longest_row]`.
pub(super) type StoredSnapshot = (String, i64, String, String, i64, i64);

/// A seq or a number as SurrealDB's integer, capped: no log reaches beyond that.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The bits of a nonce as SurrealDB's integer.
pub(super) fn bits(nonce: u64) -> i64 {
    nonce.cast_signed()
}

/// The key of a row that belongs to one of an entity's events.
fn event_key(table: &'static str, entity: &EntityId, seq: Seq) -> RecordId {
    let key =
        vec![entity.kind().into_value(), entity.id().into_value(), int(seq.get()).into_value()];
    RecordId::new(table, RecordIdKey::Array(Array::from(key)))
}

impl JournalRecord {
    pub(super) fn new(row: &JournalRow) -> Self {
        Self {
            id: event_key("journal", &row.entity, row.first_seq),
            epoch: row.epoch.as_str().to_owned(),
            last_seq: int(row.last_seq.get()),
            events: row.events.clone(),
        }
    }
}

impl SnapshotRecord {
    pub(super) fn new(row: &SnapshotRow) -> Self {
        let key = vec![row.entity.kind().into_value(), row.entity.id().into_value()];
        Self {
            id: RecordId::new("snapshot", RecordIdKey::Array(Array::from(key))),
            epoch: row.epoch.as_str().to_owned(),
            seq: int(row.seq.get()),
            state: row.state.as_str().to_owned(),
            dedupe: row.dedupe.as_str().to_owned(),
            trimmed: int(row.trimmed.get()),
            longest_row: i64::from(row.longest_row),
        }
    }
}

impl TrimRecord {
    pub(super) fn new(trim: &Trim) -> Self {
        Self {
            kind: trim.entity.kind().to_owned(),
            id: trim.entity.id().to_owned(),
            from: int(trim.from.get()),
            through: int(trim.through.get()),
        }
    }
}

impl ErasureRecord {
    pub(super) fn new(entity: &EntityId, erasure: &Erasure) -> Self {
        Self {
            id: event_key("erasure", entity, erasure.message),
            by: int(erasure.by.get()),
            purge: erasure.purge,
        }
    }
}

impl RewriteRecord {
    pub(super) fn new(entity: &EntityId, first_seq: Seq, events: String) -> Self {
        Self { id: event_key("journal", entity, first_seq), events }
    }
}

/// The keys of the rows of the table `erasure` that are no longer needed after a rewrite.
pub(super) fn done(rewrite: &Rewrite) -> impl Iterator<Item = RecordId> + '_ {
    rewrite.done.iter().map(|message| event_key("erasure", &rewrite.entity, *message))
}

/// Unpacks a row of the table `erasure`.
pub(super) fn erasure(
    entity: &EntityId,
    (message, by, purge): StoredErasure,
) -> Result<Erasure, StoreError> {
    Ok(Erasure { message: seq_of(entity, message)?, by: seq_of(entity, by)?, purge })
}

/// Unpacks a snapshot.
pub(super) fn snapshot(
    entity: &EntityId,
    stored: StoredSnapshot,
) -> Result<SnapshotRow, StoreError> {
    let (epoch, seq, state, dedupe, trimmed, longest_row) = stored;
    let json = |what, text: &str| {
        RawJson::from_text(text)
            .map_err(|error| corrupt(entity, format_args!("{what} is not valid JSON: {error}")))
    };
    Ok(SnapshotRow {
        entity: entity.clone(),
        epoch: Epoch(epoch.into()),
        seq: seq_of(entity, seq)?,
        state: json("the snapshot's state", &state)?,
        dedupe: json("the snapshot's dedupe", &dedupe)?,
        trimmed: seq_of(entity, trimmed)?,
        longest_row: u32::try_from(longest_row).unwrap_or(u32::MAX),
    })
}

/// Unpacks consecutive rows and checks that they are consecutive.
pub(super) struct Unpacker<'a> {
    entity: &'a EntityId,
    epoch: Option<Epoch>,
    /// The seq of the last event unpacked.
    last: Option<Seq>,
}

impl<'a> Unpacker<'a> {
    /// Starts with the log's epoch, if it is known.
    pub(super) fn new(entity: &'a EntityId, epoch: Option<Epoch>) -> Self {
        Self { entity, epoch, last: None }
    }

    pub(super) fn into_epoch(self) -> Option<Epoch> {
        self.epoch
    }

    /// Unpacks the next row.
    pub(super) fn unpack(&mut self, row: &StoredRow) -> Result<Vec<EventRecord>, StoreError> {
        let (epoch, last_seq, events) = row;
        let last_seq = seq_of(self.entity, *last_seq)?;
        match &self.epoch {
            Some(known) if known.as_str() != epoch => {
                return Err(corrupt(
                    self.entity,
                    format_args!(
                        "the row up to {last_seq} has epoch `{epoch}`, the one before it `{}`",
                        known.as_str()
                    ),
                ));
            }
            Some(_) => {}
            None => self.epoch = Some(Epoch(epoch.as_str().into())),
        }
        let events: Vec<EventRecord> = serde_json::from_str(events).map_err(|error| {
            corrupt(
                self.entity,
                format_args!("the row up to {last_seq} does not hold events: {error}"),
            )
        })?;
        for event in &events {
            if self.last.is_some_and(|last| event.seq.checked_since(last) != Some(1)) {
                return Err(corrupt(
                    self.entity,
                    format_args!("event {} follows {}", event.seq, self.last.unwrap_or_default()),
                ));
            }
            self.last = Some(event.seq);
        }
        if events.last().map(|event| event.seq) != Some(last_seq) {
            return Err(corrupt(
                self.entity,
                format_args!("the row up to {last_seq} ends with a different event"),
            ));
        }
        Ok(events)
    }
}

fn seq_of(entity: &EntityId, stored: i64) -> Result<Seq, StoreError> {
    let number = u64::try_from(stored)
        .map_err(|_| corrupt(entity, format_args!("{stored} is not a valid seq")))?;
    Ok(Seq::new(number))
}

/// The error for stored data of `entity` that makes no sense.
pub(super) fn corrupt(entity: &EntityId, what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("`{entity}`: {what}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(epoch: &str, seqs: std::ops::RangeInclusive<u64>) -> StoredRow {
        let last = int(*seqs.end());
        let events: Vec<_> = seqs
            .map(|seq| format!(r#"{{"seq":{seq},"at":1,"from":"a","type":"t","body":null}}"#))
            .collect();
        (epoch.into(), last, format!("[{}]", events.join(",")))
    }

    fn complaint(rows: &[StoredRow]) -> String {
        let entity = EntityId::parse("room:lobby").unwrap();
        let mut unpacker = Unpacker::new(&entity, None);
        let error = rows.iter().find_map(|row| unpacker.unpack(row).err());
        error.map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn rows_must_be_consecutive() {
        assert_eq!(complaint(&[row("e", 1..=3), row("e", 4..=4)]), "");
        let table: &[(&[StoredRow], &str)] = &[
            (&[row("e", 1..=3), row("e", 5..=6)], "`room:lobby`: event 5 follows 3"),
            (&[row("e", 1..=3), row("e", 3..=6)], "`room:lobby`: event 3 follows 3"),
            (&[row("e", 1..=3), row("f", 4..=6)], "has epoch `f`, the one before it `e`"),
            (&[("e".into(), 3, row("e", 1..=2).2)], "the row up to 3 ends with a different event"),
            (&[("e".into(), 3, "[]".into())], "the row up to 3 ends with a different event"),
            (&[("e".into(), 3, "[{}]".into())], "does not hold events: missing field `seq`"),
            (&[("e".into(), -1, "[]".into())], "-1 is not a valid seq"),
        ];
        for (rows, want) in table {
            let got = complaint(rows);
            assert!(got.contains(want), "{got} lacks {want}");
        }
    }

    #[test]
    fn nonces_keep_their_bits() {
        assert_eq!(bits(u64::MAX), -1);
        assert_eq!(int(u64::MAX), i64::MAX);
    }
}
