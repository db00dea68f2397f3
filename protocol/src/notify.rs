//! What the server sends on its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::results::Event;
use crate::results::{Member, SnapshotReason};
use crate::{EntityId, Epoch, RawJson, Seq, WireError};

/// A volatile message from another subscriber.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SignalReceived")]
pub struct Signal {
    /// The entity it was sent to.
    pub entity: EntityId,
    /// The sender's user.
    pub from: String,
    /// The application's name for it.
    pub r#type: String,
    /// Its body.
    pub body: RawJson,
    /// As sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Who came, changed and went since the last such notification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PresenceChange {
    /// The entity meant.
    pub entity: EntityId,
    /// Users who came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<Member>,
    /// Users whose meta or number of sessions changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updated: Vec<Member>,
    /// Users who went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// How many users are here now.
    pub count: u64,
    /// Everybody, instead of changes, where changes had to be left out: replaces what the client
    /// had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Member>>,
}

/// The subscription could not be continued: replace what you have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reset {
    /// The entity meant.
    pub entity: EntityId,
    /// Its log.
    pub epoch: Epoch,
    /// The position of `snapshot`.
    pub seq: Seq,
    /// The state at `seq`.
    pub snapshot: RawJson,
    /// Why.
    pub reason: SnapshotReason,
}

/// The server has ended a subscription; the connection stays open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unsubscribed {
    /// The entity that is not followed any more.
    pub entity: EntityId,
    /// Why.
    pub reason: EndReason,
}

/// The server has ended this session's own presence; the connection stays open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Left {
    /// The entity that the session is not present in any more.
    pub entity: EntityId,
    /// Why.
    pub reason: EndReason,
}

/// Why the server ends a subscription or a presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The session's identity no longer has the permission.
    Forbidden,
    /// The subscription could not be continued: subscribe again, with the position.
    Unavailable,
}

/// The server will close this connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Goodbye {
    /// Why.
    pub reason: GoodbyeReason,
    /// When, from now.
    pub closes_in_ms: u64,
    /// When to come back, from the close; at once where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnect_after_ms: Option<u64>,
}

/// Why the server says goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GoodbyeReason {
    /// Call `connect` with a fresh token to stay.
    TokenExpiring,
    /// The server stops.
    ShuttingDown,
}

/// Requests without an `id` were refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// Their method.
    pub method: String,
    /// The entity they were sent to; absent when they were sent to several, or to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<EntityId>,
    /// The error that the latest of them would have been answered with.
    pub error: WireError,
    /// How many were refused for this reason since the last such notification.
    pub count: u64,
}
