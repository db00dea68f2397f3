//! An event as the journal keeps it.

use std::sync::Arc;

use greenroom_protocol::{RawJson, Seq, results};
use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// An accepted op, with all that is needed to answer its repeat. Its JSON is what a journal row
/// holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Its place in the log.
    pub seq: Seq,
    /// When it was accepted.
    pub at: Millis,
    /// The sender's user.
    pub from: Arc<str>,
    /// The behaviour's name for it.
    pub r#type: Box<str>,
    /// Its body; null once it is deleted.
    pub body: RawJson,
    /// What its body was, where it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Box<Erased>>,
    /// The sender's client id, where the op was numbered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Arc<str>>,
    /// The client's number for the op.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// When the op began by the client's word, where that was after `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Millis>,
    /// The client's mark on the op, by which it recognizes the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Box<str>>,
    /// What the behaviour returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RawJson>,
}

/// A body that was deleted, as far as replaying the log has to know it: the state may have been
/// bounded by its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// The message that it was of: the seq of the event that posted it.
    pub message: Seq,
    /// How many bytes it had.
    pub bytes: usize,
}

/// What the text of a record holds beside its sender, type, body, tag and result, roughly and at
/// the most.
const ENVELOPE: usize = 192;

impl EventRecord {
    /// Its JSON.
    pub fn to_text(&self) -> Vec<u8> {
        let tag = self.tag.as_ref().map_or(0, |tag| tag.len());
        let lengths = [
            self.from.len(),
            self.r#type.len(),
            self.body.len(),
            tag,
            self.result.as_ref().map_or(0, RawJson::len),
        ];
        // Room for all of it at once: nearly every op of a busy server comes through here.
        let mut text = Vec::with_capacity(ENVELOPE + lengths.iter().sum::<usize>());
        serde_json::to_writer(&mut text, self).expect("a record is strings, numbers and JSON");
        text
    }

    /// As results show it: without the entity, which they name already.
    pub fn to_wire(&self) -> results::Event {
        results::Event {
            entity: None,
            seq: self.seq,
            at: self.at,
            from: self.from.as_ref().into(),
            r#type: self.r#type.as_ref().into(),
            body: self.body.clone(),
            deleted: self.deleted.is_some(),
            tag: self.tag.as_deref().map(Into::into),
        }
    }

    /// The same event without its body and its tag. What it takes to answer a repeat of its op
    /// stays.
    #[must_use]
    pub fn tombstone(&self, erased: Erased) -> Self {
        Self { body: RawJson::NULL, deleted: Some(Box::new(erased)), tag: None, ..self.clone() }
    }
}
