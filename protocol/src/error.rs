//! The table of errors: JSON-RPC's own codes for malformed requests, ours for the rest.

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

            /// The stable string in `data.code`; also a metric's label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it means, in one line, for the documents.
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
    /// Wrong type, missing or unknown field, bad entity id, too deep, or not a value that parsers
    /// read alike.
    InvalidParams = -32602, "invalid_params";
    /// A bug on our side.
    Internal = -32603, "internal";
    /// `connect` comes first.
    NotConnected = -32000, "not_connected";
    /// The token is missing, malformed, badly signed or not yet valid.
    Unauthorized = -32001, "unauthorized";
    /// The token's `exp` is past.
    TokenExpired = -32002, "token_expired";
    /// The capabilities do not cover this.
    Forbidden = -32003, "forbidden";
    /// No such kind is configured.
    UnknownKind = -32004, "unknown_kind";
    /// The behaviour refused the op.
    Rejected = -32010, "rejected";
    /// `if_seq` does not match.
    Conflict = -32011, "conflict";
    /// Message, body, state or meta over its limit.
    TooLarge = -32012, "too_large";
    /// The op's number is older than the dedupe window.
    OpExpired = -32013, "op_expired";
    /// Over a rate limit.
    RateLimited = -32020, "rate_limited";
    /// A queue is full; nothing was done.
    Overloaded = -32021, "overloaded";
    /// The session's limit is reached.
    TooManySubscriptions = -32022, "too_many_subscriptions";
    /// Answers must be waited for first.
    TooManyInFlight = -32023, "too_many_in_flight";
    /// The store does not answer, or the outcome is not known.
    Unavailable = -32030, "unavailable";
    /// The server stops.
    ShuttingDown = -32031, "shutting_down";
    /// What is stored of the entity cannot be read.
    Corrupt = -32032, "corrupt";
}

/// A JSON-RPC error object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WireError {
    /// JSON-RPC's integer code.
    pub code: i32,
    /// What was wrong, and what would be right.
    pub message: Cow<'static, str>,
    /// The machine-readable rest.
    pub data: ErrorData,
}

/// What a program may branch on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorData {
    /// The stable name of the error.
    pub code: ErrorCode,
    /// When a repeat may succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// With `conflict`: the entity's current seq.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// With `rejected`: the behaviour's reason; with `rate_limited`: the scope; with
    /// `invalid_params`: what is wrong with a value, where a program may want to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
}

impl WireError {
    /// An error with nothing but its message.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        let data = ErrorData { code, retry_after_ms: None, seq: None, reason: None };
        Self { code: code.number(), message: message.into(), data }
    }

    /// Says when a repeat may succeed.
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.data.retry_after_ms = Some(ms);
        self
    }

    /// Says where the entity is.
    pub fn at_seq(mut self, seq: Seq) -> Self {
        self.data.seq = Some(seq);
        self
    }

    /// Adds a stable reason.
    pub fn reason(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.data.reason = Some(reason.into());
        self
    }
}
