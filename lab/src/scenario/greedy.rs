//! `greedy`: one user asks for the dearest thing that each request can ask for, as often as the
//! server lets it, and waits as told. What that costs the server, and what its neighbours feel,
//! against the same neighbours by themselves before it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use greenroom_loadtest::scenario::Scenario;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use self::appetite::{APPETITES, Table, Wants};
use self::glutton::{AT_ONCE, Counts, Glutton};
use self::neighbours::Neighbours;
use self::visitor::visit;
use greenroom_loadtest::common::Common;
use greenroom_loadtest::report::Report;
use greenroom_loadtest::report::sheet::{Row, Sheet};
use greenroom_loadtest::run::Run;
use greenroom_loadtest::server::Setup;
use greenroom_loadtest::stats::Lane;

mod appetite;
mod glutton;
mod neighbours;
mod visitor;

/// The greedy user.
const GLUTTON: &str = "glutton";
/// How often the server's memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Each row takes `--warmup` and twice `--duration`. The server wants a token of everybody, or all
/// would be one user.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Connections of the greedy user, each with 16 requests in flight; where new connections are
    /// what it asks for, it opens as many at a time as it would have requests
    #[arg(long, default_value_t = 2)]
    pub connections: usize,
    /// Neighbours, each with 40 requests a second
    #[arg(long, default_value_t = 5)]
    pub neighbours: usize,
    /// Only these rows, by the beginning of their names
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
}

/// What one row found.
struct Found {
    name: &'static str,
    asked_per_s: f64,
    refused_per_s: f64,
    cpu_percent: Option<f64>,
    memory_mb: Option<f64>,
    p99_us: [u64; 2],
}

impl Scenario for Args {
    const NAME: &'static str = "greedy";

    async fn run(self, run: Run) -> Result<Report> {
        let run = Arc::new(run);
        run.progress.say("setting the table");
        let table = Arc::new(Table::set(&run).await.context("the rooms could not be filled")?);
        let mut neighbours = Neighbours::come(&run, self.neighbours).await?;
        let chosen = |name: &str| {
            self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only))
        };
        let mut rows = Ok(Vec::new());
        let meals = async {
            rows = async {
                let mut rows = Vec::new();
                for appetite in APPETITES.iter().filter(|appetite| chosen(appetite.name)) {
                    rows.push(meal(&run, &self, &table, appetite, &mut neighbours).await?);
                }
                Ok::<_, anyhow::Error>(rows)
            }
            .await;
        };
        let window = run.measure(Lane::Ack, meals).await?;
        let lost = neighbours.leave().await?;
        let mut report = Report::new(&run, &self, window)?;
        report.sheets.push(sheet(&rows?));
        report.expect_none(lost, "of the neighbours' requests were refused or not answered");
        Ok(report)
    }

    /// The server's limits are what is measured, and everybody shows a token.
    fn prepare(&mut self, common: &mut Common, setup: &mut Setup) -> Result<()> {
        setup.let_limits_count();
        greenroom_loadtest::tokens::demand(setup, common)
    }
}

async fn meal(
    run: &Arc<Run>,
    args: &Args,
    table: &Arc<Table>,
    appetite: &'static appetite::Appetite,
    neighbours: &mut Neighbours,
) -> Result<Found> {
    run.progress.say(format!("{}: its neighbours alone", appetite.name));
    neighbours.forget();
    let duration = run.common.duration.0;
    let quiet = run.source.snapshot().await?;
    sleep(duration).await;
    let before = run.source.snapshot().await?;
    let alone = neighbours.lap();

    run.progress.say(appetite.name);
    let (stop, stopped) = watch::channel(false);
    let counts = Arc::<Counts>::default();
    let mut eating = JoinSet::new();
    for index in 0..args.connections {
        let (table, counts, stopped) = (Arc::clone(table), Arc::clone(&counts), stopped.clone());
        match appetite.wants {
            Wants::Ask(request) => {
                let conn = run.open_patiently(index, GLUTTON, Vec::new()).await?.conn;
                let glutton = Glutton::new(conn, table, request, counts, index as u64);
                eating.spawn(glutton.eat(stopped));
            }
            Wants::Visit(wanted) => {
                for _ in 0..AT_ONCE {
                    let (target, table) = (Arc::clone(&run.target), Arc::clone(&table));
                    let (counts, stopped) = (Arc::clone(&counts), stopped.clone());
                    eating.spawn(visit(target, GLUTTON, table, wanted, counts, stopped));
                }
            }
        }
    }
    sleep(run.common.warmup.0).await;
    neighbours.forget();
    let (from, began) = (counts.so_far(), run.source.snapshot().await?);
    let mut most = 0.0_f64;
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = tokio::time::Instant::now() + duration;
    while look.tick().await < end {
        most = most.max(run.source.snapshot().await?.rss_bytes.unwrap_or(f64::NAN));
    }
    let after = run.source.snapshot().await?;
    let (to, beside) = (counts.so_far(), neighbours.lap());
    stop.send_replace(true);
    while let Some(ended) = eating.join_next().await {
        ended.context("a greedy connection failed")??;
    }
    let seconds = duration.as_secs_f64();
    let idle = quiet.until(&before).cpu_s;
    Ok(Found {
        name: appetite.name,
        asked_per_s: (to.0 - from.0) as f64 / seconds,
        refused_per_s: (to.1 - from.1) as f64 / seconds,
        cpu_percent: began
            .until(&after)
            .cpu_s
            .zip(idle)
            .map(|(busy, idle)| (busy - idle) * 100.0 / seconds),
        memory_mb: before.rss_bytes.map(|before| (most - before) / 1e6),
        p99_us: [alone.p99_us, beside.p99_us],
    })
}

fn sheet(found: &[Found]) -> Sheet {
    let columns = [
        "answered/s",
        "refused/s",
        "CPU, % of a core",
        "memory, MB",
        "neighbours' p99 before, µs",
        "p99 beside it, µs",
        "ratio",
    ];
    let row = |found: &Found| {
        let [alone, beside] = found.p99_us.map(|us| us as f64);
        let ratio = (alone > 0.0).then(|| beside / alone);
        let figures = [
            Some(found.asked_per_s),
            Some(found.refused_per_s),
            found.cpu_percent,
            found.memory_mb,
        ];
        Row {
            name: found.name.into(),
            figures: figures.into_iter().chain([Some(alone), Some(beside), ratio]).collect(),
        }
    };
    Sheet {
        title: "one greedy user".into(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: found.iter().map(row).collect(),
    }
}
