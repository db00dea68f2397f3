//! Authentication: turns a token, or the lack of one, into an identity.
//!
//! The configuration decides how a token must be signed, never the token itself: a key is bound to
//! its algorithm when it is loaded. No message repeats a token or a key.

use std::sync::Arc;

use greenroom_actors::capability::Capabilities;
use greenroom_actors::clock::Millis;
use greenroom_actors::identity::Identity;
use jsonwebtoken::errors::ErrorKind;
use serde_json::{Map, Value};

use crate::config::{AnonymousUsers, AuthConfig};

mod claims;
mod error;
mod keys;
pub mod mint;
#[cfg(test)]
mod tests;

pub use error::{AuthConfigError, AuthError};
use keys::Keys;

/// The longest accepted token in bytes. It has room for the maximum of 256 capability patterns at
/// an average of 70 bytes each, and fits into a message of the default size.
pub const MAX_TOKEN_BYTES: usize = 32 * 1024;
/// The prefix of anonymous users' names, which no token's `sub` may have.
pub const ANONYMOUS_PREFIX: &str = "anon-";

/// Checks tokens. Created once and shared by all workers.
#[derive(Debug)]
pub struct Authenticator {
    keys: Keys,
    anonymous: AnonymousUsers,
    checks: claims::Checks,
}

impl Authenticator {
    /// Loads the keys that `config` names.
    ///
    /// # Errors
    /// Which file cannot be read or holds no usable key.
    pub fn new(config: &AuthConfig, anonymous: AnonymousUsers) -> Result<Self, AuthConfigError> {
        Ok(Self {
            keys: Keys::load(config)?,
            anonymous,
            checks: claims::Checks {
                issuer: config.issuer.clone(),
                audience: config.audience.clone(),
                leeway_ms: u64::try_from(config.leeway.as_millis()).unwrap_or(u64::MAX),
                require_exp: config.require_exp,
            },
        })
    }

    /// How many keys there are that tokens may be signed with.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// A short summary for the operator of who is admitted.
    pub fn admits(&self, why: &str) -> String {
        let tokens = match self.key_count() {
            0 => "no tokens".to_owned(),
            1 => "tokens by 1 key".to_owned(),
            keys => format!("tokens by {keys} keys"),
        };
        let anonymous = match self.anonymous {
            AnonymousUsers::Admitted => "allowed",
            AnonymousUsers::Refused => "refused",
        };
        format!("{tokens}; anonymous users {anonymous}: {why}")
    }

    /// The identity that `token` proves at the time `now`; without a token, an anonymous user named
    /// after `client`, if anonymous users are admitted.
    ///
    /// A token that is present must be valid: a bad one does not make its bearer anonymous.
    ///
    /// # Errors
    /// Why the user is not admitted; [`AuthError::code`] is the error code that the client gets.
    pub fn authenticate(
        &self,
        token: Option<&str>,
        client: &str,
        now: Millis,
    ) -> Result<Identity, AuthError> {
        match (token, self.anonymous) {
            (Some(token), _) => self.checks.identity(&self.verified(token)?, now),
            (None, AnonymousUsers::Admitted) => Ok(anonymous(client)),
            (None, AnonymousUsers::Refused) => Err(AuthError::TokenRequired),
        }
    }

    /// Verifies the signature of `token` and returns its claims.
    fn verified(&self, token: &str) -> Result<Map<String, Value>, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::TooLong);
        }
        if self.keys.is_empty() {
            return Err(AuthError::TokensOff);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Malformed)?;
        // RFC 7515, 4.1.11: tokens with critical extensions must be rejected by those who do not
        // know them, and we know none.
        if header.crit.is_some() {
            return Err(AuthError::Malformed);
        }
        let key = self.keys.find(header.kid.as_deref()).ok_or(AuthError::UnknownKey)?;
        let data = jsonwebtoken::decode(token, &key.decoding, &key.validation).map_err(
            |error| match error.kind() {
                ErrorKind::InvalidAlgorithm => AuthError::WrongAlgorithm,
                ErrorKind::InvalidSignature => AuthError::BadSignature,
                _ => AuthError::Malformed,
            },
        )?;
        Ok(data.claims)
    }
}

/// A user without a token, named after its client id: whoever returns with the same id is the same
/// user, and its ops count as the same client's. The id has 80 random bits and is shown to nobody
/// else; it cannot be recovered from its hash.
fn anonymous(client: &str) -> Identity {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, client.as_bytes());
    let name: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let user: Arc<str> = format!("{ANONYMOUS_PREFIX}{name}").into();
    Identity { user, expires_at: None, capabilities: Capabilities::default(), anonymous: true }
}
