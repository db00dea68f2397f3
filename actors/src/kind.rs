//! A configured family of entities.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::behaviour::BehaviourConfig;
use crate::capability::Permissions;

/// All that is configured of a kind. Shared by its entities.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    /// Its name: the part of an entity id before the colon, and a metric's label.
    pub name: &'static str,
    /// What decides over ops.
    pub behaviour: BehaviourConfig,
    /// What every authenticated user may do.
    pub default_permissions: Permissions,
    /// What every anonymous user may do.
    pub anonymous_permissions: Permissions,
    /// Largest op or signal body, in bytes of JSON.
    pub max_body_bytes: usize,
    /// Ops an entity accepts a second, over all senders.
    pub ops_per_second: u32,
    /// Ops beyond that in one burst.
    pub ops_burst: u32,
    /// Longest gap that a subscriber is given as events, not as a snapshot.
    pub resume_events: u64,
    /// Events kept in memory for resuming subscribers.
    pub ring_events: usize,
    /// Bytes of event bodies kept in memory for resuming subscribers.
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
    /// Users in an entity's presence up to which they are listed; more are a crowd, of which only
    /// the number is told.
    pub presence_list: usize,
    /// How long presence changes gather before they are told.
    pub presence_interval: Duration,
    /// How long an entity without subscribers, presence and requests stays awake.
    pub idle_timeout: Duration,
    /// Ops of one entity that may wait for the disk.
    pub max_pending_ops: usize,
}

/// The configured kinds by name.
#[derive(Debug, Clone, Default)]
pub struct Kinds(Arc<HashMap<&'static str, Arc<Kind>>>);

impl Kinds {
    /// Collects kinds; of two with one name the later counts.
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
