//! The small sections: metrics, log, directory, journal, relay, drain.

use std::net::SocketAddr;
use std::time::Duration;

use greenroom_actors::store::MAX_ROW_EVENTS;
use serde::{Deserialize, Serialize};

use super::Problems;
use super::units::{self, KIB, MIB};
use crate::logging::{self, LogFormat};

/// The longest that a transaction may wait for more ops.
const MAX_LINGER: Duration = Duration::from_millis(100);
const MINUTE: Duration = Duration::from_secs(60);

/// The listener for operators: `/metrics`, `/live`, `/ready`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// The address to listen on; `None` (`""`) turns the listener off.
    #[serde(with = "units::listen")]
    pub listen: Option<SocketAddr>,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { listen: Some((std::net::Ipv4Addr::LOCALHOST, 9464).into()) }
    }
}

/// Which lines are logged, and in which format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    pub format: LogFormat,
    /// In the syntax of `tracing`'s `EnvFilter`.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info,surrealdb=warn,surrealkv=error,actix_server=warn,actix_http=off,async_nats=warn".into(),
        }
    }
}

impl LogConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        if let Err(error) = logging::filter(&self.filter) {
            problems.add(
                "log.filter",
                format!(
                    "is `{}`: {error}; write a level, or pairs such as \"info,greenroom=debug\"",
                    self.filter
                ),
            );
        }
    }
}

/// Limits on entities in memory and on waking them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DirectoryConfig {
    /// The number of entities that can be loading, over all workers.
    pub cold_starts: usize,
    /// The number of entities that can be waiting to load; more are refused with `overloaded`.
    pub cold_start_queue: usize,
    /// The number of entities in memory, over all workers; more are refused with `overloaded`.
    pub max_awake: usize,
    /// The capacity of each worker's directory queue, in messages.
    pub inbox: usize,
    /// The capacity of an entity's mailbox, in messages.
    pub entity_inbox: usize,
}

impl Default for DirectoryConfig {
    fn default() -> Self {
        Self {
            cold_starts: 64,
            cold_start_queue: 4096,
            max_awake: 1_000_000,
            inbox: 16384,
            entity_inbox: 1024,
        }
    }
}

impl DirectoryConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.at_least("directory.cold_starts", self.cold_starts, 1);
        problems.at_least("directory.cold_start_queue", self.cold_start_queue, 1);
        problems.at_least("directory.max_awake", self.max_awake, 1);
        problems.at_least("directory.inbox", self.inbox, 16);
        problems.at_least("directory.entity_inbox", self.entity_inbox, 16);
    }
}

/// The queue between the entities and the disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// The number of ops that can wait for the disk, over all entities; more are refused with
    /// `overloaded`.
    pub queue_ops: usize,
    /// The maximum number of ops in one transaction.
    pub batch_ops: usize,
    /// The maximum size of the bodies in one transaction.
    #[serde(with = "units::size")]
    pub batch_bytes: usize,
    /// The longest that a transaction waits for more ops under load; zero means that it never
    /// waits.
    #[serde(with = "units::duration")]
    pub linger: Duration,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            queue_ops: 65536,
            batch_ops: 4096,
            batch_bytes: 4 * MIB,
            linger: Duration::from_millis(4),
        }
    }
}

impl JournalConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.check(
            (1..=MAX_ROW_EVENTS).contains(&(self.batch_ops as u64)),
            "journal.batch_ops",
            || format!("is {}; it must be from 1 to {MAX_ROW_EVENTS}", self.batch_ops),
        );
        problems.at_least("journal.batch_bytes", self.batch_bytes, 64 * KIB);
        problems.check(self.linger <= MAX_LINGER, "journal.linger", || {
            format!(
                "is {:?}; it must be at most {MAX_LINGER:?}, since every op waits for it",
                self.linger
            )
        });
        problems.check(self.queue_ops >= self.batch_ops, "journal.queue_ops", || {
            format!(
                "is {}, below `journal.batch_ops` ({}): no batch could fill up",
                self.queue_ops, self.batch_ops
            )
        });
    }
}

/// Fan-out on each worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelayConfig {
    /// The capacity of each worker's relay queue, in messages.
    pub queue: usize,
    /// The share of each worker's time for paused subscriptions that catch up, in percent; 100
    /// means no limit.
    pub catch_up_percent: u32,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self { queue: 4096, catch_up_percent: 10 }
    }
}

impl RelayConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.at_least("relay.queue", self.queue, 16);
        problems.check(
            (1..=100).contains(&self.catch_up_percent),
            "relay.catch_up_percent",
            || format!("is {}; it must be from 1 to 100", self.catch_up_percent),
        );
    }
}

/// How the server stops.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrainConfig {
    /// The time limit for stopping.
    #[serde(with = "units::duration")]
    pub deadline: Duration,
    /// After this time the first clients are asked to reconnect; about as long as a restart takes.
    #[serde(with = "units::duration")]
    pub reconnect_after: Duration,
    /// The period after that over which reconnects are spread.
    #[serde(with = "units::duration")]
    pub reconnect_spread: Duration,
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            reconnect_after: Duration::from_millis(500),
            reconnect_spread: Duration::from_secs(5),
        }
    }
}

impl DrainConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.within("drain.deadline", self.deadline, Duration::ZERO, 60 * MINUTE);
        problems.within("drain.reconnect_after", self.reconnect_after, Duration::ZERO, 60 * MINUTE);
        problems.within(
            "drain.reconnect_spread",
            self.reconnect_spread,
            Duration::ZERO,
            60 * MINUTE,
        );
    }
}
