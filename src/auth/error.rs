//! Why a key or a token is not accepted.

use std::borrow::Cow;

use greenroom_protocol::{ErrorCode, WireError};

/// The configured keys cannot be used; the text says which and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AuthConfigError(pub String);

/// Why `connect` is refused. The texts are sent to the client, and repeat nothing of the token
/// except its claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no token, and anonymous access is off.
    #[error("a token is required: pass one as `token`")]
    TokenRequired,
    /// There is a token but no key to check it with.
    #[error("this server accepts no tokens: it has no key configured")]
    TokensOff,
    /// The token is longer than [`super::MAX_TOKEN_BYTES`].
    #[error("the token is over {} bytes long", super::MAX_TOKEN_BYTES)]
    TooLong,
    /// The token cannot be parsed, or names an unknown algorithm.
    #[error("the token is not a JWT signed with HS256, RS256, ES256 or EdDSA")]
    Malformed,
    /// Its `kid` is not in the key set.
    #[error("the token's `kid` does not name a key of this server")]
    UnknownKey,
    /// It is signed with a different algorithm from its key's.
    #[error("the token is signed with a different algorithm from its key's")]
    WrongAlgorithm,
    #[error("the token's signature is wrong")]
    BadSignature,
    /// A claim is missing or wrong.
    #[error("the token's `{claim}` {why}")]
    Claim {
        claim: &'static str,
        /// What is wrong with it; continues the sentence after the claim's name.
        why: Cow<'static, str>,
    },
    /// `nbf` is in the future.
    #[error("the token is not yet valid")]
    NotYetValid,
    /// `exp` is in the past.
    #[error("the token has expired: `connect` with a new one")]
    Expired,
}

impl AuthError {
    pub(super) fn claim(claim: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self::Claim { claim, why: why.into() }
    }

    /// The error code that the client gets.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Expired => ErrorCode::TokenExpired,
            _ => ErrorCode::Unauthorized,
        }
    }
}

impl From<AuthError> for WireError {
    fn from(error: AuthError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
