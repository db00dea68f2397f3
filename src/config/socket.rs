//! Limits and timeouts of client connections.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Problems;
use super::units::{self, Bytes, KIB, MIB};
use crate::origin::{OriginPolicy, Reach};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SocketConfig {
    /// The number of open WebSocket connections; more are refused with HTTP 503.
    pub max_connections: usize,
    /// The number of open connections that are not WebSockets, or not yet; more wait to be
    /// accepted.
    pub max_pending: usize,
    /// The largest message that a client may send.
    #[serde(with = "units::size")]
    pub max_message_bytes: usize,
    /// The largest frame that a client may send.
    #[serde(with = "units::size")]
    pub max_frame_bytes: usize,
    /// The time that a client has to send `connect`.
    #[serde(with = "units::duration")]
    pub connect_timeout: Duration,
    /// The time that a client has to send the HTTP request.
    #[serde(with = "units::duration")]
    pub handshake_timeout: Duration,
    /// The lifetime of a connection that has not become a WebSocket.
    #[serde(with = "units::duration")]
    pub http_timeout: Duration,
    /// The silence after which the server pings a client.
    #[serde(with = "units::duration")]
    pub ping_interval: Duration,
    /// The silence, without even a pong, after which a connection is closed.
    #[serde(with = "units::duration")]
    pub idle_timeout: Duration,
    /// How long a client may read too little while data waits for it.
    #[serde(with = "units::duration")]
    pub write_timeout: Duration,
    /// The number of bytes that it must read in that time, or all that waits for it if that is
    /// less.
    #[serde(with = "units::size")]
    pub write_min_bytes: usize,
    /// The size of one client's outbox at which its subscriptions' policies apply.
    #[serde(with = "units::size")]
    pub outbox_bytes: usize,
    /// The size of the system's send buffer for one client; `None` (0) means the system's default.
    #[serde(with = "units::size_or_zero")]
    pub send_buffer_bytes: Option<NonZeroUsize>,
    /// The total size of all outboxes at which large answers are refused and events pause sooner.
    #[serde(with = "units::size")]
    pub total_outbox_bytes: usize,
    /// How long a session can be resumed after its connection was lost; zero means never.
    #[serde(with = "units::duration")]
    pub resume_window: Duration,
    /// How long its presence lasts in the meantime.
    #[serde(with = "units::duration")]
    pub presence_grace: Duration,
    /// The number of lost sessions that are kept; beyond it the oldest is dropped.
    pub max_parked: usize,
    /// The number of subscriptions of one session.
    pub max_subscriptions: usize,
    /// The number of unanswered requests of one session.
    pub max_in_flight: usize,
    /// The origins of web pages that may connect; empty means the same host, `"*"` means all.
    pub allowed_origins: Vec<String>,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            max_connections: 15000,
            max_pending: 4000,
            max_message_bytes: 64 * KIB,
            max_frame_bytes: 64 * KIB,
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(5),
            http_timeout: Duration::from_secs(60),
            ping_interval: Duration::from_secs(25),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            write_min_bytes: 16 * KIB,
            outbox_bytes: 256 * KIB,
            send_buffer_bytes: NonZeroUsize::new(256 * KIB),
            total_outbox_bytes: 512 * MIB,
            resume_window: Duration::from_secs(120),
            presence_grace: Duration::from_secs(15),
            max_parked: 10000,
            max_subscriptions: 256,
            max_in_flight: 64,
            allowed_origins: Vec::new(),
        }
    }
}

impl SocketConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
        let second = Duration::from_secs(1);
        let hour = Duration::from_secs(3600);
        problems.at_least("socket.max_connections", self.max_connections, 1);
        problems.at_least("socket.max_pending", self.max_pending, 1);
        problems.at_least("socket.max_message_bytes", self.max_message_bytes, KIB);
        problems.check(self.max_message_bytes <= 16 * MIB, "socket.max_message_bytes", || {
            format!(
                "is {}; it must be at most 16MiB, since each client may hold one message in memory",
                Bytes(self.max_message_bytes)
            )
        });
        problems.at_least("socket.max_frame_bytes", self.max_frame_bytes, 125);
        problems.check(self.max_frame_bytes <= self.max_message_bytes, "socket.max_frame_bytes", || {
            format!(
                "is {}, above `socket.max_message_bytes` ({}); a frame cannot be larger than its message",
                Bytes(self.max_frame_bytes),
                Bytes(self.max_message_bytes)
            )
        });
        problems.within("socket.connect_timeout", self.connect_timeout, second, hour);
        problems.within("socket.handshake_timeout", self.handshake_timeout, second, hour);
        problems.within("socket.http_timeout", self.http_timeout, second, hour);
        problems.check(self.http_timeout >= self.handshake_timeout, "socket.http_timeout", || {
            let [http, handshake] = [self.http_timeout, self.handshake_timeout].map(humantime::format_duration);
            format!("is {http}, below `socket.handshake_timeout` ({handshake}): a handshake could not use its full time")
        });
        problems.within("socket.ping_interval", self.ping_interval, second, hour);
        problems.within("socket.idle_timeout", self.idle_timeout, second, 2 * hour);
        problems.check(self.idle_timeout > self.ping_interval, "socket.idle_timeout", || {
            let [idle, ping] = [self.idle_timeout, self.ping_interval].map(humantime::format_duration);
            format!("is {idle}, not above `socket.ping_interval` ({ping}): idle clients would be closed before they are pinged")
        });
        problems.within("socket.write_timeout", self.write_timeout, second, hour);
        problems.check(self.outbox_bytes >= self.max_message_bytes, "socket.outbox_bytes", || {
            format!(
                "is {}, below `socket.max_message_bytes` ({}): one large message would overflow it",
                Bytes(self.outbox_bytes),
                Bytes(self.max_message_bytes)
            )
        });
        problems.check(
            self.total_outbox_bytes >= 16 * self.outbox_bytes,
            "socket.total_outbox_bytes",
            || {
                format!(
                    "is {}; it must be at least 16 times `socket.outbox_bytes` ({})",
                    Bytes(self.total_outbox_bytes),
                    Bytes(self.outbox_bytes)
                )
            },
        );
        problems.within("socket.resume_window", self.resume_window, Duration::ZERO, 24 * hour);
        problems.check(self.presence_grace <= self.resume_window, "socket.presence_grace", || {
            let [grace, window] = [self.presence_grace, self.resume_window].map(humantime::format_duration);
            format!("is {grace}, above `socket.resume_window` ({window}): nobody stays present longer than the session can be resumed")
        });
        problems.at_least("socket.max_parked", self.max_parked, 1);
        problems.at_least("socket.max_subscriptions", self.max_subscriptions, 1);
        problems.at_least("socket.max_in_flight", self.max_in_flight, 1);
        if let Err(error) = OriginPolicy::new(&self.allowed_origins, Reach::Network) {
            problems.add("socket.allowed_origins", error.to_string());
        }
    }
}
