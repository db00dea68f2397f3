//! The axis `room`: the same number of deliveries a second, to few members or to many.

use anyhow::Result;

use super::Args;
use super::bench::{self, Bench};
use super::probe::{self, Figures};
use crate::raw::Dialect;

/// With so many members in one room.
pub async fn measure(args: &Args, members: u64) -> Result<Figures> {
    let setup = bench::setup(args, members)?;
    let bench = Bench::start(args, &setup)?;
    let shape = probe::shape(1, members as usize, args.bytes);
    let rate = args.deliveries / members as f64;
    let signals = bench.messages(Dialect::Signals, "signals", shape, rate).await?;
    let posts = bench.messages(Dialect::Posts, "posts", shape, rate).await?;
    Ok(Figures::from([
        ("µs/delivery of signals", signals.us),
        ("signals p99 ms", signals.p99_ms),
        ("µs/delivery of posts", posts.us),
        ("posts p99 ms", posts.p99_ms),
        ("resident MiB", bench.memory().await?),
    ]))
}
