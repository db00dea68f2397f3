//! Every scenario against a server that behaves, and against one that does not.

use super::{connect, durable, fanout, rooms};
use crate::fake::{Fake, Fault, figure};
use crate::report::Report;

/// A scenario by its name, with its arguments.
async fn run_at(server: &Fake, line: &str) -> Report {
    let (name, words) = line.split_once(' ').expect("a scenario and its arguments");
    let words = format!("{words} --warmup 50ms --duration 300ms");
    match name {
        "connect" => server.run::<connect::Args>(&words).await,
        "fanout" => server.run::<fanout::Args>(&words).await,
        "rooms" => server.run::<rooms::Args>(&words).await,
        "durable" => server.run::<durable::Args>(&words).await,
        name => panic!("there is no scenario `{name}` here"),
    }
}

async fn run(fault: Fault, line: &str) -> Report {
    run_at(&Fake::start(fault).await, line).await
}

#[tokio::test]
async fn a_server_that_behaves_keeps_all_promises() {
    let table = [
        ("connect --connections 40 --rooms 3", "connect"),
        ("connect --connections 20 --rate 400", "connect"),
        ("connect --connections 40 --rooms 3 --codec msgpack", "connect"),
        ("fanout --subscribers 20 --rate 200", "delivery"),
        ("fanout --subscribers 20 --rate 200 --durable --codec msgpack", "delivery"),
        ("rooms --rooms 4 --members 3 --rate 50", "delivery"),
        ("rooms --rooms 4 --members 3 --rate 50 --durable", "delivery"),
        ("durable --rooms 4 --senders 2", "ack"),
        ("durable --rooms 2 --senders 4 --rate 500", "ack"),
        ("durable --hot --senders 3", "ack"),
        ("durable --kind doc --op increment --rooms 4 --senders 4", "ack"),
    ];
    for (line, lane) in table {
        let report = run(Fault::None, line).await;
        assert!(
            report.violations.is_empty() && report.errors.is_empty(),
            "{line}: {:?} {:?}",
            report.violations,
            report.errors
        );
        assert!(
            report.latencies.get(lane).is_some_and(|l| l.count > 5),
            "{line}: {:?}",
            report.latencies
        );
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
        let report = run(Fault::None, line).await;
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
        (
            Fault::Lose(4),
            "durable --rooms 2 --senders 2",
            "2 acknowledged ops are not in the state",
        ),
        (
            Fault::Lose(4),
            "durable --rooms 2 --senders 2 --kind doc --op increment",
            "2 acknowledged ops are not in the state",
        ),
    ];
    for (fault, line, want) in table {
        let report = run(fault, line).await;
        assert_eq!(report.violations, [want], "{fault:?} {line}");
    }
}

#[tokio::test]
async fn refusals_are_reported_by_their_code() {
    let report = run(Fault::RateLimit, "durable --rooms 2 --senders 2").await;
    assert_eq!(report.errors.get("rate_limited").map(|n| *n as f64), Some(figure(&report, "sent")));
    assert_eq!(figure(&report, "unacknowledged"), figure(&report, "sent"));
}

#[tokio::test]
async fn each_session_presents_a_token_of_its_own() {
    let server = Fake::start(Fault::WantTokens).await;
    let secret = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(secret.path(), "0123456789abcdef0123456789abcdef").expect("it can be written");
    let line = format!("connect --connections 20 --rooms 3 --secret {}", secret.path().display());
    let report = run_at(&server, &line).await;
    assert!(report.violations.is_empty(), "{:?} {:?}", report.violations, report.errors);
    assert_eq!(figure(&report, "connections"), 20.0);
}
