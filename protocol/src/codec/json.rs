//! `greenroom.v1.json`.

use serde::Serialize;

use super::message::{ClientMessage, Message};
use super::server::{BadMessage, ServerMessage};
use super::{Codec, Malformed, envelope, server};
use crate::{Call, Request, RequestId};

/// Messages as JSON text.
#[derive(Debug, Clone, Copy)]
pub struct Json;

impl Codec for Json {
    const SUBPROTOCOL: &'static str = "greenroom.v1.json";
    const IS_TEXT: bool = true;

    fn decode(bytes: &[u8]) -> Result<Request, Malformed> {
        match std::str::from_utf8(bytes) {
            Ok(text) => envelope::read_request(text),
            Err(error) => {
                // What comes before it may say what to answer to.
                let text = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
                let id = envelope::read_request(text)
                    .map_or_else(|malformed| malformed.id, |request| request.id);
                Err(Malformed {
                    id,
                    ..Malformed::unparsable(format!(
                        "not UTF-8 after {} bytes",
                        error.valid_up_to()
                    ))
                })
            }
        }
    }

    fn encode<T: Serialize + ?Sized>(message: &Message<'_, T>, out: &mut Vec<u8>) {
        write(message, out);
    }

    fn encode_request(id: Option<&RequestId>, call: &Call, out: &mut Vec<u8>) {
        write(&ClientMessage { id, call }, out);
    }

    fn decode_server(bytes: &[u8]) -> Result<ServerMessage, BadMessage> {
        let text = std::str::from_utf8(bytes).map_err(|e| BadMessage(format!("not UTF-8: {e}")))?;
        server::read_server_message(text)
    }
}

/// Appends `message` as JSON.
pub(super) fn write(message: &impl Serialize, out: &mut Vec<u8>) {
    // The protocol's types are structs, enums, strings, numbers and raw JSON: no map with odd keys,
    // no failing `Serialize`. And a `Vec` takes all that is written to it.
    serde_json::to_writer(out, message).expect("the protocol's own types serialize to JSON");
}
