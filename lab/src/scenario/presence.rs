//! `presence`: a room fills with members who all hear of each other; some go and come back, cleanly
//! or by losing their connection; in the end all who are left must agree with the server about who
//! is here.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use greenroom_loadtest::scenario::Scenario;
use greenroom_protocol::params::{Presence, PresenceAction};
use greenroom_protocol::results::PresenceList;
use greenroom_protocol::{Call, EntityId};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::turns::in_turn;
use greenroom_loadtest::client::Conn;
use greenroom_loadtest::common::Span;
use greenroom_loadtest::report::Report;
use greenroom_loadtest::run::{OPENING, Run};
use greenroom_loadtest::stats::Lane;

mod member;
pub mod mirror;

use member::{Order, Stage, live};

/// How long members may take to agree once all is still.
const PATIENCE: Duration =
    if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(30) };
/// Every so manieth member leaves in the end, so that what is compared is not everybody.
const LEAVES: usize = 10;

/// A delivery is one presence notification at one member.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// Members of the room
    #[arg(long, default_value_t = 1000)]
    pub members: usize,
    /// Members that go per second, and come back
    #[arg(long, default_value_t = 20.0)]
    pub rate: f64,
    /// Of those, the share that loses its connection and resumes its session, from 0 to 1
    #[arg(long, default_value_t = 0.0)]
    pub lost: f64,
    /// How long they stay away; less than the server's grace
    #[arg(long, default_value = "1s")]
    pub away: Span,
    /// Kind of the room
    #[arg(long, default_value = "room")]
    pub kind: String,
}

impl Scenario for Args {
    const NAME: &'static str = "presence";

    /// Runs it. The window is that of coming and going; the figures of filling the room are beside
    /// it.
    async fn run(self, run: Run) -> Result<Report> {
        ensure!(
            (0.0..=1.0).contains(&self.lost),
            "`--lost` is {}; it must be from 0 to 1",
            self.lost
        );
        ensure!(self.rate > 0.0, "`--rate` is {}; it must be above 0", self.rate);
        let room = run.entity(&self.kind, "presence")?;
        let stage = Stage::new(run, room, self.away.0, self.members);
        let (run, counts) = (&stage.run, &stage.counts);

        let before = run.source.snapshot().await?;
        let began = Instant::now();
        run.progress.say(format!("{} members enter", self.members));
        let (mut members, mut orders) = (JoinSet::new(), Vec::with_capacity(self.members));
        let limit = Arc::new(Semaphore::new(OPENING));
        for index in 0..self.members {
            let entering =
                limit.clone().acquire_owned().await.expect("nobody closes the semaphore");
            let (order, ordered) = mpsc::channel(1);
            orders.push(order);
            members.spawn(live(stage.clone(), index, entering, ordered));
        }
        let disagree = agree(&stage, self.members, 0..self.members).await?;
        let filled_s = began.elapsed().as_secs_f64();
        let filling = before.until(&run.source.snapshot().await?);
        let (filling_bytes, filling_deliveries) =
            (counts.bytes.load(Relaxed), run.board.ever(Lane::Delivery));

        let (stop, stopped) = watch::channel(false);
        let churning = tokio::spawn(churn(stage.clone(), self.clone(), orders, stopped));
        run.progress.say("warming up");
        sleep(run.common.warmup.0).await;
        let bytes_before = counts.bytes.load(Relaxed);
        let window = run.measure(Lane::Delivery, sleep(run.common.duration.0)).await?;
        let bytes = counts.bytes.load(Relaxed) - bytes_before;
        stop.send_replace(true);
        let (orders, went) = churning.await.context("the task that sends members away failed")?;
        still(&stage).await;
        let leaving = (0..self.members).step_by(LEAVES);
        for index in leaving.clone() {
            counts.away.fetch_add(1, Relaxed);
            // A member that has failed is counted, and does not read its orders.
            if orders[index].send(Order::Leave).await.is_err() {
                counts.away.fetch_sub(1, Relaxed);
            }
        }
        still(&stage).await;
        let stay = (0..self.members).filter(|index| index % LEAVES != 0);
        let disagree = disagree + agree(&stage, self.members - leaving.count(), stay).await?;

        let per_member = |count: u64| count as f64 / self.members.max(1) as f64;
        let window_s = window.seconds.max(1e-9);
        let mut report = Report::new(run, &self, window)?;
        let figures = &mut report.figures;
        figures.add("filling_s", filled_s);
        figures.add("filling_deliveries", filling_deliveries as f64);
        figures.add("filling_bytes_per_member", per_member(filling_bytes));
        figures.add_known("filling_server_cpu_s", filling.cpu_s);
        figures.add("went", went as f64);
        figures.add(
            "deliveries_per_member_per_s",
            per_member(run.board.in_window(Lane::Delivery)) / window_s,
        );
        figures.add("bytes_per_member_per_s", per_member(bytes) / window_s);
        figures.add("resumed", counts.resumed.load(Relaxed) as f64);
        report.expect_none(counts.failed.load(Relaxed), "members failed");
        report.expect_none(counts.not_resumed.load(Relaxed), "sessions were not resumed");
        report.expect_none(
            counts.flickers.load(Relaxed),
            "times a resumed member was said to have left",
        );
        report.expect_none(disagree, "members disagree with the server about who is here");
        Ok(report)
    }
}

/// Sends members away at the rate until it is stopped. Returns the way to give orders, and how many
/// went.
async fn churn(
    stage: Arc<Stage>,
    args: Args,
    orders: Vec<mpsc::Sender<Order>>,
    mut stopped: watch::Receiver<bool>,
) -> (Vec<mpsc::Sender<Order>>, u64) {
    let board = &stage.run.board;
    let send_away = |index: usize| {
        let order = if fastrand::f64() < args.lost { Order::Lose } else { Order::Go };
        stage.counts.away.fetch_add(1, Relaxed);
        // Who has not even begun to obey the last order is passed over.
        let obeys = orders[index].try_send(order).is_ok();
        if !obeys {
            stage.counts.away.fetch_sub(1, Relaxed);
        }
        obeys
    };
    let went = in_turn(board, args.rate, orders.len(), &mut stopped, send_away).await;
    (orders, went)
}

/// Waits until nobody is on the way.
async fn still(stage: &Stage) {
    let since = Instant::now();
    while stage.counts.away.load(Relaxed) > 0
        && stage.counts.failed.load(Relaxed) == 0
        && since.elapsed() < stage.away + PATIENCE
    {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until `expected` are here and `members` believe what the server says; tells how many do
/// not in the end.
async fn agree(
    stage: &Stage,
    expected: usize,
    members: impl Iterator<Item = usize> + Clone,
) -> Result<u64> {
    stage.run.progress.say("waiting until all agree");
    let mut checker = stage
        .run
        .open_patiently(0, "checker", Vec::new())
        .await
        .context("the checking connection failed")?
        .conn;
    let (mut last, mut since) = (u64::MAX, Instant::now());
    loop {
        let list = list(&stage.room, &mut checker).await?;
        let crowd = list
            .members
            .as_deref()
            .map(mirror::crowd)
            .transpose()
            .context("a listed member has another meta than was set")?;
        let agrees = |index: &usize| {
            stage.mirrors[*index]
                .lock()
                .expect("no holder panics")
                .agrees(list.count, crowd.as_ref())
        };
        let disagree = members.clone().filter(|index| !agrees(index)).count() as u64;
        let missing = list.count.abs_diff(expected as u64);
        if disagree == 0 && missing == 0 {
            return Ok(0);
        }
        if (disagree + missing) != last {
            (last, since) = (disagree + missing, Instant::now());
        }
        if since.elapsed() >= PATIENCE {
            return Ok(disagree.max(missing));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn list(room: &EntityId, checker: &mut Conn) -> Result<PresenceList> {
    let call =
        Call::Presence(Presence { entity: room.clone(), action: PresenceAction::List, meta: None });
    checker.ask(&call).await.context("the server does not say who is here")
}
