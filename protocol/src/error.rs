//! The error table: JSON-RPC's own codes for malformed requests, Greenroom's for the rest.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Seq;

macro_rules! error_table {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $text:literal;)*) => {
        /// Every error a request can be answered with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $name,)*
        }

        impl ErrorCode {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// JSON-RPC's integer code.
            pub const fn number(self) -> i32 {
                match self { $(Self::$name => $code,)* }
            }

            /// The stable string in `data.code`; also the label in metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Its meaning in one line, for the generated documents.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)* }.trim()
            }
        }
    };
}

error_table! {
    /// Not JSON or MessagePack.
    ParseError = -32700, "parse_error";
    /// Not a JSON-RPC 2.0 request, or a batch.
    InvalidRequest = -32600, "invalid_request";
    /// No such method.
    MethodNotFound = -32601, "method_not_found";
    /// Wrong type, missing or unknown field, bad entity id, too deep, or a value that parsers read
    /// differently.
    InvalidParams = -32602, "invalid_params";
    /// A bug in the server.
    Internal = -32603, "internal";
    /// `connect` must come first.
    NotConnected = -32000, "not_connected";
    /// The token is missing, malformed, badly signed or not yet valid.
    Unauthorized = -32001, "unauthorized";
    /// The token has expired.
    TokenExpired = -32002, "token_expired";
    /// The capabilities do not cover this.
    Forbidden = -32003, "forbidden";
    /// No such kind is configured.
    UnknownKind = -32004, "unknown_kind";
    /// The behaviour refused the op.
    Rejected = -32010, "rejected";
    /// `if_seq` does not match.
    Conflict = -32011, "conflict";
    /// A message, body, state or meta is over its limit.
    TooLarge = -32012, "too_large";
    /// The op's number is older than the dedupe window.
    OpExpired = -32013, "op_expired";
    /// Over a rate limit.
    RateLimited = -32020, "rate_limited";
    /// A queue is full; nothing was done.
    Overloaded = -32021, "overloaded";
    /// The session has reached its limit.
    TooManySubscriptions = -32022, "too_many_subscriptions";
    /// Too many requests are unanswered; wait for answers first.
    TooManyInFlight = -32023, "too_many_in_flight";
    /// The store does not respond, or the outcome is unknown.
    Unavailable = -32030, "unavailable";
    /// The server is shutting down.
    ShuttingDown = -32031, "shutting_down";
    /// The entity's stored data cannot be read.
    Corrupt = -32032, "corrupt";
}

/// A JSON-RPC error object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WireError {
    /// JSON-RPC's integer code.
    pub code: i32,
    /// What was wrong, and what would be right.
    pub message: Cow<'static, str>,
    /// The machine-readable details.
    pub data: ErrorData,
}

/// The details that programs may branch on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorData {
    /// The stable name of the error.
    pub code: ErrorCode,
    /// How long to wait before a retry may succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// With `conflict`: the entity's current seq.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// With `rejected`: the behaviour's reason. With `rate_limited`: the scope. With
    /// `invalid_params`: what is wrong with a value, if a program may want to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
}

impl WireError {
    /// An error with a code and a message only.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        let data = ErrorData { code, retry_after_ms: None, seq: None, reason: None };
        Self { code: code.number(), message: message.into(), data }
    }

    /// Sets how long to wait before a retry may succeed.
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.data.retry_after_ms = Some(ms);
        self
    }

    /// Sets the entity's current seq.
    pub fn at_seq(mut self, seq: Seq) -> Self {
        self.data.seq = Some(seq);
        self
    }

    /// Sets a stable reason.
    pub fn reason(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.data.reason = Some(reason.into());
        self
    }
}
