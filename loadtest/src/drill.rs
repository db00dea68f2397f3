//! `drill`: restarts a server again and again while clients post and listen, and proves from what they recorded that no
//! acknowledged op is lost, doubled or reordered.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use greenroom_protocol::{Epoch, Seq};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::client::Conn;
use crate::common::Common;
use crate::report::Report;
use crate::run::Run;
use crate::server::{ServerArgs, Setup};
use crate::span::Span;
use crate::stats::Lane;

mod backoff;
mod history;
mod judge;
mod member;
mod pause;
mod record;
mod restarts;
mod stage;
mod ulid;
mod verdict;

use judge::{Room, Tally, judge};
use member::Member;
use record::{Mark, Record};
use restarts::Restarts;
use stage::{Load, Phase, Stage};

/// How long the last answers may take, and after them the last events. The tests' server has nothing on the way.
const SETTLE_WITHIN: Duration = if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(60) };

/// Of the common arguments, `--url`, `--metrics` and `--pid` do not count, since the drill starts its server; nor do `--duration` and
/// `--warmup`, since the restarts tell how long it takes.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    #[command(flatten)]
    #[serde(flatten)]
    pub server: ServerArgs,
    /// How often the server is restarted
    #[arg(long, default_value_t = 5)]
    pub restarts: u64,
    /// Kill the server (SIGKILL) instead of asking it to stop (SIGTERM)
    #[arg(long)]
    pub kill: bool,
    /// Clients; each follows two of the rooms
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub clients: u16,
    /// Rooms
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub rooms: u16,
    /// Posts a second of each client; what the server holds up is not made up for
    #[arg(long, default_value_t = 50.0)]
    pub rate: f64,
    /// Unanswered posts of each client
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub in_flight: u16,
    /// How long the server is up, about, once all clients are served again
    #[arg(long, default_value = "2s")]
    pub up_for: Span,
    /// Kind of the rooms
    #[arg(long, default_value = "room")]
    pub kind: String,
}

/// What is left when all is over.
#[derive(Default)]
struct Aftermath {
    records: Vec<Record>,
    histories: Vec<History>,
    failures: Vec<String>,
}

/// The log of a room, as read in the end.
#[derive(Debug, Clone, PartialEq)]
struct History {
    epoch: Epoch,
    events: Vec<(Seq, Option<Mark>)>,
}

/// Runs it.
///
/// # Errors
/// Where the run could not be made: a server that does not start in the first place.
pub async fn run(args: Args) -> Result<Report> {
    if !(args.rate.is_finite() && args.rate > 0.0) {
        bail!("`--rate` must be more than 0");
    }
    let mut restarts = Restarts::begin(Setup::new(&args.server)?, args.kill).await?;
    let server = restarts.server().context("it has just been started")?;
    let common = Common { url: server.url(), metrics: None, pid: None, ..args.common.clone() };
    let run = Run::new("drill", &common).await?;
    let rooms = (0..args.rooms).map(|room| run.entity(&args.kind, room)).collect::<Result<Vec<_>>>()?;
    let load = Load { every: Duration::from_secs_f64(1.0 / args.rate), in_flight: usize::from(args.in_flight) };
    let stage = Arc::new(Stage::new(run, rooms, usize::from(args.clients), load));

    let mut aftermath = None;
    let window = stage.run.measure(Lane::Ack, async {
        let crew = Crew::start(&stage);
        restarts.all(&stage, args.restarts, args.up_for.0).await;
        // Without a server there is nobody to ask what became of all that.
        if restarts.server().is_some() {
            aftermath = Some(crew.end(&stage).await);
        }
    });
    let window = Box::pin(window).await?;
    stage.run.progress.done();
    restarts.end().await;

    let mut report = Report::new("drill", &stage.run, &args, window)?;
    report.figures.add("restarts", restarts.done as f64);
    report.figures.add("longest_stop_ms", restarts.longest_stop.as_secs_f64() * 1000.0);
    report.figures.add("longest_down_ms", restarts.longest_down.as_secs_f64() * 1000.0);
    match aftermath {
        Some(aftermath) => tell(aftermath, &mut report),
        None => report.violations.push("the server did not come back, so nothing is proven".into()),
    }
    verdict::tell_failures(restarts.failures.into_iter(), &mut report);
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

    /// Has everything answered, reads what the rooms hold, and lets every client listen up to there.
    async fn end(mut self, stage: &Stage) -> Aftermath {
        let mut aftermath = Aftermath::default();
        stage.turn_to(Phase::Settle);
        // What is not answered by then is judged as such.
        let _ = timeout(SETTLE_WITHIN, self.settled.recv()).await;
        match histories(stage).await {
            Ok(histories) => aftermath.histories = histories,
            Err(error) => aftermath.failures.push(format!("{error:#}")),
        }
        let head = |history: &History| history.events.last().map_or(0, |(seq, _)| *seq);
        let heads: Arc<[Seq]> = match aftermath.histories.iter().map(head).collect::<Vec<_>>() {
            heads if heads.is_empty() => vec![0; stage.rooms.len()].into(),
            heads => heads.into(),
        };
        stage.turn_to(Phase::Listen { heads, deadline: Instant::now() + SETTLE_WITHIN });
        while let Some(member) = self.members.join_next().await {
            match member {
                Ok(record) => aftermath.records.push(record),
                Err(error) => aftermath.failures.push(format!("a client's task failed: {error}")),
            }
        }
        aftermath
    }
}

/// Reads the history of every room, page by page.
async fn histories(stage: &Stage) -> Result<Vec<History>> {
    let (mut conn, _) = Conn::open(&stage.run.target, "drill-judge", Vec::new()).await.context("the histories cannot be read")?;
    let mut histories = Vec::with_capacity(stage.rooms.len());
    for room in &stage.rooms {
        histories.push(history::read(&mut conn, room).await?);
    }
    Ok(histories)
}

/// Judges room by room.
fn tell(aftermath: Aftermath, report: &mut Report) {
    let Aftermath { records, histories, failures } = aftermath;
    let mut tally = Tally::default();
    for (index, history) in histories.into_iter().enumerate() {
        let ops = records.iter().flat_map(|record| &record.ops).filter(|op| op.room == index).cloned().collect();
        let views = records.iter().flat_map(|record| &record.views).filter(|view| view.room == index).cloned().collect();
        tally += judge(&Room { epoch: history.epoch, history: history.events, ops, views });
    }
    // A drill in which nothing happened proves nothing.
    report.expect_none(u64::from(tally.acked == 0), "drill without a single acknowledged op");
    verdict::tell(&tally, &records, report);
    verdict::tell_failures(failures.into_iter(), report);
}

#[cfg(test)]
mod tests;
