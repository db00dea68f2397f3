//! SIGTERM: everything accepted is answered, all clients are told when to come back, and nothing is
//! lost.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::server::{Server, within};

#[tokio::test]
async fn everybody_receives_a_goodbye() {
    let server = Server::builder()
        .alone()
        .with("drain.reconnect_after = \"2s\"")
        .with("drain.reconnect_spread = \"3s\"")
        .start()
        .await;
    let mut clients = Vec::new();
    for index in 0..8 {
        let (mut client, _) = server
            .join(CodecKind::ALL[index % 2], json!({"subscriptions": [{"entity": "room:x"}]}))
            .await;
        client.ok("presence", json!({"entity": "room:x", "action": "enter"})).await;
        clients.push(client);
    }
    // One client has only opened its socket.
    clients.push(server.open(CodecKind::Json).await);
    server.terminate().await;
    for client in &mut clients {
        let goodbye = client.expect("goodbye").await;
        assert_eq!(goodbye["reason"], "shutting_down");
        assert!(
            goodbye["reconnect_after_ms"].as_u64().is_some_and(|ms| (2000..=5000).contains(&ms)),
            "{goodbye}"
        );
        assert_eq!(client.closed().await, (1001, "shutting_down".into()));
    }
    let (status, _) = server.ended().await;
    assert_eq!(status.code(), Some(0));
}

/// Under load, every acknowledged op is kept, and every other op is refused as shutting down or
/// left unanswered.
#[tokio::test]
async fn acknowledged_ops_survive_a_shutdown() {
    let server = Server::builder()
        .durable()
        .unlimited()
        .with("socket.max_in_flight = 1000")
        .with("kinds.room = {behaviour = \"room\", dedupe_ops = 2000}")
        .start()
        .await;
    let (mut client, hello) = server.join(CodecKind::Json, json!({})).await;
    let op = |n: u64| json!({"entity": "room:x", "n": n, "type": "post", "body": {"n": n}});
    let mut ids = Vec::new();
    for n in 1..=500 {
        ids.push((n, client.ask("send", op(n)).await));
    }
    client.answer(ids[0].1).await.expect("the first is accepted");
    server.terminate().await;
    let mut acknowledged = vec![1];
    for (n, id) in &ids[1..] {
        match client.try_answer(*id).await {
            Ok(Ok(_)) => acknowledged.push(*n),
            Ok(Err(error)) => assert_eq!(error["data"]["code"], "shutting_down", "{error}"),
            Err(close) => {
                assert_eq!(close, Some((1001, "shutting_down".into())));
                break;
            }
        }
    }
    let (status, stopped) = server.ended().await;
    assert_eq!(status.code(), Some(0));
    let server = stopped.start().await;
    let (mut client, _) = server.join(CodecKind::Json, json!({"client": hello["client"]})).await;
    let logged: Vec<Value> =
        client.log("room:x").await.iter().map(|event| event["body"]["n"].clone()).collect();
    assert!(
        acknowledged.iter().all(|n| logged.contains(&json!(n))),
        "{} acknowledged, {} in the log",
        acknowledged.len(),
        logged.len()
    );
    for n in 1..=500 {
        client.ok("send", op(n)).await;
    }
    let mut logged: Vec<u64> =
        client.log("room:x").await.iter().filter_map(|event| event["body"]["n"].as_u64()).collect();
    logged.sort_unstable();
    assert_eq!(
        logged,
        (1..=500).collect::<Vec<_>>(),
        "after the repeats each op is in the log once"
    );
}

/// A client that does not read cannot keep the server from stopping.
#[tokio::test]
async fn a_client_that_does_not_read_cannot_block_shutdown() {
    let server = Server::builder().unlimited().with("drain.deadline = \"2s\"").start().await;
    let mut deaf = crate::client::Client::open_narrow(server.address, CodecKind::Json).await;
    deaf.ok("connect", json!({"subscriptions": [{"entity": "doc:x"}]})).await;
    let half = crate::raw::Raw::connect(server.address).await;
    let mut sender = server.client(CodecKind::Json).await;
    let value = "x".repeat(30_000);
    for n in 1..=300 {
        sender.send("doc:x", n, "set", json!({"path": "/a", "value": value})).await;
    }
    server.terminate().await;
    let (status, _) = within("the end of the process", server.ended()).await;
    assert_eq!(status.code(), Some(0));
    drop((deaf, half));
}
