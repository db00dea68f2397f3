//! The relay: on each worker thread, the one that fans entities' frames out to that thread's
//! sessions.
//!
//! * Owns: the thread's seats (one per session), who of them follows which entity, and the sessions
//!   that lost their connection.
//! * Receives: [`ToRelay`], through a bounded channel. An entity that finds it full waits, so
//!   nothing is lost; the relay itself never waits for anybody, so it always comes to empty it.
//! * Sends: frames to outboxes; `CatchUp` to entities for subscriptions that had to pause; to
//!   entities, who comes back to their presence and whose grace is over.
//! * A crash of the relay ends its thread's sessions: their clients reconnect and resume.

use bytes::Bytes;
use greenroom_protocol::params::{EventPolicy, SignalPolicy};
use greenroom_protocol::{EntityId, Epoch, Seq};
use tokio::sync::mpsc;

use crate::answer::Answer;
use crate::frames::Frames;
use crate::ids::SessionKey;

mod actor;
mod gather;
mod parked;
mod runs;
mod seat;
mod seats;
mod state;
#[cfg(test)]
mod tests;

pub use actor::RelayActor;
pub(crate) use actor::batches;
pub use gather::{Ask, Gather};
pub use parked::ParkedLimits;
pub use seat::{
    Admission, Deadlines, Due, Excess, Follow, Liveness, Membership, Owner, Present, Scope, Seat,
    Told, Verdict,
};
pub use seats::SeatCounts;
pub use state::Relay;

/// What a relay is told.
#[derive(Debug)]
pub enum ToRelay {
    /// What one entity releases at once, in order.
    Parts {
        /// Which entity.
        entity: EntityId,
        /// What it releases.
        parts: Vec<Part>,
    },
    /// An answer that belongs to no entity's order.
    Answer(Answer),
    /// The entity forgot its audience: follow it anew.
    Lost {
        /// Which entity.
        entity: EntityId,
        /// Its actor has ended: it forgot who is present as well. Otherwise a commit has failed.
        ended: bool,
    },
    /// Let a new session take the place of one of this thread.
    Resume(Box<Resume>),
    /// What became of that, for the new session's thread.
    Resumed(Box<Resumed>),
}

/// A new session asks for another's place.
#[derive(Debug)]
pub struct Resume {
    /// The session that was lost, or is about to be.
    pub from: SessionKey,
    /// The new one.
    pub to: SessionKey,
    /// Whose the new one is.
    pub owner: Owner,
    /// Serves the new one's thread.
    pub reply: RelayHandle,
}

/// A new session has taken another's place, or there is none to take.
#[derive(Debug)]
pub struct Resumed {
    /// The new session.
    pub to: SessionKey,
    /// Whose it is.
    pub owner: Owner,
    /// Where the other one was present; none where there is no such session.
    pub present: Option<Vec<Present>>,
}

/// One thing that an entity releases.
#[derive(Debug)]
pub enum Part {
    /// Consecutive events, encoded back to back.
    Events {
        /// The frames.
        frames: Frames,
        /// Seq of the first.
        first: Seq,
        /// Seq of the last.
        last: Seq,
    },
    /// A signal for everyone but its sender.
    Signal {
        /// The frame.
        frames: Frames,
        /// Its sender.
        from: SessionKey,
        /// What `latest` tells signals apart by.
        key: u64,
    },
    /// A presence change.
    Presence(Frames),
    /// A subscription begins here: it gets what follows.
    Joined {
        /// What was asked for, and by whom.
        spec: SubSpec,
        /// The log.
        epoch: Epoch,
        /// The position that the answer brings the session to.
        seq: Seq,
        /// The answer.
        answer: Answer,
    },
    /// A subscription ends here.
    Left {
        /// Whose.
        session: SessionKey,
        /// All of the session's subscriptions up to this one.
        through: u32,
    },
    /// Events that a paused subscription missed.
    CaughtUp {
        /// Which.
        spec: SubSpec,
        /// Their frames, for the session's codec.
        frame: Option<Bytes>,
        /// How many events are in there: none where a snapshot takes their place.
        events: u64,
        /// The log.
        epoch: Epoch,
        /// The position that they continue from; what continues from another one comes too late.
        after: Seq,
        /// The position that they bring the session to.
        seq: Seq,
        /// Whether live events follow from there; otherwise there is more to read.
        live: bool,
        /// Whether the presence list is among the frames.
        presence: bool,
    },
    /// A paused subscription asked to read on, and a later one of its session has its place.
    Replaced(SubSpec),
    /// An answer in its place among the events.
    Answer(Answer),
}

/// A subscription, as entity and relay know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubSpec {
    /// Whose.
    pub session: SessionKey,
    /// A session counts its subscriptions up, so that what comes late for an older one is told
    /// apart.
    pub number: u32,
    /// What happens to events at the bound.
    pub events: EventPolicy,
    /// What happens to signals at the bound.
    pub signals: SignalPolicy,
    /// Whether presence changes are wanted.
    pub presence: bool,
}

/// A way to reach one thread's relay. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RelayHandle {
    sender: mpsc::Sender<ToRelay>,
}

impl RelayHandle {
    /// A relay's queue of `capacity` messages.
    pub fn channel(capacity: usize) -> (Self, mpsc::Receiver<ToRelay>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Self { sender }, receiver)
    }

    /// Hands a message over, or gives it back when the queue is full.
    ///
    /// # Errors
    /// The message, when there is no room. A message to a relay that has ended is dropped.
    pub fn try_send(&self, message: ToRelay) -> Result<(), ToRelay> {
        match self.sender.try_send(message) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(message)) => Err(message),
        }
    }

    /// Waits for room and hands the message over.
    pub async fn send(&self, message: ToRelay) {
        // A relay that has ended has no sessions left to serve.
        let _ = self.sender.send(message).await;
    }

    /// Hands a message over now or, from a place that cannot wait, in a task of its own. Only for
    /// answers: there are never more of them than requests in flight.
    pub fn send_or_spawn(&self, message: ToRelay) {
        if let Err(message) = self.try_send(message) {
            let relay = self.clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { relay.send(message).await });
            }
        }
    }
}
