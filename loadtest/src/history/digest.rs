//! Contents in 64 bits: a history of a million ops fits into memory, and contents are still
//! compared byte for byte as far as 64 bits can tell. This guards against a server's faults, not
//! against somebody who looks for two contents with one digest.

use std::collections::BTreeMap;
use std::fmt;

use greenroom_protocol::{RawJson, Seq};
use serde::{Deserialize, Serialize};

/// Identifies a content: equal contents have the same name, and different ones almost certainly do
/// not. In files it has 16 hexadecimal digits, since many readers of JSON round large numbers.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct Name(pub u64);

/// What a history keeps of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Room(Messages),
    /// A document whose members are counters: their sum.
    Sum(i64),
    Other(Name),
}

/// The messages of a room's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    pub count: u32,
    /// All of them in their order: [`Name::NONE`], and for each message [`Name::then`].
    pub all: Name,
}

/// How an entity's state is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A room to which messages are posted, and nothing else is done.
    Room,
    /// A document of counters.
    Counters,
}

const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Name {
    /// What a digest begins with; the offset of FNV-1a.
    pub const NONE: Self = Self(0xcbf2_9ce4_8422_2325);

    /// The content of an op or an event: who sent what.
    pub fn of(from: &str, r#type: &str, body: &str) -> Self {
        // No part can be mistaken for the end of the one before: each comes with its length.
        [from, r#type, body]
            .into_iter()
            .fold(Self::NONE, |name, part| name.number(part.len() as u64).text(part))
    }

    pub fn of_text(text: &str) -> Self {
        Self::NONE.text(text)
    }

    /// The digest of a list that goes on with this event.
    pub fn then(self, seq: Seq, at: u64, event: Self) -> Self {
        self.number(seq.get()).number(at).number(event.0)
    }

    fn text(self, text: &str) -> Self {
        Self(text.bytes().fold(self.0, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
    }

    /// Eight bytes at once; the high bits come down, or they would never reach the low ones.
    fn number(self, number: u64) -> Self {
        let mixed = (self.0 ^ number).wrapping_mul(PRIME);
        Self(mixed ^ mixed >> 32)
    }
}

/// One message of a room's state, as the protocol has it.
#[derive(Deserialize)]
struct Message {
    seq: Seq,
    at: u64,
    from: String,
    body: RawJson,
    edited_at: Option<u64>,
    #[serde(default)]
    deleted: bool,
}

#[derive(Deserialize)]
struct Room {
    messages: Vec<Message>,
}

impl State {
    /// What `text` shows, if it has that shape; any other is [`State::Other`].
    pub fn read(shape: Shape, text: &RawJson) -> Self {
        let read = match shape {
            Shape::Room => Self::room(text),
            Shape::Counters => Self::counters(text),
        };
        read.unwrap_or_else(|| Self::Other(Name::of_text(text.as_str())))
    }

    fn room(text: &RawJson) -> Option<Self> {
        let Room { messages } = text.parse().ok()?;
        // Nobody edits or deletes anything in such a room.
        if messages.iter().any(|message| message.deleted || message.edited_at.is_some()) {
            return None;
        }
        let name = |message: &Message| Name::of(&message.from, "post", message.body.as_str());
        let all = messages
            .iter()
            .fold(Name::NONE, |all, message| all.then(message.seq, message.at, name(message)));
        Some(Self::Room(Messages { count: u32::try_from(messages.len()).ok()?, all }))
    }

    fn counters(text: &RawJson) -> Option<Self> {
        let members: BTreeMap<String, i64> = text.parse().ok()?;
        members.into_values().try_fold(0_i64, i64::checked_add).map(Self::Sum)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = u64::from_str_radix(&text, 16).ok().filter(|_| text.len() == 16);
        number.map(Self).ok_or_else(|| format!("`{text}` is not 16 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(value: &serde_json::Value) -> RawJson {
        RawJson::from_value(value).expect("it serializes")
    }

    #[test]
    fn contents_that_differ_anywhere_have_other_names() {
        let name = Name::of("ann", "post", "{}");
        assert_eq!(name, Name::of("ann", "post", "{}"));
        for other in [
            Name::of("bob", "post", "{}"),
            Name::of("ann", "edit", "{}"),
            Name::of("ann", "post", "{ }"),
            Name::of("annp", "ost", "{}"),
        ] {
            assert_ne!(name, other);
        }
        let then = |list: Name, seq, at| list.then(Seq::new(seq), at, name);
        let list = then(then(Name::NONE, 1, 5), 2, 6);
        for other in [
            then(then(Name::NONE, 2, 6), 1, 5),
            then(Name::NONE, 1, 5),
            then(then(Name::NONE, 1, 5), 2, 7),
        ] {
            assert_ne!(list, other);
        }
        assert_eq!(Name::of_text("a"), Name(0xaf63_dc4c_8601_ec8c), "the published FNV-1a of `a`");
    }

    #[test]
    fn names_travel_as_text() {
        let name = Name(0x1f);
        let text = serde_json::to_string(&name).expect("it serializes");
        assert_eq!(text, r#""000000000000001f""#);
        assert_eq!(serde_json::from_str::<Name>(&text).expect("it is its own form"), name);
        for bad in [r#""1f""#, r#""000000000000001g""#, "31"] {
            assert!(serde_json::from_str::<Name>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn states_are_read_by_their_shape() {
        let message = serde_json::json!({ "seq": 3, "at": 9, "from": "ann", "body": { "t": 1 } });
        let all = Name::NONE.then(Seq::new(3), 9, Name::of("ann", "post", r#"{"t":1}"#));
        let room = raw(&serde_json::json!({ "messages": [message.clone()] }));
        assert_eq!(State::read(Shape::Room, &room), State::Room(Messages { count: 1, all }));
        assert_eq!(
            State::read(Shape::Counters, &raw(&serde_json::json!({ "a": 3, "b": -1 }))),
            State::Sum(2)
        );
        let mut edited = message;
        edited["edited_at"] = 10.into();
        for (shape, other) in [
            (Shape::Room, serde_json::json!({ "messages": [edited] })),
            (Shape::Room, serde_json::json!({ "a": 3 })),
            (Shape::Counters, serde_json::json!({ "a": "3" })),
            (Shape::Counters, serde_json::json!({ "a": i64::MAX, "b": 1 })),
        ] {
            let read = State::read(shape, &raw(&other));
            assert!(matches!(read, State::Other(_)), "{other}: {read:?}");
        }
    }
}
