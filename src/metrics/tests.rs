use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// The type and the labels that `docs/metrics.md` gives for each metric.
fn documented() -> BTreeMap<&'static str, (&'static str, Vec<&'static str>)> {
    let rows = include_str!("../../docs/metrics.md")
        .lines()
        .filter(|line| line.starts_with("| `") && !line.starts_with("| `/"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels = cells[3]
            .split(',')
            .map(|label| label.trim().trim_matches('`'))
            .filter(|label| !label.is_empty())
            .collect();
        (cells[1].trim_matches('`'), (cells[2], labels))
    })
    .collect()
}

/// The metrics that `record` produces in a recorder of this test's own; the process's stays free.
fn local(record: impl FnOnce()) -> String {
    let recorder = builder().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let exporter = Exporter::started(handle);
        record();
        exporter.run_upkeep();
        exporter.render()
    })
}

#[test]
fn the_documentation_lists_all_declared_metrics() {
    let documented = documented();
    for metric in all() {
        assert_eq!(
            documented.get(metric.name),
            Some(&(metric.r#type.as_str(), metric.labels.to_vec())),
            "{}",
            metric.name
        );
    }
    let declared: BTreeSet<&str> =
        all().map(|metric| metric.name).chain(PROCESS.iter().copied()).collect();
    assert_eq!(documented.keys().copied().collect::<BTreeSet<_>>(), declared);
}

#[test]
fn a_scrape_has_the_documented_types_and_labels() {
    let text = local(|| {
        for metric in all() {
            match (metric.r#type, metric.labels.len()) {
                (MetricType::Counter, 0) => metric.counter_with([]).increment(1),
                (MetricType::Counter, 1) => metric.counter_with(["x"]).increment(1),
                (MetricType::Counter, _) => metric.counter_with(["x", "y"]).increment(1),
                (MetricType::Gauge, 0) => metric.gauge_with([]).set(1.0),
                (MetricType::Gauge, _) => metric.gauge_with(["x"]).set(1.0),
                (MetricType::Histogram(_), 0) => metric.histogram_with([]).record(0.5),
                (MetricType::Histogram(_), _) => metric.histogram_with(["x"]).record(0.5),
            }
        }
    });
    let types: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let expected: BTreeMap<&str, &str> =
        documented().into_iter().map(|(name, (r#type, _))| (name, r#type)).collect();
    assert_eq!(types, expected);
    for metric in all() {
        assert!(
            text.contains(&format!("# HELP {} {}", metric.name, metric.help)),
            "{} is not described",
            metric.name
        );
        for label in metric.labels {
            let labelled =
                |line: &str| line.starts_with(metric.name) && line.contains(&format!("{label}=\""));
            assert!(text.lines().any(labelled), "{} has no label {label}", metric.name);
        }
    }
}

#[test]
fn histograms_have_their_own_buckets() {
    let text = local(|| {
        core::COMMIT_BATCH_OPS.histogram_with([]).record(100.0);
        core::OP_SECONDS.histogram_with(["room"]).record(0.003);
    });
    for line in [
        "greenroom_commit_batch_ops_bucket{le=\"64\"} 0",
        "greenroom_commit_batch_ops_bucket{le=\"128\"} 1",
        "greenroom_op_seconds_bucket{kind=\"room\",le=\"0.0025\"} 0",
        "greenroom_op_seconds_bucket{kind=\"room\",le=\"0.005\"} 1",
        "greenroom_op_seconds_count{kind=\"room\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
}

#[test]
fn the_first_scrape_has_build_and_process_metrics() {
    let text = local(|| {});
    assert!(
        text.contains(&format!(
            "greenroom_build_info{{version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        )),
        "{text}"
    );
    assert!(text.contains("greenroom_ready 0"), "{text}");
    let memory =
        text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes ")).unwrap();
    assert!(memory.parse::<f64>().unwrap() > 1e6, "{memory}");
}

#[test]
fn connections_are_counted_by_reason() {
    let text = local(|| {
        let connections = ConnectionMetrics::new();
        connections.open.increment(2);
        crate::ws::Refused::new("origin", actix_http::StatusCode::FORBIDDEN, "no").note(None);
        connections.closed("slow_consumer");
    });
    for line in [
        "greenroom_connections 2",
        "greenroom_connections_refused_total{reason=\"origin\"} 1",
        "greenroom_closes_total{reason=\"slow_consumer\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
}

/// The alerts of `docs/operations/watch.md` use `increase()` and `rate()`, which need a first value.
#[test]
fn what_alerts_watch_is_there_before_it_happens() {
    let text = local(|| {
        expect_kinds(["room"]);
        drop(core::JournalMetrics::new());
        drop(core::cluster::ClusterMetrics::new());
        drop(crate::nats::NatsMetrics::new());
    });
    let alerts = include_str!("../../docs/operations/watch.md");
    let counters: Vec<&str> = alerts
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|row| row.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .filter(|word| word.starts_with("greenroom_") && word.ends_with("_total"))
        .collect();
    assert!(counters.len() > 4, "{counters:?}");
    for name in counters {
        let zero = |line: &str| line.starts_with(&format!("{name}{{")) && line.ends_with(" 0");
        assert!(text.lines().any(zero), "{name} is not in:\n{text}");
    }
}

#[test]
fn counters_from_zero_have_all_values_of_their_label() {
    for (metric, values) in FROM_ZERO {
        let (_, described) = metric.help.split_once("by ").expect("the help lists the values");
        let named: Vec<&str> = described.split('`').skip(1).step_by(2).collect();
        assert_eq!(&named, values, "{}", metric.name);
    }
}

/// Each metric with a test in which the counted thing does not happen and the metric does not move:
/// the test's file and name.
const STILL: &[(&str, &str, &str)] = &[
    ("greenroom_connections", E2E, "metrics_stand_still"),
    ("greenroom_connections_pending", E2E, "metrics_stand_still"),
    ("greenroom_connections_refused_total", E2E, "metrics_stand_still"),
    ("greenroom_closes_total", E2E, "metrics_stand_still"),
    ("greenroom_sessions", SESSION, "a_socket_is_no_session_until_it_is_admitted"),
    ("greenroom_sessions_parked", E2E, "metrics_stand_still"),
    ("greenroom_sessions_resumed_total", E2E, "metrics_stand_still"),
    ("greenroom_requests_total", E2E, "metrics_stand_still"),
    ("greenroom_rate_limited_total", E2E, "metrics_stand_still"),
    ("greenroom_entities_awake", E2E, "metrics_stand_still"),
    ("greenroom_cold_starts_total", E2E, "metrics_stand_still"),
    ("greenroom_cold_start_seconds", E2E, "metrics_stand_still"),
    ("greenroom_cold_starts_waiting", DIRECTORY, "a_loading_entity_does_not_count_as_waiting"),
    ("greenroom_ops_total", E2E, "metrics_stand_still"),
    ("greenroom_op_seconds", DIRECTORY, "an_ops_time_begins_when_its_entity_has_accepted_it"),
    ("greenroom_presence_changes_total", E2E, "metrics_stand_still"),
    ("greenroom_erasures_total", E2E, "metrics_stand_still"),
    ("greenroom_corrupt_reads_total", E2E, "metrics_stand_still"),
    ("greenroom_snapshots_total", JOURNAL, "failed_commits_are_not_counted_as_stored"),
    ("greenroom_actor_panics_total", E2E, "metrics_stand_still"),
    ("greenroom_journal_queue_ops", E2E, "metrics_stand_still"),
    ("greenroom_commit_batch_ops", JOURNAL, "failed_commits_are_not_counted_as_stored"),
    ("greenroom_commit_seconds", JOURNAL, "failed_commits_are_not_counted_as_stored"),
    ("greenroom_commits_total", JOURNAL, "failed_commits_are_not_counted_as_stored"),
    ("greenroom_trims_total", JOURNAL, "failed_commits_are_not_counted_as_stored"),
    (
        "greenroom_events_delivered_total",
        RELAY,
        "only_what_is_put_into_an_outbox_counts_as_delivered",
    ),
    (
        "greenroom_signals_delivered_total",
        RELAY,
        "only_what_is_put_into_an_outbox_counts_as_delivered",
    ),
    (
        "greenroom_signals_replaced_total",
        RELAY,
        "only_what_is_put_into_an_outbox_counts_as_delivered",
    ),
    (
        "greenroom_outbox_overflows_total",
        RELAY,
        "only_what_is_put_into_an_outbox_counts_as_delivered",
    ),
    ("greenroom_outbox_bytes", E2E, "metrics_stand_still"),
    ("greenroom_catch_up_pages_total", E2E, "metrics_stand_still"),
    ("greenroom_mailbox_refusals_total", E2E, "metrics_stand_still"),
    ("greenroom_ready", E2E, "metrics_stand_still"),
    ("greenroom_build_info", E2E, "metrics_stand_still"),
    ("greenroom_cluster_members", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_cluster_map_version", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    (
        "greenroom_cluster_lease_valid_seconds",
        CLUSTER,
        "the_metrics_of_a_quiet_cluster_stand_still",
    ),
    ("greenroom_cluster_lease_lost_total", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_cluster_takeovers_total", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_cluster_slots", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_cluster_slot_moves_total", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_cluster_handoff_seconds", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_link_frames_total", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_link_bytes_total", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_link_resends_total", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_link_resets_total", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_link_queue_bytes", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_asks_total", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_ask_seconds", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_asks_held", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_asks_again_total", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_cluster_map_age_seconds", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_link_items_total", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_link_rtt_seconds", CLUSTER, "the_metrics_of_a_quiet_cluster_stand_still"),
    ("greenroom_nats_connected", NATS, "the_metrics_of_nats_tell_what_was_lost"),
    ("greenroom_nats_reconnects_total", NATS, "the_metrics_of_nats_tell_what_was_lost"),
    ("greenroom_nats_dropped_total", NATS, "the_metrics_of_nats_tell_what_was_lost"),
];
const E2E: &str = include_str!("../../tests/e2e/still.rs");
const SESSION: &str = include_str!("../../actors/src/session/tests.rs");
const DIRECTORY: &str = include_str!("../../actors/src/directory/actor/tests.rs");
const JOURNAL: &str = include_str!("../../actors/src/journal/tests.rs");
const RELAY: &str = include_str!("../../actors/src/relay/tests.rs");
const CLUSTER: &str = include_str!("../../actors/src/node/tests/watching.rs");
const NATS: &str = include_str!("../nats/tests.rs");
/// Where the constants of metrics are declared.
const DECLARED: &str = concat!(
    include_str!("../../actors/src/metrics.rs"),
    include_str!("../../actors/src/metrics/cluster.rs"),
    include_str!("../nats/metrics.rs")
);

/// The process's own metrics are exempt.
#[test]
fn every_metric_has_a_test_in_which_it_stands_still() {
    for metric in documented().into_keys().filter(|metric| !PROCESS.contains(metric)) {
        let row = STILL.iter().find(|(known, ..)| *known == metric);
        let Some((_, file, test)) = row else {
            panic!("{metric}: add a test in which what it counts does not happen, and a row here")
        };
        let (_, body) = file
            .split_once(&format!("fn {test}("))
            .unwrap_or_else(|| panic!("{metric}: there is no test `{test}`"));
        if *file == E2E {
            assert!(
                E2E.contains(&format!("(\"{metric}")),
                "{metric} has no row in the table of `{test}`"
            );
            continue;
        }
        let (before, _) =
            DECLARED.split_once(&format!("\"{metric}\"")).expect("a metric is declared");
        let constant = before
            .rsplit_once("pub const ")
            .and_then(|(_, rest)| rest.split(':').next())
            .expect("a metric is declared by a constant");
        let body = body.split("\n}\n").next().unwrap_or_default();
        assert!(body.contains(constant), "`{test}` does not mention {constant}");
    }
}
