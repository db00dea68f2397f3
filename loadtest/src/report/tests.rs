use super::*;

fn report() -> Report {
    let args = serde_json::json!({ "rate": 100 });
    let mut report =
        Report::empty("fanout <1>", SystemTime::UNIX_EPOCH, &args).expect("it is JSON");
    report.figures.add("deliveries_per_s", 123_456.789);
    report.figures.add_known("server_cpu_percent", Some(f64::NAN));
    let lane = crate::stats::Latencies::default();
    lane.record((1..=1000).map(|us| us * 10));
    let sample = |at_s| Sample {
        at_s,
        deliveries_per_s: 100.0,
        acks_per_s: 0.0,
        connects_per_s: 0.0,
        p50_us: Some(5000),
        p99_us: Some(9900),
    };
    report.latencies.insert("delivery".to_owned(), lane.summary());
    report.series = vec![sample(1.0), sample(2.0)];
    report.errors.insert("rate_limited".to_owned(), 3);
    report
}

#[test]
fn json_has_stable_names() {
    let json = serde_json::to_value(report()).expect("it serializes");
    let mut names: Vec<_> =
        json.as_object().expect("it is an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    let want = "errors figures latencies machine parameters scenario series server started_at version violations window_s";
    assert_eq!(names.join(" "), want);
    assert_eq!(
        json["figures"],
        serde_json::json!({ "deliveries_per_s": 123_456.789 }),
        "what is no number is left out"
    );
    assert_eq!(json["started_at"], "1970-01-01T00:00:00Z");
    assert_eq!(json["latencies"]["delivery"]["p99_us"], 9903, "three digits are kept");
}

#[test]
fn the_table_shows_figures_errors_and_the_verdict() {
    let mut report = report();
    let text = table::render(&report);
    for part in ["fanout <1>", "123,457", "error rate_limited: 3", "all promises kept"] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    report.expect_none(0, "lost");
    report.expect_none(2, "lost");
    let text = table::render(&report);
    assert!(text.contains("NOT KEPT: 2 lost") && !text.contains("all promises kept"), "{text}");
}

#[test]
fn numbers() {
    for (value, want) in [
        (0.0, "0"),
        (12.345, "12.35"),
        (999.0, "999"),
        (1000.4, "1,000"),
        (1_234_567.0, "1,234,567"),
        (-4.5, "-4.50"),
    ] {
        assert_eq!(sheet::number(value), want);
    }
}

#[test]
fn the_page_stands_alone() {
    let page = html::page(&[report(), report()]);
    assert_eq!(page.matches("<section>").count(), 2);
    assert_eq!(
        page.matches("<svg ").count(),
        6,
        "percentiles, rates and latency over time for each"
    );
    assert!(page.contains("fanout &lt;1&gt;") && !page.contains("fanout <1>"), "text is escaped");
    for outside in ["http:", "https:", "src=", "href=", "<script", "@import", "url("] {
        assert!(!page.contains(outside), "`{outside}` loads something");
    }
    assert!(!page.contains("NaN") && !page.contains("inf"), "every coordinate is a number");
}
