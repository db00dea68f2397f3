//! `drill`: restarts a server again and again while clients send, read and listen, and proves from
//! the history of it all that no acknowledged op is lost, doubled or reordered, and that nobody was
//! shown anything else than the logs hold.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use greenroom_protocol::Seq;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::client::Conn;
use crate::common::{Common, Span};
use crate::history::reading::Reading;
use crate::history::{self, Entry, History, Notes, Shape};
use crate::report::Report;
use crate::run::Run;
use crate::scenario::Scenario;
use crate::server::Setup;
use crate::stats::Lane;

mod asks;
mod backoff;
mod member;
mod pause;
mod pending;
mod record;
mod restarts;
mod stage;

use member::Member;
use record::Record;
use restarts::Restarts;
use stage::{Load, Phase, Stage, Target};

/// How long the last answers may take, and after them the last events. The tests' server has
/// nothing on the way.
const SETTLE_WITHIN: Duration =
    if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(60) };

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
    #[arg(long, default_value_t = 50.0)]
    pub rate: f64,
    /// Unanswered ops of each client
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub in_flight: u16,
    /// Reads a second of each client, of states and of pages of the log; 0 for none
    #[arg(long, default_value_t = 10.0)]
    pub reads: f64,
    /// How long the server is up, about, once all clients are served again
    #[arg(long, default_value = "2s")]
    pub up_for: Span,
    /// Kind of the rooms
    #[arg(long, default_value = "room")]
    pub kind: String,
    /// Kind of the documents
    #[arg(long, default_value = "doc")]
    pub doc_kind: String,
    /// Write the history down, so that `check` can judge it again
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub history: Option<PathBuf>,
}

/// What the clients leave behind at the end.
#[derive(Default)]
struct Aftermath {
    records: Vec<Record>,
    /// What the logs held.
    read: Vec<Entry>,
    failures: Vec<String>,
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

async fn drill(args: Args, common: Common) -> Result<Report> {
    if !(args.rate.is_finite() && args.rate > 0.0) {
        bail!("`--rate` must be more than 0");
    }
    if !(args.reads.is_finite() && args.reads >= 0.0) {
        bail!("`--reads` must not be less than 0");
    }
    let mut restarts = Restarts::begin(Setup::new(&common.own)?, args.kill).await?;
    let server = restarts.server().context("it has just been started")?;
    let run = Run::new(Args::NAME, &Common { url: server.url(), ..common }).await?;
    let room = |index| Ok(Target { id: run.entity(&args.kind, index)?, shape: Shape::Room });
    let doc = |index| Ok(Target { id: run.entity(&args.doc_kind, index)?, shape: Shape::Counters });
    let targets =
        (0..args.rooms).map(room).chain((0..args.docs).map(doc)).collect::<Result<Vec<_>>>()?;
    let load = Load {
        every: Duration::from_secs_f64(1.0 / args.rate),
        in_flight: usize::from(args.in_flight),
        read_every: (args.reads > 0.0).then(|| Duration::from_secs_f64(1.0 / args.reads)),
    };
    let stage = Arc::new(Stage::new(run, targets, usize::from(args.clients), load));

    let mut aftermath = None;
    let window = stage.run.measure(Lane::Ack, async {
        let crew = Crew::start(&stage);
        restarts.all(&stage, args.restarts, args.up_for.0).await;
        // Without a server nobody can be asked for the outcome.
        if restarts.server().is_some() {
            aftermath = Some(crew.end(&stage).await);
        }
    });
    let window = Box::pin(window).await?;
    stage.run.progress.done();
    restarts.end().await;

    let mut report = Report::new(&stage.run, &args, window)?;
    report.figures.add("restarts", restarts.done as f64);
    report.figures.add("longest_stop_ms", restarts.longest_stop.as_secs_f64() * 1000.0);
    report.figures.add("longest_down_ms", restarts.longest_down.as_secs_f64() * 1000.0);
    match aftermath {
        Some(aftermath) => tell(aftermath, &stage, args.history.as_deref(), &mut report)?,
        None => report.violations.push("the server did not come back, so nothing is proven".into()),
    }
    report.fail(restarts.failures);
    Ok(report)
}

/// All clients.
struct Crew {
    members: JoinSet<Record>,
    settled: mpsc::Receiver<()>,
}

impl Crew {
    fn start(stage: &Arc<Stage>) -> Self {
        // Nothing is ever sent: the channel is over once every member has dropped its end.
        let (done, settled) = mpsc::channel(1);
        let mut members = JoinSet::new();
        for index in 0..stage.clients() {
            members.spawn(Member::new(Arc::clone(stage), index, done.clone()).run());
        }
        Self { members, settled }
    }

    /// Has everything answered, reads what the logs hold, lets every client listen up to there, and
    /// reads the logs again.
    async fn end(mut self, stage: &Arc<Stage>) -> Aftermath {
        let mut failures = Vec::new();
        stage.turn_to(Phase::Settle);
        // What is not answered by then is judged as such.
        let _ = timeout(SETTLE_WITHIN, self.settled.recv()).await;
        let mut notes = Notes::of(stage.clients(), &stage.clock);
        let heads: Arc<[Seq]> = match read(stage, &mut notes, Reading::Judged).await {
            Ok(heads) => heads.into(),
            Err(error) => {
                failures.push(format!("{error:#}"));
                vec![0; stage.targets.len()].into()
            }
        };
        stage.turn_to(Phase::Listen { heads, deadline: Instant::now() + SETTLE_WITHIN });
        let mut records = Vec::new();
        while let Some(member) = self.members.join_next().await {
            match member {
                Ok(record) => records.push(record),
                Err(error) => failures.push(format!("a client's task failed: {error}")),
            }
        }
        // Once nobody can be told anything more.
        if let Err(error) = read(stage, &mut notes, Reading::Last).await {
            failures.push(format!("{error:#}"));
        }
        Aftermath { records, read: notes.entries, failures }
    }
}

async fn read(stage: &Stage, notes: &mut Notes, reading: Reading) -> Result<Vec<Seq>> {
    let (mut conn, _) = Conn::open(&stage.run.target, "drill-judge".into(), Vec::new()).await?;
    let entities: Vec<_> = stage.targets.iter().map(|target| target.id.clone()).collect();
    reading.all(&mut conn, &entities, notes).await
}

/// Puts the verdict over the whole history into a report.
fn tell(
    aftermath: Aftermath,
    stage: &Stage,
    file: Option<&std::path::Path>,
    report: &mut Report,
) -> Result<()> {
    let Aftermath { mut records, read, failures } = aftermath;
    let history = History {
        entities: stage.targets.iter().map(|target| target.id.clone()).collect(),
        entries: records
            .iter_mut()
            .flat_map(|record| std::mem::take(&mut record.notes.entries))
            .chain(read)
            .collect(),
    };
    if let Some(file) = file {
        history::file::write(file, &history)?;
    }
    let tally = history::command::judge(&history, report);
    // What has a number is repeated until somebody answers.
    let forlorn = records.iter().map(|record| record.forlorn).sum();
    report.expect_none(tally.unanswered.saturating_sub(forlorn), "ops were never answered");
    report.expect_none(tally.refused, "ops were refused for good");
    let longest_us = records.iter().map(|record| record.longest_pause_us).max().unwrap_or(0);
    report
        .figures
        .add("reconnects", records.iter().map(|record| record.reconnects).sum::<u64>() as f64);
    report.figures.add("longest_pause_ms", longest_us as f64 / 1000.0);
    report.fail(records.into_iter().flat_map(|record| record.failures));
    report.fail(failures);
    Ok(())
}

#[cfg(test)]
mod tests;
