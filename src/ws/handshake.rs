//! What a client must bring to be let in, and what it gets otherwise.

use actix_http::header::{self, HeaderValue};
use actix_http::{Response, StatusCode, ws};
use greenroom_protocol::CodecKind;

use crate::origin::OriginPolicy;

/// Where the socket is.
pub const PATH: &str = "/ws";

/// A refusal: an HTTP answer that says what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// A metric's label.
    pub reason: &'static str,
    /// The answer's status.
    pub status: StatusCode,
    /// The answer's body.
    pub message: String,
}

impl Refused {
    /// A refusal.
    pub fn new(reason: &'static str, status: StatusCode, message: impl Into<String>) -> Self {
        Self { reason, status, message: message.into() }
    }

    /// The answer, ready to be sent before the connection closes.
    pub fn response(&self) -> (Response<()>, String) {
        let body = format!("{}\n", self.message);
        let mut response = Response::with_body(self.status, ());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let advice = match self.status {
            StatusCode::UPGRADE_REQUIRED => Some((header::SEC_WEBSOCKET_VERSION, "13")),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, "1")),
            StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, "GET")),
            _ => None,
        };
        if let Some((name, value)) = advice {
            headers.insert(name, HeaderValue::from_static(value));
        }
        (response, body)
    }
}

/// A handshake that is right.
pub struct Accepted {
    /// The codec that was agreed on.
    pub codec: CodecKind,
    /// The answer, `101 Switching Protocols`.
    pub response: Response<()>,
}

/// Checks an upgrade request.
///
/// # Errors
/// The answer for a request that is not let in.
pub fn check(head: &actix_http::RequestHead, origins: &OriginPolicy) -> Result<Accepted, Refused> {
    if head.uri.path() != PATH {
        return Err(Refused::new("handshake", StatusCode::NOT_FOUND, format!("the WebSocket is at {PATH}")));
    }
    let bad = |message: String| Refused::new("handshake", StatusCode::BAD_REQUEST, message);
    let mut builder = ws::handshake(head).map_err(|error| {
        let status = match error {
            ws::HandshakeError::GetMethodRequired => StatusCode::METHOD_NOT_ALLOWED,
            ws::HandshakeError::UnsupportedVersion => StatusCode::UPGRADE_REQUIRED,
            _ => StatusCode::BAD_REQUEST,
        };
        Refused::new("handshake", status, format!("no WebSocket handshake (RFC 6455, version 13): {error}"))
    })?;
    let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let origin = head.headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or(""));
    if !origins.allows(origin, text(header::HOST)) {
        let message = "pages of this origin may not connect; the operator lists origins in `socket.allowed_origins`";
        return Err(Refused::new("origin", StatusCode::FORBIDDEN, message));
    }
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
