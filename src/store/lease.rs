//! Which row of the table `lease` fences this process's transactions.

use surrealdb::types::{Array, RecordId, RecordIdKey, SurrealValue, Value};

/// The key of a lease. Each writer of the database has one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeaseKey {
    /// The only writer of a database: `lease:node`.
    #[default]
    Single,
    /// One of several nodes: `lease:[node, lane]`.
    Node {
        /// The node's id, which is 16 hexadecimal digits in the key.
        id: u64,
        /// Which of the node's committers.
        lane: u16,
    },
}

impl LeaseKey {
    /// The row's id.
    pub(super) fn record(self) -> Value {
        let key = match self {
            Self::Single => RecordIdKey::from("node"),
            Self::Node { id, lane } => RecordIdKey::Array(Array::from(vec![
                format!("{id:016x}").into_value(),
                i64::from(lane).into_value(),
            ])),
        };
        Value::RecordId(RecordId::new("lease", key))
    }
}
