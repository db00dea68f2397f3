//! Many entities are awake: what that costs in memory, and what their falling asleep costs a
//! neighbour.

use std::sync::Arc;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::crew::Crew;
use super::findings::Findings;
use super::neighbour::{Lap, Neighbour};
use super::rest::Rest;
use super::visit::{Visit, What, Whom};
use super::{Kept, Stage};
use greenroom_loadtest::server_use::Snapshot;

/// The metric that tells how many are awake.
pub const AWAKE: &str = "greenroom_entities_awake";

/// Wakes them, reads the memory, and watches them fall asleep.
pub async fn run(
    stage: &Arc<Stage>,
    neighbour: &mut Neighbour,
    rest: &Rest,
    found: &mut Findings,
) -> Result<()> {
    let (run, args) = (&stage.run, &stage.args);
    let mut crew = Crew::open(stage, args.connections).await?;
    sleep(run.common.warmup.0).await;
    run.progress.say(format!("waking {} entities", args.awake));
    let before = run.source.snapshot().await?;
    let what = if args.state == Kept::None { What::Read { posts: 0 } } else { What::Post };
    let visit = Visit {
        what,
        whom: Whom::Each("awake"),
        numbers: 0..args.awake,
        rate: None,
        counts: false,
    };
    let outcome = crew.visit(&visit).await?;
    let woken = run.source.snapshot().await?;
    run.progress.say("letting the server come to rest");
    sleep(run.common.warmup.0).await;
    let settled = run.source.snapshot().await?;
    crew.close().await;

    found.expect_all(&outcome, "requests that woke entities");
    found.latency("waking", &outcome.latency);
    let grown = growth(&before, &settled, |snapshot| snapshot.metric(AWAKE));
    let awake = grown.unwrap_or(outcome.tally.answered as f64).max(1.0);
    let figures = &mut found.figures;
    figures.add("awake", awake);
    figures.add("wakes_per_s", outcome.per_second());
    let cpu = before
        .cpu_s
        .zip(woken.cpu_s)
        .map(|(before, after)| (after - before) * 1e6 / outcome.tally.answered.max(1) as f64);
    figures.add_known("server_cpu_us_per_wake", cpu);
    figures.add_known("rss_before_bytes", before.rss_bytes);
    figures.add_known("rss_awake_bytes", settled.rss_bytes);
    figures.add_known(
        "server_bytes_per_awake_entity",
        growth(&before, &settled, |snapshot| snapshot.rss_bytes).map(|b| b / awake),
    );

    run.progress.say("waiting until they fall asleep");
    neighbour.forget();
    rest.until_begun(run, run.common.duration.0).await?;
    neighbour.end(Lap::Awake);
    run.progress.say("they fall asleep");
    let (falling, began) = (run.source.snapshot().await?, Instant::now());
    let still = rest.until_asleep(run).await?;
    let (asleep, took) = (run.source.snapshot().await?, began.elapsed().as_secs_f64());
    neighbour.end(Lap::Passivation);
    sleep(run.common.duration.0).await;
    neighbour.end(Lap::Asleep);

    found.expect_none(still, "entities did not fall asleep");
    let figures = &mut found.figures;
    figures.add("passivation_s", took);
    let fell = growth(&asleep, &falling, |snapshot| snapshot.metric(AWAKE));
    figures.add_known("passivations_per_s", fell.map(|fell| fell / took.max(1e-9)));
    figures.add_known(
        "server_cpu_percent_in_passivation",
        growth(&falling, &asleep, |snapshot| snapshot.cpu_s).map(|s| s * 100.0 / took),
    );
    figures.add_known("rss_asleep_bytes", asleep.rss_bytes);
    figures.add_known(
        "server_bytes_given_back_per_entity",
        growth(&asleep, &settled, |snapshot| snapshot.rss_bytes).map(|b| b / awake),
    );
    Ok(())
}

/// By how much something grew, where both know it.
pub fn growth(
    before: &Snapshot,
    after: &Snapshot,
    of: impl Fn(&Snapshot) -> Option<f64>,
) -> Option<f64> {
    of(before).zip(of(after)).map(|(before, after)| after - before)
}
