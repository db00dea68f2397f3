//! One message of a room.

use std::fmt;

use greenroom_protocol::{RawJson, Seq};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::{Rejection, RoomConfig};
use crate::clock::Millis;

/// A message in its current state. Its JSON is part of snapshots.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    pub(super) seq: Seq,
    at: Millis,
    pub(super) from: Box<str>,
    /// `null` once deleted.
    body: RawJson,
    /// The size of the body if it has been erased. No snapshot contains such a message, because its
    /// deletion follows in the log.
    #[serde(skip)]
    erased: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edited_at: Option<Millis>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    #[serde(default, skip_serializing_if = "Reactions::is_empty")]
    reactions: Reactions,
}

/// Emoji in the order of their first use, each with its users in the order of their reactions: few
/// enough for linear search.
#[derive(Debug, Clone, Default)]
struct Reactions {
    all: Vec<(Box<str>, Vec<Box<str>>)>,
    /// The sum over all emoji.
    users: usize,
    /// The approximate size in bytes of JSON.
    bytes: usize,
}

impl Message {
    pub(super) fn new(seq: Seq, at: Millis, from: &str, body: RawJson) -> Self {
        Self {
            seq,
            at,
            from: from.into(),
            body,
            erased: None,
            edited_at: None,
            deleted: false,
            reactions: Reactions::default(),
        }
    }

    /// A message whose body has been erased; it had this many bytes.
    pub(super) fn erased(seq: Seq, at: Millis, from: &str, bytes: usize) -> Self {
        Self { erased: Some(bytes), ..Self::new(seq, at, from, RawJson::NULL) }
    }

    pub(super) fn is_edited(&self) -> bool {
        self.edited_at.is_some()
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted
    }

    pub(super) fn edit(&mut self, body: RawJson, at: Millis) {
        self.body = body;
        self.erased = None;
        self.edited_at = Some(at);
    }

    /// The message was edited, and the new body has been erased.
    pub(super) fn edit_erased(&mut self, bytes: usize, at: Millis) {
        self.edit(RawJson::NULL, at);
        self.erased = Some(bytes);
    }

    /// Keeps the message's place without its content.
    pub(super) fn delete(&mut self) {
        self.body = RawJson::NULL;
        self.erased = None;
        self.deleted = true;
        self.reactions = Reactions::default();
    }

    /// Whether a reaction can be added, or exists already.
    pub(super) fn admits(
        &self,
        emoji: &str,
        user: &str,
        config: &RoomConfig,
    ) -> Result<(), Rejection> {
        let Reactions { all, users, .. } = &self.reactions;
        let known = all.iter().find(|(known, _)| known.as_ref() == emoji);
        if known.is_some_and(|(_, users)| users.iter().any(|known| known.as_ref() == user)) {
            return Ok(());
        }
        let full = |message: String| Err(Rejection::new("too_many_reactions", message));
        if known.is_none() && all.len() >= config.max_reactions {
            return full(format!("a message takes {} different emoji", config.max_reactions));
        }
        if *users >= config.max_reactors {
            return full(format!("a message takes {} reactions", config.max_reactors));
        }
        Ok(())
    }

    /// The cost of finding a reaction, in units of
    /// [`ORDINARY_WORK`](crate::behaviour::ORDINARY_WORK).
    pub(super) fn reaction_work(&self, emoji: &str) -> usize {
        const PER_USER: usize = 4;
        let Reactions { all, .. } = &self.reactions;
        all.len()
            + all
                .iter()
                .find(|(known, _)| known.as_ref() == emoji)
                .map_or(0, |(_, users)| PER_USER * users.len())
    }

    /// Adds a reaction, unless the user already has the same one.
    pub(super) fn react(&mut self, emoji: &str, user: &str) {
        let reactions = &mut self.reactions;
        let at =
            reactions.all.iter().position(|(known, _)| known.as_ref() == emoji).unwrap_or_else(
                || {
                    reactions.all.push((emoji.into(), Vec::new()));
                    reactions.bytes += emoji_bytes(emoji);
                    reactions.all.len() - 1
                },
            );
        let (_, users) = &mut reactions.all[at];
        if !users.iter().any(|known| known.as_ref() == user) {
            users.push(user.into());
            reactions.users += 1;
            reactions.bytes += user_bytes(user);
        }
    }

    /// Removes a reaction, if it exists.
    pub(super) fn unreact(&mut self, emoji: &str, user: &str) {
        let reactions = &mut self.reactions;
        let Some(at) = reactions.all.iter().position(|(known, _)| known.as_ref() == emoji) else {
            return;
        };
        let (_, users) = &mut reactions.all[at];
        let Some(place) = users.iter().position(|known| known.as_ref() == user) else { return };
        users.remove(place);
        reactions.users -= 1;
        reactions.bytes -= user_bytes(user);
        if users.is_empty() {
            reactions.all.remove(at);
            reactions.bytes -= emoji_bytes(emoji);
        }
    }

    /// The approximate size in bytes of JSON.
    pub(super) fn size(&self) -> usize {
        // The field names, and numbers of usual length.
        const FRAME: usize = 64;
        FRAME
            + self.from.len()
            + self.erased.unwrap_or_else(|| self.body.len())
            + self.reactions.bytes
    }
}

/// The approximate size of an emoji without its users, in bytes of JSON.
fn emoji_bytes(emoji: &str) -> usize {
    emoji.len() + 6
}

/// The same for one user.
fn user_bytes(user: &str) -> usize {
    user.len() + 3
}

impl Reactions {
    fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Serialize for Reactions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.all.iter().map(|(emoji, users)| (emoji, users)))
    }
}

impl<'de> Deserialize<'de> for Reactions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Reactions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of emoji to users")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reactions, A::Error> {
                let mut reactions = Reactions::default();
                while let Some((emoji, users)) = map.next_entry::<Box<str>, Vec<Box<str>>>()? {
                    reactions.users += users.len();
                    reactions.bytes += emoji_bytes(&emoji)
                        + users.iter().map(|user| user_bytes(user)).sum::<usize>();
                    reactions.all.push((emoji, users));
                }
                Ok(reactions)
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}
