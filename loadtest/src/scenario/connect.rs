//! `connect`: opens many connections, as fast as it can or at a rate; then measures what they cost
//! while idle, and whether a burst leaves anything behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use greenroom_protocol::EntityId;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::common::Common;
use crate::report::Report;
use crate::run::{Run, Window, subscribe};
use crate::server_use::{ServerUse, Snapshot, Source};
use crate::span::Span;
use crate::stats::Lane;

mod burst;
mod crowd;

use burst::{Burst, Hall, Speech};
use crowd::Guests;

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
    /// Once all are open, every session enters its room's presence
    #[arg(long)]
    pub enter: bool,
    /// How long they idle, instead of `--duration`: all are pinged at about the same time, so best
    /// a multiple of the ping interval
    #[arg(long)]
    pub idle: Option<Span>,
    /// Bytes that every connection then receives, as signals to its room
    #[arg(long, default_value_t = 0)]
    pub burst: u64,
    /// Size of such a signal's body in bytes
    #[arg(long, default_value_t = 16 * 1024)]
    pub burst_signal: usize,
    /// How long all are idle after that, until memory is looked at again
    #[arg(long, default_value = "10s")]
    pub settle: Span,
}

/// All that was measured.
struct Measured {
    opened: usize,
    opening: Duration,
    opening_use: ServerUse,
    client_cpu_s: Option<f64>,
    entered: Option<Entered>,
    /// From before the first connection until all had come to rest.
    growth: ServerUse,
    idle: ServerUse,
    idle_s: f64,
    burst: Option<(Burst, ServerUse)>,
    /// Errors after the last connection was made.
    later_errors: u64,
}

struct Entered {
    sessions: usize,
    took: Duration,
    server: ServerUse,
}

/// Runs it. The window is the idle time; the figures of opening are beside it.
///
/// # Errors
/// Where the run could not be made.
pub async fn run(args: Args) -> Result<Report> {
    ensure!(args.rate.is_none_or(|rate| rate > 0.0), "`--rate` must be above 0");
    let run = Arc::new(Run::new("connect", &args.common).await?);
    let rooms =
        (0..args.rooms.max(1)).map(|i| run.entity(&args.kind, i)).collect::<Result<Vec<_>>>()?;
    let measured = measure(&run, &args, &rooms).await?;
    let report = tell(&run, &args, measured)?;
    run.progress.done();
    Ok(report)
}

async fn measure(run: &Arc<Run>, args: &Args, rooms: &[EntityId]) -> Result<Measured> {
    // The rooms are woken first: their memory is not the connections'. Nor is that of those who
    // speak later.
    for (i, room) in rooms.iter().enumerate() {
        run.open_patiently(i, &format!("waker-{i}"), vec![subscribe(room)]).await?;
    }
    let speech = Speech::of(args.burst, args.burst_signal);
    let speakers = burst::speakers(run, if speech.signals > 0 { rooms.len() } else { 0 }).await?;
    let streams: Vec<Arc<TcpStream>> =
        speakers.iter().map(crate::raw::guest::Guest::stream).collect();
    let hellos = crowd::hellos(run, "idle", args.connections, rooms)?;
    sleep(Duration::from_millis(500)).await;

    let myself = Source { metrics: None, pid: Some(std::process::id()) };
    let (before, client) = (run.source.snapshot().await?, myself.snapshot().await?);
    // Opening has the board to itself, so that its latencies do not mix with anything.
    run.board.open();
    let began = Instant::now();
    let guests = crowd::open(run, hellos, args.rate, args.at_once).await;
    let opening = began.elapsed();
    let client_cpu_s = client.until(&myself.snapshot().await?).cpu_s;
    let (opened, opening_use) = (guests.len(), before.until(&run.source.snapshot().await?));
    let (guests, entered) =
        if args.enter { enter(run, args, guests, rooms).await? } else { (guests, None) };
    run.board.close();

    let errors_before: u64 = run.board.errors().values().sum();
    let hall = Hall::new(&guests, rooms.len(), speech);
    let numbers: Vec<usize> = guests.iter().map(|(index, _)| *index).collect();
    let mut listening = crowd::listen(run, guests, &hall);
    listen_to_nothing(run, speakers, &mut listening);
    run.progress.say("letting the server come to rest");
    sleep(run.common.warmup.0).await;
    let settled = run.source.snapshot().await?;
    let growth = before.until(&settled);

    // The board's window stays that of opening; only the server is watched now.
    run.progress.say("watching idle connections");
    let began = Instant::now();
    sleep(args.idle.unwrap_or(run.common.duration).0).await;
    let rested = run.source.snapshot().await?;
    let (idle, idle_s) = (settled.until(&rested), began.elapsed().as_secs_f64());

    let burst = if speech.signals > 0 {
        let burst = burst::burst(run, &streams, rooms, &numbers, &hall, speech).await;
        Some((burst, settle(run, args, &rested).await?))
    } else {
        None
    };
    let later_errors = run.board.errors().values().sum::<u64>() - errors_before;
    Ok(Measured {
        opened,
        opening,
        opening_use,
        client_cpu_s,
        entered,
        growth,
        idle,
        idle_s,
        burst,
        later_errors,
    })
}

async fn enter(
    run: &Run,
    args: &Args,
    guests: Guests,
    rooms: &[EntityId],
) -> Result<(Guests, Option<Entered>)> {
    let before = run.source.snapshot().await?;
    let (guests, took) = crowd::enter(run, guests, rooms, args.at_once).await;
    let server = before.until(&run.source.snapshot().await?);
    let entered = Entered { sessions: guests.len(), took, server };
    Ok((guests, Some(entered)))
}

/// Lets speakers answer pings.
fn listen_to_nothing(
    run: &Arc<Run>,
    speakers: Vec<crate::raw::guest::Guest>,
    listening: &mut JoinSet<()>,
) {
    for speaker in speakers {
        let run = run.clone();
        listening.spawn(async move { run.board.error(&speaker.listen(|_| ()).await.code()) });
    }
}

/// Lets all come to rest again; tells what the server is since it last rested.
async fn settle(run: &Run, args: &Args, rested: &Snapshot) -> Result<ServerUse> {
    run.progress.say("letting the server come to rest again");
    sleep(args.settle.0).await;
    Ok(rested.until(&run.source.snapshot().await?))
}

fn tell(run: &Run, args: &Args, measured: Measured) -> Result<Report> {
    let Measured {
        opened,
        opening,
        opening_use,
        client_cpu_s,
        entered,
        growth,
        idle,
        idle_s,
        burst,
        later_errors,
    } = measured;
    let (n, opening_s) = (opened.max(1) as f64, opening.as_secs_f64().max(1e-9));
    let window = Window { seconds: idle_s, server: idle.clone(), series: Vec::new() };
    let mut report = Report::new("connect", run, args, window)?;
    let figures = &mut report.figures;
    figures.add("connections", opened as f64);
    figures.add("connects_per_s", opened as f64 / opening_s);
    figures.add("opening_s", opening_s);
    figures.add_known("server_cpu_us_per_connect", opening_use.cpu_s.map(|s| s * 1e6 / n));
    figures.add_known("client_cpu_percent", client_cpu_s.map(|s| s * 100.0 / opening_s));
    if let Some(entered) = &entered {
        let sessions = entered.sessions.max(1) as f64;
        figures.add("enters_per_s", entered.sessions as f64 / entered.took.as_secs_f64().max(1e-9));
        figures
            .add_known("server_cpu_us_per_enter", entered.server.cpu_s.map(|s| s * 1e6 / sessions));
    }
    let first = growth.rss_before_bytes;
    let each = |now: Option<f64>| now.zip(first).map(|(now, first)| (now - first) / n);
    figures.add_known("server_bytes_per_connection", each(growth.rss_after_bytes));
    figures.add_known(
        "server_idle_cpu_us_per_connection_per_s",
        idle.cpu_s.map(|s| s * 1e6 / n / idle_s.max(1e-9)),
    );
    if let Some((burst, server)) = &burst {
        figures.add("burst_s", burst.took.as_secs_f64());
        figures.add("burst_deliveries", burst.deliveries as f64);
        figures.add("burst_bytes_per_connection", burst.least_bytes as f64);
        figures.add_known("server_bytes_per_connection_after_burst", each(server.rss_after_bytes));
        let grown = server
            .rss_before_bytes
            .zip(server.rss_after_bytes)
            .map(|(before, after)| (after / before - 1.0) * 100.0);
        figures.add_known("burst_growth_percent", grown);
    }
    report.expect_none((args.connections - opened) as u64, "connections could not be opened");
    report.expect_none(
        entered.map_or(0, |entered| opened - entered.sessions) as u64,
        "sessions could not enter",
    );
    report.expect_none(later_errors, "idle connections were closed or failed");
    report.expect_none(
        burst.map_or(0, |(burst, _)| burst.short),
        "connections did not receive all of the burst",
    );
    debug_assert_eq!(run.board.ever(Lane::Connect), (opened + args.rooms.max(1)) as u64);
    Ok(report)
}
