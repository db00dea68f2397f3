//! The [`Wire`] between nodes over NATS core. Only this module names `async-nats`.
//!
//! NATS core delivers a message at most once, so this wire loses messages, and counts what it can:
//!
//! * A message for a full queue is dropped: `client_capacity` messages wait to be written,
//!   [`SUBSCRIPTION_CAPACITY`](greenroom_actors::cluster::link::wire::SUBSCRIPTION_CAPACITY) wait in
//!   each subscription.
//! * While there is no connection, [`publish`](Wire::publish) refuses. What waited to be written is
//!   sent after the reconnect, late; what the client had begun to write is gone, and so is what
//!   others published meanwhile.
//!
//! Links resend what is lost and drop what is late.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, PublishErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use greenroom_actors::cluster::link::frame::MAX_FRAME;
use greenroom_actors::cluster::link::wire::{Messages, Unsent, Wire, WireState};
use tokio::sync::watch;

use crate::config::NatsConfig;
use counters::Tally;
use events::Events;

pub use counters::Counters;
pub use error::ConnectError;
pub use metrics::NatsMetrics;

mod connect;
mod counters;
mod error;
mod events;
pub mod metrics;

#[cfg(test)]
mod tests;

/// The time after which a subscription that was not written to the server counts as not made.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(2);

/// A node's connection to NATS. It is made again when it is lost; dropping this closes it.
#[derive(Debug)]
pub struct NatsWire {
    client: Client,
    events: Arc<Events>,
    tally: Arc<Tally>,
}

impl NatsWire {
    /// Connects, and tries again until the time is up if no server answers. The connection lives on
    /// the runtime of the caller. `name` is what the server's monitoring shows.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration, or with the servers that it names.
    pub async fn connect(
        config: &NatsConfig,
        name: &str,
        within: Duration,
    ) -> Result<Self, ConnectError> {
        let tally = Arc::<Tally>::default();
        let events = Arc::new(Events::new(tally.clone()));
        let client = connect::connect(config, name, within, &events).await?;
        let max_payload = client.max_payload();
        if max_payload < MAX_FRAME {
            return Err(ConnectError::Payload { url: connect::servers(config), max_payload });
        }
        events.begin(client.clone());
        Ok(Self { client, events, tally })
    }

    /// What has been counted since the wire was made.
    pub fn counters(&self) -> Counters {
        self.tally.read(&self.client.statistics())
    }

    /// The name of the server that the wire is connected to, or was connected to last. It changes
    /// shortly after the state does.
    pub fn server(&self) -> String {
        self.client.server_info().server_name
    }

    fn try_publish(&self, subject: &str, message: Bytes) -> Result<(), Unsent> {
        let bytes = message.len();
        if bytes > MAX_FRAME {
            return Err(Unsent::Long(bytes));
        }
        if self.client.connection_state() != State::Connected {
            return Err(Unsent::Disconnected);
        }
        // Only a full queue makes it wait. In a task that has used up tokio's budget it would wait
        // as well, hence `unconstrained`.
        let publish = self.client.publish(subject.to_owned(), message);
        match tokio::task::unconstrained(publish).now_or_never() {
            None => Err(Unsent::Full),
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(match error.kind() {
                // After a reconnect to a server with other settings.
                PublishErrorKind::MaxPayloadExceeded => Unsent::Long(bytes),
                // The connection was closed. `Subjects` makes no invalid subjects.
                PublishErrorKind::Send | PublishErrorKind::InvalidSubject => Unsent::Disconnected,
            }),
        }
    }
}

#[async_trait]
impl Wire for NatsWire {
    fn publish(&self, subject: &str, message: Bytes) -> Result<(), Unsent> {
        let published = self.try_publish(subject, message);
        self.tally.published(published);
        published
    }

    /// The subscription begins when the server has read it, shortly after this returns. Whoever
    /// must know when publishes a message to the subject and waits for it.
    async fn subscribe(&self, subject: &str) -> Result<Messages, Unsent> {
        if self.client.connection_state() != State::Connected {
            return Err(Unsent::Disconnected);
        }
        let subscribe = async {
            let messages = self.client.subscribe(subject.to_owned()).await.ok()?;
            self.client.flush().await.ok()?;
            Some(messages)
        };
        let messages = tokio::time::timeout(SUBSCRIBE_WITHIN, subscribe).await;
        let messages = messages.ok().flatten().ok_or(Unsent::Disconnected)?;
        let tally = self.tally.clone();
        let mut state = self.state();
        // The client would keep its connection for as long as there are subscriptions.
        let is_dropped = async move { while state.changed().await.is_ok() {} };
        let messages = messages.take_until(Box::pin(is_dropped)).map(move |message| {
            tally.read.fetch_add(1, Ordering::Relaxed);
            message.payload
        });
        Ok(messages.boxed())
    }

    fn state(&self) -> watch::Receiver<WireState> {
        self.events.state()
    }
}
