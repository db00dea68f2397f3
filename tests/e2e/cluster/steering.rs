//! What operators see of a cluster, and order.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use super::{ACCEPTED, Cluster, status, until_status};
use crate::server::{Server, within};

/// Sends an order; returns the status code and the body.
pub async fn order(node: &Server, name: &str, body: Value, origin: Option<&str>) -> (u16, Value) {
    let url = format!("http://{}/cluster/{name}", node.admin);
    let origin = origin.map(str::to_owned);
    let asked = tokio::task::spawn_blocking(move || {
        let agent =
            ureq::Agent::from(ureq::Agent::config_builder().http_status_as_error(false).build());
        let mut request = agent.post(&url);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let mut response = request.send(body.to_string()).expect("the node answers");
        (response.status().as_u16(), response.body_mut().read_to_string().expect("it is text"))
    });
    let (status, text) = within(name, asked).await.expect("asking does not panic");
    (status, serde_json::from_str(&text).expect("the answer is JSON"))
}

#[tokio::test]
async fn operators_move_slots() {
    let cluster = Cluster::start(&[100, 100]).await;
    let [first, second] = &cluster.nodes[..] else { panic!("there are two") };
    let (code, said) = order(first, "move", json!({"slots": 12, "to": "node-1"}), None).await;
    assert_eq!((code, &said["accepted"]), (202, &json!("move")), "{said}");
    until_status(second, "524 slots", |status| status["slots"]["open"] == 524).await;

    let room = cluster.room_of(0).await;
    let (code, said) = order(first, "move", json!({"entity": room, "to": "node-1"}), None).await;
    assert_eq!(code, 202, "{said}");
    until_status(second, "another slot", |status| status["slots"]["open"] == 525).await;
    let mut client = first.client(CodecKind::Json).await;
    let before = second.sample(ACCEPTED).await;
    client.send(&room, 2, "post", json!({})).await;
    assert_eq!(second.sample(ACCEPTED).await, before + 1.0);

    let (code, said) = order(first, "drain", json!({}), None).await;
    assert_eq!(code, 202, "{said}");
    until_status(second, "all slots", |status| status["slots"]["open"] == 1024).await;
    let seen = status(first).await;
    assert_eq!((&seen["phase"], &seen["slots"]["open"]), (&json!("draining"), &json!(0)), "{seen}");
    client.send(&room, 3, "post", json!({})).await;
}

#[tokio::test]
async fn what_is_no_order_is_refused() {
    let cluster = Cluster::start(&[100]).await;
    let node = &cluster.nodes[0];
    let (code, said) = order(node, "drain", json!({}), Some("https://evil.test")).await;
    assert_eq!(code, 403, "{said}");
    let (code, said) = order(node, "move", json!({"slots": 1, "to": "nobody"}), None).await;
    assert_eq!(code, 409, "{said}");
    assert!(
        said["error"]
            .as_str()
            .unwrap()
            .starts_with("no member is called `nobody`; there are node-0")
    );
    let (code, said) = order(node, "move", json!({"slots": "all"}), None).await;
    assert_eq!(code, 400, "{said}");
    let (code, said) = order(node, "explode", json!({}), None).await;
    assert_eq!(code, 404, "{said}");
    let alone = Server::builder().alone().start().await;
    let (code, body) = alone.admin_get("/cluster").await;
    assert_eq!(code, 404, "{body}");
}
