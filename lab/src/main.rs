//! `greenroom-lab`: what the authors of Greenroom measure beside the load harness: how costs grow,
//! how it compares with other servers, and what becomes of it under everything at once.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use greenroom_loadtest::report;
use greenroom_loadtest::scenario::{With, block_on};

use crate::scenario::{burst, churn, entities, greedy, mixed, presence, slow_reader, soak};

mod bench;
mod cluster;
mod compare;
mod disk;
mod growth;
mod preset;
mod raw;
mod scenario;
mod suite;

/// What the authors of Greenroom measure beside the load harness.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The scenarios.
#[derive(Debug, Subcommand)]
enum Command {
    /// Many connections, which may enter presence; what a burst to all of them leaves behind
    Burst(With<burst::Args>),
    /// Connections that come and go; none may fail
    Churn(With<churn::Args>),
    /// Many entities: what they cost awake, how they fall asleep, how fast they are woken, and one
    /// with a long log
    Entities(With<entities::Args>),
    /// One user asks for the dearest of each request as often as it may; what that costs, and what
    /// its neighbours feel
    Greedy(With<greedy::Args>),
    /// Everything at once: typing, posts, coming and going, one hot room, one slow reader; each
    /// class has its own latency
    Mixed(With<mixed::Args>),
    /// A room fills with members who hear of each other; some come and go, and all must agree in
    /// the end
    Presence(With<presence::Args>),
    /// Readers that stop for a while must still get everything, and must not slow their neighbours
    /// down
    SlowReader(With<slow_reader::Args>),
    /// A moderate mixed load for half an hour; what becomes of memory, files and latency meanwhile
    Soak(With<soak::Args>),
    /// Put Greenroom and other servers through the same loads, side by side
    Compare(compare::Args),
    /// What an operation costs as connections, entities, rooms, logs and the database grow tenfold
    /// and a hundredfold
    Growth(growth::Args),
    /// What several nodes cost, and for how long a move or a killed node is felt
    Cluster(cluster::Args),
    /// The load harness's own scenarios, each on a server that is started for it
    Bench(bench::Args),
    /// The lab's scenarios, each on a server that is started for it
    Suite(suite::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    greenroom_loadtest::main_of(|| execute(cli.command))
}

fn execute(command: Command) -> Result<bool> {
    match command {
        Command::Burst(args) => args.execute(),
        Command::Churn(args) => args.execute(),
        Command::Entities(args) => args.execute(),
        Command::Greedy(args) => args.execute(),
        Command::Mixed(args) => args.execute(),
        Command::Presence(args) => args.execute(),
        Command::SlowReader(args) => args.execute(),
        Command::Soak(args) => args.execute(),
        Command::Compare(args) => {
            let (threads, output) = (args.common.threads, args.common.output.clone());
            report::deliver(&block_on(threads, compare::run(args))?, &output)?;
            Ok(true)
        }
        Command::Growth(args) => block_on(1, growth::run(args)).map(|()| true),
        Command::Cluster(args) => block_on(1, cluster::run(args)).map(|()| true),
        Command::Bench(args) => bench::run(args),
        Command::Suite(args) => suite::run(&args),
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
