//! What decides over ops: a pure state machine per kind.

use std::borrow::Cow;
use std::sync::Arc;

use greenroom_protocol::{ErrorCode, RawJson, Seq};
use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::record::{Erased, EventRecord};
use crate::settings::Problems;

pub mod document;
#[cfg(test)]
mod law;
pub mod room;

/// Work that is in the price of every op, beyond the reading of its body. A unit is about 3 ns: an
/// element of an array moved, or part of one cloned. The sender of an op pays one more request of
/// its rate for each time that this fits into its work.
pub const ORDINARY_WORK: usize = 64 * 1024;

/// An op, as its behaviour sees it.
#[derive(Debug, Clone, Copy)]
pub struct Op<'a> {
    /// The behaviour's name for the op.
    pub r#type: &'a str,
    /// Its body: JSON that every parser reads alike ([`RawJson::check`]), within the kind's
    /// `max_body_bytes`, not yet looked into.
    pub body: &'a RawJson,
    /// The sender's user.
    pub from: &'a str,
    /// Whether the sender may act on what others wrote.
    pub moderator: bool,
    /// The seq that the event will have when the op is accepted.
    pub seq: Seq,
    /// The time that the event will bear.
    pub at: Millis,
}

/// The op is accepted, and the state already has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Accepted {
    /// What the sender gets to know beyond the seq.
    pub result: Option<RawJson>,
    /// What it cost; see [`ORDINARY_WORK`].
    pub work: usize,
}

/// What an op has erased: the body that some message showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erases {
    /// The message: the seq of the event that posted it.
    pub message: Seq,
    /// Whether other events may carry a body of it too, such as its edits.
    pub elsewhere: bool,
    /// Whether stored snapshots are to forget it at once, and not only when the next one replaces
    /// them.
    pub purge: bool,
}

/// The op is refused, and the state is as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// `Rejected` or `TooLarge`.
    pub code: ErrorCode,
    /// A stable word for programs.
    pub reason: &'static str,
    /// What was wrong and what would be right.
    pub message: Cow<'static, str>,
    /// What it cost up to the refusal; see [`ORDINARY_WORK`].
    pub work: usize,
}

impl Rejection {
    /// A refusal with code `rejected`.
    pub fn new(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: ErrorCode::Rejected, reason, message: message.into(), work: 0 }
    }

    /// The same after so much work.
    #[must_use]
    pub fn after(self, work: usize) -> Self {
        Self { work, ..self }
    }
}

/// The journal or a snapshot does not fit the behaviour: written by another version, or damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot restore the state at seq {seq}: {why}")]
pub struct Corrupt {
    /// Where in the log.
    pub seq: Seq,
    /// What does not fit.
    pub why: String,
}

/// The logic of a kind.
///
/// An event's body is its op's body. Law, property-tested: replaying the accepted events through
/// [`apply`](Self::apply), from any snapshot on the way, gives the state that
/// [`decide`](Self::decide) built. This holds also when events whose message is erased later have
/// lost their body, all of them or some.
pub trait Behaviour: std::fmt::Debug {
    /// Accepts `op` and changes the state, or refuses it and changes nothing.
    ///
    /// # Errors
    /// Why the op is refused.
    fn decide(&mut self, op: &Op<'_>) -> Result<Accepted, Rejection>;

    /// Changes the state by an event that was accepted in the past.
    ///
    /// # Errors
    /// Where the event does not fit the state.
    fn apply(&mut self, event: &EventRecord) -> Result<(), Corrupt>;

    /// What `op` would erase if it were accepted, as far as its type and body tell.
    fn erases(&self, _op: &Op<'_>) -> Option<Erases> {
        None
    }

    /// The message whose body `event` carries, and how large it is.
    fn carries(&self, _event: &EventRecord) -> Option<Erased> {
        None
    }

    /// The state, as subscribers get it and as the store keeps it.
    fn snapshot(&self) -> RawJson;

    /// Roughly how many bytes a snapshot takes, without making one. O(1).
    fn size(&self) -> usize;
}

/// The behaviours by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BehaviourName {
    /// A chat room.
    Room,
    /// A JSON document.
    Document,
}

impl BehaviourName {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Room, Self::Document];

    /// The name, as configurations and the store have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Document => "document",
        }
    }

    /// The behaviour that has ops of this type. No two have one in common.
    pub fn by_op(r#type: &str) -> Option<Self> {
        match r#type {
            "post" | "edit" | "delete" | "react" | "purge" => Some(Self::Room),
            "set" | "merge" | "patch" | "increment" => Some(Self::Document),
            _ => None,
        }
    }

    /// The behaviour with the default of every setting.
    pub fn with_defaults(self) -> BehaviourConfig {
        match self {
            Self::Room => BehaviourConfig::Room(Arc::default()),
            Self::Document => BehaviourConfig::Document(document::DocumentConfig::default()),
        }
    }
}

impl std::fmt::Display for BehaviourName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which behaviour a kind has, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "behaviour", rename_all = "lowercase")]
pub enum BehaviourConfig {
    /// A chat room. Each room keeps a pointer to its settings.
    Room(Arc<room::RoomConfig>),
    /// A JSON document.
    Document(document::DocumentConfig),
}

impl BehaviourConfig {
    /// The behaviour's name.
    pub fn name(&self) -> BehaviourName {
        match self {
            Self::Room(_) => BehaviourName::Room,
            Self::Document(_) => BehaviourName::Document,
        }
    }

    /// Notes what would keep the behaviour from working.
    pub(crate) fn check(&self, problems: &mut Problems) {
        match self {
            Self::Room(config) => config.check(problems),
            Self::Document(config) => config.check(problems),
        }
    }

    /// The state of an entity that has no events yet.
    pub fn create(&self) -> Box<dyn Behaviour> {
        match self {
            Self::Room(config) => Box::new(room::Room::new(Arc::clone(config))),
            Self::Document(config) => Box::new(document::Document::new(config)),
        }
    }

    /// Whether a moderator may do this op without the permission `send`.
    pub fn is_for_moderators(&self, op: &str) -> bool {
        match self {
            Self::Room(_) => room::FOR_MODERATORS.contains(&op),
            Self::Document(_) => false,
        }
    }

    /// The state that `snapshot` shows.
    ///
    /// # Errors
    /// If `state` is not a snapshot of this behaviour.
    pub fn restore(&self, seq: Seq, state: &RawJson) -> Result<Box<dyn Behaviour>, Corrupt> {
        Ok(match self {
            Self::Room(config) => Box::new(room::Room::restore(Arc::clone(config), seq, state)?),
            Self::Document(config) => Box::new(document::Document::restore(config, seq, state)?),
        })
    }
}
