//! `verify`: does the history still hold everything that a `replay --keep FILE` had acknowledged? For use after a crash.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use super::history::{self, Difference};
use super::{judge, keep};
use crate::common::Common;
use crate::report::Report;
use crate::run::Run;
use crate::stats::Lane;

/// The server is only read.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    /// What `replay --keep` wrote
    #[serde(skip)]
    pub file: PathBuf,
}

/// Runs it.
///
/// # Errors
/// Where the file or the server cannot be read.
pub async fn run(args: Args) -> Result<Report> {
    let run = Run::new("verify", &args.common).await?;
    let mut rooms: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for acked in keep::read(&args.file)? {
        rooms.entry(acked.entity.clone()).or_default().push(acked);
    }
    let (mut difference, mut epochs) = (Difference::default(), 0);
    let reading = async {
        let mut opened = run.open_one(0, "checker", Vec::new()).await.context("the checking connection failed")?;
        for (entity, acked) in &rooms {
            let before = acked.iter().map(|acked| acked.seq).min().map_or(0, |first| first - 1);
            difference += history::compare(acked, &history::read(&mut opened.conn, entity, before).await?);
            let call = greenroom_protocol::Call::Read(greenroom_protocol::params::Target { entity: entity.clone() });
            let state: greenroom_protocol::results::State = opened.conn.ask(&call).await?;
            epochs += acked.iter().filter(|acked| acked.epoch != state.epoch.as_str()).count() as u64;
        }
        anyhow::Ok(())
    };
    let mut outcome = Ok(());
    let window = run.measure(Lane::Ack, async { outcome = reading.await }).await?;
    outcome?;
    run.progress.done();

    let mut report = Report::new("verify", &run, &args, window)?;
    let counts = [
        ("rooms", rooms.len() as u64),
        ("lines_acknowledged", rooms.values().map(|a| a.len() as u64).sum()),
        ("history_held", difference.held),
        ("unacknowledged", difference.unacknowledged),
    ];
    counts.into_iter().for_each(|(name, count)| report.figures.add(name, count as f64));
    judge::tell_difference(difference, &mut report);
    report.expect_none(epochs, "acknowledged lines are of another epoch than the room");
    Ok(report)
}
