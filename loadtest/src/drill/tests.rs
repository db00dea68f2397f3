//! Whole clients against a server that behaves, and servers that do not.

use super::*;
use crate::fake::{Fake, Fault, SECRET, figure};
use crate::history;
use crate::scenario::{With, parse};

/// Two clients that send to a room and a document until each has had 20 ops acknowledged; then the
/// verdict.
async fn drill(fault: Fault) -> Report {
    drill_with(fault, "", None).await
}

async fn drill_with(fault: Fault, words: &str, file: Option<&std::path::Path>) -> Report {
    let (args, stage) = stage(fault, words).await;
    let mut aftermath = Aftermath::default();
    let window = stage.run.measure(Lane::Ack, async {
        let crew = Crew::start(&stage);
        stage.served(if words.is_empty() { 20 } else { 100 }).await;
        aftermath = crew.end(&stage).await;
    });
    let window = Box::pin(window).await.expect("there is nothing to read");
    let mut report = Report::new(&stage.run, &args, window).expect("the arguments serialize");
    // As often as two clients can lose their connection to servers that hang up once in each room.
    aftermath.restarts = args.restarts;
    tell(aftermath, &stage, file, &mut report).expect("the history can be written");
    report
}

/// A stage with tokens if there are `--revoke`s among the words.
async fn stage(fault: Fault, words: &str) -> (Args, Arc<Stage>) {
    stage_at(&Fake::start(fault).await.url(), words).await
}

pub async fn stage_at(url: &str, words: &str) -> (Args, Arc<Stage>) {
    let words = format!("--no-progress --rate 500 --reads 333 --url {url} {words}");
    let With::<Args> { mut common, scenario } = parse(&words).expect("they are its arguments");
    let secret = tempfile::NamedTempFile::new().expect("there is room");
    std::fs::write(secret.path(), SECRET).expect("there is room");
    common.secret = scenario.revoke.map(|_| secret.path().to_owned());
    let run = Run::new(Args::NAME, &common).await.expect("the URL is good");
    let target =
        |(kind, shape)| Target { id: run.entity(kind, 0).expect("it is an entity id"), shape };
    let targets = [("room", Shape::Room), ("doc", Shape::Counters)].map(target).into();
    let load = load(&scenario);
    (scenario, Arc::new(Stage::new(run, targets, 2, load)))
}

#[tokio::test]
async fn a_server_that_behaves_keeps_all_promises() {
    let report = drill(Fault::None).await;
    assert_eq!(report.violations, Vec::<String>::new());
    let acked = figure(&report, "ops_acknowledged");
    assert!(acked >= 40.0, "{acked}");
    assert_eq!(figure(&report, "ops"), acked);
    assert_eq!(figure(&report, "history_held"), acked);
    assert_eq!(figure(&report, "events_seen"), acked * 2.0, "both clients follow both");
    assert_eq!(figure(&report, "reconnects"), 0.0);
    assert!(
        figure(&report, "reads") > 0.0 && figure(&report, "pages") > 2.0,
        "{:?}",
        report.figures
    );
}

#[tokio::test]
async fn a_history_that_was_written_down_is_judged_alike() {
    let dir = tempfile::tempdir().expect("there is room");
    let path = dir.path().join("history.jsonl");
    for fault in [Fault::HangUp(6), Fault::Swap(6)] {
        let report = drill_with(fault, "", Some(&path)).await;
        let history = history::file::read(&path).expect("it was written");
        let mut again = Report {
            figures: crate::report::Figures::default(),
            violations: Vec::new(),
            ..report.clone()
        };
        history::command::judge(&history, &mut again);
        assert_eq!(again.violations, report.violations, "{fault:?}");
        let common = |report: &Report| {
            again
                .figures
                .0
                .iter()
                .filter_map(|(name, _)| report.figures.get(name))
                .collect::<Vec<_>>()
        };
        assert_eq!(common(&again), common(&report), "{fault:?}");
    }
}

#[tokio::test]
async fn what_was_not_answered_is_repeated_under_its_number() {
    let report = drill(Fault::HangUp(6)).await;
    assert_eq!(report.violations, Vec::<String>::new());
    // Once in each.
    assert_eq!(figure(&report, "reconnects"), 2.0);
    assert!(figure(&report, "ops_answered_as_duplicate") >= 2.0, "{:?}", report.figures);
    assert!(figure(&report, "longest_pause_ms") > 0.0);

    let report = drill(Fault::RefuseOnce(3)).await;
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(report.errors.get("rate_limited"), Some(&2));
}

#[tokio::test]
async fn rights_that_come_and_go_and_requests_behind_a_connect_break_nothing() {
    let report = drill_with(Fault::HangUp(6), "--revoke 10ms --pipeline", None).await;
    assert_eq!(report.violations, Vec::<String>::new());
    for name in ["revocations", "reads_forbidden", "pipelined"] {
        assert!(figure(&report, name) > 0.0, "{name} in {:?}", report.figures);
    }
}

#[tokio::test]
async fn servers_that_misbehave_are_found_out() {
    let table = [
        (Fault::HangUpAndForget(6), "", "ops were executed more than once"),
        (Fault::HangUpAndSkip(6), "", "deliveries lost"),
        (Fault::HangUpAndStartOver(6), "", "snapshots without a good reason"),
        (Fault::HangUp(6), "--restarts 0", "connections were lost that no restart explains"),
        (Fault::CloseIdle(6), "", "connections ended with closed_4010"),
        (Fault::Lose(6), "", "acknowledged ops are missing in the log"),
        (Fault::Lose(6), "", "gaps or steps back in the log"),
        (Fault::Alter(6), "", "events in the log that nobody sent"),
        (Fault::Drop(6), "", "deliveries lost"),
        (Fault::Double(6), "", "deliveries doubled"),
        (Fault::Swap(6), "", "deliveries out of order"),
        (Fault::LeaveOut(6), "", "states are not what the log comes to"),
        (Fault::ReadOld(6), "", "clients were led back behind what they had seen"),
        (Fault::KeepSubscribed, "--pipeline", "deliveries doubled"),
        (Fault::TellRevoked, "--revoke 10ms", "events for clients that do not follow"),
        (
            Fault::HideUnsubscribed,
            "--revoke 10ms",
            "was not notified that a subscription has ended",
        ),
        (Fault::ShowRevoked, "--revoke 10ms", "was shown what it may not read"),
        (Fault::SkipOnReturn, "--revoke 10ms", "deliveries lost"),
    ];
    for (fault, words, want) in table {
        let report = drill_with(fault, words, None).await;
        assert!(
            report.violations.iter().any(|v| v.ends_with(want)),
            "{fault:?}: {:?}",
            report.violations
        );
    }
}

#[tokio::test]
async fn a_drill_in_which_nothing_happened_fails() {
    let (args, stage) = stage(Fault::None, "").await;
    let window =
        Box::pin(stage.run.measure(Lane::Ack, async {})).await.expect("there is nothing to read");
    let mut report = Report::new(&stage.run, &args, window).expect("the arguments serialize");
    tell(Aftermath::default(), &stage, None, &mut report).expect("nothing is written");
    assert_eq!(report.violations, ["1 history without a single acknowledged op"]);
}
