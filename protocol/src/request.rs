//! A decoded request.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::EntityId;
use crate::params::{Connect, History, Ping, Presence, Send, Signal, Subscribe, Target};

mod check;

/// JSON-RPC's id, which the answer repeats.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RequestId {
    /// A whole number.
    Number(i64),
    /// A string of at most 128 bytes.
    Text(#[schemars(length(max = crate::limits::MAX_REQUEST_ID))] Box<str>),
}

// serde's derive for untagged enums would first buffer a copy of the value.
impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor)
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = RequestId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number or a string")
    }

    fn visit_i64<E>(self, number: i64) -> Result<RequestId, E> {
        Ok(RequestId::Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<RequestId, E> {
        i64::try_from(number)
            .map(RequestId::Number)
            .map_err(|_| E::custom("a number of more than 63 bits"))
    }

    fn visit_str<E>(self, text: &str) -> Result<RequestId, E> {
        Ok(RequestId::Text(text.into()))
    }
}

/// One request. Without an `id` the client wants no answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The id that the answer repeats.
    pub id: Option<RequestId>,
    /// The method and its parameters.
    pub call: Call,
}

/// The methods with their parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// Identify the client and resume its session.
    Connect(Connect),
    /// Follow an entity.
    Subscribe(Subscribe),
    /// Stop following an entity.
    Unsubscribe(Target),
    /// Send a durable op.
    Send(Send),
    /// Send a volatile message.
    Signal(Signal),
    /// Fetch the committed state.
    Read(Target),
    /// Fetch past events.
    History(History),
    /// List who is present, enter or leave.
    Presence(Presence),
    /// Ask whether the server responds.
    Ping(Ping),
}

impl Call {
    /// The names of all methods, in the order of the documentation.
    pub const METHODS: [&str; 9] = [
        "connect",
        "subscribe",
        "unsubscribe",
        "send",
        "signal",
        "read",
        "history",
        "presence",
        "ping",
    ];

    /// The method's name on the wire; also the label in metrics.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Subscribe(_) => "subscribe",
            Self::Unsubscribe(_) => "unsubscribe",
            Self::Send(_) => "send",
            Self::Signal(_) => "signal",
            Self::Read(_) => "read",
            Self::History(_) => "history",
            Self::Presence(_) => "presence",
            Self::Ping(_) => "ping",
        }
    }

    /// The entity that the request is for; `connect` and `ping` have none.
    pub const fn entity(&self) -> Option<&EntityId> {
        match self {
            Self::Connect(_) | Self::Ping(_) => None,
            Self::Subscribe(params) => Some(&params.entity),
            Self::Unsubscribe(params) | Self::Read(params) => Some(&params.entity),
            Self::Send(params) => Some(&params.entity),
            Self::Signal(params) => Some(&params.entity),
            Self::History(params) => Some(&params.entity),
            Self::Presence(params) => Some(&params.entity),
        }
    }
}
