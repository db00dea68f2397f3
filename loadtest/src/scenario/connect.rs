//! `connect`: opens many connections, as fast as it can or at a rate; then measures what they cost
//! while idle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use greenroom_protocol::EntityId;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use super::Scenario;
use crate::common::Span;
use crate::peer::Peer;
use crate::report::Report;
use crate::run::{Opened, Run, Window, subscribe};
use crate::server_use::{ServerUse, Source};

/// Every connection subscribes to one room.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
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
    /// How long they idle, instead of `--duration`: all are pinged at about the same time, so best
    /// a multiple of the ping interval
    #[arg(long)]
    pub idle: Option<Span>,
}

impl Scenario for Args {
    const NAME: &'static str = "connect";

    async fn run(self, run: Run) -> Result<Report> {
        ensure!(self.rate.is_none_or(|rate| rate > 0.0), "`--rate` must be above 0");
        let run = Arc::new(run);
        let rooms = (0..self.rooms.max(1))
            .map(|i| run.entity(&self.kind, i))
            .collect::<Result<Vec<_>>>()?;
        // The rooms are woken first: their memory is not the connections'.
        for (i, room) in rooms.iter().enumerate() {
            run.open_patiently(i, &format!("waker-{i}"), vec![subscribe(room)]).await?;
        }
        sleep(Duration::from_millis(500)).await;

        let myself = Source { metrics: None, pid: Some(std::process::id()) };
        let (before, client) = (run.source.snapshot().await?, myself.snapshot().await?);
        // Opening has the board to itself, so that its latencies do not mix with anything.
        run.board.open();
        let began = Instant::now();
        let opened = open(&run, &self, &rooms).await;
        let opening_s = began.elapsed().as_secs_f64().max(1e-9);
        run.board.close();
        let client = client.until(&myself.snapshot().await?);
        let opening = before.until(&run.source.snapshot().await?);

        let (count, mut listening) = (opened.len(), JoinSet::new());
        let errors_before: u64 = run.board.errors().values().sum();
        for Opened { conn, .. } in opened {
            listening.spawn(Peer::new(conn, run.board.clone(), None).listen());
        }
        run.progress.say("letting the server come to rest");
        sleep(run.common.warmup.0).await;
        let settled = run.source.snapshot().await?;
        // The board's window stays that of opening; only the server is watched now.
        run.progress.say("watching idle connections");
        let began = Instant::now();
        sleep(self.idle.unwrap_or(run.common.duration).0).await;
        let idle = settled.until(&run.source.snapshot().await?);
        let seconds = began.elapsed().as_secs_f64();
        let later_errors = run.board.errors().values().sum::<u64>() - errors_before;

        let window = Window { seconds, server: idle.clone(), series: Vec::new() };
        let mut report = Report::new(&run, &self, window)?;
        let (n, us) = (count.max(1) as f64, |cpu_s: f64| cpu_s * 1e6);
        let figures = &mut report.figures;
        figures.add("connections", count as f64);
        figures.add("connects_per_s", count as f64 / opening_s);
        figures.add("opening_s", opening_s);
        figures.add_known("server_cpu_us_per_connect", opening.cpu_s.map(|s| us(s) / n));
        figures.add_known("client_cpu_percent", client.cpu_s.map(|s| s * 100.0 / opening_s));
        let ServerUse { rss_before_bytes, rss_after_bytes, .. } = before.until(&settled);
        let grown = rss_before_bytes.zip(rss_after_bytes).map(|(before, after)| after - before);
        figures.add_known("server_bytes_per_connection", grown.map(|bytes| bytes / n));
        let idle_us = idle.cpu_s.map(|s| us(s) / n / seconds.max(1e-9));
        figures.add_known("server_idle_cpu_us_per_connection_per_s", idle_us);
        report.expect_none((self.connections - count) as u64, "connections could not be opened");
        report.expect_none(later_errors, "idle connections were closed or failed");
        Ok(report)
    }
}

/// Opens all connections, so many at a time. Failures are counted on the board by their names.
async fn open(run: &Arc<Run>, args: &Args, rooms: &[EntityId]) -> Vec<Opened> {
    let limit = Arc::new(Semaphore::new(args.at_once.max(1)));
    let mut opening = JoinSet::new();
    let mut ticks = args.rate.map(|rate| interval(Duration::from_secs_f64(1.0 / rate)));
    run.progress.say(format!("opening {} connections", args.connections));
    for index in 0..args.connections {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        let permit = limit.clone().acquire_owned().await.expect("nobody closes the semaphore");
        let (run, wanted) = (run.clone(), vec![subscribe(&rooms[index % rooms.len()])]);
        opening.spawn(async move {
            let _permit = permit;
            run.open_one(index, &format!("idle-{index}"), wanted).await.ok()
        });
    }
    opening.join_all().await.into_iter().flatten().collect()
}
