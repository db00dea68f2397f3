//! The binary `greenroom`.

use std::process::ExitCode;

use clap::Parser;
use greenroom::allocator::MiMalloc;
use greenroom::cli::{self, Cli};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match cli::run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
