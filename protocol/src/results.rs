//! The results of requests: one struct per method.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EntityId, Epoch, RawJson, Seq, WireError};

/// The result of `connect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connected {
    /// The name of this session, for logs, and to take it over in the next `connect` if this
    /// connection is lost.
    pub session: String,
    /// Present, and true, if this session has taken over the one that was asked for, including its
    /// presence.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
    /// The client id in use.
    pub client: String,
    /// The token's `sub`, or `anon-…`.
    pub user: String,
    /// When the identity expires, in ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// The server's clock, in ms since 1970.
    pub now: u64,
    /// The server's name and version.
    pub server: String,
    /// The limits that this session must keep to.
    pub limits: SessionLimits,
    /// The outcome of each of the request's `subscriptions`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<SubscriptionOutcome>,
    /// The outcome of each entry of the request's `presence`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub presence: Vec<PresenceOutcome>,
}

/// The limits that a session must keep to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionLimits {
    /// The largest message from the client, in bytes.
    pub max_message_bytes: u64,
    /// The largest `body`, in bytes of JSON.
    pub max_body_bytes: u64,
    /// The most subscriptions at a time.
    pub max_subscriptions: u32,
    /// The most unanswered requests at a time.
    pub max_in_flight: u32,
    /// How often the server pings an idle connection.
    pub ping_interval_ms: u64,
    /// The rate limits.
    pub rates: Rates,
}

/// A session's rate limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rates {
    /// Requests on this connection.
    pub requests: Rate,
    /// Bytes of messages on this connection.
    pub bytes: Rate,
    /// Requests of this user, over all its connections.
    pub user_requests: Rate,
}

/// A token bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RateLimit")]
pub struct Rate {
    /// Tokens added per second.
    pub per_second: u32,
    /// Tokens in a full bucket.
    pub burst: u32,
}

/// The outcome of one subscription requested in `connect`: exactly one of `result` and `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionOutcome {
    /// The entity.
    pub entity: EntityId,
    /// The result that `subscribe` would have had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Subscribed>,
    /// The error that it would have had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<WireError>,
}

/// The outcome of one presence entry requested in `connect`: exactly one of `result` and `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PresenceOutcome {
    /// The entity.
    pub entity: EntityId,
    /// The result that `presence` with the action `enter` would have had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<PresenceList>,
    /// The error that it would have had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<WireError>,
}

/// Why a subscriber receives a snapshot instead of the events it missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotReason {
    /// The subscriber gave no position.
    NoPosition,
    /// The position belongs to another log.
    EpochChanged,
    /// The missed events have been trimmed, or are more than the kind's `resume_events`.
    TooOld,
}

/// The result of `subscribe`: exactly one of `events` and `snapshot`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Subscribed {
    /// The entity.
    pub entity: EntityId,
    /// The entity's log.
    pub epoch: Epoch,
    /// The client's position once it has applied this result.
    pub seq: Seq,
    /// The events that the client missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Event>>,
    /// Why there is a snapshot instead of events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<SnapshotReason>,
    /// Who is present, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<PresenceList>,
    /// The state at `seq`. This is the last field, so that one encoded state can serve many
    /// answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<RawJson>,
}

/// An accepted op as subscribers see it. `entity` is absent in results that already name the
/// entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The entity, in notifications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<EntityId>,
    /// Its position in the log.
    pub seq: Seq,
    /// When the op was accepted, in ms since 1970.
    pub at: u64,
    /// The user who sent it.
    pub from: String,
    /// The behaviour's name for this type of op.
    pub r#type: String,
    /// The body; null once it has been deleted.
    pub body: RawJson,
    /// Present, and true, if the body has been deleted. The event keeps its position.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The tag that the sender chose, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// The result of `send`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// The event's position in the log.
    pub seq: Seq,
    /// The log.
    pub epoch: Epoch,
    /// When the op was accepted, in ms since 1970.
    pub at: u64,
    /// The value that the behaviour returns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RawJson>,
    /// True if this repeats the first outcome of a repeated op.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// The result of `read`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// The log.
    pub epoch: Epoch,
    /// The position of `state`.
    pub seq: Seq,
    /// The committed state. This is the last field, as in [`Subscribed`].
    pub state: RawJson,
}

/// The result of `history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryPage {
    /// The log.
    pub epoch: Epoch,
    /// The events in ascending order of seq.
    pub events: Vec<Event>,
    /// Whether there are further events in the requested direction.
    pub more: bool,
}

/// A user who is present.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The user.
    pub user: String,
    /// The meta that the user set last.
    pub meta: RawJson,
    /// How many of the user's sessions are present.
    pub sessions: u32,
}

/// The result of `presence`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PresenceList {
    /// How many users are present.
    pub count: u64,
    /// The members; absent for `enter` and `leave`, and if there are too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Member>>,
}

/// The result of `ping`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pong {
    /// The server's time, in ms since 1970.
    pub now: u64,
}

/// The result of methods that return nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Empty {}
