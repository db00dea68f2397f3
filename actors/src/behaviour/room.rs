//! A chat room: the latest messages with their edits, deletions and reactions.
//!
//! Bodies are kept as the text that was received. `body.rs` parses ops, this file checks who may do
//! what, and `message.rs` changes a message.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::sync::Arc;

use greenroom_protocol::{RawJson, Seq};
use serde::{Deserialize, Serialize};

use super::{Accepted, Behaviour, Corrupt, Erases, Op, Rejection};
use crate::clock::Millis;
use crate::record::{Erased, EventRecord};
use crate::settings::Problems;
use crate::settings::units::{self, MIB};

use body::Change;
use message::Message;

mod body;
mod message;
#[cfg(test)]
mod tests;

/// Ops on messages of others, which moderators may send without the permission `send`.
pub const FOR_MODERATORS: &[&str] = &["edit", "delete", "purge"];

/// The settings of a room, from `[kinds.NAME]` for the behaviour `room`; missing ones have their
/// defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoomConfig {
    /// The number of messages in the state.
    pub messages: usize,
    /// The approximate size of the state in bytes. Beyond it the oldest messages are dropped
    /// sooner; one message always remains.
    #[serde(with = "units::size")]
    pub max_state_bytes: usize,
    /// The number of different emoji on one message.
    pub max_reactions: usize,
    /// The number of reactions on one message, over all emoji and users.
    pub max_reactors: usize,
}

impl Default for RoomConfig {
    fn default() -> Self {
        Self { messages: 100, max_state_bytes: MIB, max_reactions: 32, max_reactors: 1000 }
    }
}

impl RoomConfig {
    /// Reports settings with which rooms could not work.
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.at_least("messages", self.messages, 1);
        problems.at_least("max_state_bytes", self.max_state_bytes, 64);
        problems.at_least("max_reactions", self.max_reactions, 1);
        problems.at_least("max_reactors", self.max_reactors, 1);
    }
}

/// A room's state.
#[derive(Debug)]
pub struct Room {
    config: Arc<RoomConfig>,
    /// Ascending by seq.
    messages: VecDeque<Message>,
    /// The sum of their sizes.
    bytes: usize,
    /// Cached from the first request to the next change, except while there are no messages.
    snapshot: OnceCell<RawJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot<M> {
    messages: M,
}

impl Room {
    /// A room without messages.
    pub fn new(config: Arc<RoomConfig>) -> Self {
        Self { config, messages: VecDeque::new(), bytes: 0, snapshot: OnceCell::new() }
    }

    /// The room of which `state` is a snapshot.
    ///
    /// # Errors
    /// If `state` is not the snapshot of a room.
    pub fn restore(config: Arc<RoomConfig>, seq: Seq, state: &RawJson) -> Result<Self, Corrupt> {
        let corrupt = |why: String| Corrupt { seq, why };
        let Snapshot { messages } =
            state.parse::<Snapshot<VecDeque<Message>>>().map_err(|e| corrupt(e.to_string()))?;
        if !messages.iter().is_sorted_by(|a, b| a.seq < b.seq)
            || messages.back().is_some_and(|last| last.seq > seq)
        {
            return Err(corrupt("the messages are not in order".into()));
        }
        let bytes = messages.iter().map(Message::size).sum();
        let mut room = Self { config, messages, bytes, snapshot: OnceCell::new() };
        // The limits may be lower now than when the snapshot was made.
        room.forget_oldest();
        Ok(room)
    }

    fn find(&self, seq: Seq) -> Option<usize> {
        let at = self.messages.binary_search_by_key(&seq, |message| message.seq).ok()?;
        (!self.messages[at].is_deleted()).then_some(at)
    }

    /// The cost of `change` beyond parsing its body: a reaction is searched for among the existing
    /// ones.
    fn work(&self, change: &Change) -> usize {
        let Change::React { seq, emoji, .. } = change else { return 0 };
        self.find(*seq).map_or(0, |place| self.messages[place].reaction_work(emoji))
    }

    /// Whether the sender of `op` may do `change`, which cannot fail afterwards.
    fn check(&self, op: &Op<'_>, change: &Change) -> Result<(), Rejection> {
        let Some(seq) = change.target() else { return Ok(()) };
        if let Change::Purge { .. } = change {
            return self.check_purge(op, seq);
        }
        let message = &self.messages[self.find(seq).ok_or_else(|| not_found(seq))?];
        match change {
            Change::Edit { .. } | Change::Delete { .. }
                if !op.moderator && message.from.as_ref() != op.from =>
            {
                Err(Rejection::new(
                    "not_author",
                    format!(
                        "message {seq} is another user's; its author and moderators may change it"
                    ),
                ))
            }
            Change::React { emoji, remove: false, .. } => {
                message.admits(emoji, op.from, &self.config)
            }
            _ => Ok(()),
        }
    }

    /// A purge also applies to deleted messages and to those no longer in the state.
    fn check_purge(&self, op: &Op<'_>, seq: Seq) -> Result<(), Rejection> {
        if !op.moderator {
            return Err(Rejection::new(
                "not_moderator",
                "only moderators may purge a message; its author may delete it",
            ));
        }
        let known = self.messages.front().is_some_and(|oldest| oldest.seq <= seq);
        let is_message = self.messages.binary_search_by_key(&seq, |message| message.seq).is_ok();
        if seq == Seq::ZERO || seq >= op.seq || (known && !is_message) {
            return Err(Rejection::new(
                "message_not_found",
                format!("{seq} is not the seq of a message: give the seq of its `post`"),
            ));
        }
        Ok(())
    }

    /// Performs `change`. It has no effect on a message that is no longer in the state, which
    /// happens if limits were lowered after the event.
    fn commit(&mut self, change: Change, from: &str, seq: Seq, at: Millis) {
        if let Change::Post(body) = change {
            return self.post(Message::new(seq, at, from, body));
        }
        self.snapshot.take();
        let Some(place) = change.target().and_then(|target| self.find(target)) else { return };
        let message = &mut self.messages[place];
        self.bytes -= message.size();
        match change {
            Change::Edit { body, .. } => message.edit(body, at),
            Change::React { emoji, remove: false, .. } => message.react(&emoji, from),
            Change::React { emoji, remove: true, .. } => message.unreact(&emoji, from),
            Change::Post(_) | Change::Delete { .. } | Change::Purge { .. } => message.delete(),
        }
        self.bytes += message.size();
        self.forget_oldest();
    }

    /// Applies an event whose body has been erased. Until its deletion is replayed, the message
    /// counts with the size that it had.
    fn apply_erased(&mut self, event: &EventRecord, erased: Erased) {
        let Erased { message, bytes } = erased;
        if message == event.seq {
            return self.post(Message::erased(event.seq, event.at, &event.from, bytes));
        }
        if let Some(place) = self.find(message) {
            self.snapshot.take();
            self.bytes -= self.messages[place].size();
            self.messages[place].edit_erased(bytes, event.at);
            self.bytes += self.messages[place].size();
            self.forget_oldest();
        }
    }

    fn post(&mut self, message: Message) {
        self.snapshot.take();
        self.bytes += message.size();
        self.messages.push_back(message);
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        while self.messages.len() > self.config.messages
            || (self.size() > self.config.max_state_bytes && self.messages.len() > 1)
        {
            let Some(message) = self.messages.pop_front() else { break };
            self.bytes -= message.size();
        }
    }
}

fn not_found(seq: Seq) -> Rejection {
    Rejection::new(
        "message_not_found",
        format!("message {seq} is deleted, too old to be changed, or never was"),
    )
}

impl Behaviour for Room {
    fn decide(&mut self, op: &Op<'_>) -> Result<Accepted, Rejection> {
        let change = Change::parse(op.r#type, op.body)?;
        let work = self.work(&change);
        self.check(op, &change).map_err(|rejection| rejection.after(work))?;
        self.commit(change, op.from, op.seq, op.at);
        Ok(Accepted { work, ..Accepted::default() })
    }

    fn apply(&mut self, event: &EventRecord) -> Result<(), Corrupt> {
        let corrupt = |why: String| Corrupt { seq: event.seq, why };
        if self.messages.back().is_some_and(|last| last.seq >= event.seq) {
            return Err(corrupt("the state already includes a later event".into()));
        }
        if let Some(erased) = &event.deleted {
            self.apply_erased(event, **erased);
            return Ok(());
        }
        let change = Change::parse(&event.r#type, &event.body)
            .map_err(|rejection| corrupt(rejection.message.into_owned()))?;
        self.commit(change, &event.from, event.seq, event.at);
        Ok(())
    }

    fn erases(&self, op: &Op<'_>) -> Option<Erases> {
        let purge = match op.r#type {
            "delete" => false,
            "purge" => true,
            _ => return None,
        };
        let message = Change::parse(op.r#type, op.body).ok()?.target()?;
        // A message that is no longer in the state may have been edited.
        let elsewhere = self.find(message).is_none_or(|place| self.messages[place].is_edited());
        Some(Erases { message, elsewhere, purge })
    }

    fn carries(&self, event: &EventRecord) -> Option<Erased> {
        if !matches!(event.r#type.as_ref(), "post" | "edit") {
            return None;
        }
        match Change::parse(&event.r#type, &event.body).ok()? {
            Change::Post(body) => Some(Erased { message: event.seq, bytes: body.len() }),
            Change::Edit { seq, body } => Some(Erased { message: seq, bytes: body.len() }),
            _ => None,
        }
    }

    fn snapshot(&self) -> RawJson {
        let make = || {
            RawJson::from_value(&Snapshot { messages: &self.messages })
                .expect("messages have string keys and valid bodies")
        };
        if self.messages.is_empty() {
            return make();
        }
        self.snapshot.get_or_init(make).clone()
    }

    fn size(&self) -> usize {
        self.bytes + r#"{"messages":[]}"#.len()
    }
}
