//! `check`: judges a history that was written to a file.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use anyhow::Result;
use serde::Serialize;

use super::{Findings, History, Kind, Tally, check, file};
use crate::common::Output;
use crate::report::{self, Report};

/// How many findings a report describes in words, besides the counts.
const MAX_TOLD: usize = 10;

/// No server is needed.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Args {
    /// What `drill --history` wrote
    pub file: PathBuf,
    /// Where the report goes.
    #[command(flatten)]
    #[serde(skip)]
    pub output: Output,
}

/// Runs it; returns whether every promise was kept.
pub fn run(args: &Args) -> Result<bool> {
    let mut report = Report::empty("check", SystemTime::now(), args)?;
    let history = file::read(&args.file)?;
    let began = Instant::now();
    judge(&history, &mut report);
    report.window_s = began.elapsed().as_secs_f64();
    report::deliver(std::slice::from_ref(&report), &args.output)?;
    Ok(report.violations.is_empty())
}

/// Judges a history and puts the verdict into a report.
pub fn judge(history: &History, report: &mut Report) -> (Tally, Findings) {
    let (tally, findings) = check(history);
    let figures = [
        ("entries", history.entries.len() as u64),
        ("ops", tally.ops),
        ("ops_acknowledged", tally.acked),
        ("ops_refused", tally.refused),
        ("ops_unanswered", tally.unanswered),
        ("ops_lost", findings.count(Kind::Lost)),
        ("ops_doubled", findings.count(Kind::Doubled)),
        ("ops_reordered", findings.count(Kind::Misplaced) + findings.count(Kind::StaleOp)),
        ("ops_answered_as_duplicate", tally.duplicates),
        ("history_held", tally.held),
        ("events", tally.events),
        ("events_seen", tally.told),
        ("events_lost", findings.count(Kind::Skipped)),
        ("events_doubled", findings.count(Kind::Repeated)),
        ("events_reordered", findings.count(Kind::Reordered)),
        ("reads", tally.reads),
        ("pages", tally.pages),
        ("reads_stale", findings.count(Kind::Stale) + findings.count(Kind::WentBack)),
        ("states_wrong", findings.count(Kind::WrongState)),
        ("snapshots_instead_of_events", tally.snapshots),
    ];
    figures.into_iter().for_each(|(name, count)| report.figures.add(name, count as f64));
    for (kind, count) in findings.found() {
        report.expect_none(count, kind.words());
    }
    report.violations.extend(findings.told().iter().take(MAX_TOLD).cloned());
    // A history in which nothing happened proves nothing.
    report.expect_none(u64::from(tally.acked == 0), "history without a single acknowledged op");
    (tally, findings)
}
