//! How much clients may ask for.

use std::time::Duration;

use greenroom_actors::limits::{Allowance, Rate};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::units::{self, Bytes, KIB, MIB};
use super::{Problems, SocketConfig};

/// Rates are token buckets: a number of tokens a second, and a burst after a rest. An entity's own
/// rate belongs to its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Requests a second on one connection.
    pub requests_per_second: u32,
    /// Requests in one burst on one connection.
    pub requests_burst: u32,
    /// Bytes a second on one connection.
    #[serde(with = "units::size")]
    pub bytes_per_second: usize,
    /// Bytes in one burst on one connection.
    #[serde(with = "units::size")]
    pub bytes_burst: usize,
    /// Requests a second of one user, over all its connections to this node.
    pub user_requests_per_second: u32,
    /// Requests in one burst of one user.
    pub user_requests_burst: u32,
    /// Requests a second of all anonymous users of one address, since they choose their own names.
    pub anonymous_requests_per_second: u32,
    /// Requests in one burst of them.
    pub anonymous_requests_burst: u32,
    /// Entities that one user may wake a second.
    pub user_wakes_per_second: u32,
    /// Entities that one user may wake in one burst.
    pub user_wakes_burst: u32,
    /// Entities that one user may keep awake at once.
    pub user_awake: usize,
    /// Entities that all users of one address may wake a second.
    pub address_wakes_per_second: u32,
    /// Entities that they may wake in one burst.
    pub address_wakes_burst: u32,
    /// Entities that they may keep awake at once.
    pub address_awake: usize,
    /// New connections a second from one address.
    pub connections_per_address_per_second: u32,
    /// New connections in one burst from one address.
    pub connections_per_address_burst: u32,
    /// Connections at once from one address; 0 is no limit.
    pub connections_per_address: usize,
    /// Messages within `abuse_window` that a client sends although it was told to wait, after which
    /// its connection is closed.
    pub abuse_after: u32,
    /// How long these are remembered.
    #[serde(with = "units::duration")]
    pub abuse_window: Duration,
    /// Proxies whose `X-Forwarded-For` is believed, as networks.
    #[serde(with = "units::networks")]
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            requests_per_second: 100,
            requests_burst: 200,
            bytes_per_second: 256 * KIB,
            bytes_burst: MIB,
            user_requests_per_second: 200,
            user_requests_burst: 400,
            anonymous_requests_per_second: 200,
            anonymous_requests_burst: 400,
            user_wakes_per_second: 50,
            user_wakes_burst: 512,
            user_awake: 4096,
            address_wakes_per_second: 500,
            address_wakes_burst: 5000,
            address_awake: 20_000,
            connections_per_address_per_second: 50,
            connections_per_address_burst: 200,
            connections_per_address: 0,
            abuse_after: 100,
            abuse_window: Duration::from_secs(10),
            trusted_proxies: Vec::new(),
        }
    }
}

impl LimitsConfig {
    /// The rate of one connection's requests.
    pub fn requests(&self) -> Rate {
        Rate::new(self.requests_per_second, self.requests_burst)
    }

    /// The rate of one connection's bytes.
    pub fn bytes(&self) -> Rate {
        let narrow = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
        Rate::new(narrow(self.bytes_per_second), narrow(self.bytes_burst))
    }

    /// What one user may do.
    pub fn user(&self) -> Allowance {
        Allowance {
            requests: Rate::new(self.user_requests_per_second, self.user_requests_burst),
            wakes: Rate::new(self.user_wakes_per_second, self.user_wakes_burst),
            awake: self.user_awake,
        }
    }

    /// What all sessions of an address may wake together, and what its anonymous users may ask for.
    pub fn address(&self) -> Allowance {
        Allowance {
            requests: Rate::new(self.anonymous_requests_per_second, self.anonymous_requests_burst),
            wakes: Rate::new(self.address_wakes_per_second, self.address_wakes_burst),
            awake: self.address_awake,
        }
    }

    /// The rate of one address's new connections.
    pub fn connections(&self) -> Rate {
        Rate::new(self.connections_per_address_per_second, self.connections_per_address_burst)
    }

    pub(super) fn check(&self, socket: &SocketConfig, problems: &mut Problems) {
        for (name, per_second, burst) in [
            ("requests", self.requests_per_second, self.requests_burst),
            ("user_requests", self.user_requests_per_second, self.user_requests_burst),
            (
                "anonymous_requests",
                self.anonymous_requests_per_second,
                self.anonymous_requests_burst,
            ),
            ("user_wakes", self.user_wakes_per_second, self.user_wakes_burst),
            ("address_wakes", self.address_wakes_per_second, self.address_wakes_burst),
            (
                "connections_per_address",
                self.connections_per_address_per_second,
                self.connections_per_address_burst,
            ),
        ] {
            problems.at_least(format!("limits.{name}_per_second"), per_second, 1);
            problems.at_least(format!("limits.{name}_burst"), burst, 1);
        }
        problems.at_least("limits.user_awake", self.user_awake, 1);
        problems.at_least("limits.address_awake", self.address_awake, 1);
        problems.at_least("limits.bytes_per_second", self.bytes_per_second, KIB);
        for (key, bytes) in [
            ("limits.bytes_per_second", self.bytes_per_second),
            ("limits.bytes_burst", self.bytes_burst),
        ] {
            problems.check(u32::try_from(bytes).is_ok(), key, || {
                format!("is {}; it must be below 4096MiB", Bytes(bytes))
            });
        }
        problems.check(self.bytes_burst >= socket.max_message_bytes, "limits.bytes_burst", || {
            format!(
                "is {}, below `socket.max_message_bytes` ({}): the largest messages would always be refused",
                Bytes(self.bytes_burst),
                Bytes(socket.max_message_bytes)
            )
        });
        problems.at_least("limits.abuse_after", self.abuse_after, 1);
        problems.within(
            "limits.abuse_window",
            self.abuse_window,
            Duration::from_secs(1),
            Duration::from_secs(3600),
        );
    }
}
