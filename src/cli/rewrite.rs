//! `greenroom rewrite`: rewrites the embedded database's files, so that deleted data leaves the
//! disk.

use std::io::Write;

use super::{ConfigArgs, Failure};
use crate::store::{self, RewriteError};

/// Rewrites the configured database, and reports progress on `out`.
///
/// # Errors
/// Why the rewrite failed.
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
        Failure::Runtime(format!(
            "the database was rewritten, but the progress could not be printed: {error}"
        ))
    })
}
