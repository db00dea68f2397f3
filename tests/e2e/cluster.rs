//! Several real nodes, with a real NATS server and a real database.

use std::time::Duration;

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::nats;
use crate::server::{Server, Stopped, within, write_config};
use crate::storage::database::Database;
use crate::token::SECRET;

mod faults;
pub mod remote;
mod steering;

/// A cluster.
struct Cluster {
    nats: nats::Server,
    database: Database,
    nodes: Vec<Server>,
}

impl Cluster {
    /// Starts nodes with these weights, and waits until all are ready and each serves its share.
    async fn start(weights: &[u16]) -> Self {
        let nats = nats::Server::start("");
        let database = Database::start().await;
        let mut cluster = Self { nats, database, nodes: Vec::new() };
        for weight in weights {
            cluster.add(*weight).await;
        }
        let all = weights.iter().filter(|weight| **weight > 0).count();
        for (node, weight) in cluster.nodes.iter().zip(weights) {
            node.until("greenroom_ready", |value| value == 1.0).await;
            let share = if *weight == 0 { 0 } else { 1024 / all };
            until_status(node, "its share", |status| {
                status["slots"]["open"].as_u64().is_some_and(|open| open >= share as u64)
                    && status["members"].as_array().is_some_and(|all| all.len() == weights.len())
            })
            .await;
        }
        cluster
    }

    /// Starts another node, and waits until it prints its addresses.
    async fn add(&mut self, weight: u16) {
        let directory = tempfile::tempdir().expect("a temporary directory can be created");
        let name = self.nodes.len();
        let config = remote::node_config(&self.nats, &self.database, weight);
        let rest = format!(
            "{config}cluster.node = \"node-{name}\"\ndrain.reconnect_spread = \"500ms\"\n\
             limits.requests_per_second = 10000\nlimits.requests_burst = 10000\n\
             limits.anonymous_requests_per_second = 10000\nlimits.anonymous_requests_burst = 10000\n{SECRET}\n"
        );
        write_config(directory.path(), &rest);
        self.nodes.push(Stopped::node(directory).start().await);
    }

    /// A room in a slot that this node serves.
    async fn room_of(&self, node: usize) -> String {
        let name = format!("node-{node}");
        let mut client = self.nodes[node].client(CodecKind::Json).await;
        for n in 0..1000 {
            let room = format!("room:{n}");
            let (code, owner) = self.nodes[node].admin_get(&format!("/cluster/owner/{room}")).await;
            assert_eq!(code, 200, "{owner}");
            if owner.contains(&name) {
                client.send(&room, 1, "post", json!({})).await;
                return room;
            }
        }
        panic!("a node that serves slots has some of 1,000 rooms");
    }
}

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
    let mut looks = tokio::time::interval(Duration::from_millis(20));
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
    let config = remote::node_config(&cluster.nats, &cluster.database, 100);
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
