//! Measures a poll: one read of the map and all leases, as each node of a cluster does it four times
//! a second.

use std::time::Instant;

use greenroom::config::{Secret, StoreConfig};
use greenroom::store::SurrealStore;
use greenroom_actors::cluster::map::NodeId;
use greenroom_actors::cluster::registry::conformance::attempt;
use greenroom_actors::cluster::registry::{Note, Registry};

use super::Result;
use super::args::Args;
use super::meter::Cpu;

/// How many nodes the map has.
const NODES: u64 = 20;

/// Lets nodes join the server's map, and reads it `polls` times.
///
/// # Errors
/// An error of the store.
pub async fn measure(polls: u32, args: &Args) -> Result<()> {
    let config = StoreConfig {
        url: args.url.clone().unwrap_or_else(|| "memory".into()),
        username: args.username.clone(),
        password: args.password.clone().map(Secret::new),
        ..StoreConfig::default()
    };
    let store = SurrealStore::open(&config).await?;
    let registry = store.registry();
    let run = fastrand::u64(..) & !0xff;
    for node in 0..NODES {
        join(&registry, NodeId(run + node)).await?;
    }
    let cpu = Cpu::now()?;
    let mut took = Vec::new();
    for _ in 0..polls {
        let begun = Instant::now();
        registry.view().await?;
        took.push(begun.elapsed());
    }
    let cpu = Cpu::now()?.since(cpu);
    took.sort_unstable();
    let ms = |share: usize| took[took.len() * share / 100].as_secs_f64() * 1e3;
    let cpu_us = (cpu.user + cpu.system) * 1e6 / f64::from(polls);
    println!(
        "{NODES} nodes: a poll takes {:.2} ms (p50), {:.2} ms (p99), {cpu_us:.0} us of CPU here",
        ms(50),
        ms(99)
    );
    store.close().await;
    Ok(())
}

async fn join(registry: &impl Registry, id: NodeId) -> Result<()> {
    let join = attempt(&registry.view().await?, id);
    let note = Note { by: id, what: "bench-store".into(), at: 0 };
    registry.join(id, &join, &note).await?;
    Ok(())
}
