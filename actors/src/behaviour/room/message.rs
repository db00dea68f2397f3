//! One message of a room.

use std::fmt;

use greenroom_protocol::{RawJson, Seq};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::{Rejection, RoomConfig};
use crate::clock::Millis;

/// A message with what was done to it since. Its JSON is what a snapshot shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    pub(super) seq: Seq,
    at: Millis,
    pub(super) from: Box<str>,
    /// `null` once deleted.
    body: RawJson,
    /// The size of the body, where it is not known any more. No snapshot shows such a message: its
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

/// Emoji in the order of their first use, each with its users in the order they came: few enough to
/// search in line.
#[derive(Debug, Clone, Default)]
struct Reactions {
    all: Vec<(Box<str>, Vec<Box<str>>)>,
    /// Users, added up over the emoji.
    users: usize,
    /// Roughly their bytes of JSON.
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

    /// One whose body is not known any more; it had `bytes`.
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

    /// It was edited, and what to is not known any more.
    pub(super) fn edit_erased(&mut self, bytes: usize, at: Millis) {
        self.edit(RawJson::NULL, at);
        self.erased = Some(bytes);
    }

    /// Keeps the message's place, and nothing of what it said.
    pub(super) fn delete(&mut self) {
        self.body = RawJson::NULL;
        self.erased = None;
        self.deleted = true;
        self.reactions = Reactions::default();
    }

    /// Whether there is room for a reaction, or it is there already.
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

    /// What it costs to find a reaction, in units of
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

    /// Adds a reaction; the same one twice is one.
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

    /// Takes a reaction back; one that is not there is no error.
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

    /// Roughly its bytes of JSON.
    pub(super) fn size(&self) -> usize {
        // The names of the fields, with numbers of usual length.
        const FRAME: usize = 64;
        FRAME
            + self.from.len()
            + self.erased.unwrap_or_else(|| self.body.len())
            + self.reactions.bytes
    }
}

/// Roughly the bytes of JSON of an emoji without its users.
fn emoji_bytes(emoji: &str) -> usize {
    emoji.len() + 6
}

/// The same of a user.
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
