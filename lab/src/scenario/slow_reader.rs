//! `slow-reader`: some readers stop reading during a flood of durable posts, and read on later.
//! Afterwards they must have every event once and in order, and their neighbours must not have felt
//! it: what these see is measured before, while the slow ones stand still, while they catch up, and
//! after, in one run.

use std::time::Duration;

use anyhow::{Result, ensure};
use greenroom_loadtest::scenario::Scenario;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use self::laps::{Lap, Laps};
use super::slow::SlowReaders;
use greenroom_loadtest::common::Span;
use greenroom_loadtest::peer::payload::What;
use greenroom_loadtest::peer::{Pace, Payload, Peer, Plan};
use greenroom_loadtest::report::Report;
use greenroom_loadtest::run::{OPENING, Run, subscribe};
use greenroom_loadtest::scenario::audience::{self, Audience};
use greenroom_loadtest::stats::Lane;

mod laps;

/// Who is behind by no more than what is posted in this time has caught up.
const ABREAST: Duration = Duration::from_millis(100);
/// How long catching up may take, besides the length of the stall.
const CATCH_UP_WITHIN: Duration = Duration::from_mins(1);

/// `--duration` is measured before the stall, and again after all have caught up.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Readers that read all the time
    #[arg(long, default_value_t = 50)]
    pub readers: usize,
    /// Readers that stop for a while
    #[arg(long, default_value_t = 5)]
    pub slow: usize,
    /// How long they stop
    #[arg(long, default_value = "10s")]
    pub stall: Span,
    /// Posts in that time; before and after it they come at the same rate
    #[arg(long, default_value_t = 10_000)]
    pub events: u64,
    /// Size of a post's body
    #[arg(long, default_value_t = 512)]
    pub bytes: usize,
    /// Kind of the room
    #[arg(long, default_value = "room")]
    pub kind: String,
}

impl Scenario for Args {
    const NAME: &'static str = "slow-reader";

    async fn run(self, run: Run) -> Result<Report> {
        ensure!(
            !self.stall.0.is_zero() && self.events > 0,
            "`--stall` and `--events` must be more than nothing"
        );
        let room = run.entity(&self.kind, "slow")?;
        let mut neighbours = Audience::default();
        neighbours.listen(
            &run,
            run.open(self.readers, OPENING, |i| (format!("reader-{i}"), vec![subscribe(&room)]))
                .await?,
        );

        let slow = SlowReaders::open(&run, &room, self.slow).await?;
        let publisher = run.open_patiently(0, "publisher", Vec::new()).await?;
        let rate = self.events as f64 / self.stall.0.as_secs_f64();
        let mut plan = Plan {
            payload: Payload::new(What::Post, vec![room.clone()], self.bytes),
            pace: Pace::open(run.board.now_us() as f64, rate),
            in_flight: publisher.conn.hello.limits.max_in_flight as usize,
        };
        let (stop, mut stopped) = watch::channel(false);
        let peer = Peer::new(publisher.conn, run.board.clone(), None);
        let publishing = tokio::spawn(async move { peer.drive(&mut plan, &mut stopped).await });
        run.progress.say("warming up");
        sleep(run.common.warmup.0).await;

        let mut laps = Ok(Laps::begin());
        let window = run
            .measure(Lane::Delivery, async {
                laps = drive(&run, &self, rate, &neighbours, &slow).await;
            })
            .await?;
        let laps = laps?;
        stop.send_replace(true);
        let acked: u64 = publishing.await?.0.iter().sum();
        neighbours.settle(&run, acked * self.readers as u64).await;
        slow.audience().settle(slow.run(), acked * self.slow as u64).await;

        let end = audience::ends(&run, &[room]).await?[0].seq;
        let slow_verdict = slow.audience().verdict(|_| end);
        let mut all = neighbours.verdict(|_| end);
        all += slow_verdict;
        let mut report = Report::new(&run, &self, window)?;
        laps.tell(&mut report);
        report.figures.add("slow_events_received", slow_verdict.seen as f64);
        slow.tell(&mut report);
        audience::judge_events(&mut report, all);
        Ok(report)
    }
}

/// Leads through the laps while the posts go on.
async fn drive(
    run: &Run,
    args: &Args,
    rate: f64,
    neighbours: &Audience,
    slow: &SlowReaders,
) -> Result<Laps> {
    let mut laps = Laps::begin();
    sleep(run.common.duration.0).await;
    laps.end(Lap::Before, run).await?;
    let before = slow.reached();
    slow.stall();
    sleep(args.stall.0).await;
    laps.end(Lap::Stall, run).await?;

    let abreast = (rate * ABREAST.as_secs_f64()) as u64;
    let began = Instant::now();
    slow.read_on();
    let target = || neighbours.reached().map(|(_, fastest)| fastest.saturating_sub(abreast));
    slow.reach(target, args.stall.0 + CATCH_UP_WITHIN).await;
    let caught_up =
        before.zip(slow.reached()).map_or(0, |((before, _), (after, _))| after.since(before));
    laps.caught_up(caught_up, began.elapsed());
    laps.end(Lap::CatchUp, run).await?;
    sleep(run.common.duration.0).await;
    laps.end(Lap::After, run).await?;
    Ok(laps)
}
