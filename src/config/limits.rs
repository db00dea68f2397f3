//! Rate limits, and limits per user and address.

use std::num::NonZeroUsize;
use std::time::Duration;

use greenroom_actors::limits::{Allowance, Rate};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::units::{self, Bytes, KIB, MIB};
use super::{Problems, SocketConfig};

/// Rates are token buckets: a number of tokens per second, and a burst. An entity's own rate is a
/// setting of its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Requests per second on one connection.
    pub requests_per_second: u32,
    pub requests_burst: u32,
    /// Bytes per second on one connection.
    #[serde(with = "units::size")]
    pub bytes_per_second: usize,
    #[serde(with = "units::size")]
    pub bytes_burst: usize,
    /// Requests per second of one user, over all its connections to this node.
    pub user_requests_per_second: u32,
    pub user_requests_burst: u32,
    /// Requests per second of all anonymous users of one address together, since they choose their
    /// own names.
    pub anonymous_requests_per_second: u32,
    pub anonymous_requests_burst: u32,
    /// Entities that one user may wake per second.
    pub user_wakes_per_second: u32,
    pub user_wakes_burst: u32,
    /// Entities that one user may keep awake.
    pub user_awake: usize,
    /// Entities that all users of one address together may wake per second.
    pub address_wakes_per_second: u32,
    pub address_wakes_burst: u32,
    /// Entities that all users of one address together may keep awake.
    pub address_awake: usize,
    /// New connections per second from one address.
    pub connections_per_address_per_second: u32,
    pub connections_per_address_burst: u32,
    /// Open connections from one address; `None` (0) means no limit.
    #[serde(with = "units::number_or_zero")]
    pub connections_per_address: Option<NonZeroUsize>,
    /// The number of messages within `abuse_window`, sent although the client was told to wait,
    /// after which its connection is closed.
    pub abuse_after: u32,
    #[serde(with = "units::duration")]
    pub abuse_window: Duration,
    /// The networks of proxies whose `X-Forwarded-For` is trusted.
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
            connections_per_address: None,
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

    /// The limits of one user.
    pub fn user(&self) -> Allowance {
        Allowance {
            requests: Rate::new(self.user_requests_per_second, self.user_requests_burst),
            wakes: Rate::new(self.user_wakes_per_second, self.user_wakes_burst),
            awake: self.user_awake,
        }
    }

    /// The limits of all sessions of an address; `requests` applies to its anonymous users.
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
