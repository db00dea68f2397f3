//! Authentication: whose tokens are accepted, and whether clients may connect without one.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::units;
use super::{Problems, Secret};

/// The shortest HS256 secret: as long as the hash, as RFC 7518 requires.
pub const MIN_SECRET_BYTES: usize = 32;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Whether `connect` without a token is admitted.
    pub anonymous: Anonymous,
    /// For HS256 tokens.
    pub secret: Option<Secret>,
    /// A file that contains the secret.
    pub secret_file: Option<PathBuf>,
    /// A public key in PEM, for tokens signed with `algorithm`.
    pub public_key_file: Option<PathBuf>,
    /// The algorithm of `public_key_file`.
    pub algorithm: Option<Algorithm>,
    /// A JSON Web Key Set; tokens name their key by `kid`.
    pub jwks_file: Option<PathBuf>,
    /// The required `iss` of tokens.
    pub issuer: Option<String>,
    /// What the `aud` of tokens must be or contain.
    pub audience: Option<String>,
    /// How far clocks may differ.
    #[serde(with = "units::duration")]
    pub leeway: Duration,
    /// The time before the expiry of its token at which a session is warned.
    #[serde(with = "units::duration")]
    pub expiry_warning: Duration,
    /// Whether every token must expire.
    pub require_exp: bool,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            anonymous: Anonymous::Auto,
            secret: None,
            secret_file: None,
            public_key_file: None,
            algorithm: None,
            jwks_file: None,
            issuer: None,
            audience: None,
            leeway: Duration::from_secs(5),
            expiry_warning: Duration::from_secs(30),
            require_exp: true,
        }
    }
}

impl AuthConfig {
    /// Whether `connect` without a token is admitted, and why. `others` names another setting that
    /// suggests that clients connect from other machines.
    pub(super) fn admission(&self, others: Option<&str>) -> Admission {
        use AnonymousUsers::{Admitted, Refused};
        let (anonymous, why) = match self.anonymous {
            Anonymous::Yes => (Admitted, "`auth.anonymous` is true".to_owned()),
            Anonymous::No => (Refused, "`auth.anonymous` is false".to_owned()),
            Anonymous::Auto => {
                let key = self.key_sources().first().map(|key| format!("`{key}` is set"));
                match key.or(others.map(str::to_owned)) {
                    Some(sign) => (Refused, format!("`auth.anonymous` is \"auto\" and {sign}")),
                    None => {
                        (Admitted, "`auth.anonymous` is \"auto\", and nothing in the configuration suggests that clients connect from other machines".to_owned())
                    }
                }
            }
        };
        Admission { anonymous, why }
    }

    /// The configuration keys that are set and name a source of token keys.
    fn key_sources(&self) -> Vec<&'static str> {
        let sources = [
            ("auth.secret", self.secret.is_some()),
            ("auth.secret_file", self.secret_file.is_some()),
            ("auth.public_key_file", self.public_key_file.is_some()),
            ("auth.jwks_file", self.jwks_file.is_some()),
        ];
        sources.into_iter().filter_map(|(key, set)| set.then_some(key)).collect()
    }

    pub(super) fn check(&self, admission: &Admission, problems: &mut Problems) {
        let sources = self.key_sources();
        if let [first, others @ ..] = sources.as_slice()
            && !others.is_empty()
        {
            problems.add(
                *first,
                format!(
                    "and `{}` are both set; tokens are checked with one of them",
                    others.join("`, `")
                ),
            );
        }
        if sources.is_empty() && admission.anonymous == AnonymousUsers::Refused {
            let why = admission.why.strip_prefix("`auth.anonymous` ").unwrap_or(&admission.why);
            problems.add(
                "auth.anonymous",
                format!(
                    "{why}, so that users without a token are not admitted, and no key for tokens is configured: nobody could connect; set \
                     `auth.secret_file`, `auth.public_key_file` or `auth.jwks_file`, or `auth.anonymous = true` to admit everybody"
                ),
            );
        }
        if let Some(secret) = &self.secret
            && secret.expose().len() < MIN_SECRET_BYTES
        {
            problems.add(
                "auth.secret",
                format!(
                    "has {} bytes; an HS256 secret needs at least {MIN_SECRET_BYTES}, such as the output of `openssl rand -hex 32`",
                    secret.expose().len()
                ),
            );
        }
        match (&self.public_key_file, self.algorithm) {
            (Some(_), None) => {
                problems.not_set(
                    "auth.algorithm",
                    "`auth.public_key_file` needs one of \"RS256\", \"ES256\" and \"EdDSA\"",
                );
            }
            (None, Some(_)) => {
                problems.add("auth.algorithm", "is set without `auth.public_key_file`; a secret implies HS256, and a key set names its own algorithms");
            }
            (Some(_), Some(Algorithm::HS256)) => {
                problems.add(
                    "auth.algorithm",
                    "is \"HS256\", which has no public key; use `auth.secret_file` instead",
                );
            }
            _ => {}
        }
        problems.within("auth.leeway", self.leeway, Duration::ZERO, Duration::from_secs(60));
        problems.within(
            "auth.expiry_warning",
            self.expiry_warning,
            Duration::ZERO,
            Duration::from_secs(3600),
        );
    }
}

/// Whether clients may connect without a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    pub anonymous: AnonymousUsers,
    /// The configuration keys that decide this.
    pub why: String,
}

/// Whether users without a token are admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnonymousUsers {
    Admitted,
    Refused,
}

/// The algorithm that signs tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    #[value(name = "HS256")]
    HS256,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    #[value(name = "RS256")]
    RS256,
    /// ECDSA on P-256 with SHA-256.
    #[value(name = "ES256")]
    ES256,
    /// Ed25519.
    #[value(name = "EdDSA")]
    EdDSA,
}

/// Whether `connect` without a token is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// Only while nothing suggests that clients connect from other machines: `listen` is a loopback
    /// address, and there is no key for tokens, no trusted proxy and no allowed origin.
    Auto,
    Yes,
    No,
}

impl Serialize for Anonymous {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str("auto"),
            Self::Yes => to.serialize_bool(true),
            Self::No => to.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for Anonymous {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Written;

        impl Visitor<'_> for Written {
            type Value = Anonymous;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"auto\", true or false")
            }

            fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Anonymous, E> {
                Ok(if yes { Anonymous::Yes } else { Anonymous::No })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Anonymous, E> {
                match text {
                    "auto" => Ok(Anonymous::Auto),
                    "true" => Ok(Anonymous::Yes),
                    "false" => Ok(Anonymous::No),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
        }

        from.deserialize_any(Written)
    }
}
