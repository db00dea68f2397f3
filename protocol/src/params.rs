//! What a client may ask for: one struct per method.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EntityId, Position, RawJson, Seq};

pub(crate) mod by_name;
mod check;

pub use check::check;

/// `connect`: who I am, and where I stood.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// A JWT; without one the caller is anonymous, where that is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A ULID naming this installation for exactly-once ops; the server gives one where it is left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The `session` of the connection that was lost, to take its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = crate::limits::MAX_SESSION))]
    pub session: Option<String>,
    /// Subscriptions to make (or make again) in the same round trip.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "by_name::list")]
    pub subscriptions: Vec<Subscribe>,
    /// Where to be present, in the same round trip: as by `presence` with the action `enter`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "by_name::list")]
    pub presence: Vec<Enter>,
    /// Name and version of the client's software, for logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What happens to a subscription's events when its session cannot take them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventPolicy {
    /// Pause, and read on from the journal when the socket drains.
    #[default]
    Replay,
    /// Close the session.
    Disconnect,
    /// No events are wanted.
    None,
}

/// What happens to a subscription's signals when its session cannot take them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalPolicy {
    /// The oldest waiting signal is dropped.
    #[default]
    DropOldest,
    /// The latest per sender, type and key is kept.
    Latest,
    /// No signals are wanted.
    None,
}

/// `subscribe`: follow an entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// The entity to follow.
    pub entity: EntityId,
    /// What the caller already has.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "by_name::optional"
    )]
    pub after: Option<Position>,
    /// Policy for events.
    #[serde(default)]
    pub events: EventPolicy,
    /// Policy for signals.
    #[serde(default)]
    pub signals: SignalPolicy,
    /// Whether to receive presence changes, and the list in the result.
    #[serde(default)]
    pub presence: bool,
}

/// `unsubscribe`, `read`: nothing but the entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The entity meant.
    pub entity: EntityId,
}

/// `send`: a durable op.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// The entity that decides.
    pub entity: EntityId,
    /// The behaviour's name for the op, at most 64 bytes.
    #[schemars(length(min = 1, max = crate::limits::MAX_TYPE))]
    pub r#type: String,
    /// The op's body.
    #[serde(default)]
    pub body: RawJson,
    /// The client's own number for this op: a repeat gets the first outcome and executes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = crate::limits::MAX_INTEGER))]
    pub n: Option<u64>,
    /// When the client first sent this op, in ms of the server's clock: an entity that has
    /// forgotten clients executes what is younger than they are. Without it the client id's own
    /// time stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = crate::limits::MAX_INTEGER))]
    pub first_sent: Option<u64>,
    /// Reject unless the entity is at this seq.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_seq: Option<Seq>,
    /// Chosen by the client, at random for each op: the event carries it, so that its sender
    /// recognizes it. 1 to 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = crate::limits::MAX_TAG))]
    pub tag: Option<String>,
}

/// `signal`: a volatile message to the other subscribers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// The entity whose subscribers get it.
    pub entity: EntityId,
    /// The application's name for it, at most 64 bytes.
    #[schemars(length(min = 1, max = crate::limits::MAX_TYPE))]
    pub r#type: String,
    /// Its body.
    #[serde(default)]
    pub body: RawJson,
    /// With the `latest` policy, a newer signal of the same sender, type and key replaces an older
    /// one. At most 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = crate::limits::MAX_KEY))]
    pub key: Option<String>,
}

/// `history`: a page of past events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The entity meant.
    pub entity: EntityId,
    /// The last `limit` events before this seq. Not together with `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Seq>,
    /// The first `limit` events after this seq.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Seq>,
    /// 1 to 1000; 100 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = crate::limits::MAX_HISTORY))]
    pub limit: Option<u32>,
}

/// What `presence` does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceAction {
    /// Tell who is here.
    #[default]
    List,
    /// Be here; entering again updates the meta.
    Enter,
    /// Be gone.
    Leave,
}

/// `presence`: list, enter or leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// The entity meant.
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

/// `ping`: nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ping {}
