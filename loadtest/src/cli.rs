//! The command line: which scenario, and what becomes of its report.

use std::future::Future;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::common::Common;
use crate::report::{self, Report};
use crate::{compare, drill, find_max, growth, history, replay, scenario, suite};

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
    /// Many entities: what they cost awake, how they fall asleep, how fast they are woken, and one
    /// with a long log
    Entities(scenario::entities::Args),
    /// Connections that come and go; none may fail
    Churn(scenario::churn::Args),
    /// A room fills with members who hear of each other; some come and go, and all must agree in
    /// the end
    Presence(scenario::presence::Args),
    /// Readers that stop for a while must still get everything, and must not slow their neighbours
    /// down
    SlowReader(scenario::slow_reader::Args),
    /// One user asks for the dearest of each request as often as it may; what that costs, and what
    /// its neighbours feel
    Greedy(scenario::greedy::Args),
    /// Everything at once: typing, posts, coming and going, one hot room, one slow reader; each
    /// class has its own latency
    Mixed(scenario::mixed::Args),
    /// A moderate mixed load for half an hour; what becomes of memory, files and latency meanwhile
    Soak(scenario::soak::Args),
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
    /// Put Greenroom and other servers through the same loads, side by side
    Compare(compare::Args),
    /// What an operation costs as connections, entities, rooms, logs and the database grow tenfold
    /// and a hundredfold
    Growth(growth::Args),
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
        Command::Compare(args) => {
            let common = args.common.clone();
            report::deliver(&block_on(common.threads.max(1), compare::run(args))?, &common)?;
            Ok(true)
        }
        Command::Check(args) => history::command::run(&args),
        Command::Growth(args) => block_on(1, growth::run(args)).map(|()| true),
        command => {
            let common =
                common(&command).cloned().context("every scenario has the common arguments")?;
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
    let threads = common(&command).map_or(1, |common| common.threads.max(1));
    match command {
        Command::Connect(args) => block_on(threads, scenario::connect::run(args)),
        Command::Fanout(args) => block_on(threads, scenario::fanout::run(args)),
        Command::Rooms(args) => block_on(threads, scenario::rooms::run(args)),
        Command::Durable(args) => block_on(threads, scenario::durable::run(args)),
        Command::Entities(args) => block_on(threads, scenario::entities::run(args)),
        Command::Churn(args) => block_on(threads, scenario::churn::run(args)),
        Command::Presence(args) => block_on(threads, scenario::presence::run(args)),
        Command::SlowReader(args) => block_on(threads, scenario::slow_reader::run(args)),
        Command::Greedy(args) => block_on(threads, scenario::greedy::run(args)),
        Command::Mixed(args) => block_on(threads, scenario::mixed::run(args)),
        Command::Soak(args) => block_on(threads, scenario::soak::run(args)),
        Command::Replay(args) => block_on(threads, replay::run(args)),
        Command::Verify(args) => block_on(threads, replay::verify::run(args)),
        Command::Drill(args) => block_on(threads, drill::run(args)),
        Command::FindMax(args) => block_on(threads, find_max::run(args)),
        Command::Suite(_) | Command::Check(_) | Command::Compare(_) | Command::Growth(_) => {
            anyhow::bail!("this is no scenario")
        }
    }
}

/// What all scenarios' arguments have in common; nothing for a command that needs no server.
pub fn common(command: &Command) -> Option<&Common> {
    Some(match command {
        Command::Connect(args) => &args.common,
        Command::Fanout(args) => &args.common,
        Command::Rooms(args) => &args.common,
        Command::Durable(args) => &args.common,
        Command::Entities(args) => &args.common,
        Command::Churn(args) => &args.common,
        Command::Presence(args) => &args.common,
        Command::SlowReader(args) => &args.common,
        Command::Greedy(args) => &args.common,
        Command::Mixed(args) => &args.common,
        Command::Soak(args) => &args.common,
        Command::Replay(args) => &args.common,
        Command::Verify(args) => &args.common,
        Command::Drill(args) => &args.common,
        Command::FindMax(args) => &args.common,
        Command::Compare(args) => &args.common,
        Command::Suite(args) => &args.common,
        Command::Check(_) | Command::Growth(_) => return None,
    })
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
