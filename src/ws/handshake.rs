//! Checks a WebSocket handshake, and makes the answer.

use std::net::IpAddr;

use actix_http::header::{self, HeaderValue};
use actix_http::{Response, StatusCode, ws};
use greenroom_actors::clock;
use greenroom_actors::notices::NOTICES;
use greenroom_protocol::CodecKind;

use crate::metrics::CONNECTIONS_REFUSED;
use crate::origin::{Claimed, OriginPolicy};

/// The path of the WebSocket.
pub const PATH: &str = "/ws";

/// A refusal: an HTTP response that says what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Also a metric's label.
    pub reason: &'static str,
    pub status: StatusCode,
    pub message: String,
}

impl Refused {
    pub fn new(reason: &'static str, status: StatusCode, message: impl Into<String>) -> Self {
        Self { reason, status, message: message.into() }
    }

    /// Counts the refusal, and logs it unless there were too many. Everything from the client in
    /// the message is escaped.
    pub fn note(&self, address: Option<IpAddr>) {
        CONNECTIONS_REFUSED.counter_with([self.reason]).increment(1);
        if let Some(left_out) = NOTICES.admit(self.reason, clock::mono()) {
            let reason = self.reason;
            let status = self.status.as_u16();
            let address = address.map(tracing::field::display);
            tracing::info!(reason, status, address, left_out, why = %self.message, "a connection is refused");
        }
    }

    /// The response, to be sent before the connection closes.
    pub fn response(&self) -> (Response<()>, String) {
        let body = format!("{}\n", self.message);
        let mut response = Response::with_body(self.status, ());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let advice = match self.status {
            StatusCode::UPGRADE_REQUIRED => Some((header::SEC_WEBSOCKET_VERSION, "13")),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Some((header::RETRY_AFTER, "1"))
            }
            StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, "GET")),
            _ => None,
        };
        if let Some((name, value)) = advice {
            headers.insert(name, HeaderValue::from_static(value));
        }
        (response, body)
    }
}

/// A valid handshake.
pub struct Accepted {
    /// The negotiated codec.
    pub codec: CodecKind,
    /// `101 Switching Protocols`.
    pub response: Response<()>,
}

/// Whether this is the path of the WebSocket. Some clients and proxies add a slash.
pub fn is_socket(path: &str) -> bool {
    path.strip_suffix('/').unwrap_or(path) == PATH
}

/// Checks an upgrade request.
///
/// # Errors
/// The refusal, if the request is not accepted.
pub fn check(head: &actix_http::RequestHead, origins: &OriginPolicy) -> Result<Accepted, Refused> {
    let bad = |message: String| Refused::new("handshake", StatusCode::BAD_REQUEST, message);
    if has_body(head) {
        return Err(bad(NO_BODY.into()));
    }
    if !is_socket(head.uri.path()) {
        let path: String = head.uri.path().chars().take(100).flat_map(char::escape_debug).collect();
        let message = format!("there is no WebSocket at `{path}`; it is at `{PATH}`");
        return Err(Refused::new("handshake", StatusCode::NOT_FOUND, message));
    }
    let mut builder = ws::handshake(head).map_err(|error| not_a_handshake(&error))?;
    origins
        .check(claimed(head))
        .map_err(|stranger| Refused::new("origin", StatusCode::FORBIDDEN, stranger.to_string()))?;
    let mut offered = head
        .headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .peekable();
    let codec = if offered.peek().is_none() {
        CodecKind::Json
    } else {
        let known = offered.find_map(|name| CodecKind::from_subprotocol(name.trim()));
        let codec = known.ok_or_else(|| {
            let names = CodecKind::ALL.map(CodecKind::subprotocol).join(", ");
            bad(format!("none of the offered subprotocols is known; offer one of: {names}"))
        })?;
        builder.insert_header((header::SEC_WEBSOCKET_PROTOCOL, codec.subprotocol()));
        codec
    };
    let response = builder.message_body(()).map_err(|error| bad(error.to_string()))?;
    Ok(Accepted { codec, response })
}

/// The refusal of an upgrade request with a body.
pub const NO_BODY: &str = "not a WebSocket handshake: the request has a body, which would be taken for frames; \
     send neither `Content-Length` nor `Transfer-Encoding`";

/// Whether the request has a body, which must not exist: everything after the head of an upgrade
/// request is read as frames.
fn has_body(head: &actix_http::RequestHead) -> bool {
    let lengths = head.headers.get_all(header::CONTENT_LENGTH);
    lengths.into_iter().any(|length| length.as_bytes().trim_ascii() != b"0")
        || head.headers.contains_key(header::TRANSFER_ENCODING)
}

/// The origin and host that the request claims. A value that is not text is not ignored: it becomes
/// an empty string, which is never allowed.
fn claimed(head: &actix_http::RequestHead) -> Claimed<'_> {
    // The same for a repeated header, because a proxy may use the other value.
    let text = |name| {
        let mut values = head.headers.get_all(name);
        let first = values.next()?;
        Some(first.to_str().ok().filter(|_| values.next().is_none()).unwrap_or(""))
    };
    Claimed {
        origin: text(header::ORIGIN),
        host: text(header::HOST),
        target: head.uri.authority().map(actix_http::uri::Authority::as_str),
    }
}

fn not_a_handshake(error: &ws::HandshakeError) -> Refused {
    let (status, what) = match error {
        ws::HandshakeError::GetMethodRequired => {
            (StatusCode::METHOD_NOT_ALLOWED, "the method must be GET")
        }
        ws::HandshakeError::UnsupportedVersion => {
            (StatusCode::UPGRADE_REQUIRED, "`Sec-WebSocket-Version: 13` is required")
        }
        ws::HandshakeError::NoVersionHeader => {
            (StatusCode::BAD_REQUEST, "`Sec-WebSocket-Version: 13` is required")
        }
        ws::HandshakeError::NoConnectionUpgrade => (
            StatusCode::BAD_REQUEST,
            "`Connection: Upgrade` is required; a proxy on the way may have taken it out",
        ),
        ws::HandshakeError::BadWebsocketKey => {
            (StatusCode::BAD_REQUEST, "`Sec-WebSocket-Key` is required")
        }
        ws::HandshakeError::NoWebsocketUpgrade => {
            (StatusCode::BAD_REQUEST, "`Upgrade: websocket` is required")
        }
    };
    Refused::new("handshake", status, format!("not a WebSocket handshake (RFC 6455): {what}"))
}
