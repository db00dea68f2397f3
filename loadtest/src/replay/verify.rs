//! `verify`: does the history still hold everything that a `replay --keep FILE` had acknowledged?
//! For use after a crash.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::history::reading::Reading;
use crate::history::{Clock, History, Notes, command, file};
use crate::report::Report;
use crate::run::Run;
use crate::scenario::Scenario;
use crate::stats::Lane;

/// The server is only read.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// What `replay --keep` wrote
    #[serde(skip)]
    pub file: PathBuf,
}

impl Scenario for Args {
    const NAME: &'static str = "verify";

    async fn run(self, run: Run) -> Result<Report> {
        let History { entities, mut entries } = file::read(&self.file)?;
        let reader = entries.iter().map(|entry| entry.client as usize + 1).max().unwrap_or(0);
        let mut notes = Notes::of(reader, &Clock::start());
        let mut checker = run
            .open_patiently(0, "checker", Vec::new())
            .await
            .context("the logs cannot be read")?;
        let mut outcome = Ok(Vec::new());
        let reading = async {
            outcome = Reading::Last.all(&mut checker.conn, &entities, &mut notes).await;
        };
        let window = Box::pin(run.measure(Lane::Ack, reading)).await?;
        outcome?;
        entries.append(&mut notes.entries);
        let mut report = Report::new(&run, &self, window)?;
        report.figures.add("rooms", entities.len() as f64);
        command::judge(&History { entities, entries }, &mut report);
        Ok(report)
    }
}
