//! `greenroom token`: makes a token for development.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use greenroom_actors::capability::{Capabilities, Permissions};
use greenroom_actors::clock::Millis;
use greenroom_protocol::limits::MAX_USER;

use super::{ConfigArgs, Failure};
use crate::auth::mint::{Claims, Signer};
use crate::auth::{ANONYMOUS_PREFIX, MAX_TOKEN_BYTES};
use crate::config::{Algorithm, AuthConfig, Loaded, MIN_SECRET_BYTES, read_secret};

/// The longest lifetime of a token made here: ten years.
const MAX_TTL: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What the token says and how it is signed.
#[derive(Debug, Args)]
#[command(after_help = "\
The token is signed with the HS256 secret from the configuration, unless a flag names another key. Only the token is written to
standard output, so that scripts can use it:

  TOKEN=$(greenroom token --sub alice --allow 'room:*=read,send' --allow 'doc:plan-*=read')")]
pub struct TokenArgs {
    /// The configuration file [default: greenroom.toml, if it exists]
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The name of the user
    #[arg(long, value_name = "USER")]
    pub sub: String,
    /// What the user may do, in addition to the kinds' defaults, such as 'room:*=read,send'; can be
    /// repeated
    #[arg(long, value_name = "PATTERN=PERMISSIONS", value_parser = parse_grant)]
    pub allow: Vec<(String, Vec<String>)>,
    /// How long the token is valid, such as 15m, 1h or 30d
    #[arg(long, default_value = "1h", value_parser = parse_ttl)]
    pub ttl: Duration,
    /// The HS256 secret itself; other users of this machine can see it in the process list
    #[arg(long, value_name = "SECRET", conflicts_with_all = ["secret_file", "private_key"])]
    pub secret: Option<String>,
    /// A file with the HS256 secret
    #[arg(long, value_name = "FILE", conflicts_with = "private_key")]
    pub secret_file: Option<PathBuf>,
    /// A file with a PEM private key (PKCS #8)
    #[arg(long, value_name = "FILE")]
    pub private_key: Option<PathBuf>,
    /// The private key's algorithm [default: `auth.algorithm` from the configuration]
    #[arg(long, value_name = "NAME", requires = "private_key")]
    pub algorithm: Option<Algorithm>,
    /// The key's id; required if the server uses a key set with several keys
    #[arg(long, value_name = "ID")]
    pub kid: Option<String>,
}

/// Makes a token at the time `now`.
///
/// # Errors
/// What is missing or wrong.
pub fn run(args: &TokenArgs, now: Millis) -> Result<String, Failure> {
    let file = ConfigArgs { config: args.config.clone(), ..ConfigArgs::default() };
    let Loaded { config, file, .. } = file.load()?;
    if let Some(file) = file {
        check_kinds(args, &config.kind_names())
            .map_err(|why| Failure::Config(format!("{why} in `{}`", file.display())))?;
    }
    mint(args, &config.auth, now)
}

/// Checks that each pattern can match one of the configured kinds.
pub(super) fn check_kinds(args: &TokenArgs, known: &[String]) -> Result<(), String> {
    for (pattern, _) in &args.allow {
        let matches = match pattern.split_once(':') {
            Some((kind, _)) => known.iter().any(|known| known == kind),
            // Without a colon it is `*`, or the beginning of a kind's name followed by `*`.
            None => known.iter().any(|known| known.starts_with(pattern.trim_end_matches('*'))),
        };
        if !matches {
            return Err(format!(
                "`--allow` names `{pattern}`, which matches none of the kinds `{}`",
                known.join("`, `")
            ));
        }
    }
    Ok(())
}

/// Like [`run`], for a configuration that has been read.
pub(super) fn mint(args: &TokenArgs, config: &AuthConfig, now: Millis) -> Result<String, Failure> {
    check_user(&args.sub)?;
    let mut capabilities = BTreeMap::<String, Vec<String>>::new();
    for (pattern, names) in &args.allow {
        capabilities.entry(pattern.clone()).or_default().extend(names.iter().cloned());
    }
    Capabilities::new(capabilities.keys().map(|pattern| (pattern, Permissions::NONE)))
        .map_err(|error| Failure::Config(error.to_string()))?;
    let iat = now / 1000;
    let claims = Claims {
        sub: args.sub.clone(),
        iat,
        exp: iat + args.ttl.as_secs(),
        iss: config.issuer.clone(),
        aud: config.audience.clone(),
        capabilities,
    };
    let signer = signer(args, config)?.with_kid(args.kid.clone());
    let token = signer.sign(&claims).map_err(|error| Failure::Config(error.to_string()))?;
    if token.len() > MAX_TOKEN_BYTES {
        let message = format!(
            "the token has {} bytes, and servers accept at most {MAX_TOKEN_BYTES}; use fewer or shorter patterns",
            token.len()
        );
        return Err(Failure::Config(message));
    }
    Ok(token)
}

fn signer(args: &TokenArgs, config: &AuthConfig) -> Result<Signer, Failure> {
    let refuse = |error: String| Failure::Config(error);
    if let Some(path) = &args.private_key {
        let algorithm = args.algorithm.or(config.algorithm).ok_or_else(|| {
            refuse("`--private-key` needs `--algorithm`: RS256, ES256 or EdDSA".into())
        })?;
        let pem = std::fs::read(path)
            .map_err(|error| refuse(format!("cannot read `{}`: {error}", path.display())))?;
        return Signer::private_key(&pem, algorithm)
            .map_err(|error| refuse(format!("`{}`: {error}", path.display())));
    }
    let secret = match (&args.secret, &args.secret_file) {
        (Some(secret), _) => Some(secret.clone()),
        (None, Some(path)) => {
            let secret = read_secret(path).map_err(|error| refuse(error.to_string()))?;
            Some(secret.expose().to_owned())
        }
        (None, None) => None,
    };
    if let Some(secret) = secret {
        return match secret.len() {
            short @ 0..MIN_SECRET_BYTES => Err(refuse(format!(
                "the secret has {short} bytes; HS256 needs at least {MIN_SECRET_BYTES}"
            ))),
            _ => Ok(Signer::secret(secret.as_bytes())),
        };
    }
    Signer::configured(config).map_err(|error| refuse(error.to_string()))?.ok_or_else(|| {
        refuse(
            "there is no key to sign with: set `auth.secret_file` in the configuration, or pass `--secret-file` or `--private-key` \
             (`openssl rand -hex 32 > secret` creates a secret)"
                .into(),
        )
    })
}

fn check_user(sub: &str) -> Result<(), Failure> {
    let why = match sub {
        "" => "is empty".to_owned(),
        long if long.len() > MAX_USER => format!("is over {MAX_USER} bytes long"),
        anonymous if anonymous.starts_with(ANONYMOUS_PREFIX) => {
            format!("starts with `{ANONYMOUS_PREFIX}`, which marks anonymous users")
        }
        control if control.chars().any(char::is_control) => {
            "contains control characters".to_owned()
        }
        _ => return Ok(()),
    };
    Err(Failure::Config(format!("`--sub` {why}")))
}

/// Parses `room:*=read,send`. An id may contain `=` itself, so the last one is the separator.
fn parse_grant(text: &str) -> Result<(String, Vec<String>), String> {
    let (pattern, names) =
        text.rsplit_once('=').ok_or("write PATTERN=PERMISSIONS, such as 'room:*=read,send'")?;
    let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
    let permissions = Permissions::parse(&names).map_err(|error| error.to_string())?;
    Capabilities::new([(pattern, permissions)]).map_err(|error| error.to_string())?;
    Ok((pattern.to_owned(), names))
}

fn parse_ttl(text: &str) -> Result<Duration, String> {
    let ttl = humantime::parse_duration(text)
        .map_err(|_| "write a duration with its unit, such as 15m, 1h or 30d".to_owned())?;
    match ttl {
        short if short < Duration::from_secs(1) => {
            Err("the token would already have expired; it must be valid for at least 1s".into())
        }
        long if long > MAX_TTL => Err("it must be at most ten years".into()),
        ttl => Ok(ttl),
    }
}
