//! The keys that tokens are checked with, each bound to its algorithm.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse,
};
use jsonwebtoken::{DecodingKey, Validation};

use super::AuthConfigError;
use crate::config::{Algorithm, AuthConfig, MIN_SECRET_BYTES, Secret, read_secret};

/// A key, and the only algorithm that it may be used with.
pub(super) struct Key {
    pub decoding: DecodingKey,
    pub validation: Validation,
}

impl Key {
    fn new(decoding: DecodingKey, algorithm: Algorithm) -> Self {
        let mut validation = Validation::new(algorithm.into());
        // We check the claims ourselves, against a clock passed as an argument.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims = HashSet::new();
        Self { decoding, validation }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.validation.algorithms)
    }
}

#[derive(Debug)]
pub(super) enum Keys {
    /// One key, which tokens need not name.
    One(Box<Key>),
    /// A set of keys, which tokens name by `kid`.
    Set(Vec<(Option<String>, Key)>),
    /// No keys: no token is accepted.
    None,
}

impl Keys {
    pub fn load(config: &AuthConfig) -> Result<Self, AuthConfigError> {
        let one = |key| Ok(Self::One(Box::new(key)));
        if let Some(secret) = secret(config)? {
            return one(Key::new(
                DecodingKey::from_secret(secret.expose().as_bytes()),
                Algorithm::HS256,
            ));
        }
        if let Some(path) = &config.public_key_file {
            let algorithm = config
                .algorithm
                .ok_or_else(|| AuthConfigError("`auth.algorithm` is not set".into()))?;
            return one(Key::new(public_key(path, algorithm)?, algorithm));
        }
        match &config.jwks_file {
            Some(path) => key_set(&read(path, "auth.jwks_file")?).map_err(|why| {
                AuthConfigError(format!("`auth.jwks_file`: `{}` {why}", path.display()))
            }),
            None => Ok(Self::None),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Set(keys) => keys.len(),
            Self::None => 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key that a token with this `kid` must be signed with.
    pub fn find(&self, kid: Option<&str>) -> Option<&Key> {
        match (self, kid) {
            (Self::One(key), _) => Some(key),
            (Self::Set(keys), Some(kid)) => {
                keys.iter().find(|(id, _)| id.as_deref() == Some(kid)).map(|(_, key)| key)
            }
            // A token may omit the `kid` if there is only one key.
            (Self::Set(keys), None) => match keys.as_slice() {
                [(_, key)] => Some(key),
                _ => None,
            },
            (Self::None, _) => None,
        }
    }
}

/// The HS256 secret from the configuration or its file, checked for its length.
pub(super) fn secret(config: &AuthConfig) -> Result<Option<Secret>, AuthConfigError> {
    let (key, secret) = match (&config.secret, &config.secret_file) {
        (Some(secret), _) => ("auth.secret", secret.clone()),
        (None, Some(path)) => (
            "auth.secret_file",
            read_secret(path)
                .map_err(|error| AuthConfigError(format!("`auth.secret_file`: {error}")))?,
        ),
        (None, None) => return Ok(None),
    };
    match secret.expose().len() {
        short @ 0..MIN_SECRET_BYTES => Err(AuthConfigError(format!(
            "`{key}` has {short} bytes; an HS256 secret needs at least {MIN_SECRET_BYTES}"
        ))),
        _ => Ok(Some(secret)),
    }
}

fn read(path: &Path, key: &str) -> Result<Vec<u8>, AuthConfigError> {
    std::fs::read(path).map_err(|error| {
        AuthConfigError(format!("`{key}`: cannot read `{}`: {error}", path.display()))
    })
}

fn public_key(path: &Path, algorithm: Algorithm) -> Result<DecodingKey, AuthConfigError> {
    let pem = read(path, "auth.public_key_file")?;
    let key = match algorithm {
        Algorithm::RS256 => DecodingKey::from_rsa_pem(&pem),
        Algorithm::ES256 => DecodingKey::from_ec_pem(&pem),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(&pem),
        Algorithm::HS256 => {
            return Err(AuthConfigError(
                "`auth.algorithm` is HS256, which has no public key".into(),
            ));
        }
    };
    key.map_err(|_| {
        AuthConfigError(format!(
            "`auth.public_key_file`: `{}` does not hold a PEM public key for {algorithm:?}",
            path.display()
        ))
    })
}

/// Reads a JSON Web Key Set. Keys that are not for checking signatures with a supported algorithm
/// are skipped, as RFC 7517 requires.
fn key_set(text: &[u8]) -> Result<Keys, String> {
    let set: JwkSet = serde_json::from_slice(text)
        .map_err(|error| format!("is not a JSON Web Key Set: {error}"))?;
    let mut keys: Vec<(Option<String>, Key)> = Vec::new();
    let mut skipped = 0;
    for jwk in &set.keys {
        let Some(algorithm) = algorithm_of(jwk) else {
            skipped += 1;
            continue;
        };
        let id = jwk.common.key_id.clone();
        let name = id.as_deref().unwrap_or("(none)");
        let decoding = DecodingKey::from_jwk(jwk)
            .map_err(|_| format!("holds a key that cannot be read, with `kid` `{name}`"))?;
        if algorithm == Algorithm::HS256
            && decoding.try_get_as_bytes().is_ok_and(|secret| secret.len() < MIN_SECRET_BYTES)
        {
            return Err(format!(
                "holds a secret of fewer than {MIN_SECRET_BYTES} bytes, with `kid` `{name}`"
            ));
        }
        if keys.iter().any(|(known, _)| *known == id) {
            return Err(format!("holds two keys with `kid` `{name}`"));
        }
        keys.push((id, Key::new(decoding, algorithm)));
    }
    if keys.is_empty() {
        return Err("holds no key for HS256, RS256, ES256 or EdDSA".into());
    }
    if keys.len() > 1 && keys.iter().any(|(id, _)| id.is_none()) {
        return Err("holds several keys, and one without a `kid`".into());
    }
    if skipped > 0 {
        tracing::info!(
            skipped,
            used = keys.len(),
            "skipped keys for other uses or algorithms in the key set"
        );
    }
    Ok(Keys::Set(keys))
}

/// The algorithm that a key is for: the one it names, if that suits its type, or else the one for
/// its type.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::OctetKey(_) => (Algorithm::HS256, KeyAlgorithm::HS256),
        _ => return None,
    };
    jwk.common.key_algorithm.is_none_or(|said| said == name).then_some(algorithm)
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::HS256 => Self::HS256,
            Algorithm::RS256 => Self::RS256,
            Algorithm::ES256 => Self::ES256,
            Algorithm::EdDSA => Self::EdDSA,
        }
    }
}
