//! Reading the server's messages, as a client does.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{RawJson, RequestId, WireError};

/// What a client receives.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerMessage {
    /// A request succeeded.
    Result {
        /// The request's id.
        id: RequestId,
        /// What the method returned.
        result: RawJson,
    },
    /// A request failed.
    Error {
        /// The request's id; absent where the server could not read it.
        id: Option<RequestId>,
        /// What went wrong.
        error: WireError,
    },
    /// The server speaks on its own.
    Notification {
        /// Which notification; a newer server may know more than [`Method`](super::Method).
        method: String,
        /// Its content.
        params: RawJson,
    },
}

/// The bytes are no message that this protocol's server sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a message of the server: {0}")]
pub struct BadMessage(pub(super) String);

#[derive(Deserialize)]
struct Envelope<'a> {
    jsonrpc: &'a str,
    #[serde(default)]
    id: Option<RequestId>,
    // `RawJson` within an `Option` would take `"result": null` for no result.
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<WireError>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    params: RawJson,
}

/// Reads one message of the server from JSON text.
pub(super) fn read_server_message(text: &str) -> Result<ServerMessage, BadMessage> {
    let envelope: Envelope<'_> =
        serde_json::from_str(text).map_err(|e| BadMessage(e.to_string()))?;
    if envelope.jsonrpc != "2.0" {
        return Err(BadMessage(format!("`jsonrpc` is `{}`, not `2.0`", envelope.jsonrpc)));
    }
    match (envelope.id, envelope.result, envelope.error, envelope.method) {
        (Some(id), Some(result), None, None) => {
            Ok(ServerMessage::Result { id, result: result.to_owned().into() })
        }
        (id, None, Some(error), None) => Ok(ServerMessage::Error { id, error }),
        (None, None, None, Some(method)) => {
            Ok(ServerMessage::Notification { method, params: envelope.params })
        }
        _ => Err(BadMessage("it is neither a result, an error nor a notification".into())),
    }
}
