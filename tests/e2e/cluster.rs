//! Several real nodes, with real NATS servers and a real database. docs/testing.md says which test
//! brings about which fault.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};
use tokio::time::interval;

use crate::client::Client;
use crate::server::{LOOKS_EVERY, Server, within, write_config};
use crate::storage::database::Database;
use setup::Cluster;

mod carriers;
mod clocks;
mod cut_off;
mod cuts;
mod deaths;
mod faults;
mod operators;
mod pauses;
mod quarantine;
pub mod remote;
mod setup;
mod stalls;
mod steady;
mod steering;
mod versions;
mod watching;

/// Counts the ops that this very node has executed.
const ACCEPTED: &str = "greenroom_ops_total{kind=\"room\",outcome=\"accepted\"}";

/// What `GET /cluster` of a node says.
async fn status(node: &Server) -> Value {
    let (code, body) = node.admin_get("/cluster").await;
    assert_eq!(code, 200, "{body}");
    serde_json::from_str(&body).expect("it is JSON")
}

/// Waits until it says something. Polls, since one cannot wait on it.
async fn until_status(node: &Server, what: &str, wanted: impl Fn(&Value) -> bool) {
    let mut looks = interval(LOOKS_EVERY);
    within(what, async {
        while !wanted(&status(node).await) {
            looks.tick().await;
        }
    })
    .await;
}

/// Sends a numbered op until it is accepted, as clients do that were told to come back.
async fn send_at_last(client: &mut Client, room: &str, n: u64) -> Value {
    let op = json!({"entity": room, "n": n, "type": "post", "body": {"n": n}});
    within("an accepted op", async {
        loop {
            match client.call("send", op.clone()).await {
                Ok(result) => return result,
                Err(error) => assert_eq!(error["data"]["code"], "unavailable", "{error}"),
            }
        }
    })
    .await
}

/// The seqs of the next `count` events, which must be without a gap.
async fn next_events(client: &mut Client, after: u64, count: u64) {
    for seq in after + 1..=after + count {
        assert_eq!(client.event().await["seq"], seq);
    }
}

/// Two clients, on the first two nodes, that follow a room of the third.
async fn on_the_others(cluster: &Cluster) -> (String, [Client; 2]) {
    let room = cluster.room_of(2).await;
    let mut clients = Vec::new();
    for node in &cluster.nodes[..2] {
        let mut client = node.client(CodecKind::Json).await;
        client.subscribe(&room).await;
        clients.push(client);
    }
    (room, clients.try_into().unwrap_or_else(|_| panic!("there are two")))
}

/// Both send, and both receive everything.
async fn chat(room: &str, [one, two]: &mut [Client; 2], first: u64, after: u64) -> u64 {
    for n in first..first + 5 {
        send_at_last(one, room, n).await;
        send_at_last(two, room, n).await;
    }
    next_events(one, after, 10).await;
    next_events(two, after, 10).await;
    after + 10
}

#[tokio::test]
async fn clients_of_all_nodes_share_a_room() {
    let cluster = Cluster::start(&[100, 100, 0]).await;
    let mut clients = Vec::new();
    for node in &cluster.nodes {
        let mut client = node.client(CodecKind::Json).await;
        client.subscribe("room:shared").await;
        clients.push(client);
    }
    for n in 1..=10 {
        for client in &mut clients {
            client.send("room:shared", n, "post", json!({"n": n})).await;
        }
    }
    for client in &mut clients {
        next_events(client, 0, 30).await;
        let state = client.read("room:shared").await;
        assert_eq!(state["messages"].as_array().map(Vec::len), Some(30), "{state}");
    }
}

#[tokio::test]
async fn a_session_is_resumed_on_another_node() {
    let cluster = Cluster::start(&[100, 100]).await;
    let room = cluster.room_of(1).await;
    let [first, second] = &cluster.nodes[..] else { panic!("there are two") };
    let mut watcher = second.client(CodecKind::Json).await;
    watcher.ok("subscribe", json!({"entity": room, "presence": true})).await;
    let client = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let token = first.token("alice", &[]).await;
    let (mut lost, hello) =
        first.join(CodecKind::Json, json!({"client": client, "token": token})).await;
    lost.ok("presence", json!({"entity": room, "action": "enter", "meta": {"at": "desk"}})).await;
    let entered = watcher.expect("presence").await;
    assert_eq!(entered["joined"][0]["user"], "alice", "{entered}");
    drop(lost);
    let params = json!({"client": client, "token": token, "session": hello["session"]});
    let (mut resumed, hello) = second.join(CodecKind::Json, params).await;
    assert_eq!(hello["resumed"], true, "{hello}");
    resumed.ok("presence", json!({"entity": room, "action": "leave"})).await;
    let left = watcher.expect("presence").await;
    assert_eq!(left["left"], json!(["alice"]), "nobody has seen it leave before: {left}");
}

#[tokio::test]
async fn a_server_without_a_cluster_refuses_its_database() {
    let cluster = Cluster::start(&[100]).await;
    let directory = tempfile::tempdir().unwrap();
    let store = format!(
        "store.url = \"ws://{}\"\nstore.username = \"root\"\nstore.password = \"secret\"\n",
        cluster.database.address()
    );
    write_config(directory.path(), &store);
    let mut command = crate::server::command(directory.path());
    let output = within("its end", command.arg("serve").output()).await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("a cluster with 1 members uses this database"), "{said}");
}

#[tokio::test]
async fn a_node_with_another_lease_is_refused() {
    let mut cluster = Cluster::start(&[100]).await;
    let directory = tempfile::tempdir().unwrap();
    let config = cluster.config_of(100);
    write_config(directory.path(), &format!("{config}cluster.lease = \"4s\"\n"));
    let mut command = crate::server::command(directory.path());
    let output = within("its end", command.arg("serve").output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("must be the same on all nodes"), "{said}");
    cluster.nodes[0].assert_serves().await;
}

#[tokio::test]
async fn a_database_is_checked_before_nodes_rely_on_it() {
    let database = Database::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = format!(
        "store.url = \"ws://{}\"\nstore.username = \"root\"\nstore.password = \"secret\"\n",
        database.address()
    );
    write_config(directory.path(), &store);
    let mut command = crate::server::command(directory.path());
    let output = within("its end", command.args(["check", "--cluster"]).output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("ok    cluster        the database does what nodes rely on"), "{said}");
}
