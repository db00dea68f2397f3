//! Notifications: what the server sends of its own accord.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::results::Event;
use crate::results::{Member, SnapshotReason};
use crate::{EntityId, Epoch, RawJson, Seq, WireError};

/// A volatile message from another subscriber.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SignalReceived")]
pub struct Signal {
    /// The entity that it was sent to.
    pub entity: EntityId,
    /// The user who sent it.
    pub from: String,
    /// The application's name for this type of signal.
    pub r#type: String,
    /// The signal's body.
    pub body: RawJson,
    /// The key, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Who joined, changed or left since the last such notification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PresenceChange {
    /// The entity.
    pub entity: EntityId,
    /// Users who joined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<Member>,
    /// Users whose meta or number of sessions changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updated: Vec<Member>,
    /// Users who left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// How many users are present now.
    pub count: u64,
    /// All members, instead of changes, if some changes had to be left out: replaces the client's
    /// list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Member>>,
}

/// The subscription could not be continued: replace your state with `snapshot`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reset {
    /// The entity.
    pub entity: EntityId,
    /// The entity's log.
    pub epoch: Epoch,
    /// The position of `snapshot`.
    pub seq: Seq,
    /// The state at `seq`.
    pub snapshot: RawJson,
    /// The reason.
    pub reason: SnapshotReason,
}

/// The server has ended a subscription; the connection stays open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unsubscribed {
    /// The entity that is no longer followed.
    pub entity: EntityId,
    /// The reason.
    pub reason: EndReason,
}

/// The server has ended this session's own presence; the connection stays open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Left {
    /// The entity in which the session is no longer present.
    pub entity: EntityId,
    /// The reason.
    pub reason: EndReason,
}

/// Why the server ends a subscription or a presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The session's identity no longer has the permission.
    Forbidden,
    /// The subscription could not be continued: subscribe again, with your position.
    Unavailable,
}

/// The server will close this connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Goodbye {
    /// The reason.
    pub reason: GoodbyeReason,
    /// How long until the connection is closed.
    pub closes_in_ms: u64,
    /// How long to wait after the close before reconnecting; reconnect at once if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnect_after_ms: Option<u64>,
}

/// Why the server says goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GoodbyeReason {
    /// Call `connect` with a fresh token to stay.
    TokenExpiring,
    /// The server is shutting down.
    ShuttingDown,
}

/// Requests without an `id` were refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// The method of the requests.
    pub method: String,
    /// The entity they were sent to; absent if they were sent to several, or to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<EntityId>,
    /// The error that the latest of them would have been answered with.
    pub error: WireError,
    /// How many requests were refused for this reason since the last such notification.
    pub count: u64,
}
