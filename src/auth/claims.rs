//! Checks the claims of a token whose signature is valid.

use greenroom_actors::capability::Capabilities;
use greenroom_actors::clock::Millis;
use greenroom_actors::identity::Identity;
use greenroom_protocol::limits::{MAX_INTEGER, MAX_USER};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{ANONYMOUS_PREFIX, AuthError};

/// The requirements that claims must meet.
#[derive(Debug)]
pub(super) struct Checks {
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub leeway_ms: u64,
    pub require_exp: bool,
}

impl Checks {
    /// The identity that `claims` describe at the time `now`.
    ///
    /// The identity expires when the same token would no longer be accepted: at `exp` plus the
    /// leeway.
    pub fn identity(
        &self,
        claims: &Map<String, Value>,
        now: Millis,
    ) -> Result<Identity, AuthError> {
        let expires_at = match numeric_date(claims, "exp")? {
            Some(exp) => Some(exp.saturating_add(self.leeway_ms).min(MAX_INTEGER)),
            None if self.require_exp => {
                return Err(AuthError::claim("exp", "is missing: a token must expire"));
            }
            None => None,
        };
        if expires_at.is_some_and(|end| end <= now) {
            return Err(AuthError::Expired);
        }
        if numeric_date(claims, "nbf")?
            .is_some_and(|start| start > now.saturating_add(self.leeway_ms))
        {
            return Err(AuthError::NotYetValid);
        }
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(AuthError::claim("iss", "is not the issuer that this server trusts"));
        }
        if let Some(audience) = &self.audience
            && !is_for(claims.get("aud"), audience)
        {
            return Err(AuthError::claim("aud", "does not name this server"));
        }
        let user = user(claims)?;
        Ok(Identity {
            user: user.into(),
            expires_at,
            capabilities: capabilities(claims)?,
            anonymous: false,
        })
    }
}

fn user(claims: &Map<String, Value>) -> Result<&str, AuthError> {
    match claims.get("sub") {
        None => Err(AuthError::claim("sub", "is missing: it names the user")),
        Some(Value::String(sub)) if sub.is_empty() => Err(AuthError::claim("sub", "is empty")),
        Some(Value::String(sub)) if sub.len() > MAX_USER => {
            Err(AuthError::claim("sub", format!("is over {MAX_USER} bytes long")))
        }
        Some(Value::String(sub)) if sub.starts_with(ANONYMOUS_PREFIX) => Err(AuthError::claim(
            "sub",
            format!("starts with `{ANONYMOUS_PREFIX}`, which marks anonymous users"),
        )),
        Some(Value::String(sub)) if sub.chars().any(char::is_control) => {
            Err(AuthError::claim("sub", "contains control characters"))
        }
        Some(Value::String(sub)) => Ok(sub),
        Some(_) => Err(AuthError::claim("sub", "is not a string")),
    }
}

fn capabilities(claims: &Map<String, Value>) -> Result<Capabilities, AuthError> {
    match claims.get("capabilities") {
        None | Some(Value::Null) => Ok(Capabilities::default()),
        Some(value) => Capabilities::deserialize(value).map_err(|error| {
            let why: String = error.to_string().chars().take(200).collect();
            AuthError::claim("capabilities", format!("are not valid: {why}"))
        }),
    }
}

/// Converts RFC 7519's `NumericDate`, seconds with or without a fraction, to milliseconds.
fn numeric_date(
    claims: &Map<String, Value>,
    claim: &'static str,
) -> Result<Option<Millis>, AuthError> {
    let number = match claims.get(claim) {
        None => return Ok(None),
        Some(value) => value
            .as_f64()
            .filter(|seconds| *seconds >= 0.0)
            .ok_or_else(|| AuthError::claim(claim, "is not a time in seconds since 1970"))?,
    };
    // A cast to an integer saturates, which is right for a date in the far future.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "see above; negative numbers were rejected"
    )]
    Ok(Some((number * 1000.0) as u64))
}

/// Whether `aud`, which is one string or a list of them, names `audience`.
fn is_for(aud: Option<&Value>, audience: &str) -> bool {
    match aud {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    }
}
