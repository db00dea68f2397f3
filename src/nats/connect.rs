//! Makes the first connection, and says how the client is to make the next ones.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use greenroom_actors::cluster::link::wire::SUBSCRIPTION_CAPACITY;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::error::ConnectError;
use super::events::{self, Events};
use crate::config::{NatsConfig, NatsCredentials};

/// Messages that wait to be written, at most.
pub(super) const CLIENT_CAPACITY: usize = 256;

/// After a server has left two of these pings unanswered, the connection counts as lost.
const PING_EVERY: Duration = Duration::from_millis(500);

/// A server that needs longer to greet is not used.
const GREETING_WITHIN: Duration = Duration::from_secs(2);

/// The shortest and the longest pause before an attempt to connect, in milliseconds.
const SHORTEST_PAUSE: u64 = 50;
const LONGEST_PAUSE: u64 = 1_000;

/// The servers as they are shown to people.
pub(super) fn servers(config: &NatsConfig) -> String {
    config.url.join(",")
}

/// Connects to one of the servers. `events` learns what happens afterwards.
pub(super) async fn connect(
    config: &NatsConfig,
    name: &str,
    within: Duration,
    events: &Arc<Events>,
) -> Result<Client, ConnectError> {
    config.validate()?;
    let credentials = config.credentials()?;
    // Two crypto providers are compiled in, so rustls must be told which to use. If one is already
    // installed, that one is fine too.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let options = options(config, name, &credentials, events);
    let deadline = Instant::now() + within;
    let mut attempt = 0;
    loop {
        // Boxed, since it is large.
        let connect = Box::pin(options.clone().connect(config.url.as_slice()));
        let error = match timeout_at(deadline, connect).await {
            Ok(Ok(client)) => return Ok(client),
            Ok(Err(error)) => ConnectError::new(&error, config, &credentials, servers(config)),
            Err(_) => {
                let why = format!("no answer within {within:?}");
                return Err(ConnectError::Unreachable { url: servers(config), why });
            }
        };
        attempt += 1;
        let next = Instant::now() + pause(attempt);
        if !error.may_pass() || next >= deadline {
            return Err(error);
        }
        tracing::debug!(%error, attempt, "not connected to NATS yet");
        sleep_until(next).await;
    }
}

fn options(
    config: &NatsConfig,
    name: &str,
    credentials: &NatsCredentials,
    events: &Arc<Events>,
) -> ConnectOptions {
    let mut options = ConnectOptions::new()
        .name(name)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .client_capacity(CLIENT_CAPACITY)
        .ping_interval(PING_EVERY)
        .connection_timeout(GREETING_WITHIN)
        .skip_subject_validation(true);
    match credentials {
        NatsCredentials::None => {}
        NatsCredentials::User { name, password } => {
            options = options.user_and_password(name.clone(), password.expose().into());
        }
        NatsCredentials::Token(token) => options = options.token(token.expose().into()),
    }
    if let Some(path) = &config.tls_ca {
        options = options.add_root_certificates(path.clone()).require_tls(true);
    }
    let state = Arc::downgrade(events);
    let options = options.event_callback(move |event| events::handle(state.clone(), event));
    let state = Arc::downgrade(events);
    options.reconnect_delay_callback(move |attempt| {
        // Nobody else connects at the same moment as a node that starts.
        let is_first = !state.upgrade().is_some_and(|events| events.has_begun());
        if is_first { Duration::ZERO } else { pause(attempt) }
    })
}

/// A random pause, so that not all nodes come back at the same moment. It may be longer with each
/// attempt.
fn pause(attempt: usize) -> Duration {
    let longest = (100 << attempt.clamp(1, 10)).min(LONGEST_PAUSE);
    Duration::from_millis(fastrand::u64(SHORTEST_PAUSE..=longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_random_and_bounded() {
        let drawn = |attempt: usize| (0..500).map(move |_| pause(attempt).as_millis());
        assert!(drawn(1).all(|pause| (50..=200).contains(&pause)));
        assert!(drawn(2).all(|pause| (50..=400).contains(&pause)));
        assert!(drawn(usize::MAX).all(|pause| (50..=1_000).contains(&pause)));
        assert!(drawn(usize::MAX).any(|pause| pause > 500));
        assert_ne!(drawn(1).min(), drawn(1).max());
    }
}
