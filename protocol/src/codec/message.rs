//! What is encoded: the server's messages, and the client's requests.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::{Call, RequestId, WireError};

/// The names of the notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// An accepted op.
    Event,
    /// A volatile message.
    Signal,
    /// Who came, changed and went.
    Presence,
    /// A subscription could not be continued.
    Reset,
    /// The server has ended a subscription.
    Unsubscribed,
    /// The server has ended the session's own presence.
    Left,
    /// The connection will be closed.
    Goodbye,
    /// Requests without an id were refused.
    Refused,
}

impl Method {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Event,
        Self::Signal,
        Self::Presence,
        Self::Reset,
        Self::Unsubscribed,
        Self::Left,
        Self::Goodbye,
        Self::Refused,
    ];

    /// The name on the wire; also a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Signal => "signal",
            Self::Presence => "presence",
            Self::Reset => "reset",
            Self::Unsubscribed => "unsubscribed",
            Self::Left => "left",
            Self::Goodbye => "goodbye",
            Self::Refused => "refused",
        }
    }
}

/// A message of the server. `T` is one of the types in [`results`](crate::results) or
/// [`notify`](crate::notify); an error has none: [`Message::error`].
#[derive(Debug)]
pub enum Message<'a, T: ?Sized> {
    /// The answer to a request that succeeded.
    Result {
        /// The request's id.
        id: &'a RequestId,
        /// What the method returns.
        result: &'a T,
    },
    /// The answer to a request that failed.
    Error {
        /// The request's id, where it could be read.
        id: Option<&'a RequestId>,
        /// What went wrong.
        error: &'a WireError,
    },
    /// What the server says on its own.
    Notification {
        /// Which one.
        method: Method,
        /// Its content.
        params: &'a T,
    },
}

impl<'a> Message<'a, ()> {
    /// The answer to a request that failed.
    pub const fn error(id: Option<&'a RequestId>, error: &'a WireError) -> Self {
        Self::Error { id, error }
    }
}

impl<T: Serialize + ?Sized> Serialize for Message<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("jsonrpc", "2.0")?;
        match self {
            Self::Result { id, result } => {
                map.serialize_entry("id", id)?;
                map.serialize_entry("result", result)?;
            }
            Self::Error { id, error } => {
                map.serialize_entry("id", id)?;
                map.serialize_entry("error", error)?;
            }
            Self::Notification { method, params } => {
                map.serialize_entry("method", method.as_str())?;
                map.serialize_entry("params", params)?;
            }
        }
        map.end()
    }
}

/// A request on its way out of a client.
pub(super) struct ClientMessage<'a> {
    pub id: Option<&'a RequestId>,
    pub call: &'a Call,
}

impl Serialize for ClientMessage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("jsonrpc", "2.0")?;
        if let Some(id) = self.id {
            map.serialize_entry("id", id)?;
        }
        map.serialize_entry("method", self.call.method())?;
        match self.call {
            Call::Connect(params) => map.serialize_entry("params", params),
            Call::Subscribe(params) => map.serialize_entry("params", params),
            Call::Unsubscribe(params) | Call::Read(params) => map.serialize_entry("params", params),
            Call::Send(params) => map.serialize_entry("params", params),
            Call::Signal(params) => map.serialize_entry("params", params),
            Call::History(params) => map.serialize_entry("params", params),
            Call::Presence(params) => map.serialize_entry("params", params),
            Call::Ping(params) => map.serialize_entry("params", params),
        }?;
        map.end()
    }
}
