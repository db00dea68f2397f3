//! Where the clients of a node go that NATS does not reach, although it reaches the others.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use super::setup::Plan;
use super::until_status;
use crate::client::Client;
use crate::storage::wire::State;

/// Everything up to the goodbye.
async fn goodbye(client: &mut Client) -> Value {
    loop {
        let (method, params) = client.notification().await;
        if method == "goodbye" {
            return params;
        }
    }
}

#[tokio::test]
async fn clients_of_a_node_that_hears_nobody_are_sent_to_the_others() {
    let cluster = Plan::default().wires().start(&[100, 100]).await;
    let node = &cluster.nodes[1];
    let mut own = node.client(CodecKind::Json).await;
    cluster.wires[1].nats.set(State::Gone);
    assert_eq!(goodbye(&mut own).await["reconnect_after_ms"], 0);
    assert_eq!(own.closed().await.0, 1001);
    until_status(node, "that it is cut off", |status| status["state"] == "deaf").await;
    node.until("greenroom_ready", |ready| ready == 0.0).await;
    let (code, body) = node.admin_get("/ready").await;
    assert!(code == 503 && body.contains("does not hear"), "{body}");
    // Whoever comes all the same is sent away as well.
    let mut again = node.client(CodecKind::Json).await;
    assert_eq!(goodbye(&mut again).await["reconnect_after_ms"], 0);

    cluster.wires[1].nats.set(State::Open);
    until_status(node, "that it is back", |status| status["state"] == "up").await;
    node.until("greenroom_ready", |ready| ready == 1.0).await;
    let mut back = node.client(CodecKind::Json).await;
    for n in 1..=20 {
        back.send("room:back", n, "post", json!({})).await;
    }
}
