//! Metrics do not move while the thing they count does not happen, even if something similar does.
//!
//! `src/metrics/tests.rs` lists all metrics, each with the test in which it does not move.

use greenroom_protocol::CodecKind;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::client::Client;
use crate::raw::{Raw, upgrade};
use crate::server::{Server, http_get};

/// A metric, a label if only that series is meant, and something that the metric does not count.
const ROWS: &[(&str, &str, &str)] = &[
    ("greenroom_connections", "", "a connection is refused"),
    ("greenroom_connections", "", "a page is read"),
    ("greenroom_connections_pending", "", "a client stays"),
    ("greenroom_connections_refused_total", "", "a client stays"),
    ("greenroom_connections_refused_total", "", "a page is read"),
    ("greenroom_closes_total", "", "a connection is refused"),
    ("greenroom_closes_total", "", "a client stays"),
    ("greenroom_sessions", "", "a socket does not connect"),
    ("greenroom_sessions_parked", "", "a client says goodbye"),
    ("greenroom_sessions_resumed_total", "", "a client stays"),
    ("greenroom_requests_total", "method=\"read\"", "an op, a signal and a subscription"),
    ("greenroom_requests_total", "method=\"unknown\"", "a WebSocket ping"),
    ("greenroom_rate_limited_total", "", "requests within every rate"),
    ("greenroom_rate_limited_total", "", "requests without the right to them"),
    ("greenroom_entities_awake", "kind=\"closed\"", "requests without the right to them"),
    ("greenroom_cold_starts_total", "kind=\"closed\"", "requests without the right to them"),
    ("greenroom_cold_starts_total", "kind=\"room\"", "an op, a signal and a subscription"),
    ("greenroom_cold_start_seconds_count", "kind=\"room\"", "an op, a signal and a subscription"),
    ("greenroom_ops_total", "kind=\"room\"", "reading and signalling"),
    ("greenroom_ops_total", "kind=\"closed\"", "requests without the right to them"),
    ("greenroom_op_seconds_count", "kind=\"room\"", "a repeat and a rejection"),
    ("greenroom_ops_total", "kind=\"room\",outcome=\"accepted\"", "a repeat and a rejection"),
    ("greenroom_presence_changes_total", "", "reading and signalling"),
    ("greenroom_erasures_total", "", "a repeat and a rejection"),
    ("greenroom_corrupt_reads_total", "", "an op, a signal and a subscription"),
    ("greenroom_actor_panics_total", "", "a message that cannot be read"),
    ("greenroom_journal_queue_ops", "", "reading and signalling"),
    ("greenroom_outbox_bytes", "", "reading and signalling"),
    ("greenroom_catch_up_pages_total", "", "reading and signalling"),
    ("greenroom_mailbox_refusals_total", "", "requests without the right to them"),
    ("greenroom_mailbox_refusals_total", "", "an op, a signal and a subscription"),
    ("greenroom_ready", "", "a connection is refused"),
    ("greenroom_build_info", "", "a client stays"),
];

/// The sum of a metric's series with `label` among their labels. The canary, which is always at
/// work, does not count.
fn total(scrape: &str, metric: &str, label: &str) -> f64 {
    let series = scrape.lines().filter_map(|line| line.rsplit_once(' ')).filter(|(id, _)| {
        let name = id.split('{').next().unwrap_or_default();
        name == metric && id.contains(label) && !id.contains("kind=\".canary\"")
    });
    series.map(|(_, value)| value.parse::<f64>().expect("a sample is a number")).sum()
}

struct Story {
    server: Server,
    /// Subscribed to `room:still`, which is awake.
    client: Client,
    /// Clients that stay until the end.
    staying: Vec<Client>,
    /// The number of the client's last op.
    n: u64,
}

impl Story {
    async fn act(&mut self, what: &str) {
        let Self { server, client, staying, n } = self;
        match what {
            "a connection is refused" => {
                for request in [
                    upgrade(&[("Origin", "https://evil.test")]),
                    upgrade(&[]).replacen("/ws", "/socket", 1),
                ] {
                    let mut raw = Raw::connect(server.address).await;
                    raw.write(request.as_bytes()).await;
                    assert!(raw.http().await.status >= 400);
                }
            }
            "a page is read" => assert_eq!(http_get(server.address, "/").await.0, 200),
            "a client stays" => staying.push(server.client(CodecKind::MsgPack).await),
            "a socket does not connect" => staying.push(server.open(CodecKind::Json).await),
            "a client says goodbye" => drop(server.client(CodecKind::Json).await.close().await),
            "an op, a signal and a subscription" => {
                *n += 1;
                client.send("room:still", *n, "post", json!({})).await;
                client.event().await;
                client.ok("signal", json!({"entity": "room:still", "type": "t", "body": 1})).await;
                client.ok("subscribe", json!({"entity": "room:still"})).await;
            }
            "a WebSocket ping" => client.say_frame(Message::Ping(b"x".to_vec().into())).await,
            "requests within every rate" => drop(client.settled().await),
            "requests without the right to them" => {
                client.fails("read", json!({"entity": "closed:x"}), "forbidden").await;
                client
                    .fails(
                        "send",
                        json!({"entity": "closed:x", "type": "post", "body": {}}),
                        "forbidden",
                    )
                    .await;
            }
            "reading and signalling" => {
                client.read("room:still").await;
                client.log("room:still").await;
                client.ok("presence", json!({"entity": "room:still"})).await;
                client.ok("signal", json!({"entity": "room:still", "type": "t", "body": 1})).await;
            }
            "a repeat and a rejection" => {
                assert_eq!(
                    client.send("room:still", 1, "post", json!({})).await["duplicate"],
                    true
                );
                client
                    .fails(
                        "send",
                        json!({"entity": "room:still", "type": "explode", "body": {}}),
                        "rejected",
                    )
                    .await;
            }
            "a message that cannot be read" => {
                client.say_frame(Message::text("{")).await;
                client.unread().await;
            }
            other => panic!("unknown action `{other}`"),
        }
        client.settled().await;
    }
}

#[tokio::test]
async fn metrics_stand_still() {
    let closed = "kinds.closed = {behaviour = \"room\", anonymous_permissions = []}\nkinds.room = {behaviour = \"room\"}";
    let server =
        Server::builder().with(closed).with("socket.connect_timeout = \"1h\"").start().await;
    server.until("greenroom_ready", |ready| ready == 1.0).await;
    let mut client = server.client(CodecKind::Json).await;
    client.subscribe("room:still").await;
    client.send("room:still", 1, "post", json!({})).await;
    client.event().await;
    let mut story = Story { server, client, staying: Vec::new(), n: 1 };
    for (metric, label, what) in ROWS {
        // Gauges may lag a moment behind earlier actions.
        story.server.until("greenroom_connections_pending", |pending| pending == 0.0).await;
        story.server.until("greenroom_outbox_bytes", |bytes| bytes == 0.0).await;
        let before = total(&story.server.scrape().await, metric, label);
        story.act(what).await;
        story.server.until("greenroom_connections_pending", |pending| pending == 0.0).await;
        story.server.until("greenroom_outbox_bytes", |bytes| bytes == 0.0).await;
        let after = total(&story.server.scrape().await, metric, label);
        assert_eq!(after, before, "`{metric}` moved, though all that happened was: {what}");
    }
    story.server.assert_serves().await;
}

/// Prometheus' `increase()` does not see the first count of a series that begins with it.
#[tokio::test]
async fn what_alerts_watch_is_zero_from_the_start() {
    let server = Server::builder().with("kinds.hall.behaviour = \"room\"").start().await;
    server.until("greenroom_ready", |ready| ready == 1.0).await;
    let scrape = server.scrape().await;
    for series in [
        "greenroom_commits_total{outcome=\"failed\"}",
        "greenroom_commits_total{outcome=\"unknown\"}",
        "greenroom_mailbox_refusals_total{mailbox=\"directory\"}",
        "greenroom_mailbox_refusals_total{mailbox=\"entity\"}",
        "greenroom_mailbox_refusals_total{mailbox=\"journal\"}",
        "greenroom_mailbox_refusals_total{mailbox=\"outboxes\"}",
        "greenroom_connections_refused_total{reason=\"limit\"}",
        "greenroom_actor_panics_total{actor=\"entity\"}",
        "greenroom_actor_panics_total{actor=\"session\"}",
        "greenroom_corrupt_reads_total{kind=\"hall\"}",
    ] {
        assert!(scrape.lines().any(|line| line == format!("{series} 0")), "{series}:\n{scrape}");
    }
}
