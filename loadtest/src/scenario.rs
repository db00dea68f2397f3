//! The scenarios, one in each file, and how they are run.

use std::future::Future;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::common::Common;
use crate::report::{self, Report};
use crate::run::Run;
use crate::server::{self, Server, Setup};

pub mod audience;
pub mod connect;
pub mod durable;
pub mod fanout;
pub mod rooms;

#[cfg(test)]
mod tests;

/// A scenario: its own arguments, and what it does with them.
pub trait Scenario: clap::Args + Serialize {
    const NAME: &'static str;

    /// Whether it starts the server of `--server` itself.
    const STARTS_SERVERS: bool = false;

    /// Runs it. Broken promises are in the report; an error means that the run could not be made.
    fn run(self, run: Run) -> impl Future<Output = Result<Report>>;

    /// Adds to the setup of its own server.
    fn prepare(&mut self, _common: &mut Common, _setup: &mut Setup) -> Result<()> {
        Ok(())
    }
}

/// A scenario's arguments, behind those that every scenario takes.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct With<S: Scenario> {
    /// The arguments that every scenario takes.
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    /// The scenario's own.
    #[command(flatten)]
    #[serde(flatten)]
    pub scenario: S,
}

impl<S: Scenario> With<S> {
    /// Runs the scenario and delivers its report; returns whether the server kept its promises.
    pub fn execute(self) -> Result<bool> {
        let output = self.common.output.clone();
        let report = self.perform()?;
        report::deliver(std::slice::from_ref(&report), &output)?;
        Ok(report.violations.is_empty())
    }

    /// Runs the scenario, on a server of its own if `--server` names one.
    pub fn perform(mut self) -> Result<Report> {
        if let Some(cpus) = &self.common.client_cpus {
            server::pin_this_process(cpus)?;
        }
        if S::STARTS_SERVERS {
            (self.common.metrics, self.common.pid) = (None, None);
        }
        if self.common.own.binary.is_none() || S::STARTS_SERVERS {
            return self.run();
        }
        let mut setup = Setup::new(&self.common.own)?;
        self.scenario.prepare(&mut self.common, &mut setup)?;
        let server = Server::start(&setup)?;
        let report = self.perform_at(&server)?;
        server.stop()?;
        Ok(report)
    }

    /// Runs the scenario against a server that was started for it.
    pub fn perform_at(mut self, server: &Server) -> Result<Report> {
        self.common.url = server.url();
        self.common.metrics = Some(server.metrics());
        self.common.pid = Some(server.pid());
        self.run()
    }

    fn run(self) -> Result<Report> {
        block_on(self.common.threads, async {
            let run = Run::new(S::NAME, &self.common).await?;
            let progress = run.progress.clone();
            let report = Box::pin(self.scenario.run(run)).await;
            progress.done();
            report
        })
    }
}

/// Runs work on a runtime of its own. One thread by default, so that it and the server can be
/// pinned to cores of their own.
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
pub fn parse<A: clap::Args>(words: &str) -> Result<A> {
    let command = A::augment_args(clap::Command::new("greenroom-loadtest").no_binary_name(true));
    let matches = command.try_get_matches_from(words.split_whitespace())?;
    Ok(A::from_arg_matches(&matches)?)
}

/// A scenario's own arguments where none were given.
pub fn defaults<S: Scenario>() -> S {
    let all: With<S> = parse("").expect("every argument of this scenario has a default");
    all.scenario
}
