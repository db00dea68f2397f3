//! Whole clients against a server that behaves, and servers that do not.

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};
use crate::fake::{Fake, Fault};

/// Two clients that post to two rooms until each has had 20 posts acknowledged; then the verdict.
async fn drill(fault: Fault) -> Report {
    let server = Fake::start(fault).await;
    let words = ["greenroom-loadtest", "drill", "--server", "unused", "--no-progress", "--url", &server.url()];
    let Command::Drill(args) = Cli::try_parse_from(words).expect("the line is a command").command else { panic!("it is a drill") };
    let run = Run::new("drill", &args.common).await.expect("the URL is good");
    let rooms = (0..2).map(|room| run.entity("room", room).expect("it is an entity id")).collect();
    let load = Load { every: Duration::from_millis(2), in_flight: 4 };
    let stage = Arc::new(Stage::new(run, rooms, 2, load));
    let mut aftermath = Aftermath::default();
    let window = stage.run.measure(Lane::Ack, async {
        let crew = Crew::start(&stage);
        stage.served(20).await;
        aftermath = crew.end(&stage).await;
    });
    let window = Box::pin(window).await.expect("there is nothing to read");
    let mut report = Report::new("drill", &stage.run, &args, window).expect("the arguments serialize");
    tell(aftermath, &mut report);
    report
}

fn figure(report: &Report, name: &str) -> f64 {
    report.figures.get(name).unwrap_or_else(|| panic!("no `{name}` in {:?}", report.figures))
}

#[tokio::test]
async fn a_server_that_behaves_keeps_all_promises() {
    let report = drill(Fault::None).await;
    assert_eq!(report.violations, Vec::<String>::new());
    let acked = figure(&report, "ops_acknowledged");
    assert!(acked >= 40.0, "{acked}");
    assert_eq!(figure(&report, "ops"), acked);
    assert_eq!(figure(&report, "history_held"), acked);
    assert_eq!(figure(&report, "events_seen"), acked * 2.0, "both clients follow both rooms");
    assert_eq!(figure(&report, "reconnects"), 0.0);
}

#[tokio::test]
async fn what_was_not_answered_is_repeated_under_its_number() {
    let report = drill(Fault::HangUp(6)).await;
    assert_eq!(report.violations, Vec::<String>::new());
    // Once in each room.
    assert_eq!(figure(&report, "reconnects"), 2.0);
    assert!(figure(&report, "ops_answered_as_duplicate") >= 2.0, "{:?}", report.figures);
    assert!(figure(&report, "longest_pause_ms") > 0.0);

    let report = drill(Fault::RefuseOnce(3)).await;
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(report.errors.get("rate_limited"), Some(&2));
}

#[tokio::test]
async fn servers_that_misbehave_are_found_out() {
    let table = [
        (Fault::HangUpAndForget(6), "ops were executed more than once"),
        (Fault::HangUpAndSkip(6), "deliveries lost"),
        (Fault::HangUpAndStartOver(6), "snapshots without a good reason"),
        (Fault::Lose(6), "acknowledged ops are missing in the history"),
        (Fault::Lose(6), "gaps or steps back in the history"),
        (Fault::Alter(6), "events in the history that nobody sent"),
        (Fault::Drop(6), "deliveries lost"),
        (Fault::Double(6), "deliveries doubled"),
        (Fault::Swap(6), "deliveries out of order"),
    ];
    for (fault, want) in table {
        let report = drill(fault).await;
        assert!(report.violations.iter().any(|v| v.ends_with(want)), "{fault:?}: {:?}", report.violations);
    }
}

#[test]
fn a_drill_in_which_nothing_happened_fails() {
    let mut report = Report {
        scenario: "drill".into(),
        version: "0",
        started_at: String::new(),
        machine: crate::machine::Machine::this(),
        parameters: serde_json::Value::Null,
        window_s: 0.0,
        figures: crate::report::Figures::default(),
        latencies: std::collections::BTreeMap::new(),
        series: Vec::new(),
        server: None,
        errors: std::collections::BTreeMap::new(),
        violations: Vec::new(),
    };
    tell(Aftermath::default(), &mut report);
    assert_eq!(report.violations, ["1 drill without a single acknowledged op"]);
}
