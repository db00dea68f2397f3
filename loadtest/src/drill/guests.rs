//! Connections beside a drill's clients, which nothing but a restart may end: a quiet one that only
//! answers pings, and those of a greedy user.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::greedy::{Counts, Table, eat};
use super::stage::{Phase, Stage};
use crate::client::{Conn, Failure};

const QUIET: &str = "drill-quiet";
pub const GREEDY: &str = "drill-greedy";
/// When a guest that lost its connection comes back, unless the server says when.
const COME_BACK: Duration = Duration::from_millis(200);

/// All guests. Each task returns how often its connection was lost.
pub struct Guests {
    tasks: JoinSet<u64>,
    pub counts: Arc<Counts>,
}

impl Guests {
    /// One that is quiet, and `greedy` that are not.
    pub async fn start(stage: &Arc<Stage>, greedy: u16) -> Result<Self> {
        let mut tasks = JoinSet::new();
        let counts = Arc::<Counts>::default();
        let quiet = async |mut conn: Conn| loop {
            if let Err(failure) = conn.next().await {
                return failure;
            }
        };
        tasks.spawn(stay(Arc::clone(stage), QUIET, quiet));
        if greedy > 0 {
            let table = Table::set(&stage.run).await.context("the greedy user's rooms")?;
            let table = Arc::new(table);
            for _ in 0..greedy {
                let (table, counts) = (Arc::clone(&table), Arc::clone(&counts));
                let work = move |conn| eat(conn, Arc::clone(&table), Arc::clone(&counts));
                tasks.spawn(stay(Arc::clone(stage), GREEDY, work));
            }
        }
        Ok(Self { tasks, counts })
    }

    /// How often guests lost a connection although the server was not restarted. The clients must
    /// have stopped sending.
    pub async fn end(mut self, restarts: u64) -> u64 {
        let mut unexplained = 0;
        while let Some(lost) = self.tasks.join_next().await {
            unexplained += lost.map_or(1, |lost| lost.saturating_sub(restarts));
        }
        unexplained
    }

    pub fn asked(&self) -> [(&'static str, u64); 2] {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("greedy_answered", count(&self.counts.answered)),
            ("greedy_told_to_wait", count(&self.counts.told_to_wait)),
        ]
    }
}

/// Connects and works again and again until the clients stop; returns how often the connection was
/// lost.
async fn stay<W: Future<Output = Failure>>(
    stage: Arc<Stage>,
    user: &'static str,
    work: impl Fn(Conn) -> W,
) -> u64 {
    let mut lost = 0;
    let visits = async {
        loop {
            let failure = match Conn::open(&stage.run.target, user.into(), Vec::new()).await {
                Ok((conn, _)) => {
                    let failure = work(conn).await;
                    lost += 1;
                    failure
                }
                Err(failure) => failure,
            };
            stage.run.board.error(&failure.code());
            sleep(failure.retry_after().unwrap_or(COME_BACK)).await;
        }
    };
    let mut phase = stage.phase();
    tokio::select! {
        biased;
        // The stage has the sender.
        _ = phase.wait_for(|phase| !matches!(phase, Phase::Send)) => {}
        () = visits => {}
    }
    lost
}
