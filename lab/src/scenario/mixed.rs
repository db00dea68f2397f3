//! `mixed`: everything at once. Thousands of sessions in hundreds of rooms type, post, leave and
//! come back, while many of them follow one hot room too, and a reader of that stops for a while.
//! Each class of messages has a latency of its own.

use anyhow::{Result, ensure};
use greenroom_loadtest::scenario::Scenario;
use serde::Serialize;
use tokio::time::sleep;

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
    #[command(flatten)]
    #[serde(flatten)]
    pub load: Load,
}

impl Scenario for Args {
    const NAME: &'static str = "mixed";

    async fn run(self, run: Run) -> Result<Report> {
        let (stops, duration) = (self.load.slow > 0, run.common.duration.0);
        ensure!(
            !stops || self.load.stall.0 < duration,
            "`--stall` must be shorter than `--duration`"
        );
        let mut traffic = Traffic::begin(run, &self.load).await?;
        let stage = traffic.stage.clone();
        stage.run.progress.say("warming up");
        sleep(stage.run.common.warmup.0).await;
        let stall = async {
            if !stops {
                return Ok(None);
            }
            sleep((duration - self.load.stall.0) / 2).await;
            traffic.stall().await.map(Some)
        };
        let mut stalled: Result<Option<Stall>> = Ok(None);
        let work = async { ((), stalled) = tokio::join!(sleep(duration), stall) };
        let (window, client_cpu_percent) = traffic.measure(work).await?;
        let ending = traffic.end().await?;

        let mut report = Report::new(&stage.run, &self, window)?;
        report.figures.add_known("client_cpu_percent", client_cpu_percent);
        ending.tell(&stage, &traffic.slow, &mut report);
        if let Some(stall) = stalled? {
            report.figures.add("slow_missed", stall.missed as f64);
            report.figures.add("slow_catch_up_s", stall.caught_up.as_secs_f64());
            report.figures.add_known("outboxes_end_of_stall_bytes", stall.outbox_bytes);
        }
        Ok(report)
    }
}
