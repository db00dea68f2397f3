//! The connections that listen, and what they must have received in the end.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use greenroom_protocol::results::State;
use greenroom_protocol::{Call, EntityId, Seq, params};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::check::{SeqCheck, Verdict};
use crate::peer::Peer;
use crate::report::Report;
use crate::run::{Opened, Run, settle};
use crate::stats::Lane;

/// After this time without a delivery, what is missing counts as lost. The tests' server runs in
/// the same process, so nothing is on its way for long.
const PATIENCE: Duration = if cfg!(any(test, feature = "fake")) {
    Duration::from_millis(200)
} else {
    Duration::from_secs(5)
};

/// Listeners; they stop when this is dropped.
#[derive(Default)]
pub struct Audience {
    tasks: JoinSet<()>,
    checks: Vec<Arc<Mutex<SeqCheck>>>,
}

impl Audience {
    /// Makes a peer of a connection that has subscribed to one entity, and follows its seqs.
    pub fn seat(&mut self, run: &Run, opened: Opened) -> Peer {
        let position = opened.subscribed.first().map_or(Seq::ZERO, |s| s.seq);
        let check = Arc::new(Mutex::new(SeqCheck::after(position)));
        self.checks.push(check.clone());
        Peer::new(opened.conn, run.board.clone(), Some(check))
    }

    /// Runs a peer's work until this is dropped.
    pub fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// The same on the threads of another runtime.
    pub fn spawn_on(&mut self, runtime: &Handle, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(work, runtime);
    }

    /// The lowest and the highest of the positions that its seats have reached.
    pub fn reached(&self) -> Option<(Seq, Seq)> {
        let last = |check: &Arc<Mutex<SeqCheck>>| check.lock().expect("no holder panics").last();
        let positions = || self.checks.iter().map(last);
        positions().min().zip(positions().max())
    }

    /// Has connections only listen.
    pub fn listen(&mut self, run: &Run, opened: Vec<Opened>) {
        for opened in opened {
            let peer = self.seat(run, opened);
            self.spawn(peer.listen());
        }
    }

    /// Waits until `expected` deliveries have been counted, or none come any more.
    pub async fn settle(&self, run: &Run, expected: u64) {
        run.progress.say("waiting for the last deliveries");
        settle(|| run.board.ever(Lane::Delivery), expected, PATIENCE).await;
    }

    /// Adds what came of `expected` deliveries to a report. Events must have come once and in
    /// order, up to the ends of the `logs`, of which seat `i` follows number `of(i)`. Signals,
    /// without logs, may be dropped; how many were is worth knowing all the same.
    pub async fn tell(
        &self,
        run: &Run,
        report: &mut Report,
        expected: u64,
        logs: Option<&[EntityId]>,
        of: impl Fn(usize) -> usize,
    ) -> Result<()> {
        report.figures.add("deliveries_expected", expected as f64);
        if let Some(logs) = logs {
            let ends = ends(run, logs).await?;
            judge_events(report, self.verdict(|seat| ends[of(seat)].seq));
        } else {
            let dropped = expected.saturating_sub(run.board.ever(Lane::Delivery));
            report.figures.add("signals_dropped", dropped as f64);
        }
        Ok(())
    }

    /// The verdict over all seats, if seat `i`'s log ends at `end(i)`.
    pub fn verdict(&self, end: impl Fn(usize) -> Seq) -> Verdict {
        let mut total = Verdict::default();
        for (seat, check) in self.checks.iter().enumerate() {
            total += check.lock().expect("no holder panics").verdict(end(seat));
        }
        total
    }
}

/// Where an entity's log ends, asked on a connection of its own.
pub async fn ends(run: &Run, entities: &[EntityId]) -> Result<Vec<State>> {
    let mut opened = run
        .open_patiently(0, "checker", Vec::new())
        .await
        .context("the checking connection failed")?;
    let mut states = Vec::with_capacity(entities.len());
    for entity in entities {
        let call = Call::Read(params::Target { entity: entity.clone() });
        states.push(
            opened.conn.ask(&call).await.with_context(|| format!("`{entity}` cannot be read"))?,
        );
    }
    Ok(states)
}

/// Adds a verdict over durable events to a report.
pub fn judge_events(report: &mut Report, verdict: Verdict) {
    for (name, count) in
        [("lost", verdict.lost), ("doubled", verdict.doubled), ("out_of_order", verdict.reordered)]
    {
        report.figures.add(name, count as f64);
        report.expect_none(count, &format!("deliveries {}", name.replace('_', " ")));
    }
}
