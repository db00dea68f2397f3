//! The command line: which scenario, and what becomes of its report.

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::scenario::{With, connect, durable, fanout, rooms};
use crate::{drill, find_max, history, replay};

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
    Connect(With<connect::Args>),
    /// One publisher, many subscribers in one room
    Fanout(With<fanout::Args>),
    /// Many rooms whose members all talk
    Rooms(With<rooms::Args>),
    /// Durable ops, as many as the server acknowledges or at a rate
    Durable(With<durable::Args>),
    /// Replay IRC logs: everybody must see every line once and in order
    Replay(With<replay::Args>),
    /// Check that the history still holds everything that a `replay --keep FILE` had acknowledged
    Verify(With<replay::verify::Args>),
    /// Start a server, restart it again and again under load, and check that nothing is lost,
    /// doubled or reordered
    Drill(With<drill::Args>),
    /// Judge a history that `drill --history FILE` wrote
    Check(history::command::Args),
    /// Search the highest rate that holds a latency budget
    FindMax(With<find_max::Args>),
}

/// Runs one command; tells whether the server kept its promises.
pub fn execute(command: Command) -> Result<bool> {
    match command {
        Command::Connect(args) => args.execute(),
        Command::Fanout(args) => args.execute(),
        Command::Rooms(args) => args.execute(),
        Command::Durable(args) => args.execute(),
        Command::Replay(args) => args.execute(),
        Command::Verify(args) => args.execute(),
        Command::Drill(args) => args.execute(),
        Command::FindMax(args) => args.execute(),
        Command::Check(args) => history::command::run(&args),
    }
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
