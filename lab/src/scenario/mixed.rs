//! `mixed`: everything at once. Thousands of sessions in hundreds of rooms type, post, leave and
//! come back, while many of them follow one hot room too, and a reader of that stops for a while.
//! Each class of messages has a latency of its own.

use anyhow::{Result, ensure};
use futures_util::future::LocalBoxFuture;
use greenroom_loadtest::scenario::Scenario;
use serde::Serialize;
use tokio::time::sleep;

use greenroom_loadtest::common::Common;
use greenroom_loadtest::report::Report;
use greenroom_loadtest::run::Run;

mod cast;
mod ending;
pub mod load;
mod member;
mod seat;
mod stage;
pub mod traffic;

use load::Load;
use traffic::{Stall, Traffic};

/// The slow readers stop in the middle of the duration.
#[derive(Debug, Clone, clap::Args, Serialize)]
#[command(mut_arg("duration", |arg| arg.default_value("25s")))]
pub struct Args {
    /// The arguments that every scenario takes.
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    #[command(flatten)]
    #[serde(flatten)]
    pub load: Load,
}

impl Scenario for Args {
    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn run(self: Box<Self>) -> LocalBoxFuture<'static, Result<Report>> {
        Box::pin(run(*self))
    }
}

/// Runs it.
async fn run(args: Args) -> Result<Report> {
    let (stops, duration) = (args.load.slow > 0, args.common.duration.0);
    ensure!(!stops || args.load.stall.0 < duration, "`--stall` must be shorter than `--duration`");
    let mut traffic =
        Traffic::begin("mixed", Run::new("mixed", &args.common).await?, &args.load).await?;
    let stage = traffic.stage.clone();
    stage.run.progress.say("warming up");
    sleep(args.common.warmup.0).await;
    let stall = async {
        if !stops {
            return Ok(None);
        }
        sleep((duration - args.load.stall.0) / 2).await;
        traffic.stall().await.map(Some)
    };
    let mut stalled: Result<Option<Stall>> = Ok(None);
    let work = async { ((), stalled) = tokio::join!(sleep(duration), stall) };
    let (window, client_cpu_percent) = traffic.measure(work).await?;
    let ending = traffic.end().await?;

    let mut report = Report::new("mixed", &stage.run, &args, window)?;
    report.figures.add_known("client_cpu_percent", client_cpu_percent);
    ending.tell(&stage, &traffic.slow, &mut report);
    if let Some(stall) = stalled? {
        report.figures.add("slow_missed", stall.missed as f64);
        report.figures.add("slow_catch_up_s", stall.caught_up.as_secs_f64());
        report.figures.add_known("outboxes_end_of_stall_bytes", stall.outbox_bytes);
    }
    stage.run.progress.done();
    Ok(report)
}
