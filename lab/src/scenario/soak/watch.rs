//! Looks at the server and at the latencies, again and again.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::time::Instant;

use super::open_files::OpenFiles;
use crate::disk::Disk;
use greenroom_loadtest::run::Run;
use greenroom_loadtest::server_use::Snapshot;
use greenroom_loadtest::stats::{Lane, Summary};

/// The classes whose latency is watched, by their lanes.
pub const CLASSES: [Lane; 6] =
    [Lane::Signal, Lane::Post, Lane::Hot, Lane::Ack, Lane::Told, Lane::Connect];

/// The parts of SurrealKV's directory of which it is counted how often a file goes away, and what
/// that is called.
const GOING: [(&str, &str); 3] = [
    ("wal", "wal_files_removed"),
    ("sstables", "sstables_removed"),
    ("vlog", "vlog_files_removed"),
];

/// What was seen at the end of one interval, and within it.
#[derive(Debug, Clone)]
pub struct Look {
    /// When, in seconds since the first interval began.
    pub at_s: f64,
    /// The server's resident memory.
    pub rss_bytes: Option<f64>,
    /// Its CPU time in the interval, in percent of one core.
    pub cpu_percent: Option<f64>,
    /// All files that it has open.
    pub open_files: Option<f64>,
    /// Those on a disk.
    pub open_on_disk: Option<f64>,
    /// Its data directory.
    pub disk: Option<Disk>,
    /// The latencies in the interval, in the order of [`CLASSES`].
    pub latencies: [Summary; CLASSES.len()],
}

/// Looks, and remembers.
pub struct Watch {
    data: Option<PathBuf>,
    began: Instant,
    last_at: Instant,
    last: Snapshot,
    last_disk: Option<Disk>,
    removed: [u64; GOING.len()],
    /// All looks.
    pub looks: Vec<Look>,
}

impl Watch {
    /// The first interval begins.
    pub async fn begin(run: &Run, data: Option<PathBuf>) -> Result<Self> {
        let last = run.source.snapshot().await?;
        let last_disk = look_at(data.clone()).await?;
        for lane in CLASSES {
            run.board.lap(lane);
        }
        let now = Instant::now();
        Ok(Self {
            data,
            began: now,
            last_at: now,
            last,
            last_disk,
            removed: [0; GOING.len()],
            looks: Vec::new(),
        })
    }

    /// An interval ends, and the next one begins.
    pub async fn look(&mut self, run: &Run) -> Result<()> {
        let latencies = CLASSES.map(|lane| run.board.lap(lane));
        let now = Instant::now();
        let snapshot = run.source.snapshot().await?;
        let open =
            match run.source.pid {
                Some(pid) => Some(OpenFiles::of(pid).with_context(|| {
                    format!("the open files of process {pid} cannot be counted")
                })?),
                None => None,
            };
        let disk = look_at(self.data.clone()).await?;
        if let (Some(before), Some(disk)) = (&self.last_disk, &disk) {
            for (removed, (part, _)) in self.removed.iter_mut().zip(GOING) {
                *removed += disk.gone_since(before, part);
            }
        }
        let seconds = (now - self.last_at).as_secs_f64().max(1e-6);
        self.looks.push(Look {
            at_s: ((now - self.began).as_secs_f64() * 1000.0).round() / 1000.0,
            rss_bytes: snapshot.rss_bytes,
            // A thread that ends takes its time along.
            cpu_percent: self.last.until(&snapshot).cpu_s.map(|s| (s * 100.0 / seconds).max(0.0)),
            open_files: open
                .map(|open| open.all as f64)
                .or_else(|| snapshot.metric("process_open_fds")),
            open_on_disk: open.map(|open| open.on_disk as f64),
            disk: disk.clone(),
            latencies,
        });
        (self.last_at, self.last, self.last_disk) = (now, snapshot, disk);
        Ok(())
    }

    /// How many files of which part have gone away, by the figures' names; nothing where there was
    /// no directory to look at.
    pub fn removed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        GOING
            .iter()
            .zip(self.removed)
            .filter(|_| self.data.is_some())
            .map(|((_, name), removed)| (*name, removed))
    }
}

async fn look_at(data: Option<PathBuf>) -> Result<Option<Disk>> {
    let Some(dir) = data else { return Ok(None) };
    let looking = tokio::task::spawn_blocking(move || {
        Disk::look(&dir).with_context(|| format!("`{}` cannot be read", dir.display()))
    });
    looking.await.context("the task that looks at the data directory failed")?.map(Some)
}
