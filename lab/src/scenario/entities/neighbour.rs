//! The neighbour: somebody who uses a few rooms of their own all the time, and must not feel what
//! others' rooms go through.
//!
//! It reads rooms that are awake, which takes no longer than their threads let it, and posts to
//! others, which takes a commit as well. Its rooms are several, so that every worker thread has
//! some of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, Result};
use greenroom_protocol::results::{Sent, State};
use greenroom_protocol::{Call, RawJson, Seq, params};
use tokio::task::JoinHandle;

use super::Stage;
use super::findings::Findings;
use super::visit::post;
use crate::scenario::line::{Errand, Tally, ask};
use greenroom_loadtest::peer::Pace;
use greenroom_loadtest::stats::Latencies;
use greenroom_loadtest::stats::Summary;

/// Rooms that it reads, and as many that it posts to.
const ROOMS: u64 = 8;
/// All of them.
pub const ALL_ROOMS: u64 = 2 * ROOMS;

/// What is going on meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lap {
    /// Many entities are awake and idle.
    Awake,
    /// They fall asleep.
    Passivation,
    /// They sleep.
    Asleep,
    /// Others fall asleep, each of which saves a snapshot.
    Snapshots,
    /// Entities that never existed are asked for, at a rate.
    New,
    /// Entities that sleep are asked for, at a rate.
    Stored,
}

impl Lap {
    /// What the latency of reads and of posts is called.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Awake => ("read 1: all awake", "post 1: all awake"),
            Self::Passivation => ("read 2: falling asleep", "post 2: falling asleep"),
            Self::Asleep => ("read 3: asleep", "post 3: asleep"),
            Self::Snapshots => ("read 4: snapshots", "post 4: snapshots"),
            Self::New => ("read 5: cold new", "post 5: cold new"),
            Self::Stored => ("read 6: cold stored", "post 6: cold stored"),
        }
    }

    const fn p99(self) -> &'static str {
        match self {
            Self::Awake => "neighbour_read_p99_us_awake",
            Self::Passivation => "neighbour_read_p99_us_passivation",
            Self::Asleep => "neighbour_read_p99_us_asleep",
            Self::Snapshots => "neighbour_read_p99_us_snapshots",
            Self::New => "neighbour_read_p99_us_cold_new",
            Self::Stored => "neighbour_read_p99_us_cold_stored",
        }
    }
}

/// The neighbour, until it [leaves](Neighbour::leave).
pub struct Neighbour {
    reads: Arc<Latencies>,
    posts: Arc<Latencies>,
    stop: Arc<AtomicBool>,
    working: JoinHandle<Tally>,
    laps: Vec<(Lap, Summary, Summary)>,
}

impl Neighbour {
    /// Comes, and sends `rate` requests a second.
    pub async fn come(stage: &Arc<Stage>, rate: f64) -> Result<Self> {
        let conn = stage
            .run
            .open_patiently(0, "neighbour", Vec::new())
            .await
            .context("the neighbour's connection failed")?
            .conn;
        let [reads, posts] = [(); 2].map(|()| Arc::new(Latencies::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let mut day = Day {
            stage: Arc::clone(stage),
            turn: 0,
            last: [Seq::ZERO; ROOMS as usize],
            reads: Arc::clone(&reads),
            posts: Arc::clone(&posts),
            stop: Arc::clone(&stop),
        };
        let board = Arc::clone(&stage.run.board);
        let pace = Pace::open(board.now_us() as f64, rate);
        let working = tokio::spawn(async move { ask(conn, &board, pace, &mut day).await.0 });
        Ok(Self { reads, posts, stop, working, laps: Vec::new() })
    }

    /// What was until now belongs to no lap.
    pub fn forget(&self) {
        let _ = (self.reads.lap(), self.posts.lap());
    }

    /// What was since the last one ended, or was forgotten, is this lap.
    pub fn end(&mut self, lap: Lap) {
        self.laps.push((lap, self.reads.lap(), self.posts.lap()));
    }

    /// Sends nothing more, waits for the last answers, and tells all it has felt.
    pub async fn leave(self, found: &mut Findings) -> Result<()> {
        self.stop.store(true, Relaxed);
        let tally = self.working.await.context("the neighbour failed")?;
        for (lap, reads, posts) in &self.laps {
            found
                .figures
                .add_known(lap.p99(), Some(reads.p99_us as f64).filter(|_| reads.count > 0));
            found.latency(lap.names().0, reads);
            found.latency(lap.names().1, posts);
        }
        let p99 = |wanted| {
            let lap = self.laps.iter().find(|(lap, reads, _)| *lap == wanted && reads.count > 0);
            lap.map(|(_, reads, _)| reads.p99_us as f64)
        };
        let quiet = p99(Lap::Awake)
            .zip(p99(Lap::Asleep))
            .map(|(before, after)| f64::midpoint(before, after));
        let ratio = p99(Lap::Passivation).zip(quiet).map(|(p99, quiet)| p99 / quiet);
        found.figures.add_known("neighbour_read_p99_ratio_passivation", ratio);
        found.expect_none(
            tally.asked - tally.answered - tally.refused,
            "of the neighbour's requests were not answered",
        );
        found.expect_none(tally.refused, "of the neighbour's requests were refused");
        found.expect_none(tally.wrong, "of the neighbour's requests had a wrong answer");
        Ok(())
    }
}

/// What it does all day: a read, a post, and so on from room to room.
struct Day {
    stage: Arc<Stage>,
    turn: u64,
    /// The last seq that each room has told.
    last: [Seq; ROOMS as usize],
    reads: Arc<Latencies>,
    posts: Arc<Latencies>,
    stop: Arc<AtomicBool>,
}

impl Errand for Day {
    fn next(&mut self) -> Option<(Call, u64)> {
        if self.stop.load(Relaxed) {
            return None;
        }
        let (turn, room) = (self.turn, self.turn / 2 % ROOMS);
        self.turn += 1;
        Some(if turn.is_multiple_of(2) {
            (Call::Read(params::Target { entity: self.stage.entity("read", room) }), turn)
        } else {
            (post(self.stage.entity("post", room), turn, turn, &self.stage.pad), turn)
        })
    }

    fn answered(&mut self, turn: u64, result: &RawJson, intended_us: u64) -> bool {
        let took = self.stage.run.board.now_us().saturating_sub(intended_us);
        if turn.is_multiple_of(2) {
            self.reads.record([took]);
            return result.parse().is_ok_and(|state: State| state.seq == Seq::ZERO);
        }
        self.posts.record([took]);
        let last = &mut self.last[(turn / 2 % ROOMS) as usize];
        result.parse().is_ok_and(|sent: Sent| sent.seq > std::mem::replace(last, sent.seq))
    }
}
