//! `greenroom check`: finds mistakes before the server runs into them.

use std::io::Write;

use clap::Args;
use greenroom_actors::kind::Kinds;

use super::{ConfigArgs, Failure};
use crate::auth::Authenticator;
use crate::config::{Loaded, StoreConfig, Survey};
use crate::store;

/// What to check.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Also check, in namespaces of its own, that the database does what nodes of a cluster rely on
    #[arg(long)]
    pub cluster: bool,
}

/// Checks that the database does what nodes of a cluster rely on. The rest has been checked before.
///
/// # Errors
/// What it does not do.
pub async fn cluster(args: &ConfigArgs, out: &mut impl Write) -> Result<(), Failure> {
    let config = args.load()?.config;
    match store::prove(&config.store).await {
        Ok(()) => line(out, "ok", "cluster", "the database does what nodes rely on"),
        Err(why) => {
            line(out, "FAIL", "cluster", &why)?;
            Err(Failure::Runtime(format!("the database is not fit for a cluster: {why}")))
        }
    }
}

/// Checks the configuration and, through `check_store`, the store, and reports each part on `out`.
/// If one part fails, the others are still checked as far as possible.
///
/// `check_store` returns a description of the store (such as "schema 3"), or why it cannot be used.
///
/// # Errors
/// Everything that failed. The report has been printed by then.
pub async fn run(
    args: &ConfigArgs,
    out: &mut impl Write,
    check_store: impl AsyncFnOnce(&StoreConfig, &Kinds) -> Result<String, String>,
) -> Result<(), Failure> {
    report(&crate::config::survey(&args.overrides()), out, check_store).await
}

/// Like [`run`], for a configuration that has been read.
pub(super) async fn report(
    survey: &Survey,
    out: &mut impl Write,
    check_store: impl AsyncFnOnce(&StoreConfig, &Kinds) -> Result<String, String>,
) -> Result<(), Failure> {
    let Survey { loaded, problems } = survey;
    let mut failures: Vec<String> = problems.iter().map(|problem| problem.text.clone()).collect();
    for failure in &failures {
        line(out, "FAIL", "configuration", failure)?;
    }
    let Some(Loaded { config, file, ignored }) = loaded else {
        return Err(Failure::of_config(failures));
    };
    if failures.is_empty() {
        let source = file
            .as_ref()
            .map_or_else(|| "no file, defaults".to_owned(), |path| path.display().to_string());
        line(out, "ok", "configuration", &source)?;
    }
    for name in ignored {
        line(
            out,
            "note",
            "environment",
            &format!("`{name}` is not a configuration key and is ignored"),
        )?;
    }
    // Checks that depend on a wrong value would only fail again.
    let sound = |section: &str| {
        problems.iter().all(|problem| problem.key.split('.').next() != Some(section))
    };
    if sound("kinds") {
        line(out, "ok", "kinds", &config.kind_names().join(", "))?;
    }
    if sound("auth") {
        let admission = config.admission();
        match Authenticator::new(&config.auth, admission.anonymous) {
            Ok(authenticator) => line(out, "ok", "access", &authenticator.admits(&admission.why))?,
            Err(error) => {
                line(out, "FAIL", "access", &error.to_string())?;
                failures.push(error.to_string());
            }
        }
    }
    let store = if sound("store") {
        // Kinds that cannot work are among the problems.
        let kinds = config.kinds().unwrap_or_default();
        Some(check_store(&config.store, &kinds).await)
    } else {
        None
    };
    match &store {
        None => {}
        Some(Ok(found)) => line(out, "ok", "store", &format!("`{}`: {found}", config.store.url))?,
        Some(Err(error)) => {
            line(out, "FAIL", "store", &format!("`{}`: {error}", config.store.url))?;
        }
    }
    match store {
        Some(Err(error)) => {
            let why = format!("the store cannot be used: {error}");
            if failures.is_empty() {
                Err(Failure::Runtime(why))
            } else {
                Err(Failure::of_config([failures, vec![why]].concat()))
            }
        }
        _ if failures.is_empty() => Ok(()),
        _ => Err(Failure::of_config(failures)),
    }
}

fn line(out: &mut impl Write, verdict: &str, part: &str, text: &str) -> Result<(), Failure> {
    writeln!(out, "{verdict:<5} {part:<14} {text}")
        .map_err(|error| Failure::Runtime(format!("cannot print: {error}")))
}
