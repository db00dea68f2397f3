//! Puts one variant to the test.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde::Serialize;

use super::Result;
use super::args::Args;
use super::engine::Engine;
use super::lane::Lane;
use super::meter::{Cpu, bytes_in};
use super::variant::Variant;

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
    /// CPU seconds of the whole process, the making of the ops included.
    pub cpu_s: f64,
    /// The kernel's part of it.
    pub cpu_system_s: f64,
    /// What the directory grew by, while the database was open.
    pub log_bytes: u64,
    /// What a closed database takes for an op.
    pub disk_bytes_per_op: f64,
}

/// Writes transactions of `variant` into a new database.
///
/// # Errors
/// What the database or the system says, and when what was written is not there.
pub async fn measure(variant: &Variant, args: &Args) -> Result<Figures> {
    let directory = tempfile::Builder::new().prefix("store-").tempdir_in(&args.dir)?;
    let engine = Engine::open(directory.path(), variant.flush, args.threads, variant.shape).await?;
    let mut lanes = Vec::new();
    for index in 0..variant.at_once {
        lanes.push(Lane::open(variant, index, args.bytes, &engine).await?);
    }
    run(&mut lanes, &engine, WARM_UP).await?;
    lanes.iter_mut().for_each(|lane| lane.took.clear());

    let (bytes, cpu, begun) = (bytes_in(directory.path())?, Cpu::now()?, Instant::now());
    run(&mut lanes, &engine, args.duration).await?;
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), Cpu::now()?.since(cpu));
    let log_bytes = bytes_in(directory.path())?.saturating_sub(bytes);

    for lane in &mut lanes {
        lane.check(&engine).await?;
    }
    let ever = lanes.iter().map(Lane::transactions).sum::<u64>() * variant.ops() as u64;
    let mut took: Vec<Duration> = lanes.iter_mut().flat_map(|lane| lane.took.drain(..)).collect();
    took.sort_unstable();
    drop(lanes);
    engine.close().await;
    let disk_bytes = bytes_in(directory.path())?;

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

async fn run(lanes: &mut [Lane], engine: &Engine, length: Duration) -> Result<()> {
    let end = Instant::now() + length;
    try_join_all(lanes.iter_mut().map(|lane| lane.run(engine, end))).await?;
    Ok(())
}

fn quantile_ms(sorted: &[Duration], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at).or(sorted.last()).map_or(0.0, |took| took.as_secs_f64() * 1e3)
}
