//! `drill`: restarts a server again and again while clients send, read and listen, and proves from
//! the history of it all that no acknowledged op is lost, doubled or reordered, and that nobody was
//! shown anything else than the logs hold.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::builder::ArgPredicate;
use serde::Serialize;

use crate::common::{Common, Span};
use crate::history::Shape;
use crate::report::Report;
use crate::run::Run;
use crate::scenario::Scenario;
use crate::server::Setup;
use crate::stats::Lane;
use crate::tokens;

mod asks;
mod backoff;
mod clock;
mod crew;
mod greedy;
mod guests;
mod member;
pub mod nodes;
mod pause;
mod pending;
mod presence;
mod record;
mod restarts;
mod rights;
mod stage;
mod verdict;
mod view;

use clock::SteppedClock;
use crew::Crew;
use guests::Guests;
use restarts::Restarts;
use stage::{Load, Phase, Stage, Target};
use verdict::{Aftermath, expect_some, tell};

/// How long a connection may be silent while something is unanswered, and where there are other
/// nodes to go to.
const SILENT_FOR: Duration = Duration::from_secs(30);
const SILENT_AT_A_NODE: Duration = Duration::from_secs(2);

/// Of the common arguments, `--url`, `--metrics` and `--pid` do not count, since the drill starts
/// the server that `--server` names; nor do `--duration` and `--warmup`, since the restarts tell
/// how long it takes.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// How often the server is restarted
    #[arg(long, default_value_t = 5)]
    pub restarts: u64,
    /// Kill the server (SIGKILL) instead of asking it to stop (SIGTERM)
    #[arg(long)]
    pub kill: bool,
    /// Clients; each follows two of the rooms and documents
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub clients: u16,
    /// Rooms
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub rooms: u16,
    /// Documents with a counter for each client
    #[arg(long, default_value_t = 1)]
    pub docs: u16,
    /// Ops a second of each client; what the server holds up is not made up for
    #[arg(long, default_value_t = 50.0, default_value_if("nodes", ArgPredicate::IsPresent, "5"))]
    pub rate: f64,
    /// Unanswered ops of each client
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub in_flight: u16,
    /// Reads a second of each client, of states and of pages of the log; 0 for none
    #[arg(long, default_value_t = 10.0, default_value_if("nodes", ArgPredicate::IsPresent, "2"))]
    pub reads: f64,
    /// How long the server is up, about, once all clients are served again
    #[arg(long, default_value = "2s")]
    pub up_for: Span,
    /// Take the right to read one of its two targets from each client again and again, and give it
    /// back, about this long after the last change
    #[arg(long, value_name = "SPAN")]
    pub revoke: Option<Span>,
    /// Let every other client send an unsubscribe, a subscribe and its ops behind each `connect`,
    /// without waiting for its answer
    #[arg(long)]
    pub pipeline: bool,
    /// Set the server's wall clock forward and back by up to ten minutes, several times a second
    #[arg(long)]
    pub step_clock: bool,
    /// Connections of a greedy user, who asks for expensive things as often as it is let; the
    /// server's limits are its defaults
    #[arg(long, default_value_t = 0)]
    pub greedy: u16,
    /// Kind of the rooms
    #[arg(long, default_value = "room")]
    pub kind: String,
    /// Kind of the documents
    #[arg(long, default_value = "doc")]
    pub doc_kind: String,
    /// Several nodes instead of one server.
    #[command(flatten)]
    #[serde(flatten)]
    pub cluster: nodes::NodeArgs,
    /// Write the history down, so that `check` can judge it again
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub history: Option<PathBuf>,
}

impl Scenario for Args {
    const NAME: &'static str = "drill";
    const STARTS_SERVERS: bool = true;

    async fn run(self, run: Run) -> Result<Report> {
        // The run against the server that the drill starts has a line of its own.
        run.progress.done();
        drill(self, run.common).await
    }
}

async fn drill(args: Args, mut common: Common) -> Result<Report> {
    if !(args.rate.is_finite() && args.rate > 0.0) {
        bail!("`--rate` must be more than 0");
    }
    if !(args.reads.is_finite() && args.reads >= 0.0) {
        bail!("`--reads` must not be less than 0");
    }
    if let Some(count) = args.cluster.nodes {
        return Box::pin(nodes::drill(args, common, count)).await;
    }
    let mut clock = args.step_clock.then(SteppedClock::new).transpose()?;
    // What the command line says comes last, and counts.
    common.own.server_env.splice(0..0, clock.iter().flat_map(SteppedClock::environment));
    let setup = set_up(&args, &mut common)?;
    let mut restarts = Restarts::begin(setup, args.kill).await?;
    let server = restarts.server().context("it has just been started")?;
    let run = Run::new(Args::NAME, &Common { url: server.url(), ..common }).await?;
    let targets = targets(&args, &run)?;
    let stage = Arc::new(Stage::new(run, targets, usize::from(args.clients), load(&args)));

    let guests = Guests::start(&stage, args.greedy).await?;
    let mut aftermath = None;
    let window = stage.run.measure(Lane::Ack, async {
        let crew = Crew::start(&stage);
        let restarting = restarts.all(&stage, args.restarts, args.up_for.0);
        match &mut clock {
            None => restarting.await,
            Some(clock) => tokio::select! {
                () = restarting => {}
                error = clock.step() => restarts.failures.push(format!("{error:#}")),
            },
        }
        // Without a server nobody can be asked for the outcome.
        if restarts.server().is_some() {
            aftermath = Some(crew.end(&stage).await);
        }
    });
    let window = Box::pin(window).await?;
    stage.run.progress.done();
    stage.turn_to(Phase::Settle);
    restarts.end().await;

    let mut report = Report::new(&stage.run, &args, window)?;
    report.figures.add("restarts", restarts.done as f64);
    report.figures.add("longest_stop_ms", restarts.longest_stop.as_secs_f64() * 1000.0);
    report.figures.add("longest_down_ms", restarts.longest_down.as_secs_f64() * 1000.0);
    for (name, count) in guests.asked().into_iter().filter(|_| args.greedy > 0) {
        report.figures.add(name, count as f64);
    }
    let told = guests.asked().into_iter().map(|(_, count)| count).min().unwrap_or(0);
    expect_some(args.greedy > 0, told, "asked for greedily, answered and refused", &mut report);
    let lost = guests.end(restarts.done).await;
    report.expect_none(lost, "guests' connections were lost that no restart explains");
    if let Some(clock) = &clock {
        report.figures.add("clock_steps", clock.steps as f64);
        expect_some(true, clock.steps, "set on the clock", &mut report);
        restarts.pids.iter().for_each(|pid| SteppedClock::forget(*pid));
    }
    match aftermath.map(|aftermath| Aftermath { restarts: restarts.done, ..aftermath }) {
        Some(aftermath) => {
            tell(aftermath, &stage, args.history.as_deref(), &mut report)?;
        }
        None => report.violations.push("the server did not come back, so nothing is proven".into()),
    }
    report.fail(restarts.failures);
    Ok(report)
}

/// The entities that clients follow.
fn targets(args: &Args, run: &Run) -> Result<Vec<Target>> {
    let room = |index| Ok(Target { id: run.entity(&args.kind, index)?, shape: Shape::Room });
    let doc = |index| Ok(Target { id: run.entity(&args.doc_kind, index)?, shape: Shape::Counters });
    (0..args.rooms).map(room).chain((0..args.docs).map(doc)).collect()
}

/// What clients do.
fn load(args: &Args) -> Load {
    let nodes = args.cluster.nodes.is_some();
    Load {
        every: Duration::from_secs_f64(1.0 / args.rate),
        in_flight: usize::from(args.in_flight),
        read_every: (args.reads > 0.0).then(|| Duration::from_secs_f64(1.0 / args.reads)),
        revoke_every: args.revoke.map(|span| span.0),
        pipelines: args.pipeline,
        silent_for: if nodes { SILENT_AT_A_NODE } else { SILENT_FOR },
        nodes,
    }
}

/// How the server is started: with tokens where clients need them, and with its own limits where a
/// greedy user shall meet them.
fn set_up(args: &Args, common: &mut Common) -> Result<Setup> {
    let mut setup = Setup::new(&common.own)?;
    if args.greedy > 0 {
        setup.let_limits_count();
    }
    if args.greedy > 0 || args.revoke.is_some() {
        tokens::demand(&mut setup, common)?;
        if common.secret.is_none() {
            bail!("`--revoke` and `--greedy` sign tokens, so they need the server's `--secret`");
        }
        // What tokens do not grant, nobody has.
        for (kind, behaviour) in [("ROOM", "room"), ("DOC", "document")] {
            setup.set(&format!("GREENROOM_KINDS__{kind}__BEHAVIOUR"), behaviour);
            setup.set(&format!("GREENROOM_KINDS__{kind}__DEFAULT_PERMISSIONS"), "[]");
        }
    }
    Ok(setup)
}

#[cfg(test)]
mod tests;
