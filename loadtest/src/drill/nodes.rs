//! `drill --nodes N`: several nodes, a database and a NATS server, to which something happens each
//! round, while clients go from node to node.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::crew::Crew;
use super::guests::Guests;
use super::stage::{Phase, Stage};
use super::verdict::{self, Aftermath};
use super::{load, targets};
use crate::common::Common;
use crate::report::Report;
use crate::run::Run;
use crate::scenario::Scenario;
use crate::stats::Lane;

mod balance;
pub mod cluster;
mod fault;
mod map;
mod rounds;
#[cfg(test)]
mod tests;
mod way;

use cluster::{Cluster, Extras, Log};
use fault::Fault;
use map::Maps;
use way::{Doors, Way};

/// How long a client waits at one node before it tries another. Subscriptions wait for the owner of
/// their entity, as long as a node holds requests.
const CONNECT_WITHIN: Duration = Duration::from_secs(8);

/// The options of a drill over several nodes.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct NodeArgs {
    /// Nodes, over a database and a NATS server that the drill starts as well. Clients are led to
    /// any node that is ready, and are present in one of what they follow
    #[arg(
        long,
        value_parser = clap::value_parser!(u16).range(2..=9),
        conflicts_with_all = ["restarts", "kill", "step_clock", "greedy"]
    )]
    pub nodes: Option<u16>,
    /// What happens to the nodes, in turn
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        requires = "nodes",
        default_value = "kill,stop,cut-nats,cut-store,nats,database,rolling,skew"
    )]
    pub faults: Vec<Fault>,
    /// How many such things happen
    #[arg(long, requires = "nodes", default_value_t = 8)]
    pub rounds: u64,
    /// The NATS server's binary; by default the one that `.ci/deps` installs, or the one on the
    /// PATH
    #[arg(long, value_name = "PATH", requires = "nodes")]
    pub nats: Option<PathBuf>,
    /// The database server's binary; by default `greenroom-dev-surrealdb` beside the server's
    #[arg(long, value_name = "PATH", requires = "nodes")]
    pub database: Option<PathBuf>,
    /// A directory for the logs of all these processes, which go nowhere otherwise
    #[arg(long, value_name = "DIR", requires = "nodes")]
    #[serde(skip)]
    pub logs: Option<PathBuf>,
}

/// Runs the drill over `count` nodes.
pub async fn drill(args: super::Args, mut common: Common, count: u16) -> Result<Report> {
    let NodeArgs { faults, rounds, nats, database, logs, .. } = &args.cluster;
    let nats = nats.clone().map_or_else(find_nats, Ok)?;
    let server = common.own.binary.as_ref().context("`--server PATH` is required")?;
    let beside = || server.with_file_name("greenroom-dev-surrealdb");
    let database = database.clone().unwrap_or_else(beside);
    let setup = super::set_up(&args, &mut common)?;
    let clocks = faults.contains(&Fault::Skew);
    let programs = [nats.as_path(), database.as_path()];
    let extras = Extras { clocks, ways: true, log: Log(logs.clone()) };
    let mut cluster = Cluster::start(setup, count, extras, programs).await?;
    let (doors, at) = (cluster.doors.clone(), cluster.database());
    let front = front(&doors).await?;
    let url = format!("ws://{}/ws", front.address());
    let mut run = Run::new(super::Args::NAME, &Common { url, ..common }).await?;
    if let Some(target) = Arc::get_mut(&mut run.target) {
        target.connect_within = CONNECT_WITHIN;
    }
    let targets = targets(&args, &run)?;
    let stage = Arc::new(Stage::new(run, targets, usize::from(args.clients), load(&args)));
    let guests = Guests::start(&stage, 0).await?;
    let mut maps = Maps::default();
    let (mut done, mut aftermath) = (Vec::new(), Aftermath::default());
    let window = stage.run.measure(Lane::Ack, async {
        let crew = Crew::start(&stage);
        let work = async {
            done = rounds::all(&mut cluster, &stage, faults, *rounds, args.up_for.0).await;
            aftermath = crew.end(&stage).await;
        };
        tokio::select! {
            () = work => {}
            () = doors.watch() => {}
            () = maps.watch(at) => {}
        }
    });
    let window = Box::pin(window).await?;
    stage.run.progress.done();
    stage.turn_to(Phase::Settle);
    let versions = maps.end(at).await;
    cluster.stop().await;

    let mut report = Report::new(&stage.run, &args, window)?;
    report.figures.add("rounds", done.len() as f64);
    report.figures.add_known("map_versions", versions.as_ref().ok().map(|count| *count as f64));
    report.fail(versions.err().map(|error| format!("{error:#}")));
    report.fail(maps.wrong);
    aftermath.restarts = rounds::losses(&done, u64::from(count));
    aftermath.leaves = rounds::leaves(&done);
    let lost = guests.end(aftermath.restarts).await;
    report.expect_none(lost, "guests' connections were lost that no fault explains");
    let findings = verdict::tell(aftermath, &stage, args.history.as_deref(), &mut report)?;
    rounds::tell(&done, faults, &findings, &mut report);
    report.fail(cluster.failures);
    Ok(report)
}

/// A port that leads to any node that is ready.
async fn front(doors: &Doors) -> Result<Way> {
    let doors = doors.clone();
    Way::open(move || doors.pick()).await
}

/// The NATS server that `.ci/deps` installs, or the one on the PATH.
pub fn find_nats() -> Result<PathBuf> {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let tools = std::env::var_os("TOOLS_DIR")
        .map_or_else(|| home().join(".cache/greenroom/tools"), PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::iter::once(tools.join("venv/bin")).chain(std::env::split_paths(&path));
    let Some(found) = places.map(|place| place.join("nats-server")).find(|file| file.exists())
    else {
        bail!("there is no `nats-server`; `.ci/deps test` installs it, or pass `--nats PATH`");
    };
    Ok(found)
}
