//! The mixed load itself: everybody comes in, talks, comes and goes, until it is ended.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::ending::Ending;
use super::load::Load;
use super::member::{Part, live};
use super::stage::{Phase, Stage};
use crate::scenario::slow::SlowReaders;
use crate::scenario::turns::in_turn;
use greenroom_loadtest::peer::payload::What;
use greenroom_loadtest::peer::{Pace, Payload, Peer, Plan};
use greenroom_loadtest::run::{OPENING, Run, Window};
use greenroom_loadtest::server_use::Source;
use greenroom_loadtest::stats::Lane;

/// How often to look whether all are in.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long all may take to come in, or back, and the last answers, once nobody is sent away any
/// more.
const PATIENCE: Duration =
    if cfg!(test) { Duration::from_secs(5) } else { Duration::from_secs(30) };
/// How long slow readers may take to catch up, besides the length of the stall.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(30);

/// See the module's head; all connections end when this is dropped.
pub struct Traffic {
    /// What all sessions share.
    pub stage: Arc<Stage>,
    /// The slow readers of the hot room.
    pub slow: SlowReaders,
    phase: watch::Sender<Phase>,
    stop: watch::Sender<bool>,
    _members: JoinSet<()>,
    // Who gets no orders any more has played its part, and goes.
    _orders: Arc<[mpsc::Sender<()>]>,
    // Nothing where there is no rate.
    hot: Option<JoinHandle<u64>>,
    churn: Option<JoinHandle<u64>>,
}

/// What one stall of the slow readers was like.
#[derive(Debug, Clone, Copy)]
pub struct Stall {
    /// Posts that a slow reader missed, and had to be sent afterwards.
    pub missed: u64,
    /// How long they took to read what they had missed.
    pub caught_up: Duration,
    /// Bytes that the server held for all sockets at its end.
    pub outbox_bytes: Option<f64>,
}

impl Traffic {
    /// Opens all connections; returns when all are in, and talk.
    pub async fn begin(run: Run, load: &Load) -> Result<Self> {
        let stage = Stage::new(run, load)?;
        let run = &stage.run;
        run.progress.say(format!("{} sessions come in", load.sessions));
        let (phase, phases) = watch::channel(Phase::Gather);
        let (mut members, mut orders) = (JoinSet::new(), Vec::new());
        let limit = Arc::new(Semaphore::new(OPENING));
        for (index, role) in stage.cast.iter().enumerate() {
            let entering =
                limit.clone().acquire_owned().await.expect("nobody closes the semaphore");
            let part = role.talks.map_or_else(
                || {
                    let (order, ordered) = mpsc::channel(1);
                    orders.push(order);
                    Part::ComeAndGo(ordered)
                },
                |turn| Part::Talk(turn, phases.clone()),
            );
            members.spawn(live(stage.clone(), index, entering, part));
        }
        let slow = SlowReaders::open(run, stage.hot(), load.slow).await?;
        all_in(&stage).await;
        let (away, failed) = (stage.counts.away.load(Relaxed), stage.counts.failed.load(Relaxed));
        ensure!(
            failed == 0 && away == 0,
            "{away} of {} sessions did not come in: {:?}",
            load.sessions,
            run.board.errors()
        );

        let (stop, stopped) = watch::channel(false);
        let hot = publish(&stage, stopped.clone()).await?;
        phase.send_replace(Phase::Talk { from_us: run.board.now_us() });
        let orders: Arc<[_]> = orders.into();
        let churn =
            (load.churn > 0.0).then(|| tokio::spawn(churn(stage.clone(), orders.clone(), stopped)));
        Ok(Self { stage, slow, phase, stop, _members: members, _orders: orders, hot, churn })
    }

    /// Measures while `work` goes on; tells too how busy this harness was, in percent of a core,
    /// where the system does.
    pub async fn measure(&self, work: impl Future) -> Result<(Window, Option<f64>)> {
        let myself = Source { metrics: None, pid: Some(std::process::id()) };
        let before = myself.snapshot().await.ok();
        let window = self.stage.run.measure(Lane::Post, work).await?;
        let after = myself.snapshot().await.ok();
        let cpu_s = before.zip(after).and_then(|(before, after)| before.until(&after).cpu_s);
        let percent = cpu_s.map(|s| s * 100.0 / window.seconds.max(1e-9));
        Ok((window, percent))
    }

    /// Lets the slow readers stop for the stall, and read on; returns when they have read what they
    /// missed.
    pub async fn stall(&self) -> Result<Stall> {
        self.slow.stall();
        sleep(self.stage.load.stall.0).await;
        let outbox_bytes = self.stage.run.source.snapshot().await?.metric("greenroom_outbox_bytes");
        let target = self
            .stage
            .seats
            .iter()
            .map(|[_, hot]| hot.lock().expect("no holder panics").last())
            .max();
        let (behind, began) = (self.slow.reached(), Instant::now());
        self.slow.read_on();
        self.slow.reach(|| target, self.stage.load.stall.0 + CATCH_UP_WITHIN).await;
        let missed =
            target.zip(behind).map_or(0, |(target, (slowest, _))| target.saturating_since(slowest));
        Ok(Stall { missed, caught_up: began.elapsed(), outbox_bytes })
    }

    /// Sends nothing new, waits until everything has arrived or does not come any more, and finds
    /// out what is missing.
    pub async fn end(&mut self) -> Result<Ending> {
        self.slow.read_on();
        self.stop.send_replace(true);
        let hot_acked =
            last_word(self.hot.take()).await.context("the hot room's publisher failed")?;
        let went = last_word(self.churn.take())
            .await
            .context("the task that sends sessions away failed")?;
        self.phase.send_replace(Phase::Listen);
        all_in(&self.stage).await;
        Ending::of(&self.stage, &self.slow, went, hot_acked).await
    }
}

/// What a task says in the end; 0 where there was none.
async fn last_word(task: Option<JoinHandle<u64>>) -> Result<u64, JoinError> {
    match task {
        Some(task) => task.await,
        None => Ok(0),
    }
}

/// Waits until everybody is in and has all answers, or somebody has failed and never will.
async fn all_in(stage: &Stage) {
    let counts = &stage.counts;
    // While one after the other comes in, it takes as long as it takes.
    let (mut last, mut since) = (usize::MAX, Instant::now());
    loop {
        let left = counts.away.load(Relaxed) + counts.unanswered.load(Relaxed);
        if left != last {
            (last, since) = (left, Instant::now());
        }
        if left == 0
            || counts.failed.load(Relaxed) > 0
            || since.elapsed() >= PATIENCE + stage.load.away.0
        {
            return;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Posts to the hot room until it is stopped; the task tells how many posts were acknowledged.
async fn publish(
    stage: &Stage,
    mut stopped: watch::Receiver<bool>,
) -> Result<Option<JoinHandle<u64>>> {
    let (run, load) = (&stage.run, &stage.load);
    if load.hot_rate <= 0.0 {
        return Ok(None);
    }
    let publisher = run.open_patiently(0, "publisher", Vec::new()).await?;
    let mut plan = Plan {
        payload: Payload::new(What::Post, vec![stage.hot().clone()], load.hot_bytes),
        pace: Pace::open(run.board.now_us() as f64, load.hot_rate),
        in_flight: publisher.conn.hello.limits.max_in_flight as usize,
    };
    let peer = Peer::new(publisher.conn, run.board.clone(), None);
    Ok(Some(tokio::spawn(async move { peer.drive(&mut plan, &mut stopped).await.0.iter().sum() })))
}

/// Sends those who come and go away, one after the other, until it is stopped; tells how often
/// somebody went.
async fn churn(
    stage: Arc<Stage>,
    orders: Arc<[mpsc::Sender<()>]>,
    mut stopped: watch::Receiver<bool>,
) -> u64 {
    let (board, counts) = (&stage.run.board, &stage.counts);
    let send_away = |index: usize| {
        counts.away.fetch_add(1, Relaxed);
        // Who has not even begun to obey the last order is passed over.
        let obeys = orders[index].try_send(()).is_ok();
        if !obeys {
            counts.away.fetch_sub(1, Relaxed);
        }
        obeys
    };
    in_turn(board, stage.load.churn, orders.len(), &mut stopped, send_away).await
}
