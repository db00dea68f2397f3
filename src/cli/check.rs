//! `greenroom check`: looks for mistakes before a server meets them.

use std::io::Write;

use super::{ConfigArgs, Failure};
use crate::auth::Authenticator;
use crate::config::{Config, Loaded, StoreConfig};

/// Checks the configuration and then, with `check_store`, the store; reports each part on `out`.
///
/// `check_store` says what it found (such as "schema 3"), or why the store cannot be used.
///
/// # Errors
/// The first part that failed. The report has been printed by then.
pub async fn run(
    args: &ConfigArgs,
    out: &mut impl Write,
    check_store: impl AsyncFnOnce(&StoreConfig) -> Result<String, String>,
) -> Result<(), Failure> {
    let loaded = args.load()?;
    report(&loaded, out, check_store).await
}

/// As [`run`], for a configuration that was read.
pub(super) async fn report(
    loaded: &Loaded,
    out: &mut impl Write,
    check_store: impl AsyncFnOnce(&StoreConfig) -> Result<String, String>,
) -> Result<(), Failure> {
    let config = &loaded.config;
    let source = loaded.file.as_ref().map_or_else(|| "no file, defaults".to_owned(), |path| path.display().to_string());
    line(out, "ok", "configuration", &source)?;
    for name in &loaded.ignored {
        line(out, "note", "environment", &format!("`{name}` is no key and is ignored"))?;
    }
    line(out, "ok", "kinds", &kinds(config))?;
    let admission = config.admission();
    match Authenticator::new(&config.auth, admission.anonymous) {
        Ok(authenticator) => line(out, "ok", "access", &authenticator.admits(&admission.why))?,
        Err(error) => {
            line(out, "FAIL", "access", &error.to_string())?;
            return Err(Failure::Config(error.to_string()));
        }
    }
    match check_store(&config.store).await {
        Ok(found) => line(out, "ok", "store", &format!("`{}`: {found}", config.store.url)),
        Err(error) => {
            line(out, "FAIL", "store", &format!("`{}`: {error}", config.store.url))?;
            Err(Failure::Runtime(format!("the store cannot be used: {error}")))
        }
    }
}

fn line(out: &mut impl Write, verdict: &str, part: &str, text: &str) -> Result<(), Failure> {
    writeln!(out, "{verdict:<5} {part:<14} {text}").map_err(|error| Failure::Runtime(format!("cannot print: {error}")))
}

fn kinds(config: &Config) -> String {
    let kinds = config.kinds();
    let mut names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
    names.sort_unstable();
    names.join(", ")
}
