//! More of what operators order, and ask.

use std::time::{Duration, Instant};

use serde_json::json;

use super::setup::Plan;
use super::steering::order;
use super::{Cluster, status, until_status};
use crate::server::within;

#[tokio::test]
async fn a_drain_is_taken_back() {
    let cluster = Cluster::start(&[100, 100]).await;
    let [first, second] = &cluster.nodes[..] else { panic!("there are two") };
    assert_eq!(order(first, "drain", json!({}), None).await.0, 202);
    until_status(second, "all slots", |status| status["slots"]["open"] == 1024).await;
    assert_eq!(status(first).await["phase"], "draining");
    assert_eq!(order(first, "uncordon", json!({}), None).await.0, 202);
    until_status(first, "its share", |status| status["slots"]["open"] == 512).await;
    first.until("greenroom_ready", |ready| ready == 1.0).await;
}

#[tokio::test]
async fn the_owner_of_an_id_with_slashes_is_found() {
    let cluster = Cluster::start(&[100]).await;
    let node = &cluster.nodes[0];
    for path in ["doc:a/b", "doc:a%2Fb", "doc%3Aa/b"] {
        let (code, body) = node.admin_get(&format!("/cluster/owner/{path}")).await;
        assert!(code == 200 && body.contains("node-0"), "{path}: {code} {body}");
    }
    let (code, body) = node.admin_get("/cluster/owner/doc").await;
    assert!(code == 400 && body.contains("`doc` is not an entity"), "{code} {body}");
}

#[tokio::test]
async fn a_stop_without_the_database_ends_in_time() {
    let mut cluster = Plan::default()
        .with("cluster.drain = \"1s\"")
        .with("drain.deadline = \"2s\"")
        .start(&[100])
        .await;
    let node = cluster.nodes.pop().unwrap();
    cluster.database.kill().await;
    until_status(&node, "the end of its lease", |status| status["lease_ms"] == 0).await;
    let begun = Instant::now();
    node.terminate().await;
    let (ended, _) = node.ended().await;
    // A second to hand over, half a second and two for the clients, and two for the journal.
    assert_eq!(ended.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_entity_stays_where_it_is_pinned_although_its_node_restarts() {
    let mut cluster = Cluster::start(&[100, 100]).await;
    let room = cluster.room_of(0).await;
    let pin = json!({"entity": room, "node": "node-1"});
    assert_eq!(order(&cluster.nodes[0], "pin", pin, None).await.0, 202);
    let owner = format!("/cluster/owner/{room}");
    let is_at = async |cluster: &Cluster, name: &str| {
        within("the owner", async {
            while !cluster.nodes[0].admin_get(&owner).await.1.contains(name) {}
        })
        .await;
    };
    is_at(&cluster, "node-1").await;
    let seen = status(&cluster.nodes[0]).await;
    assert_eq!(seen["pins"], json!([{"entity": room, "node": "node-1"}]));

    let killed = cluster.nodes.pop().unwrap().kill().await;
    is_at(&cluster, "node-0").await;
    cluster.nodes.push(killed.start().await);
    is_at(&cluster, "node-1").await;

    let unpin = json!({"entity": room});
    assert_eq!(order(&cluster.nodes[1], "unpin", unpin, None).await.0, 202);
    until_status(&cluster.nodes[0], "no pins", |status| status["pins"] == json!([])).await;
    let (code, said) =
        order(&cluster.nodes[0], "pin", json!({"entity": room, "node": "nobody"}), None).await;
    assert!(code == 409 && said["error"].to_string().contains("no member is called"), "{said}");
}
