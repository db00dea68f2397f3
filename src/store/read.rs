//! Reading logs.
//!
//! A row's key is the seq of its first event, and a row may hold many events, so the row that holds
//! a given event may begin long before it. SurrealDB 3.3 reads a range of keys in full, whatever
//! the `LIMIT` (unless the range goes through `type::record`), and never backwards. Seqs without
//! gaps make up for that: a key range `n` seqs wide has at most `n` rows, which hold all of its
//! events except those in one row that began earlier. So ranges are never wider than what is
//! wanted, and that one row is searched for in steps.

use std::sync::Arc;

use greenroom_actors::record::EventRecord;
use greenroom_actors::store::{Loaded, MAX_ROW_EVENTS, Page, StoreError};
use greenroom_protocol::{EntityId, Epoch, Seq};
use surrealdb::types::{SurrealValue, Value, Variables};

use super::failure::Failure;
use super::link::Link;
use super::rows::{
    StoredErasure, StoredRow, StoredSnapshot, Unpacker, corrupt, erasure, int, snapshot,
};

/// How far before the first wanted event a read begins. With short rows this avoids the search.
const LOOK_BACK: u64 = 16;

/// How far back each step of the search looks. No row is longer than the last step.
const STEPS: [u64; 2] = [256, MAX_ROW_EVENTS];

/// How many rows to read at once when the number of rows is unknown.
const ROWS: i64 = 64;

const LOAD: &str = "{
    LET $snapshot = (SELECT VALUE [epoch, seq, state, dedupe, trimmed ?? 0, longest_row ?? $longest_row] FROM ONLY snapshot:[$kind, $id]);
    LET $from = IF $snapshot { $snapshot[1] + 1 - $look_back } ELSE { 0 };
    RETURN [
        $snapshot,
        (SELECT VALUE [epoch, last_seq, events] FROM journal:[$kind, $id, $from]..=[$kind, $id, $to]),
        (SELECT VALUE [id[2], by, purge] FROM erasure:[$kind, $id, 0]..=[$kind, $id, $to])
    ];
}";

const RANGE: &str =
    "SELECT VALUE [epoch, last_seq, events] FROM journal:[$kind, $id, $from]..=[$kind, $id, $to]";

/// `type::record` makes SurrealDB push the `LIMIT` down into the scan.
const FIRST_ROWS: &str = "SELECT VALUE [epoch, last_seq, events] FROM type::record('journal', [$kind, $id, $from]..=[$kind, $id, $to]) LIMIT $rows";

const FIRST_KEY: &str = "SELECT VALUE id[2] FROM type::record('journal', [$kind, $id, $from]..=[$kind, $id, $to]) LIMIT 1";

const ERASING: &str =
    "SELECT VALUE [id[0], id[1]] FROM type::record('erasure', [$kind, $id, $from]..) LIMIT $rows";

const LAST_KEY: &str =
    "RETURN array::last((SELECT VALUE id[2] FROM journal:[$kind, $id, $from]..=[$kind, $id, $to]))";

/// Reads everything needed to wake an entity.
pub(super) async fn load(link: &Arc<Link>, entity: &EntityId) -> Result<Loaded, StoreError> {
    let log = Log { link, entity };
    let mut variables = log.rest(Seq::ZERO);
    variables.insert("look_back", int(LOOK_BACK));
    variables.insert("longest_row", int(MAX_ROW_EVENTS));
    let found = log.query(LOAD, variables).await?;
    let (stored, mut rows, erasures): (Option<StoredSnapshot>, Vec<StoredRow>, Vec<StoredErasure>) =
        log.decode(found)?;
    let snapshot = stored.map(|stored| snapshot(entity, stored)).transpose()?;
    let after = snapshot.as_ref().map_or(Seq::ZERO, |snapshot| snapshot.seq);

    if after > Seq::ZERO && !begins_by(&rows, after.next()) {
        rows.splice(0..0, log.row_before(after.next()).await?);
    }
    let epoch = snapshot.as_ref().map(|snapshot| snapshot.epoch.clone());
    let Unpacked { events: tail, epoch, longest_row } = log.unpack(rows, epoch, after).await?;
    match (&snapshot, tail.first()) {
        (Some(_), Some(first)) if first.seq != after.next() => Err(corrupt(
            entity,
            format_args!("event {} follows the snapshot at {after}", first.seq),
        )),
        _ => {
            let erasures = erasures
                .into_iter()
                .map(|stored| erasure(entity, stored))
                .collect::<Result<_, _>>()?;
            Ok(Loaded { snapshot, epoch, tail, longest_row, erasures })
        }
    }
}

/// The rows that hold these events, in ascending order, each with its first seq and its text.
pub(super) async fn rows_with(
    link: &Arc<Link>,
    entity: &EntityId,
    seqs: &[Seq],
) -> Result<Vec<(Seq, String)>, StoreError> {
    let log = Log { link, entity };
    let (Some(first), Some(last)) = (seqs.first(), seqs.last()) else { return Ok(Vec::new()) };
    let mut rows = log.rows_around(*first, *last).await?;
    let mut found = Vec::new();
    for (_, end, events) in rows.drain(..) {
        let Some(begin) = first_seq(&events) else {
            return Err(corrupt(entity, format_args!("the row up to {end} does not hold events")));
        };
        if seqs.iter().any(|seq| begin <= *seq && int(seq.get()) <= end) {
            found.push((begin, events));
        }
    }
    Ok(found)
}

/// Entities with deleted messages that are still to be erased.
pub(super) async fn erasing(
    link: &Arc<Link>,
    after: Option<&EntityId>,
    limit: usize,
) -> Result<Vec<EntityId>, StoreError> {
    let unavailable = |failure: Failure| StoreError::Unavailable(failure.into());
    let (kind, id) = after.map_or(("", ""), |after| (after.kind(), after.id()));
    let mut found: Vec<EntityId> = Vec::new();
    let mut variables = Variables::new();
    variables.insert("kind", kind);
    variables.insert("id", id);
    // After all rows of the entity `after`.
    variables.insert("from", if after.is_some() { i64::MAX } else { 0 });
    variables.insert("rows", int(limit as u64));
    let rows = link.query(ERASING, variables).await.map_err(unavailable)?;
    let rows = Vec::<(String, String)>::from_value(rows)
        .map_err(|error| StoreError::Corrupt(error.into()))?;
    for (kind, id) in rows {
        let entity = EntityId::parse(&format!("{kind}:{id}"))
            .map_err(|error| StoreError::Corrupt(error.into()))?;
        if found.last() != Some(&entity) {
            found.push(entity);
        }
    }
    Ok(found)
}

/// Reads a page of events, ascending.
pub(super) async fn events(
    link: &Arc<Link>,
    entity: &EntityId,
    page: Page,
) -> Result<Vec<EventRecord>, StoreError> {
    let log = Log { link, entity };
    match page {
        Page::After { limit: 0, .. }
        | Page::Before { limit: 0, .. }
        | Page::Before { before: Seq::ZERO | Seq::FIRST, .. } => Ok(Vec::new()),
        Page::After { after, limit } => log.after(after, limit).await,
        Page::Before { before, limit } => log.before(before, limit).await,
    }
}

/// Whether the first of `rows` begins at or before `seq`. A row that cannot be parsed counts as
/// such: unpacking it reports the error.
fn begins_by(rows: &[StoredRow], seq: Seq) -> bool {
    let Some((_, _, events)) = rows.first() else { return false };
    first_seq(events).is_none_or(|first| first <= seq)
}

/// The seq of a row's first event.
fn first_seq(events: &str) -> Option<Seq> {
    #[derive(serde::Deserialize)]
    struct Begin {
        seq: Seq,
    }
    let mut begins =
        serde_json::Deserializer::from_str(events.trim_start_matches('[')).into_iter::<Begin>();
    begins.next()?.ok().map(|first| first.seq)
}

struct Unpacked {
    events: Vec<EventRecord>,
    /// The log's epoch, if known.
    epoch: Option<Epoch>,
    /// The length of the longest row that any of `events` came from.
    longest_row: u32,
}

struct Log<'a> {
    link: &'a Arc<Link>,
    entity: &'a EntityId,
}

impl Log<'_> {
    /// The first `limit` events after `after`.
    async fn after(&self, after: Seq, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        let to = after.saturating_add(limit as u64);
        let mut events = self.events_after(after, to).await?;
        // Fewer than wanted: the log ends here, or its beginning has been trimmed.
        while events.len() < limit {
            let from = events.last().map_or(to, |event: &EventRecord| event.seq).saturating_add(1);
            let mut variables = self.rest(from);
            variables.insert("rows", ROWS.min(int((limit - events.len()) as u64)));
            let rows: Vec<StoredRow> = self.decode(self.query(FIRST_ROWS, variables).await?)?;
            if rows.is_empty() {
                break;
            }
            // The first of these may come right after the trimmed part, so checking it against the
            // events before would prove nothing.
            events.extend(self.unpack(rows, None, Seq::ZERO).await?.events);
        }
        events.truncate(limit);
        Ok(events)
    }

    /// The last `limit` events before `before`.
    async fn before(&self, before: Seq, limit: usize) -> Result<Vec<EventRecord>, StoreError> {
        let last = before - 1;
        let width = limit as u64;
        let mut events = self.events_after(last.saturating_sub(width), last).await?;
        if events.last().is_none_or(|event| event.seq < last) {
            // The log ends earlier, so count back from its end.
            let end = match events.last() {
                Some(event) => event.seq,
                None => match self.greatest_key(last).await? {
                    Some(begin) => self
                        .events_after(begin.saturating_sub(1), begin)
                        .await?
                        .last()
                        .map_or(begin, |event| event.seq)
                        .min(last),
                    None => return Ok(events),
                },
            };
            events = self.events_after(end.saturating_sub(width), end).await?;
        }
        events.retain(|event| event.seq <= last);
        events.drain(..events.len().saturating_sub(limit));
        Ok(events)
    }

    /// The events after `after`, up to the end of the row that holds `through`.
    async fn events_after(&self, after: Seq, through: Seq) -> Result<Vec<EventRecord>, StoreError> {
        let rows = self.rows_around(after.saturating_add(1), through).await?;
        Ok(self.unpack(rows, None, after).await?.events)
    }

    /// The rows that begin at or before `through`, starting with the one that holds `first`, and
    /// perhaps some before it.
    async fn rows_around(&self, first: Seq, through: Seq) -> Result<Vec<StoredRow>, StoreError> {
        let from = first.saturating_sub(LOOK_BACK);
        let mut rows: Vec<StoredRow> =
            self.decode(self.query(RANGE, self.range(from, through)).await?)?;
        if from > Seq::ZERO && !begins_by(&rows, first) {
            rows.splice(0..0, self.row_before(first).await?);
        }
        Ok(rows)
    }

    /// The events in `rows` after `after`. This is most of a read's work, and the caller's thread
    /// may have sockets to serve, so it is done on the database's threads.
    async fn unpack(
        &self,
        rows: Vec<StoredRow>,
        epoch: Option<Epoch>,
        after: Seq,
    ) -> Result<Unpacked, StoreError> {
        if rows.is_empty() {
            return Ok(Unpacked { events: Vec::new(), epoch, longest_row: 0 });
        }
        let entity = self.entity.clone();
        let unpack = move || {
            let mut unpacker = Unpacker::new(&entity, epoch);
            let mut events = Vec::new();
            let mut longest = 0;
            for row in &rows {
                let before = events.len();
                let row = unpacker.unpack(row)?;
                let length = row.len();
                events.extend(row.into_iter().filter(|event| event.seq > after));
                if events.len() > before {
                    longest = longest.max(length);
                }
            }
            let longest_row = u32::try_from(longest).unwrap_or(u32::MAX);
            Ok(Unpacked { events, epoch: unpacker.into_epoch(), longest_row })
        };
        self.link
            .compute(unpack)
            .await
            .unwrap_or_else(|ended| Err(StoreError::Unavailable(ended.into())))
    }

    /// The row that holds `seq`, if it begins further back than a read looks.
    async fn row_before(&self, seq: Seq) -> Result<Option<StoredRow>, StoreError> {
        let mut below = seq.saturating_sub(LOOK_BACK);
        for step in STEPS {
            let from = seq.saturating_sub(step);
            if below == Seq::ZERO {
                return Ok(None);
            }
            let key: Option<i64> =
                self.decode(self.query(LAST_KEY, self.range(from, below - 1)).await?)?;
            if let Some(key) = key {
                let mut variables = self.range(Seq::ZERO, Seq::ZERO);
                variables.insert("from", key);
                variables.insert("to", key);
                let rows: Vec<StoredRow> = self.decode(self.query(RANGE, variables).await?)?;
                return Ok(rows.into_iter().find(|(_, last, _)| *last >= int(seq.get())));
            }
            below = from;
        }
        Ok(None)
    }

    /// The first seq of the last row that begins at or before `through`, found by bisection: each
    /// step asks for the first row at or after a seq.
    async fn greatest_key(&self, through: Seq) -> Result<Option<Seq>, StoreError> {
        let mut greatest = None;
        let mut low = Seq::ZERO;
        // Most logs are much shorter than what callers pass to mean "the end", so begin with short
        // steps that double. Once a step has gone past the end, halve what remains.
        let mut step = Some(1u64);
        let mut high = through;
        while low <= high {
            let probe = match step {
                Some(step) => low.saturating_add(step - 1).min(high),
                None => low + high.since(low) / 2,
            };
            let keys: Vec<i64> =
                self.decode(self.query(FIRST_KEY, self.range(probe, high)).await?)?;
            match keys.first().and_then(|key| u64::try_from(*key).ok()).map(Seq::new) {
                Some(key) => {
                    greatest = Some(key);
                    low = key.next();
                    step = step.map(|step| step * 2);
                }
                None if probe == Seq::ZERO => break,
                None => {
                    high = probe - 1;
                    step = None;
                }
            }
        }
        Ok(greatest)
    }

    /// From `from` to the end of the log.
    fn rest(&self, from: Seq) -> Variables {
        self.range(from, Seq::MAX)
    }

    fn range(&self, from: Seq, to: Seq) -> Variables {
        let mut variables = Variables::new();
        variables.insert("kind", self.entity.kind());
        variables.insert("id", self.entity.id());
        variables.insert("from", int(from.get()));
        variables.insert("to", int(to.get()));
        variables
    }

    async fn query(
        &self,
        statement: &'static str,
        variables: Variables,
    ) -> Result<Value, StoreError> {
        self.link
            .query(statement, variables)
            .await
            .map_err(|failure: Failure| StoreError::Unavailable(failure.into()))
    }

    fn decode<T: SurrealValue>(&self, value: Value) -> Result<T, StoreError> {
        T::from_value(value).map_err(|error| {
            corrupt(self.entity, format_args!("a row does not match the schema: {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_seq_of_a_row_is_found_without_parsing_it_all() {
        let row = |events: &str| vec![("e".to_owned(), 9, events.to_owned())];
        assert!(begins_by(&row(r#"[{"seq":4,"at":1},{"seq":5}]"#), Seq::new(4)));
        assert!(begins_by(&row(r#"[{"seq":4,"at":1},{"seq":5}]"#), Seq::new(5)));
        assert!(!begins_by(&row(r#"[{"seq":4,"at":1},{"seq":5}]"#), Seq::new(3)));
        assert!(!begins_by(&[], Seq::new(3)));
    }
}
