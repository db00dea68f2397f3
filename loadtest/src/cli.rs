//! The command line: which scenario, and what becomes of its report.

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::scenario::{self, Scenario, connect, durable, fanout, rooms};
use crate::{drill, find_max, history, replay, report, suite};

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
    Connect(connect::Args),
    /// One publisher, many subscribers in one room
    Fanout(fanout::Args),
    /// Many rooms whose members all talk
    Rooms(rooms::Args),
    /// Durable ops, as many as the server acknowledges or at a rate
    Durable(durable::Args),
    /// Replay IRC logs: everybody must see every line once and in order
    Replay(replay::Args),
    /// Check that the history still holds everything that a `replay --keep FILE` had acknowledged
    Verify(replay::verify::Args),
    /// Start a server, restart it again and again under load, and check that nothing is lost,
    /// doubled or reordered
    Drill(drill::Args),
    /// Judge a history that `drill --history FILE` wrote
    Check(history::command::Args),
    /// Search the highest rate that holds a latency budget
    FindMax(find_max::Args),
    /// Start a server and run a list of scenarios against it
    Suite(suite::Args),
}

/// Runs one command; tells whether the server kept its promises.
///
/// # Errors
/// Where the run could not be made, or its report could not be written.
pub fn execute(command: Command) -> Result<bool> {
    match command {
        Command::Connect(args) => one(args),
        Command::Fanout(args) => one(args),
        Command::Rooms(args) => one(args),
        Command::Durable(args) => one(args),
        Command::Replay(args) => one(args),
        Command::Verify(args) => one(args),
        Command::Drill(args) => one(args),
        Command::FindMax(args) => one(args),
        Command::Check(args) => history::command::run(&args),
        Command::Suite(args) => suite::run(args),
    }
}

/// Runs one scenario and delivers its report; tells whether the server kept its promises.
///
/// # Errors
/// Where the run could not be made, or its report could not be written.
pub fn one(mut scenario: impl Scenario + 'static) -> Result<bool> {
    let output = scenario.common().output.clone();
    let report = scenario::perform(Box::new(scenario))?;
    report::deliver(std::slice::from_ref(&report), &output)?;
    Ok(report.violations.is_empty())
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
