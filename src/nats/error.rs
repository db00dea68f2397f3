//! Why there is no connection to NATS, in words for whoever configured it.

use std::error::Error;

use async_nats::ConnectErrorKind;
use greenroom_actors::cluster::link::frame::MAX_FRAME;
use greenroom_actors::settings::Problems;

use crate::config::{NatsConfig, NatsCredentials, UnreadableFile};

/// The first connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The settings cannot work.
    #[error(transparent)]
    Config(#[from] Problems),
    /// The credentials could not be read.
    #[error("the credentials for NATS: {0}")]
    Credentials(#[from] UnreadableFile),
    /// No server answered.
    #[error("cannot reach NATS at `{url}`: {why}; start the server, or correct `nats.url`")]
    Unreachable { url: String, why: String },
    /// The server refuses these credentials.
    #[error("NATS at `{url}` refused {what}; correct {settings}")]
    Refused {
        url: String,
        /// What was shown to the server, without the secret.
        what: String,
        settings: &'static str,
    },
    /// There is no encrypted connection to the server.
    #[error(
        "cannot make a TLS connection to NATS at `{url}`: {why}; `nats.tls_ca` must name the certificate that signed the server's, the server's must be for the host in `nats.url`, and the server must offer TLS"
    )]
    Tls { url: String, why: String },
    /// The server does not carry the largest frames.
    #[error(
        "NATS at `{url}` takes messages of up to {max_payload} bytes, and nodes send up to {MAX_FRAME}; set `max_payload` to 1MB in the server's configuration"
    )]
    Payload { url: String, max_payload: usize },
}

impl ConnectError {
    pub(super) fn new(
        error: &async_nats::ConnectError,
        config: &NatsConfig,
        credentials: &NatsCredentials,
        url: String,
    ) -> Self {
        let why = chain(error);
        match error.kind() {
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                let (what, settings) = shown(credentials);
                Self::Refused { url, what, settings }
            }
            ConnectErrorKind::Tls => Self::Tls { url, why },
            _ if is_tls(error) || (config.tls_ca.is_some() && is_end_of_handshake(error)) => {
                Self::Tls { url, why }
            }
            _ => Self::Unreachable { url, why },
        }
    }

    /// Whether it may be different in a moment.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

fn shown(credentials: &NatsCredentials) -> (String, &'static str) {
    match credentials {
        NatsCredentials::None => (
            "a connection without credentials".into(),
            "this by setting `nats.username` and `nats.password_file`, or `nats.token_file`",
        ),
        NatsCredentials::User { name, .. } => (
            format!("the user `{name}` with this password"),
            "`nats.username` or the file of `nats.password_file`",
        ),
        NatsCredentials::Token(_) => ("this token".into(), "the file of `nats.token_file`"),
    }
}

/// The error and its causes, one sentence.
fn chain(error: &async_nats::ConnectError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// Whether the handshake failed. The client reports that as any other failure to read or write.
fn is_tls(error: &async_nats::ConnectError) -> bool {
    let inner = io_error(error).and_then(std::io::Error::get_ref);
    inner.and_then(<dyn Error + Send + Sync>::downcast_ref::<rustls::Error>).is_some()
}

/// Whether the server closed the connection in the middle of something.
fn is_end_of_handshake(error: &async_nats::ConnectError) -> bool {
    io_error(error).is_some_and(|error| error.kind() == std::io::ErrorKind::UnexpectedEof)
}

fn io_error(error: &async_nats::ConnectError) -> Option<&std::io::Error> {
    error.source()?.downcast_ref()
}
