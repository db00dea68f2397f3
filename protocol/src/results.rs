//! What the server answers: one struct per method's result.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EntityId, Epoch, RawJson, Seq, WireError};

/// The result of `connect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connected {
    /// This session's name: for logs, and to take its place with the next `connect` should this
    /// connection be lost.
    pub session: String,
    /// Present, and true, where this session has taken the place of the one that was asked for: its
    /// presence is this one's now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
    /// The client id in force.
    pub client: String,
    /// The token's `sub`, or `anon-…`.
    pub user: String,
    /// When the identity expires, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// The server's clock, in ms since the epoch.
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

/// What a session must keep to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionLimits {
    /// Largest message from the client, in bytes.
    pub max_message_bytes: u64,
    /// Largest `body`, in bytes of JSON.
    pub max_body_bytes: u64,
    /// Most subscriptions at once.
    pub max_subscriptions: u32,
    /// Most unanswered requests at once.
    pub max_in_flight: u32,
    /// How often the server pings an idle connection.
    pub ping_interval_ms: u64,
    /// How much it may ask for.
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
    /// Tokens regained a second.
    pub per_second: u32,
    /// Tokens that a full bucket holds.
    pub burst: u32,
}

/// The outcome of one subscription asked for within `connect`: exactly one of `result` and `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionOutcome {
    /// The entity meant.
    pub entity: EntityId,
    /// What `subscribe` would have answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Subscribed>,
    /// The error it would have answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<WireError>,
}

/// The outcome of one presence entry asked for within `connect`: exactly one of `result` and
/// `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PresenceOutcome {
    /// The entity meant.
    pub entity: EntityId,
    /// What `presence` with the action `enter` would have answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<PresenceList>,
    /// The error it would have answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<WireError>,
}

/// Why a subscriber got a snapshot instead of the events it missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotReason {
    /// It gave no position.
    NoPosition,
    /// Its position belongs to another log.
    EpochChanged,
    /// The gap is trimmed, or longer than the kind's `resume_events`.
    TooOld,
}

/// The result of `subscribe`: exactly one of `events` and `snapshot`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Subscribed {
    /// The entity meant.
    pub entity: EntityId,
    /// Its log.
    pub epoch: Epoch,
    /// The caller's position once it has applied this.
    pub seq: Seq,
    /// The events it missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Event>>,
    /// Why there is a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<SnapshotReason>,
    /// Who is here, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<PresenceList>,
    /// The state at `seq`. Last, so that one encoded state serves many answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<RawJson>,
}

/// An accepted op as subscribers see it. `entity` is absent inside results that name it already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The entity, in notifications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<EntityId>,
    /// Its place in the log.
    pub seq: Seq,
    /// When it was accepted, in ms since the epoch.
    pub at: u64,
    /// The sender's user.
    pub from: String,
    /// The behaviour's name for it.
    pub r#type: String,
    /// Its body; null once it is deleted.
    pub body: RawJson,
    /// Present, and true, when the body was deleted. The event keeps its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// As its sender chose it, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// The result of `send`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// The event's place in the log.
    pub seq: Seq,
    /// The log.
    pub epoch: Epoch,
    /// When it was accepted, in ms since the epoch.
    pub at: u64,
    /// What the behaviour returns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RawJson>,
    /// True when this is the first outcome of a repeated op.
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
    /// The committed state. Last, as in [`Subscribed`].
    pub state: RawJson,
}

/// The result of `history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryPage {
    /// The log.
    pub epoch: Epoch,
    /// Ascending by seq.
    pub events: Vec<Event>,
    /// There are further events in the direction asked for.
    pub more: bool,
}

/// One user who is here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The user.
    pub user: String,
    /// What it last said of itself.
    pub meta: RawJson,
    /// How many of its sessions are here.
    pub sessions: u32,
}

/// The result of `presence`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PresenceList {
    /// How many users are here.
    pub count: u64,
    /// Who they are; absent for `enter` and `leave`, and in a crowd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Member>>,
}

/// The result of `ping`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pong {
    /// The server's time, in ms since the epoch.
    pub now: u64,
}

/// The result of methods that have nothing to tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Empty {}
