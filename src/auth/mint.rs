//! Making tokens, for development and for tests.

use std::collections::BTreeMap;

use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;

use super::AuthConfigError;
use super::keys;
use crate::config::{Algorithm, AuthConfig};

/// What a token says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claims {
    /// The user.
    pub sub: String,
    /// When it was made, in seconds since 1970.
    pub iat: u64,
    /// When it expires, in seconds since 1970.
    pub exp: u64,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// Patterns and what they grant.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub capabilities: BTreeMap<String, Vec<String>>,
}

/// What a token is signed with.
pub struct Signer {
    key: EncodingKey,
    header: Header,
}

impl Signer {
    /// Signs with HS256.
    pub fn secret(secret: &[u8]) -> Self {
        Self { key: EncodingKey::from_secret(secret), header: Header::new(Algorithm::HS256.into()) }
    }

    /// Signs with the HS256 secret of `config`, if it has one.
    ///
    /// # Errors
    /// When its file cannot be read, or it is too short.
    pub fn configured(config: &AuthConfig) -> Result<Option<Self>, AuthConfigError> {
        Ok(keys::secret(config)?.map(|secret| Self::secret(secret.expose().as_bytes())))
    }

    /// Signs with a private key in PEM.
    ///
    /// # Errors
    /// When it is no key for `algorithm`.
    pub fn private_key(pem: &[u8], algorithm: Algorithm) -> Result<Self, AuthConfigError> {
        let key = match algorithm {
            Algorithm::RS256 => EncodingKey::from_rsa_pem(pem),
            Algorithm::ES256 => EncodingKey::from_ec_pem(pem),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem),
            Algorithm::HS256 => {
                return Err(AuthConfigError("HS256 has no private key; pass a secret".into()));
            }
        };
        let key = key.map_err(|_| {
            AuthConfigError(format!("this is no private key in PEM (PKCS #8) for {algorithm:?}"))
        })?;
        Ok(Self { key, header: Header::new(algorithm.into()) })
    }

    /// Names the key in each token.
    pub fn with_kid(mut self, kid: Option<String>) -> Self {
        self.header.kid = kid;
        self
    }

    /// The token.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, AuthConfigError> {
        jsonwebtoken::encode(&self.header, claims, &self.key)
            .map_err(|error| AuthConfigError(format!("the key cannot sign: {error}")))
    }
}
