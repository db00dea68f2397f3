//! An entity with a long log comes back: from the snapshot that it took before it slept, or, after
//! a crash, from the last one and the events behind it. A few with short logs do the same, and it
//! should take no longer than they do.

use std::sync::Arc;

use anyhow::Result;

use super::Stage;
use super::awake::growth;
use super::cold::LOADED;
use super::crew::Crew;
use super::findings::Findings;
use super::rest::Rest;
use super::visit::{Visit, What, Whom};

/// Entities with a short log; the median of their times is told.
const SMALL: u64 = 5;
/// Entities that are read first, so that nobody pays for what a server does once.
const WARM: u64 = 16;
/// What loading takes by the server's own clock, in all.
const LOADING_S: &str = "greenroom_cold_start_seconds_sum";

/// Writes the logs, lets the entities sleep, reads them, and posts a little more to each: what a
/// crash would leave behind its snapshot.
pub async fn run(stage: &Arc<Stage>, rest: &Rest, found: &mut Findings) -> Result<()> {
    let (run, args) = (&stage.run, &stage.args);
    let logs = logs(stage);
    let mut crew = Crew::open(stage, args.connections).await?;
    for (whom, events) in logs.clone() {
        run.progress.say(format!("writing {events} events"));
        let outcome = crew.visit(&posts(whom, 0..events)).await?;
        found.expect_all(&outcome, "posts to one entity");
        if matches!(whom, Whom::One("large", _)) {
            found.figures.add("recovery_events", events as f64);
            found.figures.add("recovery_events_written_per_s", outcome.per_second());
        }
    }
    run.progress.say("waiting until they sleep");
    let still = rest.until_asleep(run).await?;
    found.expect_none(still, "entities with a log did not fall asleep");
    read(stage, 0, found).await?;
    for (whom, events) in logs {
        let outcome = crew.visit(&posts(whom, events..events + args.tail)).await?;
        found.expect_all(&outcome, "last posts to one entity");
    }
    crew.close().await;
    Ok(())
}

/// Reads what a run before has left, on a server that was killed and started again.
pub async fn after_crash(stage: &Arc<Stage>, found: &mut Findings) -> Result<()> {
    read(stage, stage.args.tail, found).await
}

/// The short logs and the long one, each with its length.
fn logs(stage: &Stage) -> impl Iterator<Item = (Whom, u64)> + Clone + use<> {
    let (small_events, events) = (stage.args.small_events, stage.args.events);
    (0..SMALL)
        .map(move |i| (Whom::One("small", i), small_events))
        .chain([(Whom::One("large", 0), events)])
}

/// Reads each of them once, with `tail` events more than it was written with.
async fn read(stage: &Arc<Stage>, tail: u64, found: &mut Findings) -> Result<()> {
    let source = &stage.run.source;
    let mut crew = Crew::open(stage, 1).await?;
    let warm = crew.visit(&Visit { numbers: 0..WARM, ..reads(Whom::Each("warm"), 0) }).await?;
    found.expect_all(&warm, "reads of new entities");
    let (mut small, mut large) = (Vec::new(), 0);
    let (mut small_loading, mut large_loading) = (Vec::new(), None);
    for (whom, events) in logs(stage) {
        let before = source.snapshot().await?;
        let outcome = crew.visit(&reads(whom, events + tail)).await?;
        let after = source.snapshot().await?;
        found.expect_all(&outcome, "reads of entities with a log");
        let loaded = growth(&before, &after, |snapshot| snapshot.metric(LOADED))
            .filter(|loaded| *loaded == 1.0);
        let loading =
            loaded.and_then(|_| growth(&before, &after, |snapshot| snapshot.metric(LOADING_S)));
        if matches!(whom, Whom::One("small", _)) {
            small.push(outcome.latency.max_us);
            small_loading.extend(loading);
        } else {
            (large, large_loading) = (outcome.latency.max_us, loading);
        }
    }
    crew.close().await;
    small.sort_unstable();
    small_loading.sort_unstable_by(f64::total_cmp);
    let ms = |us: u64| us as f64 / 1000.0;
    let figures = &mut found.figures;
    figures.add("recovery_tail_events", tail as f64);
    figures.add("recovery_ms_small", ms(small[small.len() / 2]));
    figures.add("recovery_ms_large", ms(large));
    figures.add_known(
        "recovery_loading_ms_small",
        small_loading.get(small_loading.len() / 2).map(|s| s * 1000.0),
    );
    figures.add_known("recovery_loading_ms_large", large_loading.map(|s| s * 1000.0));
    Ok(())
}

fn posts(whom: Whom, numbers: std::ops::Range<u64>) -> Visit {
    Visit { what: What::Post, whom, numbers, rate: None, counts: false }
}

fn reads(whom: Whom, posts: u64) -> Visit {
    Visit { what: What::Read { posts }, whom, numbers: 0..1, rate: None, counts: false }
}
