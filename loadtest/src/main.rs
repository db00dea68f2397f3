//! `greenroom-loadtest`: loads a Greenroom server, measures it, and checks that it keeps its
//! promises.

use std::process::ExitCode;

use clap::Parser;
use greenroom_loadtest::cli::{Cli, execute};

fn main() -> ExitCode {
    let cli = Cli::parse();
    greenroom_loadtest::main_of(|| execute(cli.command))
}
