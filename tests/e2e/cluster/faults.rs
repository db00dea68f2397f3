//! What clients see when a node, NATS or the database fails.

use greenroom_protocol::CodecKind;
use serde_json::json;

use super::{Cluster, chat, next_events, on_the_others, send_at_last, status, until_status};
use crate::server::within;

#[tokio::test]
async fn others_take_over_from_a_node_that_is_killed() {
    let mut cluster = Cluster::start(&[100, 100, 100]).await;
    let (room, mut clients) = on_the_others(&cluster).await;
    let seq = chat(&room, &mut clients, 1, 1).await;
    let killed = cluster.nodes.pop().unwrap().kill().await;
    let seq = chat(&room, &mut clients, 100, seq).await;
    // It comes back as another node.
    cluster.nodes.push(killed.start().await);
    cluster.nodes[2].until("greenroom_ready", |value| value == 1.0).await;
    let mut third = cluster.nodes[2].client(CodecKind::Json).await;
    third.subscribe(&room).await;
    send_at_last(&mut third, &room, 1).await;
    assert_eq!(third.event().await["seq"], seq + 1);
}

#[tokio::test]
async fn a_node_that_was_stopped_comes_back_without_what_others_have_taken() {
    let cluster = Cluster::start(&[100, 100, 100]).await;
    let (room, mut clients) = on_the_others(&cluster).await;
    let mut own = cluster.nodes[2].client(CodecKind::Json).await;
    own.subscribe(&room).await;
    let before = chat(&room, &mut clients, 1, 1).await;
    next_events(&mut own, 1, 10).await;
    cluster.nodes[2].signal("-STOP").await;
    let seq = chat(&room, &mut clients, 100, before).await;
    cluster.nodes[2].signal("-CONT").await;
    // Its session lives on, and reads what it missed.
    next_events(&mut own, before, 10).await;
    send_at_last(&mut own, &room, 1).await;
    next_events(&mut own, seq, 1).await;
    assert!(cluster.nodes[2].sample("greenroom_cluster_lease_lost_total").await >= 1.0);
}

#[tokio::test]
async fn a_node_that_stops_hands_its_entities_over_without_an_error() {
    let mut cluster = Cluster::start(&[100, 100, 100]).await;
    let (room, mut clients) = on_the_others(&cluster).await;
    let mut own = cluster.nodes[2].client(CodecKind::Json).await;
    own.subscribe(&room).await;
    let seq = chat(&room, &mut clients, 1, 1).await;
    next_events(&mut own, 1, 10).await;
    let stopping = cluster.nodes.pop().unwrap();
    stopping.terminate().await;
    // Without a number, so that nothing is repeated: each must be answered.
    let mut sent = 0;
    let gone = async {
        loop {
            let op = json!({"entity": room, "type": "post", "body": {}});
            clients[0].ok("send", op).await;
            sent += 1;
            if sent > 20
                && status(&cluster.nodes[0]).await["members"].as_array().unwrap().len() == 2
            {
                return;
            }
        }
    };
    within("the end of the node", gone).await;
    next_events(&mut clients[1], seq, sent).await;
    let goodbye = loop {
        let (method, params) = own.notification().await;
        if method == "goodbye" {
            break params;
        }
    };
    assert_eq!(goodbye["reconnect_after_ms"], 0, "to another node, at once: {goodbye}");
    let (ended, _) = stopping.ended().await;
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test]
async fn nothing_is_lost_while_nats_is_away() {
    let mut cluster = Cluster::start(&[100, 100, 100]).await;
    let (room, mut clients) = on_the_others(&cluster).await;
    let seq = chat(&room, &mut clients, 1, 1).await;
    cluster.nats[0].kill();
    let one = clients[0].ask("send", json!({"entity": room, "n": 50, "type": "post", "body": {}}));
    let one = one.await;
    cluster.nats[0].restart();
    if clients[0].answer(one).await.is_err() {
        send_at_last(&mut clients[0], &room, 50).await;
    }
    next_events(&mut clients[1], seq, 1).await;
    next_events(&mut clients[0], seq, 1).await;
    chat(&room, &mut clients, 100, seq + 1).await;
}

#[tokio::test]
async fn nothing_moves_while_the_database_is_away() {
    let mut cluster = Cluster::start(&[100, 100, 100]).await;
    let (room, mut clients) = on_the_others(&cluster).await;
    let seq = chat(&room, &mut clients, 1, 1).await;
    cluster.database.kill().await;
    until_status(&cluster.nodes[0], "the end of its lease", |status| status["lease_ms"] == 0).await;
    cluster.database.run().await;
    chat(&room, &mut clients, 100, seq).await;
    cluster.assert_all_keep_their_slots().await;
}
