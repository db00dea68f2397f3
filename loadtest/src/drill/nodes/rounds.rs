//! The rounds of a drill over several nodes, each with one fault, and what they cost.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::sleep;

use super::cluster::Cluster;
use super::fault::{Applied, Fault};
use crate::drill::restarts::all_served;
use crate::drill::stage::Stage;
use crate::history::{Findings, Kind, Moment};
use crate::report::Report;
use crate::report::sheet::{Row, Sheet};

/// What the report lists by fault, and the kinds of findings that each counts.
const FOUND: [(&str, &[Kind]); 4] = [
    ("lost", &[Kind::Lost, Kind::Skipped, Kind::Vanished]),
    ("doubled", &[Kind::Doubled, Kind::Repeated]),
    ("reordered", &[Kind::Misplaced, Kind::StaleOp, Kind::Reordered]),
    ("stale", &[Kind::Stale, Kind::WentBack]),
];

/// What one round cost.
#[derive(Debug, Clone)]
pub struct Round {
    pub fault: Fault,
    pub how: String,
    /// From the end of the round before until everything was well again.
    pub span: Range<Moment>,
    pub acked: u64,
    /// The longest time for which one entity had no op acknowledged, beyond the time for which what
    /// all nodes need was away.
    pub pause: Duration,
    /// Why ops with a number were refused for the moment.
    pub refusals: Vec<String>,
    /// How often somebody was told that a client had left.
    pub leaves: u64,
}

/// What is counted from the beginning, at one time.
struct Counts {
    at: Moment,
    acks: u64,
    leaves: u64,
}

impl Counts {
    fn now(stage: &Stage) -> Self {
        Self { at: stage.clock.now(), acks: stage.acks(), leaves: stage.leaves.load(Relaxed) }
    }
}

/// Goes through the faults in turn, `count` rounds, each once every node owns its share and about
/// `up_for` has passed; gives up where the cluster does not come back.
pub async fn all(
    cluster: &mut Cluster,
    stage: &Stage,
    faults: &[Fault],
    count: u64,
    up_for: Duration,
) -> Vec<Round> {
    let mut rounds = Vec::new();
    cluster.failures.extend(all_served(stage, "at the start").await);
    let mut before = Counts::now(stage);
    for (number, fault) in (1..=count).zip(faults.iter().copied().cycle()) {
        let name = fault.name();
        if let Err(error) = cluster.balanced().await {
            cluster.failures.push(format!("before round {number}, {name}: {error:#}"));
            return rounds;
        }
        stage.run.progress.say(format!("round {number} of {count}: {name}"));
        sleep(up_for.mul_f64(0.5 + fastrand::f64())).await;
        stage.longest_pause();
        let Applied { away, how } = match cluster.apply(fault).await {
            Ok(applied) => applied,
            Err(error) => {
                cluster.failures.push(format!("round {number}, {name}: {error:#}"));
                return rounds;
            }
        };
        let when = format!("after round {number}, {name}");
        cluster.failures.extend(all_served(stage, &when).await);
        if let Err(error) = cluster.all_ready().await {
            cluster.failures.push(format!("{when}, {error:#}"));
            return rounds;
        }
        let pause = stage.longest_pause().saturating_sub(away);
        let now = Counts::now(stage);
        rounds.push(Round {
            fault,
            how,
            span: before.at..now.at,
            acked: now.acks - before.acks,
            pause,
            refusals: stage.take_refusals(),
            leaves: now.leaves - before.leaves,
        });
        before = now;
    }
    sleep(up_for).await;
    rounds
}

/// How often each client may have lost its connection.
pub fn losses(rounds: &[Round], nodes: u64) -> u64 {
    rounds.iter().map(|round| round.fault.cost(nodes).losses).sum()
}

/// How often each client may be said to have left although its connection lasts: where its node
/// cannot say otherwise.
pub fn leaves(rounds: &[Round]) -> u64 {
    let may = |round: &&Round| round.fault.cost(0).leaves && round.fault != Fault::Kill;
    rounds.iter().filter(may).count() as u64
}

/// Puts a table by fault into the report, and what was dearer than it may be.
pub fn tell(rounds: &[Round], faults: &[Fault], findings: &Findings, report: &mut Report) {
    let mut columns = vec!["rounds", "acknowledged"];
    columns.extend(FOUND.map(|(name, _)| name));
    columns.extend(["errors", "left", "pause p50, ms", "pause max, ms", "bound, ms"]);
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let mut rows = Vec::new();
    for (index, fault) in faults.iter().copied().enumerate() {
        if faults[..index].contains(&fault) {
            continue;
        }
        let own: Vec<_> = rounds.iter().filter(|round| round.fault == fault).collect();
        let sum = |count: &dyn Fn(&Round) -> u64| {
            own.iter().map(|round| count(round)).sum::<u64>() as f64
        };
        let mut pauses: Vec<_> = own.iter().map(|round| round.pause).collect();
        pauses.sort_unstable();
        let mut figures = vec![Some(own.len() as f64), Some(sum(&|round| round.acked))];
        figures.extend(
            FOUND.map(|(_, kinds)| Some(sum(&|round| findings.within(&round.span, kinds)))),
        );
        figures.extend([
            Some(sum(&|round| round.refusals.len() as u64)),
            Some(sum(&|round| round.leaves)),
        ]);
        figures.extend(
            [pauses.get(pauses.len() / 2), pauses.last()].map(|pause| pause.copied().map(ms)),
        );
        figures.push(Some(ms(fault.cost(0).pause)));
        rows.push(Row { name: fault.name().to_owned(), figures });
    }
    let columns = columns.into_iter().map(str::to_owned).collect();
    report.sheets.push(Sheet { title: "fault".to_owned(), columns, rows });
    report.fail(rounds.iter().zip(1..).flat_map(|(round, number)| dear(round, number)));
    report.expect_none(
        faults.iter().filter(|fault| rounds.iter().all(|round| round.fault != **fault)).count()
            as u64,
        "faults of the list did not come about, so nothing is proven about them",
    );
}

/// What a round cost beyond what its fault may cost.
fn dear(round: &Round, number: u64) -> Vec<String> {
    let (cost, name) = (round.fault.cost(0), round.fault.name());
    let mut dear = Vec::new();
    if round.pause > cost.pause {
        let (pause, bound) = (round.pause.as_millis(), cost.pause.as_millis());
        dear.push(format!("an entity was silent for {pause} ms, the bound is {bound}"));
    }
    if let Some(first) = round.refusals.first().filter(|_| !cost.errors) {
        let count = round.refusals.len();
        dear.push(format!("{count} ops with a number were refused, the first with {first}"));
    }
    if round.leaves > 0 && !cost.leaves {
        dear.push(format!("clients were said to have left {} times", round.leaves));
    }
    let how = &round.how;
    dear.into_iter().map(|what| format!("round {number}, {name} ({how}): {what}")).collect()
}
