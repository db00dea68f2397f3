//! A server to measure, and what is read of its process.

use anyhow::{Context, Result};
use greenroom_protocol::CodecKind;

use super::Args;
use crate::raw::Dialect;
use crate::raw::stage::Host;
use greenroom_loadtest::client::{Conn, Target, Tokens};
use greenroom_loadtest::server::{Server, Setup};
use greenroom_loadtest::server_use::Source;

/// Connections beside those of an axis.
const PROBES: u64 = 600;
/// What every server here is set to, unless `--server-env` says otherwise: whoever went is gone,
/// who is awake stays awake, and a stop may take its time.
const SETTINGS: [(&str, &str); 5] = [
    ("GREENROOM_SOCKET__RESUME_WINDOW", "0s"),
    ("GREENROOM_SOCKET__PRESENCE_GRACE", "0s"),
    ("GREENROOM_SOCKET__MAX_PENDING", "1000"),
    ("GREENROOM_KINDS__ROOM__IDLE_TIMEOUT", "1h"),
    ("GREENROOM_DRAIN__DEADLINE", "25s"),
];

/// A running server.
pub struct Bench<'a> {
    /// How to measure.
    pub args: &'a Args,
    /// Where its costs are read.
    pub source: Source,
    server: Server,
}

/// An empty directory for a server that lets `connections` in besides those of the probes.
pub fn setup(args: &Args, connections: u64) -> Result<Setup> {
    let mut setup = Setup::new(&args.server)?;
    SETTINGS.into_iter().for_each(|(name, value)| setup.set(name, value));
    setup.set("GREENROOM_SOCKET__MAX_CONNECTIONS", &(connections + PROBES).to_string());
    Ok(setup)
}

impl<'a> Bench<'a> {
    /// Starts a server on the data that `setup` has.
    pub fn start(args: &'a Args, setup: &Setup) -> Result<Self> {
        let server = Server::start(setup)?;
        let source = Source { metrics: None, pid: Some(server.pid()) };
        Ok(Self { args, source, server })
    }

    /// It, for the cheap client.
    pub fn host(&self, dialect: Dialect) -> Host {
        Host {
            address: self.server.address(),
            dialect,
            pid: Some(self.server.pid()),
            tokens: Tokens::Anonymous,
        }
    }

    /// A connection that asks, and looks at its answers.
    pub async fn conn(&self) -> Result<Conn> {
        let target = Target::new(&self.server.url(), CodecKind::Json, Tokens::Anonymous).await?;
        Ok(Conn::open(&target, "growth".into(), Vec::new()).await?.0)
    }

    /// CPU microseconds of the server while `work` goes on, and what came of it.
    pub async fn spent<T>(&self, work: impl Future<Output = Result<T>>) -> Result<(T, f64)> {
        let before = self.source.snapshot().await?;
        let done = work.await?;
        let cpu_s = before
            .until(&self.source.snapshot().await?)
            .cpu_s
            .context("the server's CPU time is not known")?;
        Ok((done, cpu_s * 1e6))
    }

    /// Resident memory in MiB.
    pub async fn memory(&self) -> Result<f64> {
        let bytes =
            self.source.snapshot().await?.rss_bytes.context("the server's memory is not known")?;
        Ok(bytes / 1024.0 / 1024.0)
    }

    /// One of the server's own metrics, summed over its labels.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let source = Source { metrics: Some(self.server.metrics()), pid: None };
        source
            .snapshot()
            .await?
            .metric(name)
            .with_context(|| format!("the server has no metric `{name}`"))
    }

    /// Stops it well, so that the next one finds its data as a restart leaves it.
    pub fn stop(self) -> Result<()> {
        self.server.stop()
    }
}
