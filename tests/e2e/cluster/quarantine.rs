//! A slot whose owners die soon after they have opened it.

use greenroom_protocol::CodecKind;
use serde_json::json;

use super::{Cluster, status, until_status};
use crate::server::Server;

/// The name of the owner of a room, once it serves the room's slot; `None` if nobody is to own it.
async fn owner(node: &Server, room: &str) -> Option<String> {
    loop {
        if status(node).await["slots"]["quarantined"] != 0 {
            return None;
        }
        let (code, body) = node.admin_get(&format!("/cluster/owner/{room}")).await;
        if code == 200 {
            let owner: serde_json::Value = serde_json::from_str(&body).expect("it is JSON");
            return Some(owner["name"].as_str().expect("a node has a name").to_owned());
        }
    }
}

#[tokio::test]
async fn a_room_that_four_owners_die_of_is_left_alone_and_says_for_how_long() {
    let mut cluster = Cluster::start(&[100, 100, 100, 100, 100, 0]).await;
    let room = cluster.room_of(1).await;
    let observer = cluster.nodes.pop().unwrap();
    let mut client = observer.client(CodecKind::Json).await;
    let mut names: Vec<_> = (0..cluster.nodes.len()).map(|n| format!("node-{n}")).collect();
    let mut killed = 0;
    while let Some(name) = owner(&observer, &room).await {
        // It serves the room, so it has opened the slot.
        super::send_at_last(&mut client, &room, 100 + killed).await;
        if owner(&observer, &room).await.as_ref() != Some(&name) {
            continue;
        }
        let at = names.iter().position(|other| *other == name).unwrap();
        names.remove(at);
        let members = cluster.nodes.len() + 1;
        cluster.nodes.remove(at).kill().await;
        killed += 1;
        until_status(&observer, "a takeover", |status| {
            status["members"].as_array().is_some_and(|all| all.len() < members)
        })
        .await;
    }
    assert_eq!(killed, 4, "the one that had it, and three more");

    let op = json!({"entity": room, "n": 200, "type": "post", "body": {}});
    let error = client.fails("send", op, "unavailable").await;
    let wait = error["data"]["retry_after_ms"].as_u64().unwrap();
    assert!((40_000..=61_000).contains(&wait), "{error}");
    let seen = status(&observer).await;
    assert_eq!(seen["slots"]["unowned"], 0, "{seen}");
    assert!(seen["quarantined"][0]["left_ms"].as_u64().unwrap() <= 60_000, "{seen}");
    let quarantined = "greenroom_cluster_slots{state=\"quarantined\"}";
    observer.until(quarantined, |slots| slots > 0.0).await;
}
