//! From a token, or none, to an identity.
//!
//! The configuration decides how a token must be signed, never the token: a key is bound to its
//! algorithm when it is loaded. No message repeats a token or a key.

use std::sync::Arc;

use greenroom_actors::capability::Capabilities;
use greenroom_actors::clock::Millis;
use greenroom_actors::identity::Identity;
use jsonwebtoken::errors::ErrorKind;
use serde_json::{Map, Value};

use crate::config::AuthConfig;

mod claims;
mod error;
mod keys;
pub mod mint;
#[cfg(test)]
mod tests;

pub use error::{AuthConfigError, AuthError};
use keys::Keys;

/// Longest token that is looked at, in bytes. It holds the 256 patterns of capabilities that there
/// may be where they have 70 bytes on average, and fits into a message of the default size.
pub const MAX_TOKEN_BYTES: usize = 32 * 1024;
/// What anonymous users' names start with, and no token's `sub` may.
pub const ANONYMOUS_PREFIX: &str = "anon-";

/// Checks tokens. Made once; shared by all workers.
#[derive(Debug)]
pub struct Authenticator {
    keys: Keys,
    anonymous: bool,
    checks: claims::Checks,
}

impl Authenticator {
    /// Loads the keys that `config` names. `anonymous` tells whether one may come without a token.
    ///
    /// # Errors
    /// Which file cannot be read, or holds no usable key.
    pub fn new(config: &AuthConfig, anonymous: bool) -> Result<Self, AuthConfigError> {
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

    /// How many keys tokens may be signed with.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Who is let in, in a few words for the operator.
    pub fn admits(&self, why: &str) -> String {
        let tokens = match self.key_count() {
            0 => "no tokens".to_owned(),
            1 => "tokens by 1 key".to_owned(),
            keys => format!("tokens by {keys} keys"),
        };
        let anonymous = if self.anonymous { "allowed" } else { "refused" };
        format!("{tokens}; anonymous users {anonymous}: {why}")
    }

    /// Who `token` speaks for at the time `now`; without one an anonymous user named after
    /// `client`, where that is allowed.
    ///
    /// A token that is presented has to be good: nobody becomes anonymous by a bad one.
    ///
    /// # Errors
    /// Why nobody is let in; [`AuthError::code`] says which error the client gets.
    pub fn authenticate(
        &self,
        token: Option<&str>,
        client: &str,
        now: Millis,
    ) -> Result<Identity, AuthError> {
        match token {
            Some(token) => self.checks.identity(&self.verified(token)?, now),
            None if self.anonymous => Ok(anonymous(client)),
            None => Err(AuthError::TokenRequired),
        }
    }

    /// The claims of `token`, once its signature is found good.
    fn verified(&self, token: &str) -> Result<Map<String, Value>, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::TooLong);
        }
        if self.keys.is_empty() {
            return Err(AuthError::TokensOff);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Malformed)?;
        // RFC 7515, 4.1.11: extensions that have to be understood are not, here.
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

/// A user nobody vouches for, named after its client id: who comes back with the id is the same
/// user again, and its ops count as the same client's. The id has 80 random bits and is shown to
/// nobody else; its hash cannot be turned back.
fn anonymous(client: &str) -> Identity {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, client.as_bytes());
    let name: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let user: Arc<str> = format!("{ANONYMOUS_PREFIX}{name}").into();
    Identity { user, expires_at: None, capabilities: Capabilities::default(), anonymous: true }
}
