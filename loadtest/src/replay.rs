//! `replay`: IRC logs again, at another speed. Each nick is a session, each file a room; lines are
//! durable posts in their original order, and in the end everybody must have seen every line that
//! was said while they were there: once, in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::common::Common;
use crate::irc;
use crate::report::Report;
use crate::run::Run;
use crate::stats::Lane;

mod history;
mod judge;
mod keep;
mod plan;
mod room;
mod session;
pub mod verify;

use judge::Tally;
use keep::Keeper;
use plan::Plan;

/// `--duration` and `--warmup` mean nothing here: the logs tell how long it takes.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    /// The logs; each becomes a room of its own
    #[arg(required = true, value_name = "FILE")]
    #[serde(skip)]
    pub files: Vec<PathBuf>,
    /// How many times faster than it was
    #[arg(long, default_value_t = 100.0)]
    pub speed: f64,
    /// Write down what was acknowledged, for `verify`
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub keep: Option<PathBuf>,
    /// Kind of the rooms
    #[arg(long, default_value = "room")]
    pub kind: String,
}

/// Runs it.
///
/// # Errors
/// Where the run could not be made: a file that cannot be read, a server that does not answer at
/// all.
pub async fn run(args: Args) -> Result<Report> {
    if !(args.speed.is_finite() && args.speed > 0.0) {
        bail!("`--speed` must be more than 0");
    }
    let run = Arc::new(Run::new("replay", &args.common).await?);
    let keeper = args.keep.as_deref().map(Keeper::create).transpose()?.map(Arc::new);
    let mut rooms = Vec::new();
    for (index, file) in args.files.iter().enumerate() {
        let log =
            std::fs::read(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
        let plan = Plan::new(&irc::parse(&String::from_utf8_lossy(&log)));
        let entity = run.entity(&args.kind, format!("{index}-{}", name(file)))?;
        rooms.push(room::Room::new(run.clone(), entity, plan, args.speed, keeper.clone()));
    }

    // Those who were there before the first line come first, so that nothing of their coming is in
    // the figures.
    let mut ready = Vec::new();
    for room in rooms {
        ready.push(room.fill().await?);
    }
    let mut playing = JoinSet::new();
    for room in ready {
        playing.spawn(room.play());
    }
    let mut tally = Tally::default();
    let window = run
        .measure(Lane::Delivery, async {
            while let Some(room) = playing.join_next().await {
                match room {
                    Ok(outcome) => tally += outcome.judge(),
                    Err(error) => tally.failures.push(format!("a room's task failed: {error}")),
                }
            }
        })
        .await?;
    run.progress.done();

    let mut report = Report::new("replay", &run, &args, window)?;
    let files = args.files.iter().map(|file| serde_json::Value::from(name(file))).collect();
    if let Some(parameters) = report.parameters.as_object_mut() {
        parameters.insert("files".into(), files);
    }
    tally.tell(&mut report);
    Ok(report)
}

/// A file's name, fit for an entity's id.
fn name(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    stem.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .take(60)
        .collect()
}

#[cfg(test)]
mod tests;
