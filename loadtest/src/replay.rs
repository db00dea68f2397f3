//! `replay`: replays IRC logs at another speed. Each nick is a session and each file a room; lines
//! are durable posts in their original order. Everything that is sent and received is recorded as a
//! [`history`](crate::history) and judged as one: every session must have received every line that
//! was said while it was there, once and in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::history::reading::Reading;
use crate::history::{Clock, History, Notes, command};
use crate::irc;
use crate::report::Report;
use crate::run::Run;
use crate::scenario::Scenario;
use crate::stats::Lane;

mod plan;
mod room;
mod session;
pub mod verify;

use plan::Plan;
use room::Room;
use session::{Keeper, Stage};

/// `--duration` and `--warmup` mean nothing here: the logs tell how long it takes.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// The logs; each becomes a room of its own
    #[arg(required = true, value_name = "FILE")]
    #[serde(skip)]
    pub files: Vec<PathBuf>,
    /// How many times faster than it was
    #[arg(long, default_value_t = 100.0)]
    pub speed: f64,
    /// Write down what was sent and acknowledged, for `verify`
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub keep: Option<PathBuf>,
    /// Kind of the rooms
    #[arg(long, default_value = "room")]
    pub kind: String,
}

impl Scenario for Args {
    const NAME: &'static str = "replay";

    async fn run(self, run: Run) -> Result<Report> {
        if !(self.speed.is_finite() && self.speed > 0.0) {
            bail!("`--speed` must be more than 0");
        }
        let run = Arc::new(run);
        let name_of = |(index, file): (usize, &PathBuf)| {
            run.entity(&self.kind, format!("{index}-{}", name(file)))
        };
        let entities = self.files.iter().enumerate().map(name_of).collect::<Result<Vec<_>>>()?;
        let clock = Clock::start();
        let keeper =
            self.keep.as_deref().map(|file| Keeper::create(file, &entities)).transpose()?;
        let keeper = keeper.map(Arc::new);
        // Those who were there before the first line come first, so that nothing of their coming is
        // in the figures.
        let (mut ready, mut lines, mut notices, mut sessions) = (Vec::new(), 0, 0, 0);
        for (index, file) in self.files.iter().enumerate() {
            let log = std::fs::read(file)
                .with_context(|| format!("`{}` cannot be read", file.display()))?;
            let plan = Plan::new(&irc::parse(&String::from_utf8_lossy(&log)));
            let stage = Stage::new(&run, &clock, (index, &entities[index]), &plan, keeper.clone());
            lines += plan.lines.len();
            notices += plan.notices;
            let room = Room::new(stage, plan, self.speed, sessions);
            sessions += room.sessions();
            ready.push(room.fill().await?);
        }
        let mut playing = JoinSet::new();
        for room in ready {
            playing.spawn(room.play());
        }
        let (mut entries, mut failures) = (Vec::new(), Vec::new());
        let everything = async {
            while let Some(room) = playing.join_next().await {
                match room {
                    Ok(heard) => {
                        entries.extend(heard.entries);
                        failures.extend(heard.failures);
                    }
                    Err(error) => failures.push(format!("a room's task failed: {error}")),
                }
            }
        };
        let window = Box::pin(run.measure(Lane::Delivery, everything)).await?;
        let mut notes = Notes::of(sessions, &clock);
        let mut checker = run.open_patiently(0, "checker", Vec::new()).await?;
        Reading::Last.all(&mut checker.conn, &entities, &mut notes).await?;
        entries.append(&mut notes.entries);

        let mut report = Report::new(&run, &self, window)?;
        if let Some(parameters) = report.parameters.as_object_mut() {
            let files: Vec<_> = self.files.iter().map(|file| name(file)).collect();
            parameters.insert("files".into(), files.into());
        }
        for (name, count) in
            [("lines", lines), ("notices_skipped", notices), ("sessions", sessions)]
        {
            report.figures.add(name, count as f64);
        }
        let (tally, _) = command::judge(&History { entities, entries }, &mut report);
        report.expect_none(lines as u64 - tally.acked, "lines were not acknowledged");
        report.expect_none(tally.snapshots, "subscriptions were reset");
        report.fail(failures);
        Ok(report)
    }
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
