//! What a history is made of.

use greenroom_protocol::results::{self, SnapshotReason, Subscribed};
use greenroom_protocol::{EntityId, Epoch, Position, Seq};
use serde::{Deserialize, Serialize};

use super::digest::{Name, Shape, State};

/// A moment: nanoseconds since the clock of the run began.
pub type Moment = u64;

/// What the clients of a run recorded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The entities, which entries name by their place here.
    pub entities: Vec<EntityId>,
    /// What happened. The entries of one client are in the order of their moments; those of
    /// different clients need not be.
    pub entries: Vec<Entry>,
}

/// One thing that happened at one client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The time: before anything was sent for an invocation, after everything had arrived for the
    /// rest.
    pub t: Moment,
    /// The client, which other checkers call a process: it survives the loss of its connection.
    pub client: u32,
    /// The entity, by its place in [`History::entities`].
    pub entity: u32,
    pub what: What,
}

/// What can happen. In answers, `asked` is when the request was invoked; requests other than ops
/// that were never answered are left out, since they have no effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// An op is about to be sent for the first time. One that has neither `Acked` nor `Refused` was
    /// never answered: nobody knows whether it was executed. Repeats under the same number are the
    /// same op and have no entry of their own, except after `Refused`.
    Invoked {
        /// Its content, which no other op of the history has.
        op: Name,
        /// What it does to the state.
        effect: Effect,
    },
    Acked {
        op: Name,
        epoch: Epoch,
        seq: Seq,
        /// The server's time of it.
        at: u64,
        /// Whether the server said that this answers a repeat.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        duplicate: bool,
    },
    /// The op is surely not done: no attempt of it went unanswered, and the answers leave no doubt.
    Refused {
        op: Name,
    },
    Read {
        asked: Moment,
        epoch: Epoch,
        seq: Seq,
        state: State,
    },
    Page(Box<Page>),
    /// A subscription begins, or goes on after a loss.
    Followed(Box<Follow>),
    /// The subscription is over, and no more events are expected. Without this a subscriber must
    /// have received everything at the end.
    Unfollowed,
    Told(Event),
    /// The subscription could not go on: a state takes the place of events.
    Reset {
        epoch: Epoch,
        seq: Seq,
        state: State,
        reason: SnapshotReason,
    },
    /// A page of the whole log, read once all clients were done; the pages of an entity follow each
    /// other. This is what counts.
    Log {
        epoch: Epoch,
        events: Vec<Event>,
    },
}

/// What an op does to the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    Post,
    /// Adds so much to a counter of a document.
    Add(i64),
    /// Something whose result is not known in advance: states are only compared with each other.
    Other,
}

/// An event as a client received it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    pub seq: Seq,
    /// The server's time of it.
    pub at: u64,
    /// Which op it is, by its content.
    pub op: Name,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    pub asked: Moment,
    /// The position to begin after; without one, the last events of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Seq>,
    pub epoch: Epoch,
    pub events: Vec<Event>,
    /// Whether there is said to be more in the direction asked for.
    pub more: bool,
}

/// What a subscription answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    pub asked: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Position>,
    pub epoch: Epoch,
    pub seq: Seq,
    pub got: Got,
}

/// How a subscription caught up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Got {
    Events(Vec<Event>),
    Snapshot {
        state: State,
        /// Why, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<SnapshotReason>,
    },
}

impl From<&results::Event> for Event {
    fn from(event: &results::Event) -> Self {
        Self {
            seq: event.seq,
            at: event.at,
            op: Name::of(&event.from, &event.r#type, event.body.as_str()),
        }
    }
}

impl Follow {
    /// The answer of a subscription with this position to an entity of this shape.
    pub fn answered(
        asked: Moment,
        after: Option<Position>,
        shape: Shape,
        answer: Subscribed,
    ) -> Self {
        let Subscribed { epoch, seq, events, snapshot, reason, .. } = answer;
        let got = match events {
            Some(events) => Got::Events(events.iter().map(Event::from).collect()),
            None => {
                let state = State::read(shape, &snapshot.unwrap_or_default());
                Got::Snapshot { state, reason }
            }
        };
        Self { asked, after, epoch, seq, got }
    }
}

impl What {
    /// The state that it shows, if it shows one.
    pub fn state(&self) -> Option<State> {
        match self {
            Self::Read { state, .. } | Self::Reset { state, .. } => Some(*state),
            Self::Followed(follow) => match &follow.got {
                Got::Snapshot { state, .. } => Some(*state),
                Got::Events(_) => None,
            },
            _ => None,
        }
    }

    /// When it was asked for, if it is an answer that says so.
    pub fn asked(&self) -> Option<Moment> {
        match self {
            Self::Read { asked, .. } => Some(*asked),
            Self::Page(page) => Some(page.asked),
            Self::Followed(follow) => Some(follow.asked),
            _ => None,
        }
    }
}
