//! Puts one variant to the test.

use std::time::{Duration, Instant};

use greenroom::config::{Secret, StoreConfig};
use greenroom::store::SurrealStore;
use serde::Serialize;

use super::Result;
use super::args::Args;
use super::meter::{Cpu, bytes_in};
use super::variant::Variant;
use super::writer::Writer;

/// What a variant does before it is measured.
const WARM_UP: Duration = Duration::from_millis(300);

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Transactions that were committed.
    pub transactions: u64,
    /// Ops in them.
    pub ops: u64,
    /// How long that took.
    pub seconds: f64,
    /// How long one transaction took, in milliseconds.
    pub p50_ms: f64,
    /// The same of the slowest hundredth.
    pub p99_ms: f64,
    /// CPU seconds of this process, the making of the ops included; a server's are not.
    pub cpu_s: f64,
    /// The kernel's part of it.
    pub cpu_system_s: f64,
    /// What the directory grew by, while the database was open.
    pub log_bytes: u64,
    /// What a closed database takes for an op.
    pub disk_bytes_per_op: f64,
}

/// Writes transactions of `variant` into a new database, or into the server's.
///
/// # Errors
/// What the store or the system says, and when what was written is not there.
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
    let store = SurrealStore::open(&config).await?;
    let mut writer = Writer::start(variant, args.bytes, &store).await?;
    writer.run(&store, WARM_UP).await?;
    writer.took.clear();

    let bytes = bytes_in(directory.path())?;
    let cpu = Cpu::now()?;
    let begun = Instant::now();
    writer.run(&store, args.duration).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = Cpu::now()?.since(cpu);
    let log_bytes = bytes_in(directory.path())?.saturating_sub(bytes);

    writer.check(&store).await?;
    store.close().await;
    let disk_bytes = bytes_in(directory.path())?;
    let ever = writer.transactions * variant.ops() as u64;
    let mut took = writer.took;
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

fn quantile_ms(sorted: &[Duration], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at).or(sorted.last()).map_or(0.0, |took| took.as_secs_f64() * 1e3)
}
