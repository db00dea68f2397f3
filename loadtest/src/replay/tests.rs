//! Small logs, replayed to a server that behaves, and to servers that do not.

use std::io::Write;

use crate::fake::{Fake, Fault, figure};
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

async fn replay(fault: Fault, log: &str) -> Report {
    let log = file(log);
    let words = format!("{} --speed 5000", log.path().display());
    Fake::start(fault).await.run::<super::Args>(&words).await
}

fn figures(report: &Report, names: &str) -> Vec<f64> {
    names.split(' ').map(|name| figure(report, name)).collect()
}

#[tokio::test]
async fn everybody_hears_what_is_said_while_they_are_there() {
    let report = replay(Fault::None, LOG).await;
    assert_eq!(report.violations, Vec::<String>::new());
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    // ann and dan are there from the start, bob comes twice, cat once.
    let want = [7.0, 7.0, 1.0, 5.0, 7.0];
    assert_eq!(
        figures(&report, "lines ops_acknowledged notices_skipped sessions history_held"),
        want
    );
    // Both hear all seven; bob at least two to four, six and seven; cat has joined by the end and
    // may hear the last.
    let delivered = figures(&report, "events_seen")[0];
    assert!((19.0..=22.0).contains(&delivered), "{delivered}");
    assert!(report.latencies.contains_key("delivery") && report.latencies.contains_key("ack"));
}

#[tokio::test]
async fn several_files_are_several_rooms_in_either_codec() {
    let (a, b) = (file(LOG), file(LOG));
    let words =
        format!("{} {} --speed 5000 --codec msgpack", a.path().display(), b.path().display());
    let report = Fake::start(Fault::None).await.run::<super::Args>(&words).await;
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(figures(&report, "lines sessions history_held"), [14.0, 10.0, 14.0]);
}

#[tokio::test]
async fn faults_are_noticed() {
    let table = [
        (Fault::Drop(6), "deliveries lost"),
        (Fault::Double(6), "deliveries doubled"),
        (Fault::Swap(6), "deliveries out of order"),
        (Fault::Alter(6), "acknowledged ops are missing in the log"),
        (Fault::Alter(6), "events in the log that nobody sent"),
        (Fault::Lose(6), "acknowledged ops are missing in the log"),
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
    assert_eq!(figures(&report, "sent ops_acknowledged"), [8.0, 7.0]);
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
    let (log, kept) = (log.path().display(), kept.path().display());
    let server = Fake::start(Fault::None).await;
    server.run::<super::Args>(&format!("{log} --speed 5000 --keep {kept}")).await;
    let report = server.run::<super::verify::Args>(&kept.to_string()).await;
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(figures(&report, "rooms ops_acknowledged history_held"), [1.0, 7.0, 7.0]);

    let forgetful = Fake::start(Fault::None).await;
    let report = forgetful.run::<super::verify::Args>(&kept.to_string()).await;
    assert_eq!(report.violations[0], "7 acknowledged ops are missing in the log");
}
