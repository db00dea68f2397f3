//! `fanout`: one publisher, many subscribers in one room; an open loop.

use anyhow::Result;
use serde::Serialize;
use tokio::sync::watch;

use super::audience::{self, Audience};
use crate::common::Common;
use crate::peer::payload::What;
use crate::peer::{Pace, Payload, Peer, Plan};
use crate::report::Report;
use crate::run::{OPENING, Run, subscribe};
use crate::stats::Lane;

/// Deliveries per second are `subscribers` times `rate`.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    /// Subscribers in the room
    #[arg(long, default_value_t = 1000)]
    pub subscribers: usize,
    /// Messages per second
    #[arg(long, default_value_t = 100.0)]
    pub rate: f64,
    /// Durable posts instead of signals
    #[arg(long)]
    pub durable: bool,
    /// Size of a message's body
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
    /// Kind of the entity
    #[arg(long, default_value = "room")]
    pub kind: String,
}

/// Runs it.
///
/// # Errors
/// Where the run could not be made.
pub async fn run(args: Args) -> Result<Report> {
    let run = Run::new("fanout", &args.common).await?;
    let room = run.entity(&args.kind, "fanout")?;
    let mut audience = Audience::default();
    audience.listen(
        &run,
        run.open(args.subscribers, OPENING, |i| (format!("listener-{i}"), vec![subscribe(&room)]))
            .await?,
    );

    let publisher = run.open_patiently(0, "publisher", Vec::new()).await?;
    let what = if args.durable { What::Post } else { What::Signal };
    let plan = Plan {
        payload: Payload::new(what, vec![room.clone()], args.bytes),
        pace: Pace::open(run.board.now_us() as f64, args.rate),
        in_flight: publisher.conn.hello.limits.max_in_flight as usize,
    };
    let (stop, stopped) = watch::channel(false);
    let publisher = Peer { conn: publisher.conn, board: run.board.clone(), index: 0, check: None };
    let publishing = tokio::spawn(publisher.drive(plan, stopped));
    let window = run.window(Lane::Delivery).await?;
    stop.send_replace(true);
    let acked: u64 = publishing.await?.0.iter().sum();
    let expected = acked * args.subscribers as u64;
    audience.settle(&run, expected).await;

    let mut report = Report::new("fanout", &run, &args, window)?;
    report.figures.add("deliveries_expected", expected as f64);
    if args.durable {
        let end = audience::ends(&run, &[room]).await?[0].seq;
        audience::judge_events(&mut report, audience.verdict(|_| end));
    } else {
        // Signals may be dropped; how many were is worth knowing all the same.
        report
            .figures
            .add("signals_dropped", expected.saturating_sub(run.board.ever(Lane::Delivery)) as f64);
    }
    run.progress.done();
    Ok(report)
}
