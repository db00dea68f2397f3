//! What a row of the journal holds.

use surrealdb::types::{Array, Bytes, Object, SurrealValue, Value};

use super::log::Log;
use super::rows::{JournalRecord, int};

/// Ways to store events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An entity's events of a transaction in one row, as the text of a JSON array: what the server
    /// does.
    Text,
    /// The same in a table whose rows are not checked against fields.
    Unchecked,
    /// The same text as bytes.
    Bytes,
    /// One row as well, an array with a text for each event.
    Texts,
    /// One row as well, an array with an object for each event.
    Objects,
    /// A row for each event.
    Rows,
}

impl Shape {
    /// Whether the server's own code makes its rows.
    pub fn is_servers(self) -> bool {
        matches!(self, Self::Text | Self::Unchecked)
    }

    /// What the server's schema has to be changed by.
    pub fn schema(self) -> &'static str {
        match self {
            Self::Text => "",
            Self::Unchecked => {
                "DEFINE TABLE OVERWRITE journal TYPE NORMAL SCHEMALESS;
                REMOVE FIELD epoch ON journal;
                REMOVE FIELD last_seq ON journal;
                REMOVE FIELD events ON journal;"
            }
            Self::Bytes => "DEFINE FIELD OVERWRITE events ON journal TYPE bytes;",
            Self::Texts => "DEFINE FIELD OVERWRITE events ON journal TYPE array<string>;",
            Self::Objects => {
                "DEFINE FIELD OVERWRITE events ON journal TYPE array<object> FLEXIBLE;"
            }
            Self::Rows => {
                "REMOVE FIELD events ON journal;
                REMOVE FIELD last_seq ON journal;
                DEFINE FIELD seq ON journal TYPE int;
                DEFINE FIELD at ON journal TYPE int;
                DEFINE FIELD `from` ON journal TYPE string;
                DEFINE FIELD `type` ON journal TYPE string;
                DEFINE FIELD body ON journal TYPE string;
                DEFINE FIELD client ON journal TYPE option<string>;
                DEFINE FIELD n ON journal TYPE option<int>;"
            }
        }
    }

    /// The next `count` events of `log` as rows.
    pub fn rows(self, log: &mut Log, count: usize) -> Vec<Value> {
        match self {
            Self::Text | Self::Unchecked => vec![JournalRecord::new(&log.pack(count)).into_value()],
            Self::Bytes => vec![packed(log, count, |log| {
                Value::Bytes(Bytes::from(log.pack(count).events.into_bytes()))
            })],
            Self::Texts => {
                vec![packed(log, count, |log| Value::Array(Array::from(log.texts(count))))]
            }
            Self::Objects => {
                let objects = |log: &mut Log| {
                    std::iter::repeat_with(|| log.object()).take(count).map(Value::Object).collect()
                };
                vec![packed(log, count, |log| Value::Array(objects(log)))]
            }
            Self::Rows => std::iter::repeat_with(|| row(log)).take(count).collect(),
        }
    }
}

/// The server's row, with `events` made in another way.
fn packed(log: &mut Log, count: usize, events: impl FnOnce(&mut Log) -> Value) -> Value {
    let mut bare = log.bare_row();
    bare.last_seq += count as u64 - 1;
    let mut row = fields(JournalRecord::new(&bare).into_value());
    row.insert("events", events(log));
    Value::Object(row)
}

/// One event as a row, under the key that the server's row has.
fn row(log: &mut Log) -> Value {
    let bare = log.bare_row();
    let mut row = fields(JournalRecord::new(&bare).into_value());
    row.remove("events");
    row.remove("last_seq");
    let mut event = log.object();
    row.append(&mut event);
    debug_assert_eq!(row.get("seq"), Some(&int(bare.first_seq).into_value()));
    Value::Object(row)
}

fn fields(row: Value) -> Object {
    match row {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}
