//! Several nodes on one database.

use std::time::Duration;

use greenroom_actors::cluster::asks;
use greenroom_actors::cluster::lease::Lease;
use greenroom_actors::cluster::link;
use greenroom_actors::cluster::link::wire::Subjects;
use greenroom_actors::cluster::membership;
use greenroom_actors::node;
use serde::{Deserialize, Serialize};

use super::units::{self, MIB};
use super::{NatsConfig, Problems, StoreConfig, StoreUrl};

/// One node of a cluster. All nodes share the database and NATS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterConfig {
    /// Names the cluster's subjects in NATS: the same on all nodes, and another one for each cluster
    /// that shares the NATS servers.
    pub name: String,
    /// A name of this node for people; the host's name if it is empty.
    pub node: String,
    /// How many slots the node is to own, in relation to the weights of the others. 0 owns nothing:
    /// such a node serves connections only.
    pub weight: u16,
    /// How long a node must commit nothing before others take its slots. The same on all nodes.
    #[serde(with = "units::duration")]
    pub lease: Duration,
    /// How long a request for another node's entity waits, at most, while that entity moves or its
    /// node is not heard.
    #[serde(with = "units::duration")]
    pub hold: Duration,
    /// The bytes of all such requests on this node.
    #[serde(with = "units::size")]
    pub hold_bytes: usize,
    /// The bytes that may wait for one other node. A node that takes no more is treated as one that
    /// was away: its sessions read on from the journal.
    #[serde(with = "units::size")]
    pub link_bytes: usize,
    /// How long a node that stops hands its slots over one by one; it gives up the rest at once.
    #[serde(with = "units::duration")]
    pub drain: Duration,
    /// The capacity of the queue of what is for other nodes, in messages.
    pub queue: usize,
    /// NATS, which carries messages between nodes.
    pub nats: NatsConfig,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            name: "greenroom".into(),
            node: String::new(),
            weight: 100,
            lease: Duration::from_secs(2),
            hold: Duration::from_secs(5),
            hold_bytes: 16 * MIB,
            link_bytes: 64 * MIB,
            drain: Duration::from_secs(10),
            queue: 16384,
            nats: NatsConfig::default(),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl ClusterConfig {
    /// The name of this node for people.
    pub fn node_name(&self) -> String {
        if !self.node.is_empty() {
            return self.node.clone();
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        host.or_else(|| std::env::var("HOSTNAME").ok())
            .map_or_else(|| "node".into(), |name| name.trim().to_owned())
    }

    /// The settings of the core. `grace` is how long sessions of a lost connection stay present.
    pub fn settings(&self, grace: Duration) -> node::Settings {
        let membership = membership::Settings::default();
        let length = millis(self.lease);
        let lease = Lease { length, margin: length / 10 };
        let asks = asks::Settings::default();
        node::Settings {
            membership: membership::Settings {
                lease,
                beat: length / 4,
                poll: length / 8,
                drain: millis(self.drain),
                // A stop takes up to twice of it longer.
                flush: (millis(self.drain) / 2).clamp(1000, membership.flush),
                ..membership
            },
            link: link::Settings { link_bytes: self.link_bytes, ..link::Settings::default() },
            asks: asks::Settings {
                hold: millis(self.hold),
                hold_bytes: self.hold_bytes,
                tell_hold: asks.tell_hold.max(2 * millis(grace)),
                ..asks
            },
            beat: membership.poll.min(length / 8),
            grace: millis(grace),
        }
    }

    /// How a node of this cluster uses the database: a transaction that hangs must be settled on
    /// another connection before the lease is over.
    pub fn store(&self, store: &StoreConfig) -> StoreConfig {
        StoreConfig { timeout: store.timeout.min(self.lease / 2), ..store.clone() }
    }

    pub(super) fn check(&self, store: &StoreConfig, problems: &mut Problems) {
        const MINUTE: Duration = Duration::from_secs(60);
        if let Err(error) = Subjects::new(&self.name) {
            problems.add("cluster.name", format!("is wrong: {error}"));
        }
        problems.check(self.node.len() <= 128, "cluster.node", || {
            format!("has {} bytes; use at most 128", self.node.len())
        });
        if !matches!(store.target(), Ok(StoreUrl::Server(_)) | Err(_)) {
            problems.add("store.url", format!("is `{}`, which only one process can open; nodes of a cluster share a SurrealDB server: write \"ws://HOST:PORT\", or leave out `[cluster]`", store.url));
        }
        problems.within("cluster.lease", self.lease, MINUTE / 120, MINUTE);
        problems.within("cluster.hold", self.hold, Duration::ZERO, MINUTE);
        problems.within("cluster.drain", self.drain, Duration::ZERO, 10 * MINUTE);
        problems.at_least("cluster.hold_bytes", self.hold_bytes, MIB);
        problems.at_least("cluster.link_bytes", self.link_bytes, 16 * MIB);
        problems.at_least("cluster.queue", self.queue, 256);
        if let Err(found) = self.nats.validate() {
            problems.add_below("cluster", found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &ClusterConfig, url: &str) -> String {
        let store = StoreConfig { url: url.into(), ..StoreConfig::default() };
        let mut problems = Problems::default();
        config.check(&store, &mut problems);
        problems.into_result().err().map(|problems| problems.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_cannot_work_is_named() {
        let config = ClusterConfig::default();
        assert_eq!(problems(&config, "ws://db:8000"), "");
        let found = problems(&config, "surrealkv://data");
        assert!(found.starts_with("`store.url` is `surrealkv://data`, which only one"), "{found}");
        let wrong = ClusterConfig { name: "a.b".into(), ..ClusterConfig::default() };
        let found = problems(&wrong, "ws://db:8000");
        assert!(found.starts_with("`cluster.name` is wrong: `a.b` is not a valid"), "{found}");
        let wrong = ClusterConfig { lease: Duration::from_millis(499), ..config.clone() };
        let found = problems(&wrong, "ws://db:8000");
        assert!(found.starts_with("`cluster.lease` is 499ms; it must be from 500ms"), "{found}");
        let nats = NatsConfig { url: Vec::new(), ..NatsConfig::default() };
        let found = problems(&ClusterConfig { nats, ..config }, "ws://db:8000");
        assert!(found.starts_with("`cluster.nats.url` is not set"), "{found}");
    }

    #[test]
    fn every_lease_that_is_allowed_works() {
        for ms in [500, 501, 750, 2000, 60_000] {
            let config =
                ClusterConfig { lease: Duration::from_millis(ms), ..ClusterConfig::default() };
            let settings = config.settings(Duration::from_secs(15));
            assert_eq!(settings.membership.check(), Ok(()), "{ms}");
            assert_eq!(settings.link.check(), Ok(()), "{ms}");
        }
    }

    #[test]
    fn the_database_is_given_half_a_lease() {
        let store = ClusterConfig::default().store(&StoreConfig::default());
        assert_eq!(store.timeout, Duration::from_secs(1));
        assert!(
            !ClusterConfig { node: "a".into(), ..ClusterConfig::default() }.node_name().is_empty()
        );
    }
}
