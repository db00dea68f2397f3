//! The binary `greenroom`.

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, Failure};

mod accept;
mod address;
mod admin;
mod allocator;
mod app;
mod auth;
mod canary;
mod cli;
mod config;
mod erasures;
mod http;
mod logging;
mod metrics;
mod open_files;
mod origin;
mod shutdown;
mod store;
mod worker;
mod ws;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    // First of all: it may start the process anew.
    let configured = if let Command::Token(_) = command { Ok(()) } else { allocator::configure() };
    let system = actix_rt::System::new();
    match command {
        Command::Serve(args) => {
            let loaded = args.load()?;
            logging::start(&loaded.config.log);
            if let Err(error) = configured {
                tracing::warn!(%error, "the allocator keeps its defaults: the store opens and closes slower, and takes more memory");
            }
            for name in &loaded.ignored {
                tracing::warn!("the environment variable `{name}` is no key and is ignored");
            }
            system.block_on(app::serve(loaded.config))
        }
        Command::Token(args) => {
            cli::token::run(&args, greenroom_actors::clock::wall()).map(|token| println!("{token}"))
        }
        Command::Rewrite(args) => system.block_on(cli::rewrite::run(&args, &mut std::io::stdout())),
        Command::Check(args) => {
            system.block_on(cli::check::run(&args, &mut std::io::stdout(), async |store, kinds| {
                store::check(store, kinds).await.map_err(|error| error.to_string())
            }))
        }
    }
}
