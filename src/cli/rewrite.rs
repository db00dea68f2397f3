//! `greenroom rewrite`: gives the embedded database new files, so that deleted bytes leave the
//! disk.

use std::io::Write;

use super::{ConfigArgs, Failure};
use crate::store::{self, RewriteError};

/// Rewrites the database of the configuration, and tells on `out` what it does.
///
/// # Errors
/// Why it did not.
pub async fn run(args: &ConfigArgs, out: &mut impl Write) -> Result<(), Failure> {
    let config = args.load()?.config;
    let mut printed = Ok(());
    let mut say = |line: String| {
        if printed.is_ok() {
            printed = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    };
    store::rewrite(&config.store, &mut say).await.map_err(|error| match error {
        RewriteError::NotOnDisk(_) => Failure::Config(error.to_string()),
        error => Failure::Runtime(error.to_string()),
    })?;
    printed.map_err(|error| {
        Failure::Runtime(format!("the database is rewritten, but that cannot be printed: {error}"))
    })
}
