//! Every scenario against a server that behaves, and against one that does not.

use clap::Parser;

use crate::cli::Cli;
use crate::cli::Command;
use crate::fake::{Fake, Fault};
use crate::report::Report;

async fn run(server: &Fake, line: &str) -> Report {
    let url = server.url();
    let options = ["--url", &url, "--warmup", "50ms", "--duration", "300ms", "--no-progress"];
    let words = std::iter::once("greenroom-loadtest").chain(line.split_whitespace()).chain(options);
    let command = Cli::try_parse_from(words).expect("the line is a command").command;
    let report = match command {
        Command::Connect(args) => Box::pin(super::connect::run(args)).await,
        Command::Fanout(args) => Box::pin(super::fanout::run(args)).await,
        Command::Rooms(args) => Box::pin(super::rooms::run(args)).await,
        Command::Durable(args) => Box::pin(super::durable::run(args)).await,
        Command::Churn(args) => Box::pin(super::churn::run(args)).await,
        Command::Presence(args) => Box::pin(super::presence::run(args)).await,
        Command::SlowReader(args) => Box::pin(super::slow_reader::run(args)).await,
        command => panic!("{command:?} is no scenario of this folder"),
    };
    report.expect("the scenario can be run")
}

fn figure(report: &Report, name: &str) -> f64 {
    report.figures.get(name).unwrap_or_else(|| panic!("there is no `{name}` in {:?}", report.figures))
}

#[tokio::test]
async fn a_server_that_behaves_keeps_all_promises() {
    let table = [
        ("connect --connections 40 --rooms 3", "connect"),
        ("connect --connections 20 --rate 400", "connect"),
        ("fanout --subscribers 20 --rate 200", "delivery"),
        ("fanout --subscribers 20 --rate 200 --durable --codec msgpack", "delivery"),
        ("rooms --rooms 4 --members 3 --rate 50", "delivery"),
        ("rooms --rooms 4 --members 3 --rate 50 --durable", "delivery"),
        ("durable --rooms 4 --senders 2", "ack"),
        ("durable --rooms 2 --senders 4 --rate 500", "ack"),
        ("durable --hot --senders 3", "ack"),
        ("durable --kind doc --op increment --rooms 4 --senders 4", "ack"),
        ("churn --rate 100 --stay 20ms", "presence"),
        ("presence --members 30 --rate 50 --away 20ms", "told"),
        ("presence --members 30 --rate 50 --away 20ms --codec msgpack", "presence"),
        ("slow-reader --readers 3 --slow 2 --stall 150ms --events 30", "delivery"),
    ];
    for (line, lane) in table {
        let report = run(&Fake::start(Fault::None).await, line).await;
        assert!(report.violations.is_empty() && report.errors.is_empty(), "{line}: {:?} {:?}", report.violations, report.errors);
        assert!(report.latencies.get(lane).is_some_and(|l| l.count > 5), "{line}: {:?}", report.latencies);
    }
}

#[tokio::test]
async fn deliveries_are_counted_one_by_one() {
    for (line, each) in [
        ("fanout --subscribers 20 --rate 200", 20.0),
        ("fanout --subscribers 20 --rate 200 --durable", 20.0),
        ("rooms --rooms 4 --members 3 --rate 50", 2.0),
        ("rooms --rooms 4 --members 3 --rate 50 --durable", 3.0),
    ] {
        let report = run(&Fake::start(Fault::None).await, line).await;
        assert!(figure(&report, "sent") > 10.0, "{line}");
        assert_eq!(figure(&report, "deliveries"), figure(&report, "sent") * each, "{line}");
        assert_eq!(figure(&report, "deliveries_expected"), figure(&report, "deliveries"), "{line}");
    }
}

#[tokio::test]
async fn faults_are_noticed() {
    let fanout = "fanout --subscribers 5 --rate 200 --durable";
    let table = [
        (Fault::Drop(4), fanout, "5 deliveries lost"),
        (Fault::Double(4), fanout, "5 deliveries doubled"),
        (Fault::Swap(4), fanout, "5 deliveries out of order"),
        (Fault::Drop(4), "rooms --rooms 2 --members 3 --rate 50 --durable", "6 deliveries lost"),
        (Fault::Drop(4), "slow-reader --readers 3 --slow 2 --stall 100ms --events 20", "5 deliveries lost"),
        (Fault::Lose(4), "durable --rooms 2 --senders 2", "2 acknowledged ops are not in the state"),
        (Fault::Lose(4), "durable --rooms 2 --senders 2 --kind doc --op increment", "2 acknowledged ops are not in the state"),
    ];
    for (fault, line, want) in table {
        let report = run(&Fake::start(fault).await, line).await;
        assert_eq!(report.violations, [want], "{fault:?} {line}");
    }
    let report = run(&Fake::start(Fault::ClosePresence).await, "churn --rate 100 --stay 10ms").await;
    assert!(figure(&report, "visits") > 5.0);
    assert_eq!(report.violations, [format!("{} visits failed", figure(&report, "visits"))]);
}

#[tokio::test]
async fn what_members_should_not_see_is_noticed() {
    let hidden = run(&Fake::start(Fault::HideLeft).await, "presence --members 20 --rate 50 --away 20ms").await;
    assert_eq!(hidden.violations, ["18 members disagree with the server about who is here"]);
    // This server knows no resuming: whoever loses its connection has left.
    let flickers = run(&Fake::start(Fault::None).await, "presence --members 20 --rate 50 --away 20ms --lost 1").await;
    let lost = figure(&flickers, "went");
    assert!(lost > 5.0 && flickers.violations[0] == format!("{lost} sessions were not resumed"), "{:?}", flickers.violations);
    assert!(flickers.violations[1].ends_with(" times a resumed member was said to have left"), "{:?}", flickers.violations);
}

#[tokio::test]
async fn refusals_are_reported_by_their_code() {
    let report = run(&Fake::start(Fault::RateLimit).await, "durable --rooms 2 --senders 2").await;
    assert_eq!(report.errors.get("rate_limited").map(|n| *n as f64), Some(figure(&report, "sent")));
    assert_eq!(figure(&report, "unacknowledged"), figure(&report, "sent"));
}
