//! The neighbours: each reads and posts in rooms of its own, all the time, within its limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, Result};
use greenroom_protocol::{Call, EntityId, RawJson, params};
use tokio::task::JoinHandle;

use crate::scenario::line::{Errand, Tally, ask};
use greenroom_loadtest::peer::Pace;
use greenroom_loadtest::run::{Run, send};
use greenroom_loadtest::stats::Latencies;
use greenroom_loadtest::stats::{Board, Summary};

/// Requests of each in a second.
const RATE: f64 = 40.0;

/// All of them.
pub struct Neighbours {
    latency: Arc<Latencies>,
    stop: Arc<AtomicBool>,
    working: Vec<JoinHandle<Tally>>,
}

impl Neighbours {
    /// Lets `count` of them in.
    pub async fn come(run: &Arc<Run>, count: usize) -> Result<Self> {
        let (latency, stop) = (Arc::new(Latencies::default()), Arc::new(AtomicBool::new(false)));
        let mut working = Vec::new();
        for index in 0..count {
            let room = run.entity("room", format!("neighbour-{index}"))?;
            let conn =
                run.open_patiently(index, &format!("neighbour-{index}"), Vec::new()).await?.conn;
            let board = Arc::clone(&run.board);
            let mut day = Day {
                room,
                turn: 0,
                board: Arc::clone(&board),
                latency: Arc::clone(&latency),
                stop: Arc::clone(&stop),
            };
            let pace =
                Pace::open(board.now_us() as f64 + index as f64 * 1e6 / RATE / count as f64, RATE);
            working.push(tokio::spawn(async move { ask(conn, &board, pace, &mut day).await.0 }));
        }
        Ok(Self { latency, stop, working })
    }

    /// What was until now does not count.
    pub fn forget(&mut self) {
        let _ = self.latency.lap();
    }

    /// What was since the last lap.
    pub fn lap(&mut self) -> Summary {
        self.latency.lap()
    }

    /// They leave; how many of their requests were refused or not answered.
    pub async fn leave(self) -> Result<u64> {
        self.stop.store(true, Relaxed);
        let mut lost = 0;
        for working in self.working {
            let tally = working.await.context("a neighbour failed")?;
            lost += tally.asked - tally.answered;
        }
        Ok(lost)
    }
}

/// What one does all day.
struct Day {
    room: EntityId,
    turn: u64,
    board: Arc<Board>,
    latency: Arc<Latencies>,
    stop: Arc<AtomicBool>,
}

impl Errand for Day {
    fn next(&mut self) -> Option<(Call, u64)> {
        if self.stop.load(Relaxed) {
            return None;
        }
        self.turn += 1;
        let body = RawJson::from_text(r#"{"text":"good morning"}"#).expect("it is JSON");
        let call = if self.turn.is_multiple_of(4) {
            send(&self.room, "post", body, None)
        } else {
            Call::Ping(params::Ping {})
        };
        Some((call, self.turn))
    }

    fn answered(&mut self, _turn: u64, _result: &RawJson, intended_us: u64) -> bool {
        self.latency.record([self.board.now_us().saturating_sub(intended_us)]);
        true
    }
}
