//! `rooms`: many rooms, each with members who take turns in talking; an open loop.

use anyhow::Result;
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use super::audience::{self, Audience};
use crate::common::Common;
use crate::peer::payload::What;
use crate::peer::{Pace, Payload, Plan};
use crate::report::Report;
use crate::run::{OPENING, Run, subscribe};
use crate::stats::Lane;

/// Connections are `rooms` times `members`.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    /// Rooms
    #[arg(long, default_value_t = 100)]
    pub rooms: usize,
    /// Members of each room
    #[arg(long, default_value_t = 10)]
    pub members: usize,
    /// Messages per second in each room
    #[arg(long, default_value_t = 5.0)]
    pub rate: f64,
    /// Durable posts instead of signals
    #[arg(long)]
    pub durable: bool,
    /// Size of a message's body
    #[arg(long, default_value_t = 100)]
    pub bytes: usize,
    /// Kind of the entities
    #[arg(long, default_value = "room")]
    pub kind: String,
}

/// Runs it.
///
/// # Errors
/// Where the run could not be made.
pub async fn run(args: Args) -> Result<Report> {
    let run = Run::new("rooms", &args.common).await?;
    let rooms = (0..args.rooms).map(|i| run.entity(&args.kind, i)).collect::<Result<Vec<_>>>()?;
    let count = args.rooms * args.members;
    let room_of = |member: usize| member / args.members.max(1);
    let members = run
        .open(count, OPENING, |i| (format!("member-{i}"), vec![subscribe(&rooms[room_of(i)])]))
        .await?;

    let mut audience = Audience::default();
    let (stop, stopped) = watch::channel(false);
    let (done, mut acked_by) = mpsc::channel(count.max(1));
    let (began, what) =
        (run.board.now_us() as f64, if args.durable { What::Post } else { What::Signal });
    for opened in members {
        let index = opened.index;
        let in_flight = opened.conn.hello.limits.max_in_flight as usize;
        // Members of a room take turns, and rooms begin at different moments.
        let turn = (index % args.members) as f64 + room_of(index) as f64 / args.rooms as f64;
        let plan = Plan {
            payload: Payload::new(what, vec![rooms[room_of(index)].clone()], args.bytes),
            pace: Pace::open(began + turn * 1e6 / args.rate, args.rate / args.members as f64),
            in_flight,
        };
        let (peer, stopped, done) = (audience.seat(&run, opened), stopped.clone(), done.clone());
        audience.spawn(async move {
            let (acked, peer) = peer.drive(plan, stopped).await;
            done.send(acked[0])
                .await
                .expect("the scenario waits for all members, and the channel holds them all");
            if let Some(peer) = peer {
                peer.listen().await;
            }
        });
    }
    drop(done);

    let window = run.window(Lane::Delivery).await?;
    stop.send_replace(true);
    let mut acked = 0;
    for _ in 0..count {
        acked += acked_by.recv().await.unwrap_or(0);
    }
    // A signal does not come back to its sender; an event does.
    let each = if args.durable { args.members } else { args.members.saturating_sub(1) } as u64;
    audience.settle(&run, acked * each).await;

    let mut report = Report::new("rooms", &run, &args, window)?;
    report.figures.add("deliveries_expected", (acked * each) as f64);
    if args.durable {
        let ends = audience::ends(&run, &rooms).await?;
        audience::judge_events(&mut report, audience.verdict(|seat| ends[room_of(seat)].seq));
    } else {
        report.figures.add(
            "signals_dropped",
            (acked * each).saturating_sub(run.board.ever(Lane::Delivery)) as f64,
        );
    }
    run.progress.done();
    Ok(report)
}
