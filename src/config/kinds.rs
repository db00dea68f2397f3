//! The kinds of entities.

use std::collections::BTreeMap;
use std::time::Duration;

use greenroom_actors::behaviour::BehaviourConfig;
use greenroom_actors::behaviour::document::DocumentConfig;
use greenroom_actors::behaviour::room::RoomConfig;
use greenroom_actors::capability::Permissions;
use greenroom_actors::kind::Kind;
use greenroom_protocol::entity_id::is_kind;
use greenroom_protocol::{RawJson, limits};
use serde::{Deserialize, Serialize};

use super::units::{self, Bytes, KIB, MIB};
use super::{Problems, SocketConfig};

/// Deepest document state there may be.
const MAX_STATE_DEPTH: usize = 100;

/// The behaviours there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BehaviourName {
    /// A chat room.
    Room,
    /// A JSON document.
    Document,
}

/// One kind: `[kinds.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KindConfig {
    /// What decides over ops. The one key that must be set.
    pub behaviour: Option<BehaviourName>,
    /// What every authenticated user may do.
    pub default_permissions: Vec<String>,
    /// What every anonymous user may do, where anonymous access is allowed at all.
    pub anonymous_permissions: Vec<String>,
    /// Room: messages in the state.
    pub messages: Option<usize>,
    /// Room: different emoji on one message.
    pub max_reactions: Option<usize>,
    /// Room: users on one message's emoji, added up over its emoji.
    pub max_reactors: Option<usize>,
    /// Document: the state before the first op.
    #[serde(deserialize_with = "super::initial::finite")]
    pub initial: Option<serde_json::Value>,
    /// Largest state, in bytes of JSON: a document takes nothing that goes beyond it, a room's
    /// oldest messages leave sooner.
    #[serde(with = "units::optional_size")]
    pub max_state_bytes: Option<usize>,
    /// Document: deepest nesting of the state.
    pub max_depth: Option<usize>,
    /// Largest op or signal body.
    #[serde(with = "units::size")]
    pub max_body_bytes: usize,
    /// Ops an entity accepts a second, over all senders.
    pub ops_per_second: u32,
    /// Ops beyond that in one burst.
    pub ops_burst: u32,
    /// Longest gap that a subscriber is given as events, not as a snapshot.
    pub resume_events: u64,
    /// Events each entity keeps in memory for resuming subscribers.
    pub ring_events: usize,
    /// Bytes of event bodies each entity keeps in memory for them.
    #[serde(with = "units::size")]
    pub ring_bytes: usize,
    /// Events kept in the journal behind the latest snapshot; 0 keeps all.
    pub keep_events: u64,
    /// Events between snapshots.
    pub snapshot_every: u64,
    /// Clients whose op numbers an entity remembers.
    pub dedupe_clients: usize,
    /// Outcomes remembered for each of them.
    pub dedupe_ops: usize,
    /// Users in an entity's presence at once.
    pub max_present: usize,
    /// Users up to which they are listed; of more only the number is told.
    pub presence_list: usize,
    /// How long presence changes gather before they are told.
    #[serde(with = "units::duration")]
    pub presence_interval: Duration,
    /// How long an entity that nobody uses stays awake.
    #[serde(with = "units::duration")]
    pub idle_timeout: Duration,
    /// Ops of one entity that may wait for the disk.
    pub max_pending_ops: usize,
}

impl Default for KindConfig {
    fn default() -> Self {
        let usual = || ["read", "send"].map(String::from).to_vec();
        Self {
            behaviour: None,
            default_permissions: usual(),
            anonymous_permissions: usual(),
            messages: None,
            max_reactions: None,
            max_reactors: None,
            initial: None,
            max_state_bytes: None,
            max_depth: None,
            max_body_bytes: 32 * KIB,
            ops_per_second: 10_000,
            ops_burst: 20_000,
            resume_events: 1000,
            ring_events: 256,
            ring_bytes: 64 * KIB,
            keep_events: 0,
            snapshot_every: 1000,
            dedupe_clients: 1024,
            dedupe_ops: 128,
            max_present: 10_000,
            presence_list: 1000,
            presence_interval: Duration::from_millis(200),
            idle_timeout: Duration::from_secs(60),
            max_pending_ops: 8192,
        }
    }
}

impl KindConfig {
    /// Messages in a room's state, unless configured.
    pub const MESSAGES: usize = 100;
    /// Different emoji on one message, unless configured.
    pub const MAX_REACTIONS: usize = 32;
    /// Users on one message's emoji, unless configured.
    pub const MAX_REACTORS: usize = 1000;
    /// Largest state, unless configured.
    pub const MAX_STATE_BYTES: usize = MIB;
    /// Deepest nesting of a document's state, unless configured.
    pub const MAX_DEPTH: usize = 64;

    /// The kinds there are when none is configured: `room` and `doc`.
    pub fn default_kinds() -> BTreeMap<String, Self> {
        let of = |behaviour| Self { behaviour: Some(behaviour), ..Self::default() };
        [("room".into(), of(BehaviourName::Room)), ("doc".into(), of(BehaviourName::Document))]
            .into()
    }

    /// The kind as the core knows it. Leaks `name`, which lives as long as the program anyway: it
    /// labels metrics.
    pub(super) fn to_kind(&self, name: &str) -> Kind {
        Kind {
            name: String::leak(name.to_owned()),
            behaviour: self.behaviour(),
            default_permissions: permissions(&self.default_permissions),
            anonymous_permissions: permissions(&self.anonymous_permissions),
            max_body_bytes: self.max_body_bytes,
            ops_per_second: self.ops_per_second,
            ops_burst: self.ops_burst,
            resume_events: self.resume_events,
            ring_events: self.ring_events,
            ring_bytes: self.ring_bytes,
            keep_events: self.keep_events,
            snapshot_every: self.snapshot_every,
            dedupe_clients: self.dedupe_clients,
            dedupe_ops: self.dedupe_ops,
            max_present: self.max_present,
            presence_list: self.presence_list,
            presence_interval: self.presence_interval,
            idle_timeout: self.idle_timeout,
            max_pending_ops: self.max_pending_ops,
        }
    }

    fn behaviour(&self) -> BehaviourConfig {
        match self.behaviour.expect("a validated kind has a behaviour") {
            BehaviourName::Room => BehaviourConfig::Room(RoomConfig {
                messages: self.messages.unwrap_or(Self::MESSAGES),
                max_state_bytes: self.max_state_bytes.unwrap_or(Self::MAX_STATE_BYTES),
                max_reactions: self.max_reactions.unwrap_or(Self::MAX_REACTIONS),
                max_reactors: self.max_reactors.unwrap_or(Self::MAX_REACTORS),
            }),
            BehaviourName::Document => BehaviourConfig::Document(DocumentConfig {
                initial: self.initial.as_ref().map_or_else(|| json(&serde_json::json!({})), json),
                max_state_bytes: self.max_state_bytes.unwrap_or(Self::MAX_STATE_BYTES),
                max_depth: self.max_depth.unwrap_or(Self::MAX_DEPTH),
            }),
        }
    }

    pub(super) fn check(&self, name: &str, socket: &SocketConfig, problems: &mut Problems) {
        let key = |field: &str| format!("kinds.{name}.{field}");
        if !is_kind(name) {
            problems
                .add(format!("kinds.{name}"), "is no name for a kind; it starts with a-z, and up to 31 of a-z, 0-9, `_` and `-` follow");
        }
        self.check_behaviour(&key, problems);
        for (field, names) in [
            ("default_permissions", &self.default_permissions),
            ("anonymous_permissions", &self.anonymous_permissions),
        ] {
            if let Err(error) = Permissions::parse(names) {
                problems.add(key(field), format!("holds an unknown word: {error}"));
            }
        }
        problems.at_least(key("max_body_bytes"), self.max_body_bytes, 64);
        problems.check(self.max_body_bytes < socket.max_message_bytes, &key("max_body_bytes"), || {
            format!(
                "is {}, but a message of `socket.max_message_bytes` ({}) has to hold the body and what is around it",
                Bytes(self.max_body_bytes),
                Bytes(socket.max_message_bytes)
            )
        });
        problems.at_least(key("ops_per_second"), self.ops_per_second, 1);
        problems.at_least(key("ops_burst"), self.ops_burst, 1);
        problems.at_least(key("snapshot_every"), self.snapshot_every, 1);
        problems.at_least(key("dedupe_clients"), self.dedupe_clients, 1);
        problems.check(self.dedupe_ops >= socket.max_in_flight, &key("dedupe_ops"), || {
            format!(
                "is {}, below `socket.max_in_flight` ({}): a client could not learn after a reconnect what became of its ops",
                self.dedupe_ops, socket.max_in_flight
            )
        });
        problems.check(
            self.keep_events == 0 || self.keep_events >= self.resume_events,
            &key("keep_events"),
            || {
                format!(
                    "is {}, below `resume_events` ({}); keep as many, or 0 for all",
                    self.keep_events, self.resume_events
                )
            },
        );
        problems.at_least(key("max_present"), self.max_present, 1);
        problems.check(self.presence_list <= limits::MAX_MEMBERS, &key("presence_list"), || {
            format!("is {}; a list has at most {} members", self.presence_list, limits::MAX_MEMBERS)
        });
        let (ms, second) = (Duration::from_millis(1), Duration::from_secs(1));
        problems.within(key("presence_interval"), self.presence_interval, ms, 60 * second);
        problems.within(key("idle_timeout"), self.idle_timeout, second, 86400 * second);
        problems.at_least(key("max_pending_ops"), self.max_pending_ops, socket.max_in_flight);
    }

    /// Wants a behaviour, no settings of another one, and sense in its own.
    fn check_behaviour(&self, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
        let room = [
            ("messages", self.messages.is_some()),
            ("max_reactions", self.max_reactions.is_some()),
            ("max_reactors", self.max_reactors.is_some()),
        ];
        let document =
            [("initial", self.initial.is_some()), ("max_depth", self.max_depth.is_some())];
        let (foreign, owner) = match self.behaviour {
            None => {
                return problems
                    .add(key("behaviour"), "is not set; write \"room\" or \"document\"");
            }
            Some(BehaviourName::Room) => (&document[..], "document"),
            Some(BehaviourName::Document) => (&room[..], "room"),
        };
        for (field, _) in foreign.iter().filter(|(_, set)| *set) {
            problems.add(key(field), format!("belongs to the behaviour \"{owner}\", which this kind does not have; leave it out"));
        }
        for (field, value) in [
            ("messages", self.messages),
            ("max_reactions", self.max_reactions),
            ("max_reactors", self.max_reactors),
        ] {
            problems.at_least(key(field), value.unwrap_or(1), 1);
        }
        problems.at_least(
            key("max_state_bytes"),
            self.max_state_bytes.unwrap_or(Self::MAX_STATE_BYTES),
            64,
        );
        let depth = self.max_depth.unwrap_or(Self::MAX_DEPTH);
        problems.check((1..=MAX_STATE_DEPTH).contains(&depth), &key("max_depth"), || {
            format!("is {depth}; it must be from 1 to {MAX_STATE_DEPTH}")
        });
        if let Some(initial) = &self.initial {
            let (bytes, most) =
                (initial.to_string().len(), self.max_state_bytes.unwrap_or(Self::MAX_STATE_BYTES));
            problems.check(bytes <= most, &key("initial"), || {
                format!("has {bytes} bytes of JSON, over `max_state_bytes` ({})", Bytes(most))
            });
            let nested = json(initial).depth();
            problems.check(nested <= depth, &key("initial"), || {
                format!("is nested {nested} deep, over `max_depth` ({depth})")
            });
        }
    }
}

fn permissions(names: &[String]) -> Permissions {
    Permissions::parse(names).expect("a validated kind names permissions that exist")
}

fn json(value: &serde_json::Value) -> RawJson {
    RawJson::from_value(value).expect("a JSON value prints as JSON")
}
