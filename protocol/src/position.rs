//! Where a reader stands in an entity's log.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The number of an event in its entity's log: 1, 2, 3, ... without gaps. 0 stands before the
/// first.
pub type Seq = u64;

/// The identity of a log. With a new epoch the old positions mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Epoch(#[schemars(with = "String")] pub Arc<str>);

impl Epoch {
    /// An epoch named by 64 random bits.
    pub fn from_bits(bits: u64) -> Self {
        Self(format!("{bits:016x}").into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// "I have everything up to and including `seq` of the log `epoch`."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The log.
    pub epoch: Epoch,
    /// The last event that the reader has.
    pub seq: Seq,
}
