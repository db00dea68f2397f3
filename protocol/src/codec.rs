//! How a message becomes bytes: one trait, two codecs.

use bytes::BytesMut;
use serde::Serialize;

use crate::{Request, RequestId, WireError};

mod decode;
mod json;
mod msgpack;

pub use json::Json;
pub use msgpack::MsgPack;

/// Which codec a session speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodecKind {
    /// `greenroom.v1.json`, text frames.
    Json,
    /// `greenroom.v1.msgpack`, binary frames.
    MsgPack,
}

impl CodecKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Json, Self::MsgPack];

    /// The WebSocket subprotocol that names this codec.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "greenroom.v1.json",
            Self::MsgPack => "greenroom.v1.msgpack",
        }
    }

    /// The codec.
    pub fn codec(self) -> &'static dyn Codec {
        match self {
            Self::Json => &Json,
            Self::MsgPack => &MsgPack,
        }
    }
}

/// A request that could not be understood: what to answer, and to which id.
#[derive(Debug, Clone, PartialEq)]
pub struct Malformed {
    /// The id, where that much could be read. With no id the answer's id is null.
    pub id: Option<RequestId>,
    /// What was wrong.
    pub error: WireError,
}
