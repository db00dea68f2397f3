//! What the server costs: CPU and memory, from its own metrics or from `/proc`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::scrape::Scrape;

/// Where to look. With neither, costs are left out of the report.
#[derive(Debug, Clone, Default)]
pub struct Source {
    pub metrics: Option<String>,
    /// The server's process, if it runs on this machine. Its CPU time is finer than that in the
    /// metrics.
    pub pid: Option<u32>,
}

/// The costs so far.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// CPU seconds since the server started.
    pub cpu_s: Option<f64>,
    pub rss_bytes: Option<f64>,
    scrape: Scrape,
}

/// The difference between two snapshots.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ServerUse {
    pub cpu_s: Option<f64>,
    pub rss_before_bytes: Option<f64>,
    pub rss_after_bytes: Option<f64>,
    /// The server's own metrics that changed, and by how much.
    pub metrics: BTreeMap<String, f64>,
}

impl Source {
    /// Reads both sources.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let source = self.clone();
        // Both block; `/metrics` of a busy server for a while.
        tokio::task::spawn_blocking(move || source.read())
            .await
            .context("the task that reads the server's metrics failed")?
    }

    fn read(&self) -> Result<Snapshot> {
        let mut snapshot = Snapshot::default();
        if let Some(url) = &self.metrics {
            snapshot.scrape =
                Scrape::parse(&get(url).with_context(|| format!("`{url}` cannot be scraped"))?);
            snapshot.cpu_s = snapshot.scrape.sum("process_cpu_seconds_total");
            snapshot.rss_bytes = snapshot.scrape.sum("process_resident_memory_bytes");
        }
        if let Some(pid) = self.pid {
            snapshot.cpu_s = Some(
                cpu_of(pid)
                    .with_context(|| format!("the CPU time of process {pid} cannot be read"))?,
            );
            snapshot.rss_bytes = Some(
                rss_of(pid)
                    .with_context(|| format!("the memory of process {pid} cannot be read"))?,
            );
        }
        Ok(snapshot)
    }
}

impl Snapshot {
    /// One of the server's own metrics, summed over its labels.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.scrape.sum(name)
    }

    /// The costs from `self` to `after`.
    pub fn until(&self, after: &Self) -> ServerUse {
        ServerUse {
            cpu_s: self.cpu_s.zip(after.cpu_s).map(|(before, after)| after - before),
            rss_before_bytes: self.rss_bytes,
            rss_after_bytes: after.rss_bytes,
            metrics: after.scrape.growth(&self.scrape, "greenroom_"),
        }
    }
}

/// The body at `url`.
pub fn get(url: &str) -> Result<String> {
    let config =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build();
    Ok(ureq::Agent::new_with_config(config).get(url).call()?.body_mut().read_to_string()?)
}

/// Posts JSON to `url`.
pub fn post(url: &str, body: &str) -> Result<()> {
    let config =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build();
    ureq::Agent::new_with_config(config).post(url).send(body)?;
    Ok(())
}

/// CPU seconds of all threads that live, to the nanosecond.
fn cpu_of(pid: u32) -> Result<f64> {
    let mut nanos = 0u64;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        if let Ok(stat) = std::fs::read_to_string(task?.path().join("schedstat")) {
            nanos +=
                stat.split_whitespace().next().context("`schedstat` is empty")?.parse::<u64>()?;
        }
    }
    Ok(nanos as f64 / 1e9)
}

fn rss_of(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("there is no `VmRSS`")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_busy_process_can_be_read() {
        let mut busy = tokio::process::Command::new("yes");
        let busy = busy
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("every Linux has `yes`");
        let source = Source { metrics: None, pid: busy.id() };
        let before = source.snapshot().await.expect("it runs");
        let spent = tokio::time::timeout(std::time::Duration::from_secs(30), async {
            loop {
                let spent = before.until(&source.snapshot().await.expect("it runs"));
                // At first it is not `yes` yet, and has nearly no memory.
                if spent.cpu_s.is_some_and(|s| s > 0.0)
                    && spent.rss_after_bytes.is_some_and(|b| b > 100_000.0)
                {
                    break;
                }
            }
        });
        spent.await.expect("a busy process uses CPU time, and some memory");
    }

    #[tokio::test]
    async fn a_source_that_was_named_must_answer() {
        let gone = Source { metrics: None, pid: Some(u32::MAX) };
        let error = gone.snapshot().await.expect_err("no such process");
        assert!(error.to_string().contains("4294967295"), "{error}");
    }
}
