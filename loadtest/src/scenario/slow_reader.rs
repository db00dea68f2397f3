//! `slow-reader`: some readers stop reading during a flood of durable posts. Afterwards they must get every event once
//! and in order, and their neighbours must not have felt it: the same flood runs first without them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::sleep;

use super::audience::{self, Audience};
use crate::common::Common;
use crate::peer::payload::What;
use crate::peer::{Pace, Payload, Peer, Plan};
use crate::report::Report;
use crate::run::{OPENING, Run, Window, subscribe};
use crate::span::Span;
use crate::stats::{Board, Lane, Summary};

/// The receive buffer of a slow reader's socket: small, so that the server feels soon that nobody reads.
const SLOW_RECEIVE_BUFFER: u32 = 16 * 1024;

/// Each of the two floods lasts warm-up plus duration.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    /// Readers that read all the time
    #[arg(long, default_value_t = 50)]
    pub readers: usize,
    /// Readers that stop for a while
    #[arg(long, default_value_t = 5)]
    pub slow: usize,
    /// How long they stop; at most the duration
    #[arg(long, default_value = "5s")]
    pub pause: Span,
    /// Posts per second
    #[arg(long, default_value_t = 1000.0)]
    pub rate: f64,
    /// Size of a post's body: large, so that what the kernel buffers is filled soon
    #[arg(long, default_value_t = 2048)]
    pub bytes: usize,
    /// Kind of the room
    #[arg(long, default_value = "room")]
    pub kind: String,
}

/// Runs both floods; the report is that of the second.
///
/// # Errors
/// Where a run could not be made.
pub async fn run(args: Args) -> Result<Report> {
    let (without, ..) = flood(&args, 0, "alone").await?;
    let (mut with, run, window) = flood(&args, args.slow, "slow").await?;

    let mut report = Report::new("slow-reader", &run, &args, window)?;
    for (name, p99) in [("neighbours_p99_us_without", &without.neighbours), ("neighbours_p99_us_with", &with.neighbours)] {
        report.figures.add(name, p99.p99_us as f64);
    }
    let ratio = with.neighbours.p99_us as f64 / without.neighbours.p99_us.max(1) as f64;
    report.figures.add("neighbours_p99_ratio", ratio);
    report.figures.add("slow_events_received", with.slow.seen as f64);
    report.latencies.insert("delivery_without_slow_readers".into(), without.neighbours);
    for (code, count) in with.slow_board.errors() {
        *report.errors.entry(format!("slow_{code}")).or_default() += count;
        // A reset hands a snapshot over where every event is wanted.
        report.expect_none(count, &format!("times `{code}` at slow readers"));
    }
    with.all += without.all;
    audience::judge_events(&mut report, with.all);
    run.progress.done();
    Ok(report)
}

/// What a flood left behind.
struct Flood {
    neighbours: Summary,
    all: crate::check::Verdict,
    slow: crate::check::Verdict,
    slow_board: Arc<Board>,
}

async fn flood(args: &Args, slow_count: usize, name: &str) -> Result<(Flood, Run, Window)> {
    let run = Run::new("slow-reader", &args.common).await?;
    let room = run.entity(&args.kind, name)?;
    let mut neighbours = Audience::default();
    neighbours.listen(&run, run.open(args.readers, OPENING, |i| (format!("reader-{i}"), vec![subscribe(&room)])).await?);

    // Slow readers count on a board of their own: their latency says how long they stopped, not how fast the server is.
    let mut slow_run = Run::new("slow-reader", &args.common).await?;
    Arc::get_mut(&mut slow_run.target).expect("nobody else has it yet").receive_buffer = Some(SLOW_RECEIVE_BUFFER);
    let opened = slow_run.open(slow_count, OPENING, |i| (format!("slow-{i}"), vec![subscribe(&room)])).await?;
    let (mut slow, reads_until) = (Audience::default(), args.common.warmup.0);
    for opened in opened {
        let (peer, pause) = (slow.seat(&slow_run, opened), args.pause.0);
        slow.spawn(stall(peer, reads_until, pause));
    }

    let publisher = run.open_patiently(0, "publisher", Vec::new()).await?;
    let plan = Plan {
        payload: Payload::new(What::Post, vec![room.clone()], args.bytes),
        pace: Pace::open(run.board.now_us() as f64, args.rate),
        in_flight: publisher.conn.hello.limits.max_in_flight as usize,
    };
    let (stop, stopped) = watch::channel(false);
    let peer = Peer { conn: publisher.conn, board: run.board.clone(), index: 0, check: None };
    let publishing = tokio::spawn(peer.drive(plan, stopped));
    let window = run.window(Lane::Delivery).await?;
    stop.send_replace(true);
    let acked: u64 = publishing.await?.0.iter().sum();
    neighbours.settle(&run, acked * args.readers as u64).await;
    slow.settle(&slow_run, acked * slow_count as u64).await;

    let end = audience::ends(&run, &[room]).await?[0].seq;
    let slow_verdict = slow.verdict(|_| end);
    let mut all = neighbours.verdict(|_| end);
    all += slow_verdict;
    let flood = Flood { neighbours: run.board.summary(Lane::Delivery), all, slow: slow_verdict, slow_board: slow_run.board.clone() };
    Ok((flood, run, window))
}

/// Reads, stops reading for a while, and reads on.
async fn stall(mut peer: Peer, reads_for: Duration, pause: Duration) {
    if peer.listen_for(reads_for).await {
        sleep(pause).await;
        peer.listen().await;
    }
}
