//! `connect`: opens many connections, as fast as it can or at a rate; then measures what they cost while idle.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use super::audience::Audience;
use crate::common::Common;
use crate::report::Report;
use crate::run::{Opened, Run, subscribe};
use crate::stats::Lane;

/// Every connection subscribes to one room.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    /// Connections to open
    #[arg(long, default_value_t = 1000)]
    pub connections: usize,
    /// Connections to open per second, instead of as many as the server takes
    #[arg(long)]
    pub rate: Option<f64>,
    /// Connections that are being opened at the same time
    #[arg(long, default_value_t = 64)]
    pub at_once: usize,
    /// Rooms over which they are spread
    #[arg(long, default_value_t = 100)]
    pub rooms: usize,
    /// Kind of the rooms
    #[arg(long, default_value = "room")]
    pub kind: String,
}

/// Runs it. The window is the idle time; the figures of opening are beside it.
///
/// # Errors
/// Where the run could not be made.
pub async fn run(args: Args) -> Result<Report> {
    let run = Run::new("connect", &args.common).await?;
    let rooms = (0..args.rooms.max(1)).map(|i| run.entity(&args.kind, i)).collect::<Result<Vec<_>>>()?;
    // The rooms are woken first: their memory is not the connections'.
    for (i, room) in rooms.iter().enumerate() {
        run.open_patiently(i, "waker", vec![subscribe(room)]).await?;
    }
    sleep(Duration::from_millis(500)).await;

    let run = std::sync::Arc::new(run);
    let before = run.source.snapshot().await?;
    // Opening has the board to itself, so that its latencies do not mix with anything.
    run.board.open();
    let began = Instant::now();
    let limit = std::sync::Arc::new(Semaphore::new(args.at_once.max(1)));
    let mut opening: JoinSet<Option<Opened>> = JoinSet::new();
    let mut ticks = args.rate.map(|rate| interval(Duration::from_secs_f64(1.0 / rate)));
    run.progress.say(format!("opening {} connections", args.connections));
    for index in 0..args.connections {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        let permit = limit.clone().acquire_owned().await.expect("nobody closes the semaphore");
        let (run, room) = (run.clone(), rooms[index % rooms.len()].clone());
        opening.spawn(async move {
            let _permit = permit;
            // A failure is counted on the board by its name.
            run.open_one(index, &format!("idle-{index}"), vec![subscribe(&room)]).await.ok()
        });
    }
    let opened: Vec<_> = opening.join_all().await.into_iter().flatten().collect();
    let took = began.elapsed().as_secs_f64();
    run.board.close();
    let opened_count = opened.len();
    let mut audience = Audience::default();
    audience.listen(&run, opened);
    run.progress.say("letting the server come to rest");
    sleep(run.common.warmup.0).await;
    let settled = run.source.snapshot().await?;
    let cost = before.until(&settled);

    // The board's window stays that of opening; only the server is watched now.
    let (began, idle_from) = (Instant::now(), settled);
    run.progress.say("watching idle connections");
    sleep(run.common.duration.0).await;
    let idle = idle_from.until(&run.source.snapshot().await?);
    let idle_s = began.elapsed().as_secs_f64();
    let window = crate::run::Window { seconds: idle_s, server: idle.clone(), series: Vec::new() };

    let mut report = Report::new("connect", &run, &args, window)?;
    let n = opened_count.max(1) as f64;
    report.figures.add("connections", opened_count as f64);
    report.figures.add("connects_per_s", opened_count as f64 / took.max(1e-9));
    report.figures.add("opening_s", took);
    report.figures.add_known("server_cpu_us_per_connect", cost.cpu_s.map(|s| s * 1e6 / n));
    let grown = cost.rss_after_bytes.zip(cost.rss_before_bytes).map(|(after, before)| (after - before) / n);
    report.figures.add_known("server_bytes_per_connection", grown);
    report.figures.add_known("server_idle_cpu_us_per_connection_per_s", idle.cpu_s.map(|s| s * 1e6 / n / idle_s.max(1e-9)));
    report.expect_none((args.connections - opened_count) as u64, "connections could not be opened");
    let closed: u64 = report.errors.values().sum::<u64>().saturating_sub((args.connections - opened_count) as u64);
    report.expect_none(closed, "idle connections were closed or failed");
    debug_assert_eq!(run.board.ever(Lane::Connect), (opened_count + rooms.len()) as u64);
    run.progress.done();
    Ok(report)
}
