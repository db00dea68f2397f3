use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// What `docs/metrics.md` says of each metric: its type and its labels.
fn documented() -> BTreeMap<&'static str, (&'static str, Vec<&'static str>)> {
    let rows = include_str!("../../docs/metrics.md").lines().filter(|line| line.starts_with("| `") && !line.starts_with("| `/"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels = cells[3].split(',').map(|label| label.trim().trim_matches('`')).filter(|label| !label.is_empty()).collect();
        (cells[1].trim_matches('`'), (cells[2], labels))
    })
    .collect()
}

/// An exporter of this test's own: the recorder of the process stays free.
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
fn the_documentation_lists_what_is_declared() {
    let documented = documented();
    for metric in all() {
        assert_eq!(documented.get(metric.name), Some(&(metric.r#type.as_str(), metric.labels.to_vec())), "{}", metric.name);
    }
    let declared: BTreeSet<&str> = all().map(|metric| metric.name).chain(PROCESS.iter().copied()).collect();
    assert_eq!(documented.keys().copied().collect::<BTreeSet<_>>(), declared);
}

#[test]
fn a_scrape_has_the_types_and_labels_that_are_documented() {
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
    let types: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let expected: BTreeMap<&str, &str> = documented().into_iter().map(|(name, (r#type, _))| (name, r#type)).collect();
    assert_eq!(types, expected);
    for metric in all() {
        assert!(text.contains(&format!("# HELP {} {}", metric.name, metric.help)), "{} is not described", metric.name);
        for label in metric.labels {
            let labelled = |line: &str| line.starts_with(metric.name) && line.contains(&format!("{label}=\""));
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
fn the_first_scrape_tells_the_build_and_the_process() {
    let text = local(|| {});
    assert!(text.contains(&format!("greenroom_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))), "{text}");
    assert!(text.contains("greenroom_ready 0"), "{text}");
    let memory = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes ")).unwrap();
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
