//! The grammar of capability patterns.

use greenroom_protocol::EntityId;
use greenroom_protocol::entity_id::is_kind;

use super::{MAX_PATTERN_BYTES, shortened};

/// A pattern that has no meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Over the limit.
    #[error("the capability pattern `{0}…` has more than {MAX_PATTERN_BYTES} bytes")]
    TooLong(String),
    /// It can match no entity.
    #[error(
        "the capability pattern `{0}` is no entity id, no beginning of one followed by `*`, and not `*`"
    )]
    Malformed(String),
}

/// What a pattern stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern<'a> {
    Everything,
    Exact(&'a str),
    Prefix(&'a str),
}

impl<'a> Pattern<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, BadPattern> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(BadPattern::TooLong(shortened(text)));
        }
        let pattern = match text.strip_suffix('*') {
            Some("") => Some(Self::Everything),
            Some(prefix) => is_beginning(prefix).then_some(Self::Prefix(prefix)),
            None => EntityId::parse(text).is_ok().then_some(Self::Exact(text)),
        };
        pattern.ok_or_else(|| BadPattern::Malformed(shortened(text)))
    }
}

/// Whether some entity id begins so: what could never match is a mistake of whoever wrote it.
fn is_beginning(prefix: &str) -> bool {
    match prefix.split_once(':') {
        None => is_kind(prefix),
        Some((kind, "")) => is_kind(kind),
        Some(_) => EntityId::parse(prefix).is_ok(),
    }
}
