//! Several connections that make a visit together.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Stage;
use super::visit::{Share, Visit};
use crate::scenario::line::{Tally, ask};
use greenroom_loadtest::client::Conn;
use greenroom_loadtest::peer::Pace;
use greenroom_loadtest::run::OPENING;
use greenroom_loadtest::stats::Latencies;
use greenroom_loadtest::stats::Summary;

/// The connections; those that fail are not replaced.
pub struct Crew {
    stage: Arc<Stage>,
    conns: Vec<Conn>,
}

/// What came of a visit.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How many there should have been.
    pub wanted: u64,
    /// How many there were.
    pub tally: Tally,
    /// How long each took.
    pub latency: Summary,
    /// How long all took.
    pub took: Duration,
}

impl Crew {
    /// Opens `count` connections.
    pub async fn open(stage: &Arc<Stage>, count: usize) -> Result<Self> {
        let opened =
            stage.run.open(count.max(1), OPENING, |i| (format!("visitor-{i}"), Vec::new())).await?;
        Ok(Self {
            stage: Arc::clone(stage),
            conns: opened.into_iter().map(|opened| opened.conn).collect(),
        })
    }

    /// Makes a visit; its numbers are spread over the connections.
    pub async fn visit(&mut self, visit: &Visit) -> Result<Outcome> {
        let board = &self.stage.run.board;
        let latency = Arc::new(Latencies::default());
        let (lines, began_us, began) = (self.conns.len(), board.now_us() as f64, Instant::now());
        let mut tasks = JoinSet::new();
        for (line, conn) in self.conns.drain(..).enumerate() {
            let mut share = Share::new(
                Arc::clone(&self.stage),
                visit.clone(),
                line,
                lines,
                Arc::clone(&latency),
            );
            let pace = match visit.rate {
                None => Pace::Closed,
                Some(rate) => Pace::open(began_us + line as f64 * 1e6 / rate, rate / lines as f64),
            };
            let board = Arc::clone(board);
            tasks.spawn(async move { ask(conn, &board, pace, &mut share).await });
        }
        let mut tally = Tally::default();
        while let Some(done) = tasks.join_next().await {
            let (did, conn) = done.context("a visitor failed")?;
            tally += did;
            self.conns.extend(conn);
        }
        let wanted = visit.numbers.end.saturating_sub(visit.numbers.start);
        Ok(Outcome { wanted, tally, latency: latency.summary(), took: began.elapsed() })
    }

    /// Closes the connections.
    pub async fn close(self) {
        for mut conn in self.conns {
            if let Err(failure) = conn.close().await {
                self.stage.run.board.error(&failure.code());
            }
        }
    }
}

impl Outcome {
    /// Visits a second, answers only.
    pub fn per_second(&self) -> f64 {
        self.tally.answered as f64 / self.took.as_secs_f64().max(1e-9)
    }
}
