//! Nodes that stop for a moment, or are slow.

use std::time::Duration;

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use super::setup::{Plan, member};
use super::{chat, next_events, on_the_others, until_status};
use crate::storage::wire::State;

/// A lease that leaves time to look, on a machine with other work.
const LONG_LEASE: &str = "cluster.lease = \"6s\"\ncluster.hold = \"20s\"";

#[tokio::test]
async fn a_stop_shorter_than_the_lease_moves_nothing() {
    let cluster = Plan::default().with(LONG_LEASE).start(&[100, 100, 100]).await;
    let (room, mut clients) = on_the_others(&cluster).await;
    let seq = chat(&room, &mut clients, 1, 1).await;
    cluster.nodes[2].signal("-STOP").await;
    let op = json!({"entity": room, "n": 50, "type": "post", "body": {}});
    let waiting = clients[0].ask("send", op).await;
    // Links give up after a second of silence, so this one is made again.
    until_status(&cluster.nodes[0], "a silent node", |status| {
        let member = member(status, "node-2");
        member["silent_ms"].as_u64() > Some(1_500) && member["link"]["state"] != "up"
    })
    .await;
    cluster.nodes[2].signal("-CONT").await;
    clients[0].answer(waiting).await.expect("it only waits");
    next_events(&mut clients[0], seq, 1).await;
    next_events(&mut clients[1], seq, 1).await;
    chat(&room, &mut clients, 100, seq + 1).await;
    cluster.assert_all_keep_their_slots().await;
    assert_eq!(cluster.nodes[2].sample("greenroom_cluster_lease_lost_total").await, 0.0);
}

/// The link to a node that takes little at a time fills, or the node stops hearing; those who follow
/// the same room through other nodes notice nothing.
#[tokio::test]
async fn a_slow_node_holds_up_nobody_else() {
    let unlimited = "limits.bytes_per_second = \"1000MiB\"\nlimits.bytes_burst = \"1000MiB\"";
    let cluster = Plan::default().wires().with(unlimited).start(&[100, 100, 100]).await;
    let room = cluster.room_of(0).await;
    let (mut clients, mut epoch) = (Vec::new(), Value::Null);
    for node in &cluster.nodes {
        let mut client = node.client(CodecKind::Json).await;
        epoch = client.subscribe(&room).await["epoch"].take();
        clients.push(client);
    }
    let [sender, other, slow] = &mut clients[..] else { panic!("there are three") };
    cluster.wires[2].nats.set(State::Slow(Duration::from_millis(250)));
    // Far more than a slow way carries in this time: 64 KiB at once.
    let body = json!({"text": "x".repeat(30_000)});
    for n in 1..=200 {
        sender.send(&room, n, "post", body.clone()).await;
        next_events(other, n, 1).await;
    }
    cluster.wires[2].nats.set(State::Open);
    // Its node has stopped hearing the others, and may have sent it to them.
    let mut seq = 1;
    while seq < 201 {
        let events = match slow.try_notification().await {
            Ok((method, event)) if method == "event" => vec![event],
            Ok((method, params)) => {
                assert_eq!(method, "goodbye", "{params}");
                continue;
            }
            Err(_) => {
                *slow = cluster.nodes[1].client(CodecKind::Json).await;
                let after = json!({"entity": room, "after": {"epoch": epoch, "seq": seq}});
                let answer = slow.ok("subscribe", after).await;
                // So many bytes behind, it gets a snapshot instead.
                if answer["snapshot"].is_object() {
                    seq = answer["seq"].as_u64().expect("a seq");
                }
                answer["events"].as_array().cloned().unwrap_or_default()
            }
        };
        for event in events {
            seq += 1;
            assert_eq!(event["seq"], seq);
        }
    }
    next_events(sender, 1, 200).await;
    let resets = |why: &str| format!("greenroom_link_resets_total{{why=\"{why}\"}}");
    for why in ["full", "garbled", "control"] {
        assert_eq!(cluster.nodes[1].sample(&resets(why)).await, 0.0, "{why}");
    }
}
