//! Parses the bodies of a room's ops.

use greenroom_protocol::limits::MAX_DEPTH;
use greenroom_protocol::{RawJson, Seq};
use serde::Deserialize;

use super::Rejection;

/// The longest emoji, in bytes: a family of four with skin tones takes 41.
const MAX_EMOJI: usize = 64;

/// A well-formed op.
#[derive(Debug)]
pub(super) enum Change {
    Post(RawJson),
    Edit { seq: Seq, body: RawJson },
    Delete { seq: Seq },
    Purge { seq: Seq },
    React { seq: Seq, emoji: Box<str>, remove: bool },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditBody {
    seq: Seq,
    body: RawJson,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeqBody {
    seq: Seq,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReactBody {
    seq: Seq,
    emoji: Box<str>,
    #[serde(default)]
    remove: bool,
}

impl Change {
    /// Parses an op or an event. A message's own body only has to be an object and is not parsed.
    pub(super) fn parse(r#type: &str, body: &RawJson) -> Result<Self, Rejection> {
        if !matches!(r#type, "post" | "edit" | "delete" | "purge" | "react") {
            return Err(Rejection::new(
                "unknown_op",
                "a room's ops are `post`, `edit`, `delete`, `purge` and `react`",
            ));
        }
        if body.deeper_than(MAX_DEPTH) {
            return Err(invalid(format!("the body nests deeper than {MAX_DEPTH}")));
        }
        match r#type {
            "post" => Ok(Self::Post(message_body(body.clone())?)),
            "edit" => {
                let EditBody { seq, body } = fields(body, r#"{"seq": 12, "body": {…}}"#)?;
                Ok(Self::Edit { seq, body: message_body(body)? })
            }
            "delete" | "purge" => {
                let SeqBody { seq } = fields(body, r#"{"seq": 12}"#)?;
                Ok(if r#type == "delete" { Self::Delete { seq } } else { Self::Purge { seq } })
            }
            _ => {
                let ReactBody { seq, emoji, remove } =
                    fields(body, r#"{"seq": 12, "emoji": "👍", "remove"?: true}"#)?;
                if emoji.is_empty() || emoji.len() > MAX_EMOJI {
                    return Err(invalid(format!("an emoji has 1 to {MAX_EMOJI} bytes")));
                }
                Ok(Self::React { seq, emoji, remove })
            }
        }
    }

    /// The seq of the message that is changed.
    pub(super) fn target(&self) -> Option<Seq> {
        match self {
            Self::Post(_) => None,
            Self::Edit { seq, .. }
            | Self::Delete { seq }
            | Self::Purge { seq }
            | Self::React { seq, .. } => Some(*seq),
        }
    }
}

fn fields<'a, T: Deserialize<'a>>(body: &'a RawJson, shape: &str) -> Result<T, Rejection> {
    // A struct may also be given as an array; the protocol has objects only.
    if !is_object(body) {
        return Err(invalid(format!("the body must look like {shape}")));
    }
    body.parse().map_err(|error| invalid(format!("the body must look like {shape}: {error}")))
}

fn message_body(body: RawJson) -> Result<RawJson, Rejection> {
    if is_object(&body) {
        Ok(body)
    } else {
        Err(invalid("a message's body is an object such as {\"text\": \"hi\"}"))
    }
}

fn is_object(body: &RawJson) -> bool {
    body.as_str().trim_start().starts_with('{')
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Rejection {
    Rejection::new("invalid_body", message)
}
