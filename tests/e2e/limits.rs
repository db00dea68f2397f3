//! Limits: whatever exceeds one is refused with its error, and everything else goes through.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::raw::{BINARY, FIN, Raw, TEXT, frame, upgrade};
use crate::server::Server;
use crate::token::SECRET;

/// Encodes several requests for one write, so that none can be answered before the last has
/// arrived.
pub fn burst(codec: CodecKind, requests: &[Value]) -> Vec<u8> {
    let one = |request: &Value| match codec {
        CodecKind::Json => frame(FIN | TEXT, request.to_string().as_bytes()),
        CodecKind::MsgPack => {
            frame(FIN | BINARY, &rmp_serde::to_vec_named(request).expect("JSON is MessagePack too"))
        }
    };
    requests.iter().flat_map(one).collect()
}

pub fn request(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// Reads the answers to `count` requests on a raw socket, and sorts them by id.
pub async fn answers(raw: &mut Raw, codec: CodecKind, count: usize) -> Vec<Value> {
    let mut answers: Vec<Value> = Vec::new();
    while answers.len() < count {
        let (_, payload) = raw.read_frame().await.expect("every request is answered");
        let message: Value = match codec {
            CodecKind::Json => serde_json::from_slice(&payload).expect("JSON"),
            CodecKind::MsgPack => rmp_serde::from_slice(&payload).expect("MessagePack"),
        };
        answers.push(message);
    }
    answers.sort_unstable_by_key(|answer| answer["id"].as_u64());
    answers
}

/// Sends two reads in one write when only one may be in flight, and returns the error.
pub async fn too_many_in_flight(codec: CodecKind) -> Value {
    let server = Server::builder().with("socket.max_in_flight = 1").start().await;
    let mut raw = Raw::websocket(server.address, codec).await;
    let reads = [
        request(2, "read", json!({"entity": "room:a"})),
        request(3, "read", json!({"entity": "room:b"})),
    ];
    raw.write(&burst(codec, &[&[request(1, "connect", json!({}))], &reads[..]].concat())).await;
    let answers = answers(&mut raw, codec, 3).await;
    assert!(answers[1].get("result").is_some(), "the first is accepted: {}", answers[1]);
    answers[2]["error"].clone()
}

async fn requests_in_flight_are_bounded(codec: CodecKind) {
    let error = too_many_in_flight(codec).await;
    assert_eq!(error["data"]["code"], "too_many_in_flight", "{error}");
}

/// As many requests as `connect` allows at once, all for a sleeping entity: no queue is full for
/// any of them.
async fn all_allowed_requests_in_flight_are_accepted(codec: CodecKind) {
    // All of these clients are anonymous and come from one address.
    let server = Server::builder().with("limits.anonymous_requests_burst = 1000").start().await;
    for round in 0..10 {
        let mut raw = Raw::websocket(server.address, codec).await;
        let op = |n| json!({"entity": format!("doc:cold-{round}"), "n": n, "type": "increment", "body": {"path": "/a", "by": 1}});
        let ops = (1..=64).map(|n| request(n + 1, "send", op(n)));
        raw.write(&burst(
            codec,
            &[request(1, "connect", json!({}))].into_iter().chain(ops).collect::<Vec<_>>(),
        ))
        .await;
        for answer in answers(&mut raw, codec, 65).await {
            assert!(answer.get("result").is_some(), "{answer}");
        }
    }
}

/// Waits as long as an error says: what is tested is that this is long enough.
async fn wait_as_told(error: &Value) {
    let ms = error["data"]["retry_after_ms"].as_u64().expect("the error has a retry time");
    tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
}

async fn rates_per_connection(codec: CodecKind) {
    let server = Server::builder()
        .with("limits.requests_per_second = 2\nlimits.requests_burst = 3")
        .start()
        .await;
    let mut client = server.client(codec).await;
    let ids = [
        client.ask("ping", json!({})).await,
        client.ask("ping", json!({})).await,
        client.ask("ping", json!({})).await,
    ];
    let mut refused = None;
    for id in ids {
        if let Err(error) = client.answer(id).await {
            assert_eq!(
                (&error["data"]["code"], &error["data"]["reason"]),
                (&json!("rate_limited"), &json!("requests"))
            );
            refused = Some(error);
        }
    }
    wait_as_told(&refused.expect("a burst of 3 does not hold 4")).await;
    client.ok("ping", json!({})).await;
    let mut other = server.client(codec).await;
    other.ok("ping", json!({})).await;

    let server = Server::builder()
        .with("socket.max_message_bytes = 1024\nsocket.max_frame_bytes = 1024\nlimits.bytes_per_second = 1024\nlimits.bytes_burst = 1200")
        .with("kinds.room = {behaviour = \"room\", max_body_bytes = 900}")
        .start()
        .await;
    let mut client = server.client(codec).await;
    let large = |n: u64| json!({"entity": "room:x", "n": n, "type": "post", "body": {"text": "x".repeat(700)}});
    client.ok("send", large(1)).await;
    let error = client.fails("send", large(2), "rate_limited").await;
    assert_eq!(error["data"]["reason"], "bytes");
    wait_as_told(&error).await;
    let sent = client.ok("send", large(2)).await;
    assert_eq!(
        (&sent["seq"], sent.get("duplicate")),
        (&json!(2), None),
        "the refused one was not executed"
    );
}

async fn rates_per_user_and_entity(codec: CodecKind) {
    let server = Server::builder()
        .with(SECRET)
        .with("limits.user_requests_per_second = 1\nlimits.user_requests_burst = 3")
        .with("kinds.doc = {behaviour = \"document\", ops_per_second = 1, ops_burst = 2}")
        .start()
        .await;
    let token = server.token("alice", &[]).await;
    let (mut one, _) = server.join(codec, json!({"token": token})).await;
    let (mut two, _) = server.join(codec, json!({"token": token})).await;
    for client in [&mut one, &mut two] {
        client.ok("read", json!({"entity": "doc:x"})).await;
    }
    one.ok("read", json!({"entity": "doc:x"})).await;
    let error = two.fails("read", json!({"entity": "doc:x"}), "rate_limited").await;
    assert_eq!(error["data"]["reason"], "user", "all connections of one user count together");

    let mut senders: Vec<Client> =
        vec![server.client(codec).await, server.client(codec).await, server.client(codec).await];
    let mut outcomes = Vec::new();
    for sender in &mut senders {
        outcomes
            .push(sender.call("send", json!({"entity": "doc:hot", "n": 1, "type": "increment", "body": {"path": "/a", "by": 1}})).await);
    }
    let error = outcomes.remove(2).expect_err("a burst of 2 does not hold 3");
    assert_eq!(
        (&error["data"]["code"], &error["data"]["reason"]),
        (&json!("rate_limited"), &json!("entity"))
    );
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    for scope in ["user", "entity"] {
        assert_eq!(
            server.sample(&format!("greenroom_rate_limited_total{{scope=\"{scope}\"}}")).await,
            1.0
        );
    }
}

/// WebSocket pings count as requests too.
#[tokio::test]
async fn a_flood_of_pings_counts_as_abuse() {
    let server = Server::builder()
        .with("limits.requests_per_second = 1\nlimits.requests_burst = 5\nlimits.abuse_after = 20")
        .start()
        .await;
    let mut raw = Raw::websocket(server.address, CodecKind::Json).await;
    let flood: Vec<u8> = (0..100).flat_map(|_| frame(FIN | crate::raw::PING, b"")).collect();
    raw.write(&flood).await;
    assert_eq!(raw.closed().await, (4008, "rate_limited".into()));
}

#[tokio::test]
async fn connections_are_bounded() {
    let mut server = Server::builder().with("socket.max_connections = 3").start().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(server.client(CodecKind::Json).await);
    }
    let mut raw = Raw::connect(server.address).await;
    raw.write(upgrade(&[]).as_bytes()).await;
    let refused = raw.http().await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.head.contains("retry-after:"), "{refused:?}");
    for client in &mut clients {
        client.ok("ping", json!({})).await;
    }
    clients.pop().expect("there are three").close().await;
    server.until("greenroom_connections", |open| open == 2.0).await;
    server.assert_serves().await;
}

#[tokio::test]
async fn connections_per_address_are_bounded() {
    let server = Server::builder()
        .with("auth.anonymous = true\nlimits.connections_per_address = 2\nlimits.trusted_proxies = [\"127.0.0.0/8\"]")
        .start()
        .await;
    let from = async |address: &str| {
        let mut raw = Raw::connect(server.address).await;
        raw.write(upgrade(&[("X-Forwarded-For", address)]).as_bytes()).await;
        let status = raw.http_head().await.status;
        (raw, status)
    };
    let first = from("198.51.100.7").await;
    let second = from("203.0.113.1, 198.51.100.7").await;
    assert_eq!((first.1, second.1), (101, 101));
    assert_eq!(from("198.51.100.7").await.1, 429);
    assert_eq!(from("198.51.100.8").await.1, 101, "another address has its own limit");
    drop((first, second));

    let server =
        Server::builder().with("limits.connections_per_address_per_second = 1\nlimits.connections_per_address_burst = 2").start().await;
    let _open = [server.client(CodecKind::Json).await, server.client(CodecKind::Json).await];
    let mut raw = Raw::connect(server.address).await;
    raw.write(upgrade(&[]).as_bytes()).await;
    let refused = raw.http().await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(server.sample("greenroom_connections_refused_total{reason=\"rate\"}").await, 1.0);
}

async fn subscriptions_are_bounded(codec: CodecKind) {
    let server = Server::builder().with("socket.max_subscriptions = 2").start().await;
    let listed: Vec<Value> =
        (0..3).map(|index| json!({"entity": format!("room:{index}")})).collect();
    let (mut client, hello) = server.join(codec, json!({"subscriptions": listed})).await;
    let outcomes = hello["subscriptions"].as_array().expect("outcomes");
    assert!(outcomes[0].get("result").is_some() && outcomes[1].get("result").is_some(), "{hello}");
    assert_eq!(outcomes[2]["error"]["data"]["code"], "too_many_subscriptions");
    client.ok("unsubscribe", json!({"entity": "room:0"})).await;
    client.subscribe("room:9").await;
    client.fails("subscribe", json!({"entity": "room:0"}), "too_many_subscriptions").await;
    assert_eq!(hello["limits"]["max_subscriptions"], 2, "the client knows the limit");
}

mod codecs {
    crate::over_both_codecs!(requests_in_flight_are_bounded);
    crate::over_both_codecs!(all_allowed_requests_in_flight_are_accepted);
    crate::over_both_codecs!(rates_per_connection);
    crate::over_both_codecs!(rates_per_user_and_entity);
    crate::over_both_codecs!(subscriptions_are_bounded);
}
