//! What each request can cost at the worst, and who pays for it. The table in docs/security.md names these tests.

use futures_util::future::join_all;
use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::server::Server;

/// Names are free, so many of them must not be many times the rate.
#[tokio::test]
async fn anonymous_users_of_an_address_share_a_rate() {
    const BURST: usize = 30;
    let server = Server::builder()
        .with(format!("limits.anonymous_requests_per_second = 1\nlimits.anonymous_requests_burst = {BURST}"))
        .with("auth.anonymous = true\nlimits.trusted_proxies = [\"127.0.0.0/8\"]")
        .start()
        .await;
    let pings = join_all((0..10).map(async |_| {
        let mut client = server.client(CodecKind::Json).await;
        let mut answered = 0;
        for _ in 0..10 {
            answered += usize::from(client.call("ping", json!({})).await.is_ok());
        }
        answered
    }));
    let began = std::time::Instant::now();
    let answered: usize = pings.await.into_iter().sum();
    let regained = began.elapsed().as_secs() as usize + 1;
    assert!((BURST..=BURST + regained).contains(&answered), "{answered} of 100 pings were answered");
    assert_eq!(server.sample("greenroom_closes_total{reason=\"rate_limited\"}").await, 0.0, "to be told to wait is no abuse");

    let mut neighbour = crate::client::Client::open_from(server.address, CodecKind::Json, "198.51.100.7").await;
    neighbour.ok("connect", json!({})).await;
    neighbour.ok("ping", json!({})).await;
}

/// Entities that nobody has used yet, as many as one `connect` can name.
#[tokio::test]
async fn waking_is_paid_for() {
    let server = Server::builder().with("limits.address_wakes_per_second = 1\nlimits.address_wakes_burst = 100").start().await;
    let mut client = server.client(CodecKind::Json).await;
    let mut waiting = 0;
    for index in 0..150 {
        if let Err(error) = client.call("read", json!({"entity": format!("room:new-{index}")})).await {
            assert_eq!((&error["data"]["code"], &error["data"]["reason"]), (&json!("rate_limited"), &json!("waking")));
            assert!((1..=1001).contains(&error["data"]["retry_after_ms"].as_u64().expect("a time")), "{error}");
            waiting += 1;
        }
    }
    assert!((40..=50).contains(&waiting), "{waiting} were refused");
    client.ok("read", json!({"entity": "room:new-0"})).await;
    assert_eq!(server.sample("greenroom_rate_limited_total{scope=\"waking\"}").await, f64::from(waiting));
}
