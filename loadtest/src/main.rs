//! `greenroom-loadtest`: loads a Greenroom server, measures it, and checks that it keeps its
//! promises.

use std::process::ExitCode;

use clap::Parser;

mod check;
mod cli;
mod client;
mod common;
mod compare;
mod disk;
mod drill;
#[cfg(test)]
mod fake;
mod find_max;
mod glimpse;
mod growth;
mod history;
mod irc;
mod machine;
mod peer;
mod progress;
mod raw;
mod replay;
mod report;
mod run;
mod scenario;
mod scrape;
mod server;
mod server_use;
mod span;
mod stats;
mod suite;

/// 0: all promises kept. 1: some were not, see the report. 2: the run could not be made.
fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // Each connection needs a file; the default limit is often 1024.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        eprintln!("warning: the limit on open files stays as it is: {error}");
    }
    match cli::execute(cli.command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
