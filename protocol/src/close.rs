//! Why the server ends a connection.

macro_rules! close_table {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $label:literal, $reason:literal;)*) => {
        /// The close codes that the server sends.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum CloseCode {
            $($(#[$doc])* $name,)*
        }

        impl CloseCode {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code in the close frame.
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $code,)* }
            }

            /// The label in metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// The reason in the close frame. For [`CloseCode::UnsupportedData`] it depends on the
            /// codec: [`CodecKind::frames_only`](crate::CodecKind::frames_only).
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)* }
            }
        }
    };
}

close_table! {
    /// The response to the client's close frame.
    Normal = 1000, "normal", "";
    /// The server is shutting down.
    ShuttingDown = 1001, "shutting_down", "shutting_down";
    /// A violation of the WebSocket protocol.
    ProtocolError = 1002, "protocol_error", "";
    /// The frame's type does not match the codec.
    UnsupportedData = 1003, "unsupported_data", "";
    /// A text frame is not UTF-8.
    InvalidUtf8 = 1007, "invalid_utf8", "";
    /// A message is over `max_message_bytes`.
    TooBig = 1009, "too_big", "";
    /// The session failed.
    Internal = 1011, "internal", "internal";
    /// The client did not send `connect` in time.
    ConnectTimeout = 4001, "connect_timeout", "connect_timeout";
    /// The token expired and was not refreshed.
    TokenExpired = 4002, "token_expired", "token_expired";
    /// `connect` was refused.
    Unauthorized = 4003, "unauthorized", "unauthorized";
    /// The client kept sending although it was told to wait.
    RateLimited = 4008, "rate_limited", "rate_limited";
    /// The client received too little of what was waiting for it within the write timeout, or
    /// overflowed a `disconnect` subscription.
    SlowConsumer = 4009, "slow_consumer", "slow_consumer";
    /// The client sent nothing, not even a pong, for the idle timeout.
    PingTimeout = 4010, "ping_timeout", "ping_timeout";
    /// Another connection has taken over this session.
    Replaced = 4011, "replaced", "replaced";
}
