//! `soak`: a moderate mixed load for a long time, and what becomes of the server meanwhile: its
//! memory, its files, and the latency of each class of messages, interval by interval. What is
//! posted is deleted again where the rooms' kind keeps its history only for a while.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use greenroom_loadtest::scenario::Scenario;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};

use super::mixed::load::Load;
use super::mixed::traffic::{Stall, Traffic};
use greenroom_loadtest::common::Common;
use greenroom_loadtest::common::Span;
use greenroom_loadtest::report::Report;
use greenroom_loadtest::run::Run;
use greenroom_loadtest::server::Setup;

mod findings;
mod growth;
mod open_files;
mod retention;
mod watch;

use retention::Kept;
use watch::Watch;

/// The warm-up is to end when retention deletes as much as is posted.
#[derive(Debug, Clone, clap::Args, Serialize)]
#[command(
    mut_arg("duration", |arg| arg.default_value("30m")),
    mut_arg("warmup", |arg| arg.default_value("2m")),
    mut_arg("sessions", |arg| arg.default_value("1000")),
    mut_arg("rooms", |arg| arg.default_value("100")),
    mut_arg("signals", |arg| arg.default_value("300")),
    mut_arg("posts", |arg| arg.default_value("400")),
    mut_arg("bytes", |arg| arg.default_value("10000")),
    mut_arg("churn", |arg| arg.default_value("10")),
    mut_arg("hot_followers", |arg| arg.default_value("200")),
    mut_arg("hot_rate", |arg| arg.default_value("15")),
    mut_arg("slow", |arg| arg.default_value("2")),
    mut_arg("stall", |arg| arg.default_value("10s"))
)]
pub struct Args {
    #[command(flatten)]
    #[serde(flatten)]
    pub load: Load,
    /// How often the server and the latencies are looked at
    #[arg(long, default_value = "30s")]
    pub sample: Span,
    /// How often the slow readers stop
    #[arg(long, default_value = "1m")]
    pub stall_every: Span,
    /// The server's data directory on this machine
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// All stalls.
#[derive(Debug, Default)]
struct Stalls(Vec<Stall>);

impl Scenario for Args {
    const NAME: &'static str = "soak";

    async fn run(self, run: Run) -> Result<Report> {
        ensure!(!self.sample.0.is_zero(), "`--sample` must be more than nothing");
        let mut traffic = Traffic::begin(run, &self.load).await?;
        let stage = traffic.stage.clone();
        let run = &stage.run;
        run.progress.say("warming up");
        sleep(run.common.warmup.0).await;
        let mut watch = Watch::begin(run, self.data.clone()).await?;
        let (mut watched, mut stalls) = (Ok(()), Stalls::default());
        let work = async { watched = go_on(&traffic, &self, &mut watch, &mut stalls).await };
        let (window, client_cpu_percent) = traffic.measure(work).await?;
        watched?;
        let ending = traffic.end().await?;
        let kept = Kept::ask(run, &stage.rooms, &ending.ends).await?;

        let mut report = Report::new(run, &self, window)?;
        report.figures.add_known("client_cpu_percent", client_cpu_percent);
        findings::tell(&watch, &mut report);
        kept.tell(&mut report);
        ending.tell(&stage, &traffic.slow, &mut report);
        stalls.tell(&mut report);
        Ok(report)
    }

    /// Rooms keep little: the journal is trimmed all the time, and its tables are merged again and
    /// again.
    fn prepare(&mut self, _: &mut Common, setup: &mut Setup) -> Result<()> {
        let keeps = [
            ("RESUME_EVENTS", 200),
            ("KEEP_EVENTS", 200),
            ("SNAPSHOT_EVERY", 50),
            ("MESSAGES", 20),
        ];
        for (name, value) in keeps {
            setup.set(&format!("GREENROOM_KINDS__ROOM__{name}"), &value.to_string());
        }
        self.data.get_or_insert(setup.data());
        Ok(())
    }
}

/// Looks and stalls again and again, until the duration is over.
async fn go_on(
    traffic: &Traffic,
    args: &Args,
    watch: &mut Watch,
    stalls: &mut Stalls,
) -> Result<()> {
    let run = &traffic.stage.run;
    let began = Instant::now();
    let looking = async {
        let mut ticks = interval_at(began + args.sample.0, args.sample.0);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..run.common.duration.micros() / args.sample.micros().max(1) {
            ticks.tick().await;
            watch.look(run).await?;
        }
        sleep_until(began + run.common.duration.0).await;
        Ok(())
    };
    let stalling = async {
        if args.load.slow == 0 {
            return std::future::pending().await;
        }
        loop {
            sleep(args.stall_every.0).await;
            stalls.0.push(traffic.stall().await?);
        }
    };
    tokio::select! {
        looked = looking => looked,
        stalled = stalling => stalled,
    }
}

impl Stalls {
    fn tell(self, report: &mut Report) {
        let most = |of: fn(&Stall) -> f64| self.0.iter().map(of).reduce(f64::max);
        report.figures.add("slow_stalls", self.0.len() as f64);
        report.figures.add_known("slow_missed_max", most(|stall| stall.missed as f64));
        report
            .figures
            .add_known("slow_catch_up_s_max", most(|stall| stall.caught_up.as_secs_f64()));
        report.figures.add_known(
            "outboxes_end_of_stall_bytes_max",
            self.0.iter().filter_map(|stall| stall.outbox_bytes).reduce(f64::max),
        );
    }
}
