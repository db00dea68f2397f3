//! The command line: which scenario, and what becomes of its report.

use std::future::Future;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::common::Common;
use crate::report::{self, Report};
use crate::{drill, replay, scenario, suite};

/// Loads a Greenroom server, measures it, and checks that it keeps its promises.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The scenarios.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open many connections; then measure what they cost while idle
    Connect(scenario::connect::Args),
    /// One publisher, many subscribers in one room
    Fanout(scenario::fanout::Args),
    /// Many rooms whose members all talk
    Rooms(scenario::rooms::Args),
    /// Durable ops, as many as the server acknowledges or at a rate
    Durable(scenario::durable::Args),
    /// Connections that come and go; none may fail
    Churn(scenario::churn::Args),
    /// Readers that stop for a while must still get everything, and must not slow their neighbours down
    SlowReader(scenario::slow_reader::Args),
    /// Replay IRC logs: everybody must see every line once and in order
    Replay(replay::Args),
    /// Check that the history still holds everything that a `replay --keep FILE` had acknowledged
    Verify(replay::verify::Args),
    /// Start a server, restart it again and again under load, and check that nothing is lost, doubled or reordered
    Drill(drill::Args),
    /// Start a server and run a list of scenarios against it
    Suite(suite::Args),
}

/// Runs one command; tells whether the server kept its promises.
///
/// # Errors
/// Where the run could not be made, or its report could not be written.
pub fn execute(command: Command) -> Result<bool> {
    match command {
        Command::Suite(args) => suite::run(args),
        command => {
            let common = common(&command).clone();
            let report = perform(command)?;
            let kept = report.violations.is_empty();
            report::deliver(&[report], &common)?;
            Ok(kept)
        }
    }
}

/// Runs one scenario on a runtime of its own.
///
/// # Errors
/// Where the run could not be made.
pub fn perform(command: Command) -> Result<Report> {
    let threads = common(&command).threads.max(1);
    match command {
        Command::Connect(args) => block_on(threads, scenario::connect::run(args)),
        Command::Fanout(args) => block_on(threads, scenario::fanout::run(args)),
        Command::Rooms(args) => block_on(threads, scenario::rooms::run(args)),
        Command::Durable(args) => block_on(threads, scenario::durable::run(args)),
        Command::Churn(args) => block_on(threads, scenario::churn::run(args)),
        Command::SlowReader(args) => block_on(threads, scenario::slow_reader::run(args)),
        Command::Replay(args) => block_on(threads, replay::run(args)),
        Command::Verify(args) => block_on(threads, replay::verify::run(args)),
        Command::Drill(args) => block_on(threads, drill::run(args)),
        Command::Suite(_) => anyhow::bail!("a suite is no scenario and cannot be part of one"),
    }
}

/// What all scenarios' arguments have in common.
pub fn common(command: &Command) -> &Common {
    match command {
        Command::Connect(args) => &args.common,
        Command::Fanout(args) => &args.common,
        Command::Rooms(args) => &args.common,
        Command::Durable(args) => &args.common,
        Command::Churn(args) => &args.common,
        Command::SlowReader(args) => &args.common,
        Command::Replay(args) => &args.common,
        Command::Verify(args) => &args.common,
        Command::Drill(args) => &args.common,
        Command::Suite(args) => &args.common,
    }
}

/// One thread by default, so that it and the server can be pinned to cores of their own.
fn block_on<T>(threads: usize, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build().context("the runtime cannot start")?;
    runtime.block_on(async {
        tokio::select! {
            done = work => done,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
