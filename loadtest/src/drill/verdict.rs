//! What the clients of a drill leave behind, and the verdict over it.

use anyhow::Result;

use super::record::Record;
use super::stage::Stage;
use crate::history::{self, Entry, Findings, History};
use crate::report::Report;

/// What the clients leave behind at the end.
#[derive(Default)]
pub struct Aftermath {
    pub records: Vec<Record>,
    /// What the logs held.
    pub read: Vec<Entry>,
    pub failures: Vec<String>,
    /// Restarts, each of which costs every client its connection.
    pub restarts: u64,
    /// How often clients may be said to have left although their connection lasts.
    pub leaves: u64,
}

/// Puts the verdict over the whole history into a report.
pub fn tell(
    aftermath: Aftermath,
    stage: &Stage,
    file: Option<&std::path::Path>,
    report: &mut Report,
) -> Result<Findings> {
    let Aftermath { mut records, read, failures, restarts, leaves } = aftermath;
    let history = History {
        entities: stage.targets.iter().map(|target| target.id.clone()).collect(),
        entries: records
            .iter_mut()
            .flat_map(|record| std::mem::take(&mut record.notes.entries))
            .chain(read)
            .collect(),
    };
    if let Some(file) = file {
        history::file::write(file, &history)?;
    }
    let (tally, findings) = history::command::judge(&history, report);
    // What has a number is repeated until somebody answers.
    let forlorn = records.iter().map(|record| record.forlorn).sum();
    report.expect_none(tally.unanswered.saturating_sub(forlorn), "ops were never answered");
    report.expect_none(tally.refused, "ops were refused for good");
    let longest_us = records.iter().map(|record| record.longest_pause_us).max().unwrap_or(0);
    let sum = |count: fn(&Record) -> u64| records.iter().map(count).sum::<u64>();
    let counts = [
        ("reconnects", sum(|record| record.reconnects)),
        ("pipelined", sum(|record| record.pipelined)),
        ("revocations", sum(|record| record.revocations)),
        ("reads_forbidden", sum(|record| record.forbidden)),
    ];
    for (name, count) in counts {
        report.figures.add(name, count as f64);
    }
    expect_some(stage.load.pipelines, sum(|record| record.pipelined), "pipelined", report);
    let revokes = stage.load.revoke_every.is_some();
    expect_some(revokes, sum(|record| record.revocations), "revoked", report);
    let lost = |record: &Record| record.reconnects.saturating_sub(restarts);
    report.expect_none(
        records.iter().map(lost).sum(),
        "connections were lost that no restart explains",
    );
    for code in ["closed_4009", "closed_4010"] {
        let count = report.errors.get(code).copied().unwrap_or(0);
        report.expect_none(count, &format!("connections ended with {code}"));
    }
    report.fail(flickers(&records, leaves));
    report.figures.add("longest_pause_ms", longest_us as f64 / 1000.0);
    report.fail(records.into_iter().flat_map(|record| record.failures));
    report.fail(failures);
    Ok(findings)
}

/// Clients that were said to have left more often than they lost their connection, and than they may
/// be besides.
pub fn flickers(records: &[Record], besides: u64) -> Vec<String> {
    let most = |user: &str| {
        records.iter().filter_map(|record| record.left.get(user)).max().copied().unwrap_or(0)
    };
    let told = records.iter().map(|record| (record, most(&record.user)));
    let more = told.filter(|(record, most)| *most > record.reconnects + besides);
    let words = |(record, most): (&Record, u64)| {
        format!("`{}` left {most} times, and lost {} connections", record.user, record.reconnects)
    };
    more.map(words).collect()
}

/// What was asked for must have happened, or the run proves nothing about it.
pub fn expect_some(wanted: bool, count: u64, what: &str, report: &mut Report) {
    if wanted && count == 0 {
        report.violations.push(format!("nothing was {what}, so nothing is proven about it"));
    }
}
