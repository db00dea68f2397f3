//! The configuration: plain structs, one per part.
//!
//! Each value comes from the last of these that names it: the defaults, the file
//! (`greenroom.toml`), the environment (`GREENROOM_SOCKET__PING_INTERVAL` for
//! `socket.ping_interval`), the command line. Unknown keys are errors.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use greenroom_actors::kind::Kinds;
use serde::{Deserialize, Serialize};

mod auth;
mod cluster;
mod core;
mod environment;
mod kinds;
mod limits;
mod load;
mod nats;
mod reader;
mod secret;
mod socket;
mod store;
pub mod units;

pub use crate::logging::LogFormat;
use crate::origin::Reach;
#[cfg(test)]
pub use auth::Anonymous;
pub use auth::{Admission, Algorithm, AnonymousUsers, AuthConfig, MIN_SECRET_BYTES};
pub use cluster::ClusterConfig;
pub use core::{
    DirectoryConfig, DrainConfig, JournalConfig, LogConfig, MetricsConfig, RelayConfig,
};
pub use greenroom_actors::settings::Problems;
pub use kinds::KindConfig;
pub use limits::LimitsConfig;
pub use load::{ConfigError, Loaded, Overrides, Survey, load, survey};
pub use nats::{NatsConfig, NatsCredentials};
#[cfg(test)]
pub use reader::Found;
pub use secret::{Secret, UnreadableFile, read_secret};
pub use socket::SocketConfig;
pub use store::{BadStoreUrl, StoreConfig, StoreUrl};

/// Everything that an operator can configure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address that clients connect to.
    #[serde(with = "units::required_listen")]
    pub listen: SocketAddr,
    /// The number of worker threads; `None` (0) means one per core.
    #[serde(with = "units::number_or_zero")]
    pub workers: Option<NonZeroUsize>,
    pub metrics: MetricsConfig,
    pub log: LogConfig,
    pub store: StoreConfig,
    pub socket: SocketConfig,
    pub auth: AuthConfig,
    pub limits: LimitsConfig,
    pub directory: DirectoryConfig,
    pub journal: JournalConfig,
    pub relay: RelayConfig,
    pub drain: DrainConfig,
    /// Set for a node of a cluster.
    pub cluster: Option<ClusterConfig>,
    /// The kinds of entities by name. If there are none, `room` and `doc` exist.
    pub kinds: BTreeMap<String, KindConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (std::net::Ipv4Addr::LOCALHOST, 8080).into(),
            workers: None,
            metrics: MetricsConfig::default(),
            log: LogConfig::default(),
            store: StoreConfig::default(),
            socket: SocketConfig::default(),
            auth: AuthConfig::default(),
            limits: LimitsConfig::default(),
            directory: DirectoryConfig::default(),
            journal: JournalConfig::default(),
            relay: RelayConfig::default(),
            drain: DrainConfig::default(),
            cluster: None,
            kinds: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Who can reach the socket.
    pub fn reach(&self) -> Reach {
        Reach::of(self.listen.ip())
    }

    /// Whether clients may connect without a token, and why.
    pub fn admission(&self) -> Admission {
        let signs = [
            (self.reach() == Reach::Network, "`listen` is not a loopback address"),
            (!self.limits.trusted_proxies.is_empty(), "`limits.trusted_proxies` is set"),
            (!self.socket.allowed_origins.is_empty(), "`socket.allowed_origins` is set"),
        ];
        self.auth.admission(signs.iter().find(|(shown, _)| *shown).map(|(_, sign)| *sign))
    }

    /// The number of worker threads to start.
    pub fn worker_count(&self) -> usize {
        self.workers
            .or_else(|| std::thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get)
    }

    /// Builds the kinds for the core. Each call leaks their names.
    ///
    /// # Errors
    /// If some kinds cannot work: all of them, and why.
    pub fn kinds(&self) -> Result<Kinds, Problems> {
        let mut problems = Problems::default();
        let kinds = self.build_kinds(&mut problems);
        problems.into_result().map(|()| kinds)
    }

    fn build_kinds(&self, problems: &mut Problems) -> Kinds {
        kinds::build(&self.kinds_or_default(), &self.socket, problems)
    }

    /// The names of the kinds, sorted.
    pub fn kind_names(&self) -> Vec<String> {
        self.kinds_or_default().keys().cloned().collect()
    }

    fn kinds_or_default(&self) -> Cow<'_, BTreeMap<String, KindConfig>> {
        if self.kinds.is_empty() {
            Cow::Owned(kinds::default_kinds())
        } else {
            Cow::Borrowed(&self.kinds)
        }
    }

    /// Checks all settings.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first problem.
    pub fn validate(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let workers = self.workers.map_or(0, NonZeroUsize::get);
        problems.check(workers <= 1024, "workers", || {
            format!("is {workers}, more than the cores of any machine; use 0 for one per core")
        });
        if self.metrics.listen == Some(self.listen) && self.listen.port() != 0 {
            problems.add(
                "metrics.listen",
                format!("is `{0}`, as is `listen`; choose another port", self.listen),
            );
        }
        self.log.check(&mut problems);
        self.store.check(&mut problems);
        self.socket.check(&mut problems);
        self.auth.check(&self.admission(), &mut problems);
        self.limits.check(&self.socket, &mut problems);
        self.directory.check(&mut problems);
        self.journal.check(&mut problems);
        self.relay.check(&mut problems);
        self.drain.check(&mut problems);
        if let Some(cluster) = &self.cluster {
            cluster.check(&self.store, &mut problems);
        }
        self.build_kinds(&mut problems);
        problems.into_result()
    }
}

#[cfg(test)]
mod tests;
