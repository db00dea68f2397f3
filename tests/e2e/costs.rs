//! What each request can cost at the worst, and who pays for it. The table in docs/security.md names these tests.

use futures_util::future::join_all;
use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::limits::{burst, request};
use crate::raw::Raw;
use crate::server::Server;

/// What waits for all clients together.
const WAITING: &str = "greenroom_outbox_bytes";
const MEMORY: &str = "process_resident_memory_bytes";

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

/// Large rooms, and clients that ask for them again and again in one write and take nothing. They cost what one client may hold
/// up, whatever they ask for; and whoever comes then is served.
#[tokio::test]
async fn answers_nobody_takes_cost_little_and_newcomers_are_served() {
    const CLIENTS: usize = 16;
    let mut server = Server::builder()
        .with("kinds.room = {behaviour = \"room\", max_state_bytes = \"4MiB\", ops_per_second = 100000}")
        .unlimited()
        .start()
        .await;
    let rooms = ["room:large-0", "room:large-1"];
    let mut author = server.client(CodecKind::MsgPack).await;
    let text = "x".repeat(32_000);
    for room in rooms {
        for n in 1..=100 {
            author.send(room, n, "post", json!({"text": text})).await;
        }
    }
    let state = author.ok("read", json!({"entity": rooms[0]})).await["state"]["messages"].as_array().expect("messages").len();
    assert_eq!(state, 100, "the state is as large as it may be");

    let before = server.sample(MEMORY).await;
    let mut deaf = Vec::new();
    for index in 0..CLIENTS {
        let codec = CodecKind::ALL[index % 2];
        let mut raw = Raw::connect_narrow(server.address).await.upgraded(codec).await;
        let asks = [("read", json!({})), ("history", json!({"limit": 1000})), ("subscribe", json!({})), ("presence", json!({}))];
        let connect = request(1, "connect", json!({}));
        let requests = (0..64).map(|id| {
            let (method, mut params) = asks[if index < 8 { 0 } else { id % 4 }].clone();
            params["entity"] = json!(rooms[id % 2]);
            request(id as u64 + 2, method, params)
        });
        raw.write(&burst(codec, &std::iter::once(connect).chain(requests).collect::<Vec<_>>())).await;
        deaf.push(raw);
    }
    server.until(WAITING, |bytes| bytes > 1e6).await;
    let mut newcomer = server.client(CodecKind::Json).await;
    let (state, mut most) = (newcomer.ok("read", json!({"entity": rooms[1]})).await, 0.0_f64);
    assert_eq!(state["state"]["messages"].as_array().map(Vec::len), Some(100));
    newcomer.subscribe(rooms[0]).await;
    // Whatever else they ask for: nothing more is read from them.
    for _ in 0..20 {
        newcomer.ok("ping", json!({})).await;
        most = most.max(server.sample(MEMORY).await - before);
    }
    let waiting = server.sample(WAITING).await;
    eprintln!("{waiting} bytes wait; memory grew by {most}");
    assert!(most < 150e6, "{CLIENTS} clients that take nothing have cost {most} bytes");
    drop(deaf);
    server.until(WAITING, |bytes| bytes == 0.0).await;
    server.assert_serves().await;
}
