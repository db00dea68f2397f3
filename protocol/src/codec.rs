//! How a message becomes bytes: one trait, two codecs.
//!
//! JSON is the canonical form. The MessagePack codec transcodes to and from it, so that every rule
//! about messages is written once and both codecs have the same structure by construction.

use serde::Serialize;

use crate::{Call, ErrorCode, RawJson, Request, RequestId, WireError};

mod envelope;
mod json;
mod message;
mod msgpack;
mod server;

pub use json::Json;
pub use message::{Message, Method};
pub use msgpack::MsgPack;
pub use server::{BadMessage, ServerMessage};

/// Turns messages into bytes and back.
pub trait Codec {
    /// The WebSocket subprotocol that names this codec.
    const SUBPROTOCOL: &'static str;
    /// Whether frames are text; otherwise they are binary.
    const IS_TEXT: bool;

    /// Reads one request, checks it against the protocol's limits, and refuses anything after it.
    ///
    /// # Errors
    /// What to answer, and to which id where that could be read.
    fn decode(bytes: &[u8]) -> Result<Request, Malformed>;

    /// Appends one message of the server to `out`.
    fn encode<T: Serialize + ?Sized>(message: &Message<'_, T>, out: &mut Vec<u8>);

    /// The client's side: appends one request to `out`. Without an id no answer is wanted.
    fn encode_request(id: Option<&RequestId>, call: &Call, out: &mut Vec<u8>);

    /// The client's side: reads one message of the server.
    ///
    /// # Errors
    /// Where the bytes are no message that this protocol's server sends.
    fn decode_server(bytes: &[u8]) -> Result<ServerMessage, BadMessage>;
}

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
            Self::Json => Json::SUBPROTOCOL,
            Self::MsgPack => MsgPack::SUBPROTOCOL,
        }
    }

    /// The codec that a WebSocket subprotocol names.
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.subprotocol() == name)
    }

    /// Whether frames are text; otherwise they are binary.
    pub const fn is_text(self) -> bool {
        match self {
            Self::Json => Json::IS_TEXT,
            Self::MsgPack => MsgPack::IS_TEXT,
        }
    }

    /// The close reason for a client that sends the other type of frame.
    pub const fn frames_only(self) -> &'static str {
        if self.is_text() { "text frames only" } else { "binary frames only" }
    }

    /// See [`Codec::decode`].
    ///
    /// # Errors
    /// What to answer, and to which id where that could be read.
    pub fn decode(self, bytes: &[u8]) -> Result<Request, Malformed> {
        match self {
            Self::Json => Json::decode(bytes),
            Self::MsgPack => MsgPack::decode(bytes),
        }
    }

    /// See [`Codec::encode`].
    pub fn encode(self, message: &Message<'_, impl Serialize + ?Sized>, out: &mut Vec<u8>) {
        match self {
            Self::Json => Json::encode(message, out),
            Self::MsgPack => MsgPack::encode(message, out),
        }
    }

    /// Encodes a message that ends with the value `null`, all but that value, and returns what
    /// follows the value: so one copy of a large value serves many messages. None, with `out` as it
    /// was, where the message ends otherwise.
    pub fn encode_open(
        self,
        message: &Message<'_, impl Serialize + ?Sized>,
        out: &mut Vec<u8>,
    ) -> Option<&'static [u8]> {
        let begin = out.len();
        self.encode(message, out);
        let (null, rest): (&[u8], &'static [u8]) = match self {
            Self::Json => (b"null}}", b"}}"),
            Self::MsgPack => (&[0xc0], b""),
        };
        if out.len() >= begin + null.len() && out.ends_with(null) {
            out.truncate(out.len() - null.len());
            return Some(rest);
        }
        out.truncate(begin);
        None
    }

    /// Appends one JSON value by itself.
    pub fn encode_value(self, value: &RawJson, out: &mut Vec<u8>) {
        match self {
            Self::Json => out.extend_from_slice(value.as_str().as_bytes()),
            Self::MsgPack => msgpack::value(value.as_str(), out),
        }
    }

    /// See [`Codec::encode_request`].
    pub fn encode_request(self, id: Option<&RequestId>, call: &Call, out: &mut Vec<u8>) {
        match self {
            Self::Json => Json::encode_request(id, call, out),
            Self::MsgPack => MsgPack::encode_request(id, call, out),
        }
    }

    /// See [`Codec::decode_server`].
    ///
    /// # Errors
    /// Where the bytes are no message that this protocol's server sends.
    pub fn decode_server(self, bytes: &[u8]) -> Result<ServerMessage, BadMessage> {
        match self {
            Self::Json => Json::decode_server(bytes),
            Self::MsgPack => MsgPack::decode_server(bytes),
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

impl Malformed {
    /// A message that could not be read to its end, and has no id before that.
    fn unparsable(message: String) -> Self {
        Self { id: None, error: WireError::new(ErrorCode::ParseError, message) }
    }
}
