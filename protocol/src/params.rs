//! The parameters of requests: one struct per method.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EntityId, Position, RawJson, Seq};

pub(crate) mod by_name;

/// `connect`: identifies the client and resumes its session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// A JWT; without one the user is anonymous, if the server admits anonymous users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A ULID that names this installation, for exactly-once ops; the server assigns one if it is
    /// omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The `session` of the lost connection, to take it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = crate::limits::MAX_SESSION))]
    pub session: Option<String>,
    /// Subscriptions to make (or to make again) in the same round trip.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "by_name::list")]
    pub subscriptions: Vec<Subscribe>,
    /// The entities to be present in, entered in the same round trip, as by `presence` with the
    /// action `enter`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "by_name::list")]
    pub presence: Vec<Enter>,
    /// The name and version of the client's software, for logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What happens to a subscription's events when the session's outbox is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventPolicy {
    /// Pause, and continue from the journal once the outbox drains.
    #[default]
    Replay,
    /// Close the connection.
    Disconnect,
    /// Send no events.
    None,
}

/// What happens to a subscription's signals when the session's outbox is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalPolicy {
    /// Drop the oldest waiting signal.
    #[default]
    DropOldest,
    /// Keep only the latest signal of each sender, type and key.
    Latest,
    /// Send no signals.
    None,
}

/// `subscribe`: follows an entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// The entity to follow.
    pub entity: EntityId,
    /// The position up to which the client already has the log.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "by_name::optional"
    )]
    pub after: Option<Position>,
    /// The policy for events.
    #[serde(default)]
    pub events: EventPolicy,
    /// The policy for signals.
    #[serde(default)]
    pub signals: SignalPolicy,
    /// Whether to receive presence changes, and the presence list in the result.
    #[serde(default)]
    pub presence: bool,
}

/// `unsubscribe` and `read`: only the entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The entity.
    pub entity: EntityId,
}

/// `send`: a durable op.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// The entity that the op is for.
    pub entity: EntityId,
    /// The behaviour's name for this type of op, at most 64 bytes.
    #[schemars(length(min = 1, max = crate::limits::MAX_TYPE))]
    pub r#type: String,
    /// The op's body.
    #[serde(default)]
    pub body: RawJson,
    /// The client's own number for this op: repeating the number returns the first outcome and
    /// executes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = crate::limits::MAX_INTEGER))]
    pub n: Option<u64>,
    /// When the client first sent this op, in ms by the server's clock. It tells an entity that has
    /// forgotten some clients whether the op is younger than what it has forgotten: only then is
    /// the op executed. Without `first_sent`, the time in the client id is used instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = crate::limits::MAX_INTEGER))]
    pub first_sent: Option<u64>,
    /// Reject the op unless the entity is at this seq.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_seq: Option<Seq>,
    /// A random tag that the client chooses for each op. The event carries it, so that the sender
    /// recognizes its own op. 1 to 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = crate::limits::MAX_TAG))]
    pub tag: Option<String>,
}

/// `signal`: a volatile message to the other subscribers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// The entity whose subscribers receive it.
    pub entity: EntityId,
    /// The application's name for this type of signal, at most 64 bytes.
    #[schemars(length(min = 1, max = crate::limits::MAX_TYPE))]
    pub r#type: String,
    /// The signal's body.
    #[serde(default)]
    pub body: RawJson,
    /// With the policy `latest`, a newer signal of the same sender, type and key replaces an older
    /// one. At most 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = crate::limits::MAX_KEY))]
    pub key: Option<String>,
}

/// `history`: a page of past events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The entity.
    pub entity: EntityId,
    /// Return the last `limit` events before this seq. Cannot be combined with `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Seq>,
    /// Return the first `limit` events after this seq.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Seq>,
    /// 1 to 1000; 100 if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = crate::limits::MAX_HISTORY))]
    pub limit: Option<u32>,
}

/// What `presence` does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceAction {
    /// List who is present.
    #[default]
    List,
    /// Become present; entering again updates the meta.
    Enter,
    /// Stop being present.
    Leave,
}

/// `presence`: list, enter or leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// The entity.
    pub entity: EntityId,
    /// What to do.
    #[serde(default)]
    pub action: PresenceAction,
    /// With `enter`: a JSON object of at most 1 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub meta: Option<RawJson>,
}

/// One entity to be present in, within `connect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enter {
    /// The entity to enter.
    pub entity: EntityId,
    /// A JSON object of at most 1 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub meta: Option<RawJson>,
}

/// `ping`: no parameters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ping {}
