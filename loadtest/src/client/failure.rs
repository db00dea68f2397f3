//! What goes wrong on a connection, each under a stable name for the report.

use std::time::Duration;

use greenroom_protocol::WireError;
use greenroom_protocol::codec::BadMessage;
use tokio_tungstenite::tungstenite;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There was no TCP connection.
    #[error("no TCP connection: {0}")]
    Tcp(std::io::Error),
    /// The server did not upgrade the connection.
    #[error("the WebSocket handshake failed: {0}")]
    Handshake(tungstenite::Error),
    /// The connection was closed, with this code if there was one.
    #[error("the server closed the connection, code {0:?}")]
    Closed(Option<u16>),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(tungstenite::Error),
    /// The server answered with an error.
    #[error("the server refused with `{}`: {}", .0.data.code.as_str(), .0.message)]
    Refused(WireError),
    /// The server sent something that this protocol does not know.
    #[error("not understood: {0}")]
    NotUnderstood(String),
    /// Nothing came in time; what was waited for.
    #[error("no `{0}` in time")]
    Timeout(&'static str),
}

impl Failure {
    /// When to try again, where the server says that it is only busy.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(error) => error.data.retry_after_ms.map(Duration::from_millis),
            Self::Handshake(tungstenite::Error::Http(response))
                if matches!(response.status().as_u16(), 429 | 503) =>
            {
                let said = response
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.parse().ok());
                Some(Duration::from_secs(said.unwrap_or(1)))
            }
            _ => None,
        }
    }

    /// The name under which this is counted.
    pub fn code(&self) -> String {
        match self {
            Self::Tcp(error) => format!("tcp_{}", snake(&format!("{:?}", error.kind()))),
            Self::Handshake(tungstenite::Error::Http(response)) => {
                format!("http_{}", response.status().as_u16())
            }
            Self::Handshake(_) => "handshake".into(),
            Self::Closed(Some(code)) => format!("closed_{code}"),
            Self::Closed(None) => "closed".into(),
            Self::Broken(_) => "broken".into(),
            Self::Refused(error) => error.data.code.as_str().into(),
            Self::NotUnderstood(_) => "not_understood".into(),
            Self::Timeout(what) => format!("timeout_{what}"),
        }
    }
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

impl From<tungstenite::Error> for Failure {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Http(_)
            | tungstenite::Error::Url(_)
            | tungstenite::Error::HttpFormat(_) => Self::Handshake(error),
            tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
                Self::Closed(None)
            }
            error => Self::Broken(error),
        }
    }
}

impl From<BadMessage> for Failure {
    fn from(error: BadMessage) -> Self {
        Self::NotUnderstood(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::ErrorCode;

    use super::*;

    #[test]
    fn a_busy_server_is_tried_again() {
        let http = |status: u16, after: Option<&str>| {
            let response = tungstenite::http::Response::builder().status(status);
            let response = after
                .into_iter()
                .fold(response, |response, after| response.header("retry-after", after));
            Failure::Handshake(tungstenite::Error::Http(Box::new(
                response.body(None).expect("the status is one of HTTP's"),
            )))
        };
        let refused =
            Failure::Refused(WireError::new(ErrorCode::Overloaded, "busy").retry_after_ms(250));
        let table = [
            (http(429, None), Some(1000)),
            (http(503, Some("3")), Some(3000)),
            (http(403, Some("3")), None),
            (refused, Some(250)),
            (Failure::Refused(WireError::new(ErrorCode::Forbidden, "no")), None),
            (Failure::Closed(Some(4008)), None),
        ];
        for (failure, want) in table {
            assert_eq!(failure.retry_after(), want.map(Duration::from_millis), "{failure}");
        }
    }

    #[test]
    fn names_are_stable() {
        let table = [
            (Failure::Tcp(std::io::ErrorKind::ConnectionRefused.into()), "tcp_connection_refused"),
            (Failure::Closed(Some(4008)), "closed_4008"),
            (Failure::Closed(None), "closed"),
            (Failure::Refused(WireError::new(ErrorCode::RateLimited, "slow down")), "rate_limited"),
            (Failure::Timeout("connect"), "timeout_connect"),
        ];
        for (failure, want) in table {
            assert_eq!(failure.code(), want);
        }
    }
}
