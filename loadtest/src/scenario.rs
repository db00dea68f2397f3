//! What is run against a server: one scenario a file, and how each of them is run.

use std::future::Future;

use anyhow::{Context, Result};
use futures_util::future::LocalBoxFuture;

use crate::common::Common;
use crate::report::Report;
use crate::server::{self, Server, Setup};

pub mod audience;
pub mod connect;
pub mod durable;
pub mod fanout;
pub mod rooms;

#[cfg(test)]
mod tests;

/// A scenario with its arguments.
pub trait Scenario {
    /// The arguments that every scenario takes.
    fn common(&mut self) -> &mut Common;

    /// Runs it.
    ///
    /// # Errors
    /// Where the run could not be made. A promise that was not kept is in the report.
    fn run(self: Box<Self>) -> LocalBoxFuture<'static, Result<Report>>;

    /// Whether it starts the server of `--server` itself.
    fn starts_servers(&self) -> bool {
        false
    }

    /// Sets what its own server needs besides what every server gets.
    ///
    /// # Errors
    /// Where that cannot be prepared.
    fn prepare(&mut self, _setup: &mut Setup) -> Result<()> {
        Ok(())
    }
}

/// Runs a scenario on a runtime of its own, and on a server of its own where one is to be started.
///
/// # Errors
/// Where the run could not be made.
pub fn perform(mut scenario: Box<dyn Scenario>) -> Result<Report> {
    let common = scenario.common();
    if let Some(cpus) = &common.client_cpus {
        server::pin_this_process(cpus)?;
    }
    if common.own.binary.is_none() || scenario.starts_servers() {
        return run(scenario);
    }
    let mut setup = Setup::new(&scenario.common().own)?;
    scenario.prepare(&mut setup)?;
    let server = Server::start(&setup)?;
    let report = perform_at(scenario, &server)?;
    server.stop()?;
    Ok(report)
}

/// Runs a scenario against a server that was started for it.
///
/// # Errors
/// Where the run could not be made.
pub fn perform_at(mut scenario: Box<dyn Scenario>, server: &Server) -> Result<Report> {
    let common = scenario.common();
    common.url = server.url();
    common.metrics = Some(server.metrics());
    common.pid = Some(server.pid());
    run(scenario)
}

fn run(mut scenario: Box<dyn Scenario>) -> Result<Report> {
    block_on(scenario.common().threads, scenario.run())
}

/// Runs work on a runtime of its own. One thread by default, so that it and the server can be
/// pinned to cores of their own.
///
/// # Errors
/// Those of the work, and that it was interrupted.
pub fn block_on<T>(threads: usize, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut builder = match threads {
        ..=1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(threads.max(1)).enable_all().build();
    runtime.context("the runtime cannot start")?.block_on(async {
        tokio::select! {
            done = work => done,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        }
    })
}

/// Arguments as if `words` had been typed.
///
/// # Errors
/// Where a word is not understood, or one is missing.
pub fn parse<A: clap::Args>(words: &str) -> Result<A> {
    let command = A::augment_args(clap::Command::new("greenroom-loadtest").no_binary_name(true));
    let matches = command.try_get_matches_from(words.split_whitespace())?;
    Ok(A::from_arg_matches(&matches)?)
}

/// A scenario's arguments where only the common ones were given.
pub fn defaults<A: clap::Args + Scenario>(common: &Common) -> A {
    let mut args: A = parse("").expect("every argument of this scenario has a default");
    args.common().clone_from(common);
    args
}
