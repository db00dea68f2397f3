//! What the actors send each other, and the handles that they send it with.
//!
//! Sessions, directory shards, entities and relays all know these types, and need not know each
//! other. [`ToEntity`] goes through a directory shard ([`Directory`], [`ToDirectory`]) into the
//! entity's mailbox; [`ToRelay`] goes to the relay of one thread ([`RelayHandle`]). A request
//! carries its [`Responder`], which makes the [`Answer`] and sends it to that relay.

use futures_util::stream;
use greenroom_protocol::EntityId;
use tokio::sync::mpsc;

use crate::cluster::membership::Scope;
use crate::ids::Place;

mod answer;
mod asker;
mod directory;
mod entity;
mod exchange;
mod relay;
mod relays;
pub mod remote;
mod way;
mod workers;

pub use answer::{Answer, Responder, corrupt, overloaded, quarantined, rate_limited, unavailable};
pub(crate) use answer::{Body, Noted};
pub use asker::Asker;
pub use directory::{Directory, Own, ToDirectory};
pub use entity::{Adopt, CatchUp, OpRequest, Sender, SignalRequest, SubscribeRequest, ToEntity};
pub use exchange::{Exchange, ToExchange};
pub use relay::{Owner, Part, Present, Resume, Resumed, SubSpec, Subscriptions, Taken};
pub use relays::Relays;
pub use workers::Workers;

/// A message to a relay.
#[derive(Debug)]
pub enum ToRelay {
    /// What one entity releases at once, in order.
    Parts {
        /// Which entity.
        entity: EntityId,
        /// What it releases.
        parts: Vec<Part>,
    },
    /// The same for the relays of another node, together: each part with the workers it is for.
    PartsByWorker {
        /// Which entity.
        entity: EntityId,
        /// What it releases. What concerns one session is for its worker, whatever is said here.
        parts: Vec<(Workers, Part)>,
    },
    /// An answer that belongs to no entity's order.
    Answer(Answer),
    /// The entity has forgotten its audience: its followers must resubscribe.
    AudienceForgotten {
        /// Which entity.
        entity: EntityId,
        /// Its actor has ended: it forgot who is present as well. Otherwise a commit has failed.
        ended: bool,
    },
    /// These slots have another owner, or their owner a new term: as if each of their entities had
    /// ended.
    OwnerChanged(Box<Scope>),
    /// Let a new session take the place of one of this thread.
    Resume(Box<Resume>),
    /// The outcome of that, for the new session's thread.
    Resumed(Box<Resumed>),
}

/// A way to reach one relay, here or on another node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RelayHandle {
    way: RelayWay,
}

#[derive(Debug, Clone)]
enum RelayWay {
    Here(mpsc::Sender<ToRelay>),
    /// Through the exchange, which knows from the message which of the node's relays it is for.
    There(Exchange, Place),
}

impl RelayHandle {
    /// A relay's queue of `capacity` messages.
    pub fn channel(capacity: usize) -> (Self, mpsc::Receiver<ToRelay>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Self { way: RelayWay::Here(sender) }, receiver)
    }

    /// The relay in this place of another node.
    pub const fn elsewhere(exchange: Exchange, place: Place) -> Self {
        Self { way: RelayWay::There(exchange, place) }
    }

    /// Sends a message, or returns it if the queue is full.
    ///
    /// # Errors
    /// The message, if the queue is full. A message to a relay that has ended is dropped.
    pub fn try_send(&self, message: ToRelay) -> Result<(), ToRelay> {
        match &self.way {
            RelayWay::Here(sender) => match sender.try_send(message) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
                Err(mpsc::error::TrySendError::Full(message)) => Err(message),
            },
            RelayWay::There(exchange, place) => exchange.to_relay(*place, message),
        }
    }

    /// Waits for space in the queue and sends the message.
    pub async fn send(&self, message: ToRelay) {
        match &self.way {
            RelayWay::Here(sender) => {
                // A relay that has ended has no sessions left to serve.
                let _ = sender.send(message).await;
            }
            RelayWay::There(exchange, place) => exchange.wait_to_relay(*place, message).await,
        }
    }

    /// Sends a message at once if the queue has space, and otherwise in a task of its own. Only for
    /// messages whose number is bounded by something else: answers (by requests in flight), resumed
    /// sessions, and ends of entities.
    pub fn send_or_spawn(&self, message: ToRelay) {
        if let Err(message) = self.try_send(message) {
            let relay = self.clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { relay.send(message).await });
            }
        }
    }
}

/// A channel as a stream of batches: the messages that wait in it, up to `most` at a time.
pub(crate) fn batches<T>(
    queue: mpsc::Receiver<T>,
    most: usize,
) -> impl stream::Stream<Item = Vec<T>> {
    stream::unfold(queue, move |mut queue| async move {
        let mut batch = Vec::new();
        (queue.recv_many(&mut batch, most).await > 0).then_some((batch, queue))
    })
}
