//! `verify`: does the history still hold everything that a `replay --keep FILE` had acknowledged?
//! For use after a crash.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use greenroom_protocol::results::State;
use greenroom_protocol::{Call, EntityId, params};
use serde::Serialize;

use super::history::{self, Difference};
use super::keep::Acked;
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
    let mut outcome = Ok((Difference::default(), 0));
    let reading = async { outcome = read(&run, &rooms).await };
    let window = Box::pin(run.measure(Lane::Ack, reading)).await?;
    let (difference, epochs) = outcome?;
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

/// Reads all rooms. Returns the difference, and how many lines were acknowledged in another epoch
/// than the room's.
async fn read(run: &Run, rooms: &BTreeMap<EntityId, Vec<Acked>>) -> Result<(Difference, u64)> {
    let (mut difference, mut epochs) = (Difference::default(), 0);
    let mut opened = run
        .open_patiently(0, "checker", Vec::new())
        .await
        .context("the checking connection failed")?;
    for (entity, acked) in rooms {
        let before = acked.iter().map(|acked| acked.seq).min().map_or(0, |first| first - 1);
        difference +=
            history::compare(acked, &history::read(&mut opened.conn, entity, before).await?);
        let state: State =
            opened.conn.ask(&Call::Read(params::Target { entity: entity.clone() })).await?;
        epochs += acked.iter().filter(|acked| acked.epoch != state.epoch.as_str()).count() as u64;
    }
    Ok((difference, epochs))
}
