//! What goes wrong on a connection, each under a stable name for the report.

use std::io;
use std::time::Duration;

use greenroom_protocol::WireError;
use greenroom_protocol::codec::BadMessage;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("no TCP connection: {0}")]
    Tcp(io::Error),
    /// The server answered the upgrade with this status, and said when to come again.
    #[error("the server answered the upgrade with HTTP {0}")]
    Http(u16, Option<Duration>),
    /// The connection was closed, with this code if there was one.
    #[error("the server closed the connection, code {0:?}")]
    Closed(Option<u16>),
    #[error("the connection broke: {0}")]
    Broken(io::Error),
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
            Self::Http(429 | 503, after) => Some(after.unwrap_or(Duration::from_secs(1))),
            _ => None,
        }
    }

    /// The name under which this is counted.
    pub fn code(&self) -> String {
        match self {
            Self::Tcp(error) => format!("tcp_{}", snake(&format!("{:?}", error.kind()))),
            Self::Http(status, _) => format!("http_{status}"),
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
    fn names_are_stable_and_only_a_busy_server_is_tried_again() {
        let busy = WireError::new(ErrorCode::RateLimited, "slow down").retry_after_ms(250);
        let refused = io::ErrorKind::ConnectionRefused.into();
        let table = [
            (Failure::Tcp(refused), "tcp_connection_refused", None),
            (Failure::Closed(Some(4008)), "closed_4008", None),
            (Failure::Closed(None), "closed", None),
            (Failure::Refused(busy), "rate_limited", Some(250)),
            (Failure::Refused(WireError::new(ErrorCode::Forbidden, "no")), "forbidden", None),
            (Failure::Timeout("connect"), "timeout_connect", None),
        ];
        for (failure, code, retry_after) in table {
            assert_eq!(failure.code(), code);
            assert_eq!(failure.retry_after(), retry_after.map(Duration::from_millis), "{code}");
        }
    }
}
