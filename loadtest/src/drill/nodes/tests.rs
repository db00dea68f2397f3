//! Whole clients that go from one fake server to another, and the verdict over rounds.

use super::rounds::{Round, tell};
use super::*;
use crate::drill::record::Record;
use crate::drill::tests::stage_at;
use crate::fake::{Fake, Fault as Misdeed, figure};
use crate::history::{Findings, Kind};

/// Two clients at a server that is killed, and another one; then the verdict.
async fn take_over(misdeed: Misdeed) -> Report {
    let first = Fake::start(misdeed).await;
    let second = first.beside().await;
    let doors = Doors::default();
    doors.add((first.address(), first.address()));
    let front = front(&doors).await.expect("there is a free port");
    let (args, stage) = stage_at(&format!("ws://{}/ws", front.address()), "--nodes 2").await;
    let mut aftermath = Aftermath::default();
    let window = stage.run.measure(Lane::Ack, async {
        let crew = Crew::start(&stage);
        stage.served(50).await;
        doors.add((second.address(), second.address()));
        doors.remove(first.address());
        first.kill();
        stage.served(50).await;
        aftermath = crew.end(&stage).await;
    });
    let window = Box::pin(window).await.expect("there is nothing to read");
    let mut report = Report::new(&stage.run, &args, window).expect("the arguments serialize");
    aftermath.restarts = 1;
    verdict::tell(aftermath, &stage, None, &mut report).expect("nothing is written");
    report
}

#[tokio::test]
async fn clients_go_to_another_node_and_go_on() {
    let report = take_over(Misdeed::None).await;
    assert_eq!(report.violations, Vec::<String>::new());
    assert!(figure(&report, "ops_acknowledged") >= 200.0, "{:?}", report.figures);
    assert_eq!(figure(&report, "reconnects"), 2.0, "both were at the first one");
}

#[tokio::test]
async fn what_a_takeover_loses_is_found() {
    let report = take_over(Misdeed::LoseAtTakeover).await;
    let found = |what: &str| report.violations.iter().any(|found| found.ends_with(what));
    assert!(found("acknowledged ops are missing in the log"), "{:?}", report.violations);
}

#[tokio::test]
async fn who_leaves_more_often_than_it_can_is_found() {
    let (_, stage) = stage_at(&Fake::start(Misdeed::None).await.url(), "--nodes 2").await;
    let mut records = [0, 1].map(|client| Record::new(&stage, client));
    for (record, user) in records.iter_mut().zip(["a", "b"]) {
        (record.user, record.reconnects) = (user.into(), 2);
    }
    records[0].left = [("a".into(), 2), ("b".into(), 3)].into();
    for (leaves, want) in [(0, vec!["`b` left 3 times, and lost 2 connections"]), (1, vec![])] {
        assert_eq!(verdict::flickers(&records, leaves), want);
    }
}

fn round(fault: Fault, pause_ms: u64, errors: usize, leaves: u64) -> Round {
    let (pause, refusals) = (Duration::from_millis(pause_ms), vec!["why".to_owned(); errors]);
    Round { fault, how: "so".into(), span: 0..10, acked: 5, pause, refusals, leaves }
}

#[test]
fn what_costs_more_than_it_may_is_a_violation() {
    let table = [
        (round(Fault::Kill, 2900, 3, 1), ""),
        (round(Fault::Kill, 3100, 0, 0), "an entity was silent for 3100 ms, the bound is 3000"),
        (round(Fault::Database, 900, 3, 0), ""),
        (round(Fault::Database, 900, 0, 1), "clients were said to have left 1 times"),
        (round(Fault::Rolling, 900, 0, 0), ""),
        (round(Fault::Rolling, 900, 2, 0), "2 ops with a number were refused, the first with why"),
        (round(Fault::Skew, 1001, 0, 0), "an entity was silent for 1001 ms, the bound is 1000"),
    ];
    for (round, want) in table {
        let (mut report, fault) = (Report::default(), round.fault);
        tell(&[round], &[fault], &Findings::default(), &mut report);
        let want = if want.is_empty() {
            Vec::new()
        } else {
            vec![format!("round 1, {} (so): {want}", fault.name())]
        };
        assert_eq!(report.violations, want);
    }
}

#[test]
fn the_report_has_a_row_for_each_fault() {
    let mut findings = Findings::default();
    for (moment, kind) in [(5, Kind::Lost), (15, Kind::Stale), (16, Kind::Repeated)] {
        findings.about(moment);
        findings.add(kind, String::new);
    }
    let later = |round: Round| Round { span: 10..20, ..round };
    let rounds = [
        round(Fault::Kill, 1000, 1, 0),
        later(round(Fault::Stop, 500, 0, 0)),
        later(round(Fault::Kill, 2000, 1, 0)),
    ];
    let mut report = Report::default();
    tell(&rounds, &[Fault::Kill, Fault::Stop, Fault::Kill, Fault::Nats], &findings, &mut report);
    let known = |figures: &[Option<f64>]| figures.iter().map(|f| f.unwrap_or(-1.0)).collect();
    let rows: Vec<(&str, Vec<f64>)> =
        report.sheets[0].rows.iter().map(|row| (&*row.name, known(&row.figures))).collect();
    let want = [
        ("kill", vec![2.0, 10.0, 1.0, 1.0, 0.0, 1.0, 2.0, 0.0, 2000.0, 2000.0, 3000.0]),
        ("stop", vec![1.0, 5.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 500.0, 500.0, 3000.0]),
        ("nats", vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, -1.0, 2000.0]),
    ];
    assert_eq!(rows, want);
    assert_eq!(
        report.violations,
        ["1 faults of the list did not come about, so nothing is proven about them"]
    );
}
