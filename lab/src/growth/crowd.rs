//! The axes `connections` and `entities`: many that do nothing, and a few beside them that do.

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use super::Args;
use super::bench::{self, Bench};
use super::fill::Fill;
use super::probe::{self, Figures};
use crate::raw::{Dialect, Shape, Stage};

/// Rooms over which idle connections are spread, however many they are. The smallest size is a
/// multiple of it.
const ROOMS: u64 = 60;
/// Connections that come in at the same time.
const AT_ONCE: usize = 256;

/// With so many idle connections, each subscribed to a room in which nothing happens.
pub async fn connections(args: &Args, count: u64) -> Result<Figures> {
    let setup = bench::setup(args, count)?;
    let bench = Bench::start(args, &setup)?;
    let shape = Shape {
        senders: 0,
        at_once: AT_ONCE,
        ..probe::shape(ROOMS as usize, (count / ROOMS) as usize, 0)
    };
    let (crowd, _) = Stage::set(&bench.host(Dialect::Signals), shape, "crowd").await?;
    let mut figures = bench.beside().await?;
    sleep(args.warmup.0).await;
    // This also tells whether they are all still there.
    let idle_s =
        crowd.idle(args.duration.0).await?.context("the server's CPU time is not known")?;
    figures.insert("idle µs/s", idle_s * 1e6 / args.duration.0.as_secs_f64());
    crowd.clear().await;
    Ok(figures)
}

/// With so many entities awake, each with one event.
pub async fn entities(args: &Args, count: u64) -> Result<Figures> {
    let setup = bench::setup(args, 0)?;
    let bench = Bench::start(args, &setup)?;
    Fill { run: "awake", rooms: count, events: count, bytes: args.bytes }
        .pour(&bench.host(Dialect::Posts))
        .await?;
    let mut figures = bench.beside().await?;
    sleep(args.warmup.0).await;
    let idling = async {
        sleep(args.duration.0).await;
        Ok(())
    };
    let ((), idle_us) = bench.spent(idling).await?;
    figures.insert("idle µs/s", idle_us / args.duration.0.as_secs_f64());
    let awake = bench.metric("greenroom_entities_awake").await?;
    ensure!(awake >= count as f64, "only {awake} of {count} entities stayed awake");
    Ok(figures)
}
