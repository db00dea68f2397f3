//! The operators' endpoints: `/live`, `/ready`, `/metrics`.

use std::collections::{BTreeMap, BTreeSet};

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::server::{Server, within};

#[tokio::test]
async fn live_and_ready() {
    let server = Server::builder().start().await;
    let (status, body) = server.admin_get("/live").await;
    assert_eq!(
        (status, serde_json::from_str::<Value>(&body).expect("JSON")),
        (200, json!({"status": "live"}))
    );
    // The node becomes ready once the canary's op has been through an entity and the store; nothing
    // else is needed.
    let ready = async {
        loop {
            let (status, body) = server.admin_get("/ready").await;
            let body: Value = serde_json::from_str(&body).expect("JSON");
            if status == 200 {
                return body;
            }
            assert_eq!((status, &body["status"]), (503, &json!("not_ready")));
            assert!(body["reason"].is_string(), "{body}");
        }
    };
    assert_eq!(within("readiness", ready).await, json!({"status": "ready"}));
    assert_eq!(server.sample("greenroom_ready").await, 1.0);
    assert_eq!(server.admin_get("/nothing").await.0, 404);
}

/// The names in the tables of docs/metrics.md, with their types.
fn documented() -> BTreeMap<String, String> {
    let text = include_str!("../../docs/metrics.md");
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let name = cells.next()?.trim().trim_end_matches('`').to_owned();
        Some((name, cells.next()?.trim().to_owned()))
    });
    rows.filter(|(name, _)| name.starts_with("greenroom_") || name.starts_with("process_"))
        .collect()
}

#[tokio::test]
async fn a_scrape_is_well_formed_and_documented() {
    let server = Server::builder().alone().start().await;
    let mut client = server.client(CodecKind::Json).await;
    client.subscribe("room:m").await;
    client.send("room:m", 1, "post", json!({})).await;
    client.event().await;
    client.fails("read", json!({"entity": "nothing:x"}), "unknown_kind").await;
    let scrape = server.scrape().await;
    let documented = documented();
    assert!(documented.len() > 25, "{documented:?}");
    let mut types = BTreeMap::new();
    let mut series = BTreeSet::new();
    for line in scrape.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, r#type) = rest.split_once(' ').expect("a name and a type");
            assert_eq!(
                documented.get(name).map(String::as_str),
                Some(r#type),
                "docs/metrics.md has {name}"
            );
            assert!(
                types.insert(name.to_owned(), r#type.to_owned()).is_none(),
                "{name} has two types"
            );
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        assert!(!line.starts_with('#'), "{line}");
        let (id, value) = line.rsplit_once(' ').expect("a sample has a value");
        value.parse::<f64>().unwrap_or_else(|_| panic!("not a number: {line}"));
        assert!(series.insert(id.to_owned()), "{id} is in the scrape twice");
        let name = id.split('{').next().expect("a split has a first part");
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
            name.strip_suffix(suffix)
                .filter(|family| types.get(*family).is_some_and(|r#type| r#type == "histogram"))
        });
        assert!(types.contains_key(family.unwrap_or(name)), "{name} has no type");
    }
    for wanted in [
        "greenroom_connections 1",
        "greenroom_sessions 1",
        "greenroom_ops_total{kind=\"room\",outcome=\"accepted\"} 1",
        "greenroom_events_delivered_total 1",
        "greenroom_requests_total{method=\"read\",outcome=\"unknown_kind\"} 1",
        "greenroom_op_seconds_count{kind=\"room\"} 1",
    ] {
        assert!(scrape.lines().any(|line| line == wanted), "no `{wanted}` in:\n{scrape}");
    }
    assert!(!scrape.contains("room:m"), "no label names an entity");
}
