//! What the client reports about its connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use async_nats::connection::State;
use async_nats::{Client, Event};
use greenroom_actors::clock;
use greenroom_actors::cluster::link::wire::WireState;
use greenroom_actors::notices::NOTICES;
use tokio::sync::watch;

use super::counters::Tally;

/// The state of the connection, kept up to date by [`handle`].
#[derive(Debug)]
pub(super) struct Events {
    state: watch::Sender<WireState>,
    /// `None` until the first connection is made.
    client: OnceLock<Client>,
    tally: Arc<Tally>,
}

impl Events {
    pub fn new(tally: Arc<Tally>) -> Self {
        Self { state: watch::Sender::default(), client: OnceLock::new(), tally }
    }

    /// The first connection is made. Events are followed from now on.
    pub fn begin(&self, client: Client) {
        self.state.send_replace(WireState { is_connected: true, reconnects: 0 });
        self.client.get_or_init(|| client);
    }

    pub fn has_begun(&self) -> bool {
        self.client.get().is_some()
    }

    pub fn state(&self) -> watch::Receiver<WireState> {
        self.state.subscribe()
    }

    fn update(&self, client: &Client, is_connected: bool) {
        let connects = client.statistics().connects.load(Ordering::Relaxed);
        let state = WireState { is_connected, reconnects: connects.saturating_sub(1) };
        self.state.send_if_modified(|before| std::mem::replace(before, state) != state);
    }
}

/// Called for each event, one after the other. It must not keep the wire alive.
pub(super) async fn handle(events: Weak<Events>, event: Event) {
    let Some(events) = events.upgrade() else { return };
    let Some(client) = events.client.get() else { return };
    let is_connected = match &event {
        Event::Connected => true,
        Event::Disconnected | Event::Closed => false,
        // The client drops events when 128 wait, perhaps one of those above.
        _ => client.connection_state() == State::Connected,
    };
    events.update(client, is_connected);
    let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("lost the connection to NATS"),
        Event::Closed | Event::Draining => {}
        Event::SlowConsumer(_) => {
            count(&events.tally.dropped);
        }
        Event::LameDuckMode => {
            count(&events.tally.lame_ducks);
            move_on(client).await;
        }
        Event::ServerError(error) => {
            count(&events.tally.server_errors);
            if let Some(more) = NOTICES.admit("nats server error", clock::now().mono) {
                tracing::warn!(%error, more, "the NATS server reports an error");
            }
        }
        Event::ClientError(error) => {
            if let Some(more) = NOTICES.admit("nats client error", clock::now().mono) {
                tracing::warn!(%error, more, "cannot connect to NATS");
            }
        }
    }
}

/// The server is about to stop. It takes no new connections and will close this one.
async fn move_on(client: &Client) {
    // A server that stands alone serves a little longer, so nothing is gained by leaving it.
    let has_others = client.server_pool().await.is_ok_and(|servers| servers.len() > 1);
    tracing::info!(has_others, "the NATS server is about to stop");
    if has_others && let Err(error) = client.force_reconnect().await {
        tracing::warn!(%error, "cannot leave the NATS server that is about to stop");
    }
}
