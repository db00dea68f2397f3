//! Behaviours: the pure state machines that decide what an op does.

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

/// The work that the price of every op includes, beyond parsing its body. A unit is about 3 ns: one
/// array element moved, or part of one cloned. The sender of an op pays one more request for each
/// full multiple of this in the op's work.
pub const ORDINARY_WORK: usize = 64 * 1024;

/// An op as its behaviour sees it.
#[derive(Debug, Clone, Copy)]
pub struct Op<'a> {
    /// The behaviour's name for the op.
    pub r#type: &'a str,
    /// JSON that every parser reads alike ([`RawJson::check`]), within the kind's `max_body_bytes`,
    /// and not parsed yet.
    pub body: &'a RawJson,
    /// The sender's user.
    pub from: &'a str,
    /// Whether the sender may change what others wrote.
    pub moderator: bool,
    /// The seq of the event, if the op is accepted.
    pub seq: Seq,
    /// The event's time, if the op is accepted.
    pub at: Millis,
}

/// The op is accepted, and the state already has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Accepted {
    /// What the answer contains besides the seq.
    pub result: Option<RawJson>,
    /// In units of [`ORDINARY_WORK`].
    pub work: usize,
}

/// What an op erases: the body of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erases {
    /// The seq of the event that posted the message.
    pub message: Seq,
    /// Whether other events may contain a body of this message too, such as its edits.
    pub elsewhere: bool,
    /// Whether stored snapshots are replaced at once instead of when the next one is due.
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
    /// The work done before the refusal, in units of [`ORDINARY_WORK`].
    pub work: usize,
}

impl Rejection {
    /// A refusal with code `rejected`.
    pub fn new(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: ErrorCode::Rejected, reason, message: message.into(), work: 0 }
    }

    /// The same refusal, after this much work.
    #[must_use]
    pub fn after(self, work: usize) -> Self {
        Self { work, ..self }
    }
}

/// The journal or a snapshot does not fit the behaviour: written by another version, or damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot restore the state at seq {seq}: {why}")]
pub struct Corrupt {
    pub seq: Seq,
    pub why: String,
}

/// The logic of a kind.
///
/// An event's body is its op's body. A property test (`law.rs`) checks that replaying the accepted
/// events through [`apply`](Self::apply), from any snapshot on the way, gives the state that
/// [`decide`](Self::decide) built, even if some or all bodies that are erased later in the log are
/// already missing.
pub trait Behaviour: std::fmt::Debug {
    /// Accepts `op` and changes the state, or refuses it and changes nothing.
    ///
    /// # Errors
    /// If the op is refused.
    fn decide(&mut self, op: &Op<'_>) -> Result<Accepted, Rejection>;

    /// Applies an event that was accepted in the past.
    ///
    /// # Errors
    /// If the event does not fit the state.
    fn apply(&mut self, event: &EventRecord) -> Result<(), Corrupt>;

    /// What `op` would erase if it were accepted, judged by its type and body.
    fn erases(&self, _op: &Op<'_>) -> Option<Erases> {
        None
    }

    /// The message whose body `event` contains, and the body's size.
    fn carries(&self, _event: &EventRecord) -> Option<Erased> {
        None
    }

    /// The state as it is sent to subscribers and stored.
    fn snapshot(&self) -> RawJson;

    /// The approximate size of a snapshot in bytes, without making one. O(1).
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
    pub const ALL: [Self; 2] = [Self::Room, Self::Document];

    /// The name in configuration files and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Document => "document",
        }
    }

    /// The behaviour that has ops of this type. Behaviours have no op types in common.
    pub fn by_op(r#type: &str) -> Option<Self> {
        match r#type {
            "post" | "edit" | "delete" | "react" | "purge" => Some(Self::Room),
            "set" | "merge" | "patch" | "increment" => Some(Self::Document),
            _ => None,
        }
    }

    /// The behaviour with default settings.
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

/// A kind's behaviour with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "behaviour", rename_all = "lowercase")]
pub enum BehaviourConfig {
    /// Every room keeps a pointer to its settings.
    Room(Arc<room::RoomConfig>),
    /// A JSON document.
    Document(document::DocumentConfig),
}

impl BehaviourConfig {
    pub fn name(&self) -> BehaviourName {
        match self {
            Self::Room(_) => BehaviourName::Room,
            Self::Document(_) => BehaviourName::Document,
        }
    }

    /// Reports settings with which the behaviour could not work.
    pub(crate) fn check(&self, problems: &mut Problems) {
        match self {
            Self::Room(config) => config.check(problems),
            Self::Document(config) => config.check(problems),
        }
    }

    /// The state of an entity without events.
    pub fn create(&self) -> Box<dyn Behaviour> {
        match self {
            Self::Room(config) => Box::new(room::Room::new(Arc::clone(config))),
            Self::Document(config) => Box::new(document::Document::new(config)),
        }
    }

    /// Whether moderators may send this op without the permission `send`.
    pub fn is_for_moderators(&self, op: &str) -> bool {
        match self {
            Self::Room(_) => room::FOR_MODERATORS.contains(&op),
            Self::Document(_) => false,
        }
    }

    /// The state of which `state` is a snapshot.
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
