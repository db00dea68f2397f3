//! A reader's position in an entity's log.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Seq;

/// The identity of a log. Positions in the log of another epoch mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Epoch(#[schemars(with = "String")] pub Arc<str>);

impl Epoch {
    /// The epoch named by 64 random bits.
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
    /// The log's epoch.
    pub epoch: Epoch,
    /// The seq of the last event that the reader has.
    pub seq: Seq,
}
