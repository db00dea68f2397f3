//! `greenroom.v1.msgpack`: maps with string keys, transcoded from and to JSON text.
//!
//! Bodies live as JSON text in the server (that is how the journal keeps them), so MessagePack must
//! become text anyway. Transcoding the whole message keeps one set of rules, and one shape, for
//! both codecs.

use serde::Serialize;

use super::json::write;
use super::message::{ClientMessage, Message};
use super::server::{BadMessage, ServerMessage};
use super::{Codec, Malformed, envelope, server};
use crate::limits::MAX_DEPTH;
use crate::{Call, Request, RequestId};

mod outline;
mod pack;
mod unpack;

/// Messages as MessagePack.
#[derive(Debug, Clone, Copy)]
pub struct MsgPack;

/// How deep a message of the server may nest for a client; an entity's state may be deeper than a
/// request.
const MAX_SERVER_DEPTH: usize = 512;

impl Codec for MsgPack {
    const SUBPROTOCOL: &'static str = "greenroom.v1.msgpack";
    const IS_TEXT: bool = false;

    fn decode(bytes: &[u8]) -> Result<Request, Malformed> {
        match unpack::to_json(bytes, MAX_DEPTH) {
            Ok(text) => envelope::read_shallow(&text),
            Err(fault) => Err(outline::explain(bytes, &fault)),
        }
    }

    fn encode<T: Serialize + ?Sized>(message: &Message<'_, T>, out: &mut Vec<u8>) {
        transcode(message, out);
    }

    fn encode_request(id: Option<&RequestId>, call: &Call, out: &mut Vec<u8>) {
        transcode(&ClientMessage { id, call }, out);
    }

    fn decode_server(bytes: &[u8]) -> Result<ServerMessage, BadMessage> {
        let text =
            unpack::to_json(bytes, MAX_SERVER_DEPTH).map_err(|e| BadMessage(e.to_string()))?;
        server::read_server_message(&text)
    }
}

/// Appends one JSON value.
pub(super) fn value(json: &str, out: &mut Vec<u8>) {
    pack::from_json(json, out);
}

fn transcode(message: &impl Serialize, out: &mut Vec<u8>) {
    let mut json = Vec::with_capacity(256);
    write(message, &mut json);
    let json = String::from_utf8(json).expect("serde_json writes UTF-8");
    pack::from_json(&json, out);
}
