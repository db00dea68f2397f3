//! Entities that are not awake are asked at a rate: how long an answer takes where nothing was ever
//! written, and where there is a log and a snapshot on disk.

use std::sync::Arc;

use anyhow::Result;

use super::Stage;
use super::awake::{AWAKE, growth};
use super::crew::{Crew, Outcome};
use super::findings::Findings;
use super::neighbour::{Lap, Neighbour};
use super::rest::Rest;
use super::visit::{Visit, What, Whom};
use greenroom_loadtest::server_use::Snapshot;

/// The metric that counts what was loaded.
pub const LOADED: &str = "greenroom_cold_start_seconds_count";

/// Names that are asked at the rate, of each sort.
fn names(stage: &Stage) -> u64 {
    let due = (stage.args.rate * stage.run.common.duration.0.as_secs_f64()) as u64;
    due.clamp(1, stage.args.addressed.max(1))
}

/// Writes what is to be found, and waits until it sleeps.
pub async fn prepare(
    stage: &Arc<Stage>,
    neighbour: &mut Neighbour,
    rest: &Rest,
    found: &mut Findings,
) -> Result<()> {
    let run = &stage.run;
    let mut crew = Crew::open(stage, stage.args.connections).await?;
    run.progress.say(format!("posting to {} entities", names(stage)));
    let visit = Visit {
        what: What::Post,
        whom: Whom::Each("stored"),
        numbers: 0..names(stage),
        rate: None,
        counts: false,
    };
    let outcome = crew.visit(&visit).await?;
    crew.close().await;
    found.expect_all(&outcome, "first posts");
    found.figures.add("first_posts_per_s", outcome.per_second());
    run.progress.say("waiting until they sleep");
    rest.until_begun(run, stage.run.common.warmup.0).await?;
    neighbour.forget();
    let still = rest.until_asleep(run).await?;
    neighbour.end(Lap::Snapshots);
    found.expect_none(still, "entities with a post did not fall asleep");
    Ok(())
}

/// Asks for entities of both sorts at the rate. The board counts the answers.
pub async fn measure(
    stage: &Arc<Stage>,
    neighbour: &mut Neighbour,
    found: &mut Findings,
) -> Result<()> {
    let mut crew = Crew::open(stage, stage.args.connections).await?;
    neighbour.forget();
    for (name, posts, lane, lap) in
        [("new", 0, "cold new", Lap::New), ("stored", 1, "cold stored", Lap::Stored)]
    {
        stage.run.progress.say(lane);
        let before = stage.run.source.snapshot().await?;
        let (what, rate) = (What::Read { posts }, Some(stage.args.rate));
        let visit =
            Visit { what, whom: Whom::Each(name), numbers: 0..names(stage), rate, counts: true };
        let outcome = crew.visit(&visit).await?;
        neighbour.end(lap);
        let after = stage.run.source.snapshot().await?;
        found.expect_all(&outcome, &format!("reads of {name} entities"));
        found.latency(lane, &outcome.latency);
        tell(found, lap, &outcome, &before, &after);
    }
    crew.close().await;
    Ok(())
}

/// The figures of one sort.
fn tell(found: &mut Findings, lap: Lap, outcome: &Outcome, before: &Snapshot, after: &Snapshot) {
    let [p99, rate, cpu, awake] = match lap {
        Lap::Stored => [
            "cold_stored_p99_us",
            "cold_stored_per_s",
            "server_cpu_us_per_cold_stored",
            "cold_stored_were_awake",
        ],
        _ => [
            "cold_new_p99_us",
            "cold_new_per_s",
            "server_cpu_us_per_cold_new",
            "cold_new_were_awake",
        ],
    };
    let answered = outcome.tally.answered as f64;
    found.figures.add(p99, outcome.latency.p99_us as f64);
    found.figures.add(rate, outcome.per_second());
    found.figures.add_known(
        cpu,
        growth(before, after, |snapshot| snapshot.cpu_s).map(|s| s * 1e6 / answered.max(1.0)),
    );
    // Whoever was not loaded was no cold start, and makes the latency look better than it is.
    let loaded = growth(before, after, |snapshot| snapshot.metric(LOADED));
    found.figures.add_known(awake, loaded.map(|loaded| (answered - loaded).max(0.0)));
}

/// Goes through the rest of the names, as fast as the server answers.
pub async fn address_all(stage: &Arc<Stage>, found: &mut Findings) -> Result<()> {
    let run = &stage.run;
    let mut crew = Crew::open(stage, stage.args.connections).await?;
    run.progress.say("addressing the rest");
    let so_far = names(stage);
    let numbers = so_far..stage.args.addressed.saturating_sub(so_far).max(so_far);
    let addressed = (numbers.end + so_far) as f64;
    let outcome = crew
        .visit(&Visit {
            what: What::Read { posts: 0 },
            whom: Whom::Each("new"),
            numbers,
            rate: None,
            counts: false,
        })
        .await?;
    let after = run.source.snapshot().await?;
    crew.close().await;
    found.expect_all(&outcome, "reads of the rest");
    found.latency("cold rest", &outcome.latency);
    found.figures.add("addressed", addressed);
    found.figures.add("addressed_per_s", outcome.per_second());
    found.figures.add_known("addressed_awake", after.metric(AWAKE));
    found.figures.add_known("rss_addressed_bytes", after.rss_bytes);
    Ok(())
}
