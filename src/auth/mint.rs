//! Makes tokens for development and tests.

use std::collections::BTreeMap;

use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;

use super::AuthConfigError;
use super::keys;
use crate::config::{Algorithm, AuthConfig};

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claims {
    /// The user.
    pub sub: String,
    /// When the token was made, in seconds since 1970.
    pub iat: u64,
    /// When it expires, in seconds since 1970.
    pub exp: u64,
    /// The issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The audience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// Permissions by entity pattern.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub capabilities: BTreeMap<String, Vec<String>>,
}

/// Signs tokens with one key.
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
    /// If its file cannot be read, or the secret is too short.
    pub fn configured(config: &AuthConfig) -> Result<Option<Self>, AuthConfigError> {
        Ok(keys::secret(config)?.map(|secret| Self::secret(secret.expose().as_bytes())))
    }

    /// Signs with a PEM private key.
    ///
    /// # Errors
    /// If `pem` is not a private key for `algorithm`.
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
            AuthConfigError(format!("not a PEM private key (PKCS #8) for {algorithm:?}"))
        })?;
        Ok(Self { key, header: Header::new(algorithm.into()) })
    }

    /// Sets the `kid` of each token.
    pub fn with_kid(mut self, kid: Option<String>) -> Self {
        self.header.kid = kid;
        self
    }

    /// Makes a token.
    ///
    /// # Errors
    /// If the key cannot sign.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, AuthConfigError> {
        jsonwebtoken::encode(&self.header, claims, &self.key)
            .map_err(|error| AuthConfigError(format!("cannot sign with this key: {error}")))
    }
}
