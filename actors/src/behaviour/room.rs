//! A chat room: the last messages, with edits, deletions and reactions.
//!
//! Bodies are kept as the text they came as. What an op does is in `message.rs`, what its body must look like in
//! `body.rs`, and who may do it here.

use std::cell::OnceCell;
use std::collections::VecDeque;

use greenroom_protocol::{RawJson, Seq};
use serde::{Deserialize, Serialize};

use super::{Accepted, Behaviour, Corrupt, Op, Rejection};
use crate::clock::Millis;
use crate::record::EventRecord;

use body::Change;
use message::Message;

mod body;
mod message;
#[cfg(test)]
mod tests;

/// The ops that act on what others wrote: a moderator may do them without the permission `send`.
pub const FOR_MODERATORS: &[&str] = &["edit", "delete"];

/// The settings of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomConfig {
    /// Messages in the state.
    pub messages: usize,
    /// Bytes of the state, roughly. Beyond them the oldest messages leave it sooner; one message always stays.
    pub max_state_bytes: usize,
    /// Different emoji on one message.
    pub max_reactions: usize,
    /// Reactions on one message, added up over its emoji and users.
    pub max_reactors: usize,
}

impl Default for RoomConfig {
    fn default() -> Self {
        Self { messages: 100, max_state_bytes: 1024 * 1024, max_reactions: 32, max_reactors: 1000 }
    }
}

/// A room's state.
#[derive(Debug)]
pub struct Room {
    config: RoomConfig,
    /// Ascending by seq, within the bounds of `config`.
    messages: VecDeque<Message>,
    /// The sum of their sizes.
    bytes: usize,
    /// The snapshot, from the first time it is asked for to the next change.
    snapshot: OnceCell<RawJson>,
}

/// The form of a snapshot.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot<M> {
    messages: M,
}

impl Room {
    /// A room without messages.
    pub fn new(config: RoomConfig) -> Self {
        Self { config, messages: VecDeque::new(), bytes: 0, snapshot: OnceCell::new() }
    }

    /// The room that `state` shows.
    ///
    /// # Errors
    /// Where `state` is no room's snapshot.
    pub fn restore(config: RoomConfig, seq: Seq, state: &RawJson) -> Result<Self, Corrupt> {
        let corrupt = |why: String| Corrupt { seq, why };
        let Snapshot { messages } = state.parse::<Snapshot<VecDeque<Message>>>().map_err(|e| corrupt(e.to_string()))?;
        if !messages.iter().is_sorted_by(|a, b| a.seq < b.seq) || messages.back().is_some_and(|last| last.seq > seq) {
            return Err(corrupt("the messages are not in order".into()));
        }
        let bytes = messages.iter().map(Message::size).sum();
        let mut room = Self { config, messages, bytes, snapshot: OnceCell::new() };
        // The setting may be smaller now than when the snapshot was made.
        room.forget_oldest();
        Ok(room)
    }

    fn find(&self, seq: Seq) -> Option<usize> {
        let at = self.messages.binary_search_by_key(&seq, |message| message.seq).ok()?;
        (!self.messages[at].is_deleted()).then_some(at)
    }

    /// What `change` costs beyond the reading of its body: a reaction is looked for among those there are.
    fn work(&self, change: &Change) -> usize {
        let Change::React { seq, emoji, .. } = change else { return 0 };
        self.find(*seq).map_or(0, |place| self.messages[place].reaction_work(emoji))
    }

    /// Whether `op` may do `change`, which then cannot fail.
    fn check(&self, op: &Op<'_>, change: &Change) -> Result<(), Rejection> {
        let Some(seq) = change.target() else { return Ok(()) };
        let message = &self.messages[self.find(seq).ok_or_else(|| not_found(seq))?];
        match change {
            Change::Edit { .. } | Change::Delete { .. } if !op.moderator && message.from.as_ref() != op.from => {
                Err(Rejection::new("not_author", format!("message {seq} is another user's; its author and moderators may change it")))
            }
            Change::React { emoji, remove: false, .. } => message.admits(emoji, op.from, &self.config),
            _ => Ok(()),
        }
    }

    /// Does `change`. A message that has left the state, which a setting changed since the event can cause, is none of
    /// the state's business.
    fn commit(&mut self, change: Change, from: &str, seq: Seq, at: Millis) {
        self.snapshot.take();
        if let Change::Post(body) = change {
            let message = Message::new(seq, at, from, body);
            self.bytes += message.size();
            self.messages.push_back(message);
            self.forget_oldest();
            return;
        }
        let Some(place) = change.target().and_then(|target| self.find(target)) else { return };
        let message = &mut self.messages[place];
        self.bytes -= message.size();
        match change {
            Change::Edit { body, .. } => message.edit(body, at),
            Change::React { emoji, remove: false, .. } => message.react(&emoji, from),
            Change::React { emoji, remove: true, .. } => message.unreact(&emoji, from),
            Change::Post(_) | Change::Delete { .. } => message.delete(),
        }
        self.bytes += message.size();
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        while self.messages.len() > self.config.messages || (self.size() > self.config.max_state_bytes && self.messages.len() > 1) {
            let Some(message) = self.messages.pop_front() else { break };
            self.bytes -= message.size();
        }
    }
}

fn not_found(seq: Seq) -> Rejection {
    Rejection::new("message_not_found", format!("message {seq} is deleted, too old to be changed, or never was"))
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
            return Err(corrupt("the state is further already".into()));
        }
        let change = Change::parse(&event.r#type, &event.body).map_err(|rejection| corrupt(rejection.message.into_owned()))?;
        self.commit(change, &event.from, event.seq, event.at);
        Ok(())
    }

    fn snapshot(&self) -> RawJson {
        let make = || RawJson::from_value(&Snapshot { messages: &self.messages }).expect("messages have string keys and valid bodies");
        self.snapshot.get_or_init(make).clone()
    }

    fn size(&self) -> usize {
        self.bytes + r#"{"messages":[]}"#.len()
    }
}
