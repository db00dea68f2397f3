//! Nodes that are cut off, in both directions or in one, and what arrives late.

use std::time::Duration;

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use super::setup::{Plan, member};
use super::{chat, next_events, on_the_others, send_at_last, until_status};
use crate::client::Client;
use crate::nats;
use crate::server::{Server, within};
use crate::storage::wire::{State, Wire};

/// A cut way carries nothing in one direction at least.
const CUTS: [State; 3] = [State::Held, State::RequestsHeld, State::AnswersHeld];

/// Others take over, although the node hears them and they hear it. Without the database it does not
/// learn who owns what, so its own clients are told to try again.
#[tokio::test]
async fn a_node_that_is_cut_off_from_the_database_is_taken_over() {
    for cut in CUTS {
        let cluster = Plan::default().wires().start(&[100, 100, 100]).await;
        let (room, mut clients) = on_the_others(&cluster).await;
        let mut own = cluster.nodes[2].client(CodecKind::Json).await;
        own.subscribe(&room).await;
        let seq = chat(&room, &mut clients, 1, 1).await;
        next_events(&mut own, 1, 10).await;
        cluster.wires[2].database.set(cut);
        // Where only the answers are held, the owner commits it, and never knows. Its repeat, which
        // this node sends to the next owner, finds it.
        clients[0].send(&room, 50, "post", json!({})).await;
        until_status(&cluster.nodes[0], "a takeover", |status| {
            member(status, "node-2")["slots"] == Value::Null
        })
        .await;
        next_events(&mut clients[0], seq, 1).await;
        next_events(&mut clients[1], seq, 1).await;
        let op = json!({"entity": room, "n": 50, "type": "post", "body": {}});
        own.fails("send", op, "unavailable").await;
        // What it has sent reaches the database now, and is refused.
        cluster.wires[2].database.set(State::Open);
        cluster.nodes[2].until("greenroom_cluster_lease_lost_total", |lost| lost >= 1.0).await;
        send_at_last(&mut own, &room, 50).await;
        next_events(&mut clients[0], seq + 1, 1).await;
        next_events(&mut clients[1], seq + 1, 1).await;
        let last = chat(&room, &mut clients, 100, seq + 2).await;
        next_events(&mut own, seq, last - seq).await;
        assert_eq!(own.log(&room).await.len() as u64, last, "{cut:?}");
    }
}

/// It gives its entities away, and sends its own clients to the others.
#[tokio::test]
async fn a_node_that_is_cut_off_from_nats_yields() {
    for cut in CUTS {
        let cluster =
            Plan::default().wires().with("cluster.hold = \"500ms\"").start(&[100; 3]).await;
        let (room, mut clients) = on_the_others(&cluster).await;
        let mut own = cluster.nodes[2].client(CodecKind::Json).await;
        own.subscribe(&room).await;
        let seq = chat(&room, &mut clients, 1, 1).await;
        next_events(&mut own, 1, 10).await;
        cluster.wires[2].nats.set(cut);
        send_at_last(&mut clients[0], &room, 50).await;
        until_status(&cluster.nodes[2], "it to yield", |status| {
            let me = member(status, "node-2");
            status["deaf"] == true && me["state"] == "deaf" && me["slots"] == 0
        })
        .await;
        assert_eq!(own.closed().await.0, 1001);
        // Beats and frames of seconds ago arrive now.
        cluster.wires[2].nats.set(State::Open);
        cluster.nodes[2].until("greenroom_ready", |ready| ready == 1.0).await;
        let mut own = cluster.nodes[2].client(CodecKind::Json).await;
        own.subscribe(&room).await;
        send_at_last(&mut own, &room, 51).await;
        next_events(&mut own, seq + 1, 1).await;
        next_events(&mut clients[0], seq, 2).await;
        next_events(&mut clients[1], seq, 2).await;
        let seq = chat(&room, &mut clients, 100, seq + 2).await;
        assert_eq!(own.log(&room).await.len() as u64, seq, "{cut:?}");
        let lost = cluster.nodes[2].sample("greenroom_cluster_lease_lost_total").await;
        assert_eq!(lost, 0.0, "nobody had to take it over ({cut:?})");
    }
}

/// A client of one node that follows a room of another one.
async fn follower(node: &Server, room: &str) -> Client {
    let mut client = node.client(CodecKind::Json).await;
    client.subscribe(room).await;
    client
}

/// Two halves reach the database and not each other: each goes on, and requests between them are
/// answered `unavailable` until they hear each other again.
#[tokio::test]
async fn two_halves_go_on_and_say_what_they_cannot_do() {
    const ROUTES: &str = "ping_interval: \"1s\"\nping_max: 2\n";
    let first = nats::Server::start_with_route(None, ROUTES);
    let route = Wire::to(([127, 0, 0, 1], first.route_port()).into()).await;
    let second = nats::Server::start_with_route(Some(route.address.port()), ROUTES);
    let cluster = Plan::default()
        .a_server_each([first, second])
        .with("cluster.hold = \"500ms\"")
        .start(&[100, 100])
        .await;
    let rooms = [cluster.room_of(0).await, cluster.room_of(1).await];
    let mut far = [
        follower(&cluster.nodes[1], &rooms[0]).await,
        follower(&cluster.nodes[0], &rooms[1]).await,
    ];
    for (client, room) in far.iter_mut().zip(&rooms) {
        client.send(room, 2, "post", json!({})).await;
        next_events(client, 1, 1).await;
    }
    route.set(State::Gone);
    for (node, other) in [(0, "node-1"), (1, "node-0")] {
        until_status(&cluster.nodes[node], "a silent link", |status| {
            member(status, other)["link"]["state"] != "up"
        })
        .await;
        let mut near = follower(&cluster.nodes[node], &rooms[node]).await;
        near.send(&rooms[node], 1, "post", json!({})).await;
        near.event().await;
        let op = json!({"entity": rooms[node], "n": 3, "type": "post", "body": {}});
        far[node].fails("send", op, "unavailable").await;
        let (code, why) = cluster.nodes[node].admin_get("/live").await;
        assert_eq!(code, 200, "{why}");
    }
    for node in &cluster.nodes {
        node.until("greenroom_ready", |ready| ready == 0.0).await;
    }
    route.set(State::Open);
    for (client, room) in far.iter_mut().zip(&rooms) {
        send_at_last(client, room, 3).await;
        next_events(client, 2, 2).await;
        assert_eq!(client.log(room).await.len(), 4);
    }
    for node in &cluster.nodes {
        node.until("greenroom_ready", |ready| ready == 1.0).await;
    }
    cluster.assert_all_keep_their_slots().await;
}

/// With everything a quarter of a second later, each way, nothing fails and nothing moves.
#[tokio::test]
async fn messages_that_come_late_are_waited_for() {
    let cluster = Plan::default().wires().start(&[100, 100, 100]).await;
    let (room, mut clients) = on_the_others(&cluster).await;
    cluster.wires[2].nats.set(State::Slow(Duration::from_millis(250)));
    for n in 1..=10 {
        within("an op over a slow way", clients[0].send(&room, n, "post", json!({}))).await;
    }
    next_events(&mut clients[0], 1, 10).await;
    next_events(&mut clients[1], 1, 10).await;
    cluster.wires[2].nats.set(State::Open);
    chat(&room, &mut clients, 100, 11).await;
    cluster.assert_all_keep_their_slots().await;
}
