//! Small logs, replayed to a server that behaves, and to servers that do not.

use std::io::Write;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::fake::{Fake, Fault};
use crate::report::Report;

const LOG: &str = "\
[10:00] <ann> one
=== bob has joined #c
[10:00] <bob> two
[10:01] <ann> three
=== ann is now known as ann_
[10:01]  * ann_ four
=== bob has left #c
=== mode/#c [+o ann_] by somebody
[10:02] <ann_> five
[10:02] <bob> six
=== cat has joined #c
[10:03] <dan> seven
";

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(content.as_bytes()).expect("it can be written");
    file
}

async fn run(server: &Fake, words: &[&str]) -> Report {
    let url = server.url();
    let words = std::iter::once("greenroom-loadtest").chain(words.iter().copied()).chain([
        "--url",
        &url,
        "--no-progress",
    ]);
    let report = match Cli::try_parse_from(words).expect("the line is a command").command {
        Command::Replay(args) => Box::pin(super::run(args)).await,
        Command::Verify(args) => Box::pin(super::verify::run(args)).await,
        command => panic!("{command:?} is none of this folder"),
    };
    report.expect("it can be run")
}

async fn replay(fault: Fault, log: &str) -> Report {
    let log = file(log);
    let path = log.path().to_str().expect("the path is text");
    run(&Fake::start(fault).await, &["replay", path, "--speed", "5000"]).await
}

fn figures(report: &Report, names: &str) -> Vec<f64> {
    names
        .split(' ')
        .map(|name| {
            report
                .figures
                .get(name)
                .unwrap_or_else(|| panic!("no `{name}` in {:?}", report.figures))
        })
        .collect()
}

#[tokio::test]
async fn everybody_hears_what_is_said_while_they_are_there() {
    let report = replay(Fault::None, LOG).await;
    assert_eq!(report.violations, Vec::<String>::new());
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    // ann and dan are there from the start, bob comes twice, cat once.
    let want = [7.0, 7.0, 1.0, 5.0, 7.0];
    assert_eq!(
        figures(&report, "lines lines_acknowledged notices_skipped sessions history_held"),
        want
    );
    // Both hear all seven; bob at least two to four, six and seven; cat has joined by the end and
    // may hear the last.
    let delivered = figures(&report, "lines_delivered")[0];
    assert!((19.0..=22.0).contains(&delivered), "{delivered}");
    assert!(report.latencies.contains_key("delivery") && report.latencies.contains_key("ack"));
}

#[tokio::test]
async fn several_files_are_several_rooms_in_either_codec() {
    let (a, b) = (file(LOG), file(LOG));
    let paths = [&a, &b].map(|file| file.path().to_str().expect("the path is text"));
    let server = Fake::start(Fault::None).await;
    let report =
        run(&server, &["replay", paths[0], paths[1], "--speed", "5000", "--codec", "msgpack"])
            .await;
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(figures(&report, "lines sessions history_held"), [14.0, 10.0, 14.0]);
}

#[tokio::test]
async fn faults_are_noticed() {
    let table = [
        (Fault::Drop(6), "deliveries lost"),
        (Fault::Double(6), "deliveries doubled"),
        (Fault::Swap(6), "deliveries out of order"),
        (Fault::Alter(6), "deliveries altered"),
        (Fault::Alter(6), "acknowledged lines are elsewhere or altered in the history"),
        (Fault::Lose(6), "acknowledged lines are missing in the history"),
        (Fault::Drop(7), "deliveries lost"),
    ];
    for (fault, want) in table {
        let report = replay(fault, LOG).await;
        assert!(
            report.violations.iter().any(|v| v.ends_with(want)),
            "{fault:?}: {:?}",
            report.violations
        );
    }
}

#[tokio::test]
async fn a_refused_line_is_said_again() {
    let report = replay(Fault::RefuseOnce(3), LOG).await;
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(report.errors.get("rate_limited"), Some(&1));
    assert_eq!(figures(&report, "sent lines_acknowledged"), [8.0, 7.0]);
}

#[tokio::test]
async fn a_broken_session_fails_the_run() {
    let report = replay(Fault::ClosePresence, LOG).await;
    assert!(
        report.violations.iter().any(|v| v.ends_with("lines were not acknowledged")),
        "{:?}",
        report.violations
    );
}

#[tokio::test]
async fn what_was_kept_is_verified() {
    let (log, kept) = (file(LOG), file(""));
    let [log, kept] = [&log, &kept].map(|file| file.path().to_str().expect("the path is text"));
    let server = Fake::start(Fault::None).await;
    run(&server, &["replay", log, "--speed", "5000", "--keep", kept]).await;
    let report = run(&server, &["verify", kept]).await;
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(figures(&report, "rooms lines_acknowledged history_held"), [1.0, 7.0, 7.0]);

    let forgetful = Fake::start(Fault::None).await;
    let report = run(&forgetful, &["verify", kept]).await;
    assert_eq!(report.violations, ["7 acknowledged lines are missing in the history"]);
}
