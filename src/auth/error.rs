//! Why nobody is let in.

use std::borrow::Cow;

use greenroom_protocol::{ErrorCode, WireError};

/// The configured keys cannot be used: which, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AuthConfigError(pub String);

/// Why `connect` is refused. The texts go to the client, and hold nothing of the token but its
/// claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no token, and anonymous access is off.
    #[error("a token is required: pass one as `token`")]
    TokenRequired,
    /// There is a token, but no key to check it with.
    #[error("this server accepts no tokens: it has no key configured")]
    TokensOff,
    /// The token is too long to be looked at.
    #[error("the token is over {} bytes long", super::MAX_TOKEN_BYTES)]
    TooLong,
    /// It cannot be taken apart, or names an algorithm that there is not.
    #[error("the token is no JWT signed with HS256, RS256, ES256 or EdDSA")]
    Malformed,
    /// Its `kid` is not in the key set.
    #[error("the token's `kid` names no key of this server")]
    UnknownKey,
    /// It is signed with another algorithm than the key is for.
    #[error("the token is signed with another algorithm than its key is for")]
    WrongAlgorithm,
    /// The signature does not fit.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// A claim is missing or wrong.
    #[error("the token's `{claim}` {why}")]
    Claim {
        /// Its name.
        claim: &'static str,
        /// What is wrong with it; reads on from the name.
        why: Cow<'static, str>,
    },
    /// `nbf` is ahead.
    #[error("the token is not yet valid")]
    NotYetValid,
    /// `exp` is past.
    #[error("the token has expired: `connect` with a new one")]
    Expired,
}

impl AuthError {
    pub(super) fn claim(claim: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self::Claim { claim, why: why.into() }
    }

    /// The error that the client gets.
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
