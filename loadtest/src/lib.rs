//! Loads a Greenroom server, measures it, and checks that it keeps its promises.
//!
//! In the order of the data: `cli` chooses a `scenario`, which opens a `run`. Its `peer`s speak
//! through `client` and count in `stats`, and `report` prints the result. `drill` and `replay`
//! record a `history`, which its checker judges.

#![expect(missing_docs, reason = "only the lab uses the library, and many names say enough")]

use std::process::ExitCode;

use anyhow::Result;

pub mod check;
pub mod cli;
pub mod client;
pub mod common;
pub mod drill;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod find_max;
pub mod glimpse;
mod history;
mod irc;
pub mod machine;
pub mod peer;
mod progress;
pub mod replay;
pub mod report;
pub mod run;
pub mod scenario;
mod scrape;
pub mod server;
pub mod server_use;
pub mod stats;
pub mod tokens;

/// Runs a program's work, which returns whether all promises were kept. The exit code is 0 if they
/// were, 1 if not, and 2 if the run could not be made.
pub fn main_of(work: impl FnOnce() -> Result<bool>) -> ExitCode {
    // Each connection needs a file; the default limit is often 1024.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        eprintln!("warning: the limit on open files stays as it is: {error}");
    }
    match work() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
