//! What decides over ops: a pure state machine per kind.

use std::borrow::Cow;

use greenroom_protocol::{ErrorCode, RawJson, Seq};

use crate::clock::Millis;
use crate::record::{Erased, EventRecord};

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

/// Which behaviour a kind has, with its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum BehaviourConfig {
    /// A chat room.
    Room(room::RoomConfig),
    /// A JSON document.
    Document(document::DocumentConfig),
}

impl BehaviourConfig {
    /// The behaviour's name, as configurations have it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Room(_) => "room",
            Self::Document(_) => "document",
        }
    }

    /// The name of the behaviour that has ops of this type. No two have one in common.
    pub fn name_by_op(r#type: &str) -> Option<&'static str> {
        match r#type {
            "post" | "edit" | "delete" | "react" | "purge" => Some("room"),
            "set" | "merge" | "patch" | "increment" => Some("document"),
            _ => None,
        }
    }

    /// The state of an entity that has no events yet.
    pub fn create(&self) -> Box<dyn Behaviour> {
        match self {
            Self::Room(config) => Box::new(room::Room::new(config.clone())),
            Self::Document(config) => Box::new(document::Document::new(config.clone())),
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
    /// Where `state` is no snapshot of this behaviour.
    pub fn restore(&self, seq: Seq, state: &RawJson) -> Result<Box<dyn Behaviour>, Corrupt> {
        Ok(match self {
            Self::Room(config) => Box::new(room::Room::restore(config.clone(), seq, state)?),
            Self::Document(config) => {
                Box::new(document::Document::restore(config.clone(), seq, state)?)
            }
        })
    }
}
