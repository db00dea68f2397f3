//! A configured family of entities.

use std::num::NonZeroU64;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use greenroom_protocol::entity_id::is_kind;
use greenroom_protocol::limits::MAX_MEMBERS;
use serde::{Deserialize, Serialize};

use crate::behaviour::BehaviourConfig;
use crate::capability::Permissions;
use crate::settings::Problems;
use crate::settings::units::{self, KIB};

/// The settings that every kind has, whatever its behaviour: what `[kinds.NAME]` says, with the
/// defaults for what it does not say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// What every user with a token may do.
    pub default_permissions: Permissions,
    /// What every anonymous user may do, where anonymous access is allowed at all.
    pub anonymous_permissions: Permissions,
    /// Largest op or signal body, in bytes of JSON.
    #[serde(with = "units::size")]
    pub max_body_bytes: usize,
    /// Ops an entity accepts a second, over all senders.
    pub ops_per_second: u32,
    /// Ops beyond that in one burst.
    pub ops_burst: u32,
    /// Longest gap for which a returning subscriber gets events; after a longer one it gets a
    /// snapshot.
    pub resume_events: u64,
    /// Events kept in memory for returning subscribers.
    pub ring_events: usize,
    /// Bytes of event bodies kept in memory for returning subscribers.
    #[serde(with = "units::size")]
    pub ring_bytes: usize,
    /// Events kept in the journal behind the latest snapshot; `None` (0) keeps all.
    #[serde(with = "units::number_or_zero")]
    pub keep_events: Option<NonZeroU64>,
    /// Events between snapshots.
    pub snapshot_every: u64,
    /// Clients whose op numbers an entity remembers.
    pub dedupe_clients: usize,
    /// Outcomes remembered for each of them.
    pub dedupe_ops: usize,
    /// Users in an entity's presence at once.
    pub max_present: usize,
    /// Users in an entity's presence up to which they are listed. More are a crowd, of which
    /// subscribers learn only the number.
    pub presence_list: usize,
    /// How long presence changes gather before subscribers learn of them.
    #[serde(with = "units::duration")]
    pub presence_interval: Duration,
    /// How long an entity without subscribers, presence and requests stays awake.
    #[serde(with = "units::duration")]
    pub idle_timeout: Duration,
    /// Ops of one entity that may wait for the disk.
    pub max_pending_ops: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_permissions: Permissions::READ | Permissions::SEND,
            anonymous_permissions: Permissions::READ | Permissions::SEND,
            max_body_bytes: 32 * KIB,
            ops_per_second: 10_000,
            ops_burst: 20_000,
            resume_events: 1000,
            ring_events: 256,
            ring_bytes: 64 * KIB,
            keep_events: None,
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

impl Settings {
    fn check(&self, problems: &mut Problems) {
        problems.at_least("max_body_bytes", self.max_body_bytes, 64);
        problems.at_least("ops_per_second", self.ops_per_second, 1);
        problems.at_least("ops_burst", self.ops_burst, 1);
        problems.at_least("snapshot_every", self.snapshot_every, 1);
        problems.at_least("dedupe_clients", self.dedupe_clients, 1);
        if let Some(keep) = self.keep_events {
            problems.check(keep.get() >= self.resume_events, "keep_events", || {
                format!(
                    "is {keep}, below `resume_events` ({}); keep as many, or 0 for all",
                    self.resume_events
                )
            });
        }
        problems.at_least("max_present", self.max_present, 1);
        problems.check(self.presence_list <= MAX_MEMBERS, "presence_list", || {
            format!("is {}; a list has at most {MAX_MEMBERS} members", self.presence_list)
        });
    }
}

/// A kind that can work: its settings were checked. Shared by its entities.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    name: &'static str,
    behaviour: BehaviourConfig,
    settings: Settings,
}

/// Why there is no such kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the kind `{name}` cannot work: {problems}")]
pub struct BadKind {
    /// Its name.
    pub name: &'static str,
    /// Everything that is wrong; the keys are those of `[kinds.NAME]`.
    pub problems: Problems,
}

impl Kind {
    /// A kind that clients can ask for.
    ///
    /// # Errors
    /// Everything that is wrong with its name and its settings.
    pub fn new(
        name: &'static str,
        behaviour: BehaviourConfig,
        settings: Settings,
    ) -> Result<Self, BadKind> {
        let mut problems = Problems::default();
        problems.check(is_kind(name), "", || {
            "is not a valid name for a kind; it starts with a-z, and up to 31 of a-z, 0-9, `_` and `-` follow"
                .into()
        });
        Self::checked(name, behaviour, settings, problems)
    }

    /// A kind for the server's own use, whose name clients cannot write (see
    /// [`EntityId::internal`](greenroom_protocol::EntityId::internal)).
    ///
    /// # Errors
    /// Everything that is wrong with its settings.
    pub fn internal(
        name: &'static str,
        behaviour: BehaviourConfig,
        settings: Settings,
    ) -> Result<Self, BadKind> {
        Self::checked(name, behaviour, settings, Problems::default())
    }

    fn checked(
        name: &'static str,
        behaviour: BehaviourConfig,
        settings: Settings,
        mut problems: Problems,
    ) -> Result<Self, BadKind> {
        behaviour.check(&mut problems);
        settings.check(&mut problems);
        match problems.into_result() {
            Ok(()) => Ok(Self { name, behaviour, settings }),
            Err(problems) => Err(BadKind { name, problems }),
        }
    }

    /// The part of an entity id before the colon, and a metric's label.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What decides over ops.
    pub fn behaviour(&self) -> &BehaviourConfig {
        &self.behaviour
    }
}

impl Deref for Kind {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

/// The configured kinds by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kinds(Arc<HashMap<&'static str, Arc<Kind>>>);

impl Kinds {
    /// Collects kinds. If two have the same name, the later one counts.
    pub fn new(kinds: impl IntoIterator<Item = Kind>) -> Self {
        Self(Arc::new(kinds.into_iter().map(|kind| (kind.name, Arc::new(kind))).collect()))
    }

    /// The kind called `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<Kind>> {
        self.0.get(name)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::BehaviourName;
    use crate::behaviour::room::RoomConfig;

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let room =
            BehaviourConfig::Room(RoomConfig { messages: 0, ..RoomConfig::default() }.into());
        let settings =
            Settings { keep_events: NonZeroU64::new(5), snapshot_every: 0, ..Settings::default() };
        let bad = Kind::new("Lobby", room.clone(), settings.clone()).unwrap_err();
        let keys: Vec<_> = bad.problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["", "messages", "snapshot_every", "keep_events"]);
        assert!(bad.to_string().contains("`snapshot_every` is 0; it must be at least 1"), "{bad}");

        let bad = Kind::internal(".lobby", room, settings).unwrap_err();
        assert_eq!(bad.problems.iter().count(), 3, "such a name is right here: {bad}");
    }

    #[test]
    fn the_defaults_can_work() {
        for behaviour in BehaviourName::ALL {
            Kind::new("any", behaviour.with_defaults(), Settings::default()).unwrap();
        }
    }
}
