//! The name of an entity: `kind:id`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest kind, in bytes.
pub const MAX_KIND: usize = 32;
/// The longest id after the colon, in bytes.
pub const MAX_ID: usize = 128;

/// `kind:id`, checked against the grammar and cheap to clone.
///
/// A kind matches `[a-z][a-z0-9_-]{0,31}`; an id is 1 to 128 bytes of
/// `A-Z a-z 0-9 _ . ~ @ : / + = -`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId {
    text: Arc<str>,
    colon: u8,
}

/// Why a string is not a valid entity id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEntityId {
    /// There is no colon.
    #[error("an entity id has the form `kind:id`; the colon is missing")]
    NoColon,
    /// The part before the first colon is not a valid kind.
    #[error("an entity's kind must match [a-z][a-z0-9_-]{{0,31}}")]
    Kind,
    /// The part after the first colon is not a valid id.
    #[error("an entity's id must be 1 to 128 bytes of A-Z a-z 0-9 _ . ~ @ : / + = -")]
    Id,
}

impl EntityId {
    /// Checks `text` against the grammar.
    pub fn parse(text: &str) -> Result<Self, BadEntityId> {
        let colon = text.find(':').ok_or(BadEntityId::NoColon)?;
        let kind = &text[..colon];
        let id = &text[colon + 1..];
        if !is_kind(kind) {
            return Err(BadEntityId::Kind);
        }
        if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(is_id_byte) {
            return Err(BadEntityId::Id);
        }
        // A kind has at most 32 bytes, so the colon's position fits.
        Ok(Self { text: text.into(), colon: colon as u8 })
    }

    /// The id of an entity of a kind that the server reserves for itself: `.kind:id`. The grammar
    /// does not allow the dot, so no client, token or configuration can name such an entity.
    ///
    /// # Panics
    /// If the part after the dot is not a valid entity id.
    pub fn internal(kind: &'static str, id: &str) -> Self {
        let name = kind.strip_prefix('.').expect("an internal kind begins with a dot");
        let inner = Self::parse(&format!("{name}:{id}"))
            .expect("an internal entity's name is valid apart from its dot");
        inner.with_dot()
    }

    fn with_dot(self) -> Self {
        Self { text: format!(".{}", self.text).into(), colon: self.colon + 1 }
    }

    /// Reads an id that another server has written, and that may be internal.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse), apart from the dot.
    pub fn deserialize_internal<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        let parsed = match text.strip_prefix('.') {
            Some(inner) => Self::parse(inner).map(Self::with_dot),
            None => Self::parse(&text),
        };
        parsed.map_err(serde::de::Error::custom)
    }

    /// The kind that the entity belongs to.
    pub fn kind(&self) -> &str {
        &self.text[..self.colon as usize]
    }

    /// The part after the first colon.
    pub fn id(&self) -> &str {
        &self.text[self.colon as usize + 1..]
    }

    /// The full text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whether `text` is a well-formed kind.
pub fn is_kind(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= MAX_KIND
        && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

fn is_id_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"_.~@:/+=-".contains(&b)
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for EntityId {
    type Err = BadEntityId;

    fn from_str(text: &str) -> Result<Self, BadEntityId> {
        Self::parse(text)
    }
}

impl Serialize for EntityId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for EntityId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for EntityId {
    fn schema_name() -> Cow<'static, str> {
        "EntityId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "`kind:id`",
            "pattern": "^[a-z][a-z0-9_-]{0,31}:[A-Za-z0-9_.~@:/+=-]{1,128}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        let long_kind = "k".repeat(33);
        let long_id = "i".repeat(129);
        let table = [
            ("room:lobby", Ok(("room", "lobby"))),
            ("doc:plan-7:b/c", Ok(("doc", "plan-7:b/c"))),
            ("a:~@.+=-_", Ok(("a", "~@.+=-_"))),
            ("room", Err(BadEntityId::NoColon)),
            ("Room:x", Err(BadEntityId::Kind)),
            (":x", Err(BadEntityId::Kind)),
            ("9a:x", Err(BadEntityId::Kind)),
            (&format!("{long_kind}:x"), Err(BadEntityId::Kind)),
            ("room:", Err(BadEntityId::Id)),
            ("room:a b", Err(BadEntityId::Id)),
            ("room:é", Err(BadEntityId::Id)),
            (&format!("room:{long_id}"), Err(BadEntityId::Id)),
        ];
        for (text, want) in table {
            let got = EntityId::parse(text);
            let got = got.as_ref().map(|e| (e.kind(), e.id())).map_err(Clone::clone);
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn an_internal_entity_cannot_be_named_from_outside() {
        let internal = EntityId::internal(".canary", "node");
        assert_eq!(
            (internal.kind(), internal.id(), internal.as_str()),
            (".canary", "node", ".canary:node")
        );
        assert!(!is_kind(internal.kind()));
        assert_eq!(EntityId::parse(internal.as_str()), Err(BadEntityId::Kind));
        let quoted = serde_json::to_string(&internal).unwrap();
        let read = EntityId::deserialize_internal(&mut serde_json::Deserializer::from_str(&quoted));
        assert_eq!(read.unwrap(), internal);
        assert!(serde_json::from_str::<EntityId>(&quoted).is_err());
    }
}
