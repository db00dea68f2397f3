//! The limits of connections and sessions, from the configuration.

use std::sync::Arc;
use std::time::Duration;

use greenroom_actors::kind::Kinds;
use greenroom_actors::limits::Keyed;
use greenroom_actors::relay::ParkedLimits;
use greenroom_actors::session::SessionBounds;
use greenroom_protocol::results::{Rates, SessionLimits};

use crate::address::TrustedProxies;
use crate::config::Config;
use crate::failure::Failure;
use crate::origin::OriginPolicy;
use crate::ws::{self, Gate, GateLimits};

pub(super) fn gate(config: &Config) -> Result<Arc<Gate>, Failure> {
    let frames = ws::FrameLimits {
        max_frame: config.socket.max_frame_bytes as u64,
        max_message: config.socket.max_message_bytes as u64,
    };
    let limits = GateLimits {
        max_connections: config.socket.max_connections,
        max_per_address: config.limits.connections_per_address,
        frames,
    };
    let origins = OriginPolicy::new(&config.socket.allowed_origins, config.reach())
        .map_err(|error| Failure::Config(error.to_string()))?;
    let proxies = TrustedProxies::new(config.limits.trusted_proxies.clone());
    Ok(Gate::new(limits, origins, proxies, Keyed::new(config.limits.connections())))
}

pub(super) fn bounds(config: &Config, kinds: &Kinds) -> SessionBounds {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let max_body = kinds.iter().map(|kind| kind.max_body_bytes).max().unwrap_or(0);
    SessionBounds {
        announced: SessionLimits {
            max_message_bytes: config.socket.max_message_bytes as u64,
            max_body_bytes: max_body as u64,
            max_subscriptions: count(config.socket.max_subscriptions),
            max_in_flight: count(config.socket.max_in_flight),
            ping_interval_ms: ms(config.socket.ping_interval),
            rates: Rates {
                requests: config.limits.requests().into(),
                bytes: config.limits.bytes().into(),
                user_requests: config.limits.user().requests.into(),
            },
        },
        outbox_bytes: config.socket.outbox_bytes,
        expiry_warning_ms: ms(config.auth.expiry_warning),
        connect_timeout_ms: ms(config.socket.connect_timeout),
        requests: config.limits.requests(),
        bytes: config.limits.bytes(),
        abuse_after: config.limits.abuse_after,
        abuse_window_ms: ms(config.limits.abuse_window),
    }
}

/// The bounds of the parked sessions of each of `workers` workers.
pub(super) fn parked(config: &Config, workers: usize) -> ParkedLimits {
    ParkedLimits {
        window: config.socket.resume_window,
        grace: config.socket.presence_grace,
        most: config.socket.max_parked.div_ceil(workers),
    }
}
