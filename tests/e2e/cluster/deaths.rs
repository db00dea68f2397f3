//! Several nodes die.

use greenroom_protocol::CodecKind;
use serde_json::Value;

use super::setup::member;
use super::{Cluster, chat, next_events, on_the_others, send_at_last, until_status};

/// Those who took over, or were given something, die next: the last one serves everything.
#[tokio::test]
async fn the_last_node_takes_over_from_all_others() {
    let mut cluster = Cluster::start(&[100, 100, 100, 100]).await;
    let (room, mut clients) = on_the_others(&cluster).await;
    let seq = chat(&room, &mut clients, 1, 1).await;
    // Two at once: one of them may be the one that is to take the other over.
    cluster.nodes.pop().unwrap().kill().await;
    cluster.nodes.pop().unwrap().kill().await;
    let [mut last, _lost] = clients;
    send_at_last(&mut last, &room, 50).await;
    until_status(&cluster.nodes[0], "a takeover of both", |status| {
        member(status, "node-2") == &Value::Null && member(status, "node-3") == &Value::Null
    })
    .await;
    // One of the two has just received the other one's share.
    cluster.nodes.pop().unwrap().kill().await;
    send_at_last(&mut last, &room, 51).await;
    until_status(&cluster.nodes[0], "all slots", |status| status["slots"]["open"] == 1024).await;
    next_events(&mut last, seq, 2).await;
    assert_eq!(last.log(&room).await.len() as u64, seq + 2);
}

#[tokio::test]
async fn the_first_to_start_takes_over_from_nodes_that_are_all_dead() {
    let mut cluster = Cluster::start(&[100, 100, 100]).await;
    let (room, mut clients) = on_the_others(&cluster).await;
    let seq = chat(&room, &mut clients, 1, 1).await;
    let mut dead = Vec::new();
    for node in cluster.nodes.drain(..) {
        dead.push(node.kill().await);
    }
    let first = dead.remove(1).start().await;
    let mut client = first.client(CodecKind::Json).await;
    // Before its slots are there, it answers `unavailable`.
    send_at_last(&mut client, &room, 1).await;
    until_status(&first, "all slots", |status| status["slots"]["open"] == 1024).await;
    assert_eq!(client.log(&room).await.len() as u64, seq + 1);
}
