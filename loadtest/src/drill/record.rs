//! What a drill remembers: what each client invoked, what it was answered, and what it saw.

use greenroom_protocol::results::SnapshotReason;
use greenroom_protocol::{Epoch, RawJson, Seq};
use serde::{Deserialize, Serialize};

/// Names one op: no two ops of a drill have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// Which client.
    pub client: usize,
    /// Its number for this op.
    pub n: u64,
}

/// The body of a post.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// Which op this is.
    #[serde(flatten)]
    pub mark: Mark,
    /// When it was first sent, in microseconds on the board's clock.
    pub t: u64,
}

/// An op from its first sending on. Moments are tickets of one counter for all clients: a smaller one was drawn earlier, and no
/// two are the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Op {
    /// Its name.
    pub mark: Mark,
    /// The index of its room.
    pub room: usize,
    /// The moment before it was first sent.
    pub invoked: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an op.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Nobody said.
    Unanswered,
    /// The server will not do it.
    Refused,
    /// The server did it.
    Acked {
        /// The moment after the answer had come.
        at: u64,
        /// Where.
        seq: Seq,
        /// In which log.
        epoch: Epoch,
        /// Whether the answer says that this was a repeat.
        duplicate: bool,
    },
}

/// What a subscriber saw, in the order in which it saw it.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// An event; without a mark it is none of the drill's.
    Event {
        /// Where it was said to be.
        seq: Seq,
        /// Which op it was.
        mark: Option<Mark>,
    },
    /// The end of what was missed: the subscriber stands here.
    Resumed {
        /// The log.
        epoch: Epoch,
        /// The position.
        seq: Seq,
    },
    /// A snapshot took the place of events: the subscriber stands here.
    Jump {
        /// The log.
        epoch: Epoch,
        /// The position.
        seq: Seq,
        /// Why, if that was said.
        reason: Option<SnapshotReason>,
    },
}

/// What one client saw of one room.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// The index of the room.
    pub room: usize,
    /// What it saw.
    pub seen: Vec<Seen>,
}

/// All that one client remembers.
#[derive(Debug, Default)]
pub struct Record {
    /// Its ops, in the order of their numbers.
    pub ops: Vec<Op>,
    /// What it saw of each of its rooms.
    pub views: Vec<View>,
    /// How often it came back.
    pub reconnects: u64,
    /// The longest pause in microseconds, see [`super::pause::Pause`].
    pub longest_pause_us: u64,
    /// What went wrong, in words.
    pub failures: Vec<String>,
}

impl Seen {
    /// An event with a body that may be one of ours.
    pub fn event(seq: Seq, body: &RawJson) -> Self {
        Self::Event { seq, mark: body.parse::<Body>().ok().map(|body| body.mark) }
    }
}
