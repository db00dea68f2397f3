//! Measures one variant.

use std::time::{Duration, Instant};

use greenroom::config::{Secret, StoreConfig};
use greenroom::store::{LeaseKey, SurrealStore};
use serde::Serialize;

use super::Result;
use super::args::Args;
use super::meter::{Cpu, bytes_in};
use super::variant::Variant;
use super::writer::Writer;

/// How long a variant runs before it is measured.
const WARM_UP: Duration = Duration::from_millis(300);

/// The measured figures.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// The number of committed transactions.
    pub transactions: u64,
    /// The number of ops in them.
    pub ops: u64,
    /// How long they took, in seconds.
    pub seconds: f64,
    /// The median time of a transaction, in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile of that time.
    pub p99_ms: f64,
    /// CPU seconds of this process, including making the ops, but not those of a server.
    pub cpu_s: f64,
    /// The kernel's share of that.
    pub cpu_system_s: f64,
    /// How many bytes the directory grew by while the database was open.
    pub log_bytes: u64,
    /// How many bytes per op the database takes up when closed.
    pub disk_bytes_per_op: f64,
}

/// Writes transactions of `variant` to a new database, or to the server's.
///
/// # Errors
/// An error of the store or the system, or if the written data is not in the store.
pub async fn measure(variant: &Variant, args: &Args) -> Result<Figures> {
    let directory = tempfile::Builder::new().prefix("store-").tempdir_in(&args.dir)?;
    let embedded = || format!("surrealkv://{}", directory.path().display());
    let config = StoreConfig {
        url: args.url.clone().unwrap_or_else(embedded),
        username: args.username.clone(),
        password: args.password.clone().map(Secret::new),
        threads: args.threads,
        ..StoreConfig::default()
    };
    let mut committers = Vec::new();
    for lane in 0..args.committers {
        let store = SurrealStore::open(&config).await?;
        // A committer alone is the only writer, as without a cluster.
        let lease = if args.committers == 1 {
            LeaseKey::Single
        } else {
            LeaseKey::Node { id: u64::from(lane), lane: 0 }
        };
        let store = store.with_lease(lease);
        let writer = Writer::start(variant, args.bytes, &store).await?;
        committers.push((store, writer));
    }
    run(&mut committers, WARM_UP).await?;
    for (_, writer) in &mut committers {
        writer.took.clear();
    }

    let bytes = bytes_in(directory.path())?;
    let cpu = Cpu::now()?;
    let begun = Instant::now();
    run(&mut committers, args.duration).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = Cpu::now()?.since(cpu);
    let log_bytes = bytes_in(directory.path())?.saturating_sub(bytes);

    let mut ever = 0;
    let mut took = Vec::new();
    for (store, writer) in committers {
        writer.check(&store).await?;
        store.close().await;
        ever += writer.transactions * variant.ops() as u64;
        took.extend(writer.took);
    }
    let disk_bytes = bytes_in(directory.path())?;
    took.sort_unstable();
    let transactions = took.len() as u64;
    Ok(Figures {
        transactions,
        ops: transactions * variant.ops() as u64,
        seconds,
        p50_ms: quantile_ms(&took, 0.5),
        p99_ms: quantile_ms(&took, 0.99),
        cpu_s: cpu.user + cpu.system,
        cpu_system_s: cpu.system,
        log_bytes,
        disk_bytes_per_op: disk_bytes as f64 / ever as f64,
    })
}

/// All of them write at the same time.
async fn run(committers: &mut [(SurrealStore, Writer)], length: Duration) -> Result<()> {
    let running = committers.iter_mut().map(|(store, writer)| writer.run(store, length));
    futures_util::future::try_join_all(running).await?;
    Ok(())
}

fn quantile_ms(sorted: &[Duration], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at).or(sorted.last()).map_or(0.0, |took| took.as_secs_f64() * 1e3)
}
