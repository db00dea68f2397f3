//! Loads a Greenroom server, measures it, and checks that it keeps its promises.
//!
//! The data's way: `cli` and `suite` choose a `scenario`, which opens a `run`; its `peer`s speak
//! through `client`, and count in `stats`; `report` tells. `drill` and `replay` write down a
//! `history`, which its checker judges.

use std::process::ExitCode;

use anyhow::Result;

pub mod check;
pub mod cli;
pub mod client;
pub mod common;
mod drill;
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

/// Runs a program's work, which tells whether all promises were kept. The exit code is 0 if so, 1 if
/// not, and 2 if the run could not be made.
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
