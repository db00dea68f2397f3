//! Every scenario against a server that behaves, and against one that does not.

use greenroom_loadtest::fake::{Fake, Fault, figure};
use greenroom_loadtest::report::Report;

use super::{burst, churn, entities, greedy, mixed, presence, slow_reader, soak};

/// Everything at once, in small.
const MIXED: &str = "mixed --sessions 24 --rooms 4 --hot-followers 6 --posts 200 --hot-rate 100 --stall 100ms --away 20ms --slow 2";

/// A scenario by its name, with its arguments.
async fn run(server: &Fake, line: &str) -> Report {
    let (name, words) = line.split_once(' ').expect("a scenario and its arguments");
    let words = format!("{words} --warmup 50ms --duration 300ms");
    match name {
        "burst" => server.run::<burst::Args>(&words).await,
        "churn" => server.run::<churn::Args>(&words).await,
        "entities" => server.run::<entities::Args>(&words).await,
        "greedy" => server.run::<greedy::Args>(&words).await,
        "mixed" => server.run::<mixed::Args>(&words).await,
        "presence" => server.run::<presence::Args>(&words).await,
        "slow-reader" => server.run::<slow_reader::Args>(&words).await,
        "soak" => server.run::<soak::Args>(&words).await,
        name => panic!("there is no scenario `{name}` here"),
    }
}

#[tokio::test]
async fn a_server_that_behaves_keeps_all_promises() {
    let table = [
        ("burst --connections 40 --rooms 3 --enter --burst 0 --codec msgpack", "presence"),
        (
            "burst --connections 20 --rooms 3 --burst 50000 --burst-signal 4000 --settle 50ms",
            "connect",
        ),
        ("burst --connections 20 --rooms 3 --burst 50000 --settle 50ms --codec msgpack", "connect"),
        ("churn --rate 100 --stay 20ms", "presence"),
        ("presence --members 30 --rate 50 --away 20ms", "told"),
        ("presence --members 30 --rate 50 --away 20ms --codec msgpack", "presence"),
        ("slow-reader --readers 3 --slow 2 --stall 150ms --events 30", "delivery"),
        (MIXED, "post"),
        (
            "mixed --sessions 24 --rooms 4 --hot-followers 6 --stall 100ms --away 20ms --codec msgpack",
            "told",
        ),
        (
            "entities --awake 30 --rate 200 --events 200 --small-events 20 --asleep-within 20ms",
            "cold stored",
        ),
        (
            "entities --phases awake --awake 30 --state post --codec msgpack --asleep-within 20ms",
            "waking",
        ),
    ];
    for (line, lane) in table {
        let report = run(&Fake::start(Fault::None).await, line).await;
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
async fn faults_are_noticed() {
    // Of the 32, 24 are in rooms, 6 follow the hot room, and 2 read it slowly.
    let still = format!("{MIXED} --churn 0");
    let table = [
        (
            Fault::Drop(4),
            "slow-reader --readers 3 --slow 2 --stall 100ms --events 20",
            "5 deliveries lost",
        ),
        (Fault::Drop(4), still.as_str(), "32 deliveries lost"),
        (Fault::Double(4), still.as_str(), "32 deliveries doubled"),
        (Fault::Swap(4), still.as_str(), "32 deliveries out of order"),
        (
            Fault::Lose(1),
            "entities --phases cold --rate 100 --asleep-within 1ms",
            "30 of the reads of stored entities had a wrong answer",
        ),
    ];
    for (fault, line, want) in table {
        let report = run(&Fake::start(fault).await, line).await;
        assert_eq!(report.violations, [want], "{fault:?} {line}");
    }
    let report =
        run(&Fake::start(Fault::ClosePresence).await, "churn --rate 100 --stay 10ms").await;
    assert!(figure(&report, "visits") > 5.0);
    assert_eq!(report.violations, [format!("{} visits failed", figure(&report, "visits"))]);
}

#[tokio::test]
async fn what_members_should_not_see_is_noticed() {
    let hidden =
        run(&Fake::start(Fault::HideLeft).await, "presence --members 20 --rate 50 --away 20ms")
            .await;
    assert_eq!(hidden.violations, ["18 members disagree with the server about who is here"]);
    // This server knows no resuming: whoever loses its connection has left.
    let flickers = run(
        &Fake::start(Fault::None).await,
        "presence --members 20 --rate 50 --away 20ms --lost 1",
    )
    .await;
    let lost = figure(&flickers, "went");
    assert!(
        lost > 5.0 && flickers.violations[0] == format!("{lost} sessions were not resumed"),
        "{:?}",
        flickers.violations
    );
    assert!(
        flickers.violations[1].ends_with(" times a resumed member was said to have left"),
        "{:?}",
        flickers.violations
    );
}

#[tokio::test]
async fn a_burst_reaches_every_connection() {
    let report = run(
        &Fake::start(Fault::None).await,
        "burst --connections 10 --rooms 3 --burst 40000 --settle 50ms",
    )
    .await;
    assert_eq!(
        figure(&report, "burst_deliveries"),
        30.0,
        "three signals of 16 KiB each, at ten connections"
    );
    assert!(figure(&report, "burst_bytes_per_connection") > 3.0 * 16384.0);
    let less = run(
        &Fake::start(Fault::DropSignal(2)).await,
        "burst --connections 10 --rooms 3 --burst 40000 --settle 50ms",
    )
    .await;
    assert_eq!(less.violations, ["10 connections did not receive all of the burst"]);
    let rest = run(
        &Fake::start(Fault::DropSignal(3)).await,
        "burst --connections 10 --rooms 9 --burst 40000 --settle 50ms",
    )
    .await;
    assert_eq!(
        rest.violations,
        ["10 connections did not receive all of the burst"],
        "the last one is waited for as well"
    );
}

#[tokio::test]
async fn each_session_presents_a_token_of_its_own() {
    let server = Fake::start(Fault::WantTokens).await;
    let secret = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(secret.path(), "0123456789abcdef0123456789abcdef").expect("it can be written");
    let line = "burst --connections 20 --rooms 3 --enter --burst 1000 --settle 50ms --secret";
    let report = run(&server, &format!("{line} {}", secret.path().display())).await;
    assert!(report.violations.is_empty(), "{:?} {:?}", report.violations, report.errors);
    assert_eq!(figure(&report, "connections"), 20.0);
}

#[tokio::test]
async fn sessions_that_cannot_enter_are_counted() {
    let report = run(
        &Fake::start(Fault::ClosePresence).await,
        "burst --connections 7 --rooms 2 --enter --burst 0",
    )
    .await;
    assert_eq!(report.violations, ["7 sessions could not enter"]);
}

#[tokio::test]
async fn classes_are_told_apart_and_none_is_left_out() {
    let report = run(&Fake::start(Fault::None).await, MIXED).await;
    let classes: Vec<_> = report.latencies.keys().map(String::as_str).collect();
    assert_eq!(classes, ["ack", "connect", "hot", "post", "signal", "told"]);
    assert!(
        figure(&report, "went") > 5.0 && figure(&report, "slow_missed") >= 1.0,
        "{:?}",
        report.figures
    );

    let still = run(&Fake::start(Fault::None).await, &format!("{MIXED} --churn 0")).await;
    for (sent, deliveries, each) in [
        ("signals_sent", "signal_deliveries", 5.0),
        ("posts_sent", "post_deliveries", 6.0),
        ("hot_posts", "hot_deliveries", 6.0),
    ] {
        assert!(figure(&still, sent) > 10.0, "{sent}");
        assert_eq!(figure(&still, deliveries), figure(&still, sent) * each, "{deliveries}");
    }
    let all = ["signal_deliveries", "post_deliveries", "hot_deliveries"]
        .map(|name| figure(&still, name))
        .iter()
        .sum::<f64>();
    assert_eq!(figure(&still, "deliveries"), all);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_soak_tells_how_everything_went_over_time() {
    let data = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(data.path().join("wal")).expect("it can be made");
    std::fs::write(data.path().join("wal/1.wal"), [0; 1000]).expect("it can be written");
    let numbers = MIXED.trim_start_matches("mixed").replace("--stall 100ms", "--stall 20ms");
    let line = format!(
        "soak {numbers} --sample 100ms --stall-every 30ms --pid {} --data {}",
        std::process::id(),
        data.path().display()
    );
    let report = run(&Fake::start(Fault::None).await, &line).await;
    assert!(
        report.violations.is_empty() && report.errors.is_empty(),
        "{:?} {:?}",
        report.violations,
        report.errors
    );
    assert_eq!(figure(&report, "samples"), 3.0);
    assert_eq!(
        (figure(&report, "disk_bytes_max"), figure(&report, "disk_growth_percent")),
        (1000.0, 0.0)
    );
    assert!(
        report.figures.get("rss_growth_percent").is_some()
            && report.figures.get("p99_growth_percent").is_some()
    );
    assert!(
        figure(&report, "slow_stalls") >= 1.0 && figure(&report, "open_files_max") > 24.0,
        "{:?}",
        report.figures
    );
    assert_eq!(
        figure(&report, "journal_events_kept"),
        figure(&report, "journal_events"),
        "this server trims nothing"
    );
    let p99 = report
        .graphs
        .iter()
        .find(|graph| graph.title.starts_with("p99"))
        .expect("latencies were looked at");
    assert!(p99.lines.iter().any(|line| line.name == "post" && line.points.len() == 3), "{p99:?}");
}

#[tokio::test]
async fn a_greedy_user_is_shown_beside_its_neighbours() {
    for codec in ["json", "msgpack"] {
        let line = format!(
            "greedy --connections 1 --neighbours 2 --codec {codec} --only ping,read:,send,upgrade,connect"
        );
        let report = run(&Fake::start(Fault::None).await, &line).await;
        assert!(
            report.violations.is_empty() && report.errors.is_empty(),
            "{:?} {:?}",
            report.violations,
            report.errors
        );
        let rows = &report.sheets[0].rows;
        assert_eq!(rows.len(), 11, "{codec}");
        for row in rows {
            let [answered, refused] = [0, 1].map(|column| row.figures[column].unwrap_or(f64::NAN));
            assert!(answered > 0.0 && refused == 0.0, "{codec} {row:?}");
            assert!(
                row.figures[4..].iter().all(|p99| p99.is_some_and(|p99| p99 > 0.0)),
                "{codec} {row:?}"
            );
        }
    }
}
