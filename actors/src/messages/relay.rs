//! What relays receive: what entities release, and sessions that take another's place.

use std::sync::Arc;

use bytes::Bytes;
use greenroom_protocol::params::{EventPolicy, SignalPolicy};
use greenroom_protocol::{EntityId, Epoch, RawJson, Seq};

use super::{Answer, RelayHandle};
use crate::frames::Frames;
use crate::ids::SessionKey;

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
    /// Whose place it has now, and where that session was present; `None` if there is no such
    /// session.
    pub taken: Option<Taken>,
}

/// The place of a session.
#[derive(Debug, PartialEq)]
pub struct Taken {
    /// Who had it. If it is of another node, its presence is still to be adopted.
    pub holder: SessionKey,
    /// Where it was present.
    pub present: Vec<Present>,
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
        /// The key by which `latest` distinguishes signals.
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
        which: Subscriptions,
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

impl Part {
    /// The same once more, for another relay; `None` for what concerns one session.
    pub fn shared(&self) -> Option<Self> {
        Some(match self {
            Self::Events { frames, first, last } => {
                Self::Events { frames: frames.clone(), first: *first, last: *last }
            }
            Self::Signal { frames, from, key } => {
                Self::Signal { frames: frames.clone(), from: *from, key: *key }
            }
            Self::Presence(frames) => Self::Presence(frames.clone()),
            Self::Joined { .. }
            | Self::Left { .. }
            | Self::CaughtUp { .. }
            | Self::Replaced(_)
            | Self::Answer(_) => return None,
        })
    }
}

/// Some of a session's subscriptions to one entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscriptions {
    /// Those up to and including this number.
    Through(u32),
    All,
}

impl Subscriptions {
    /// Whether the subscription with this number is among them.
    pub fn include(self, number: u32) -> bool {
        match self {
            Self::Through(last) => number <= last,
            Self::All => true,
        }
    }
}

/// A subscription, as entity and relay know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubSpec {
    /// Whose.
    pub session: SessionKey,
    /// Each subscription of a session has a higher number than those before it, so a late message
    /// for an older one is recognised.
    pub number: u32,
    /// What happens to events at the bound.
    pub events: EventPolicy,
    /// What happens to signals at the bound.
    pub signals: SignalPolicy,
    /// Whether presence changes are wanted.
    pub presence: bool,
}

/// Who may resume a session: the same user, and the same client id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The authenticated user.
    pub user: Arc<str>,
    /// Its client id.
    pub client: Arc<str>,
}

/// One presence entry of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// Where it is present.
    pub entity: EntityId,
    /// What its user says of itself there.
    pub meta: RawJson,
    /// The session's enter that it began with.
    pub(crate) since: u32,
    /// Enters since then that were not refused: without any it is not there.
    pub(crate) standing: u32,
}

impl Present {
    /// An entry that nobody can refuse any more.
    #[cfg(test)]
    pub(crate) fn settled(entity: EntityId, meta: RawJson) -> Self {
        Self { entity, meta, since: 0, standing: 1 }
    }
}
