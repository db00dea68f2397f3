//! Two releases beside each other: the binary under test, and one that says that it is the next. It
//! speaks another version of the format between nodes, and has migrated the database.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::interval;

use super::setup::member;
use super::{Cluster, send_at_last, status, until_status};
use crate::client::Client;
use crate::server::{LOOKS_EVERY, Server, binary, within};

/// In the same directory as the binary under test.
fn next_release() -> PathBuf {
    let program = binary().with_file_name("greenroom-dev-next");
    assert!(
        program.exists(),
        "`{}` is missing; build it with `cargo build --release --bin greenroom-dev-next`",
        program.display()
    );
    program
}

/// Adds a node of the next release, and waits until it is ready.
async fn add_next(cluster: &mut Cluster) {
    let node = cluster.prepare(100).await.running(next_release()).start().await;
    node.until("greenroom_ready", |ready| ready == 1.0).await;
    cluster.nodes.push(node);
}

/// Waits until messages pass between nodes of two releases, and compares what the older one reads of
/// both.
async fn assert_side_by_side(older: &Server, newer: &str) {
    until_status(older, "a link to the next release", |status| {
        member(status, newer)["link"]["state"] == "up"
    })
    .await;
    let seen = status(older).await;
    let own = seen["name"].as_str().expect("it has a name");
    let newest = |name: &str, what: &str| member(&seen, name)[what]["max"].as_u64();
    for what in ["schema", "proto"] {
        let [old, new] = [own, newer].map(|name| newest(name, what).expect("it is a member"));
        assert_eq!(new, old + 1, "{what}: {seen}");
    }
    assert_eq!(member(&seen, newer)["version"], "999.0.0", "{seen}");
}

/// Messages between nodes that could not be read are logged.
fn assert_all_was_read(node: &Server) {
    assert!(!node.log().contains("cannot be read"), "{}", node.log());
}

/// The nodes that clients may connect to.
type Doors = watch::Receiver<Vec<SocketAddr>>;

/// A client that posts to a room of its own like one that uses the SDK: it numbers its ops, goes to
/// another node when its connection is lost, and repeats what was not answered. No op may be
/// answered with an error.
struct Poster {
    room: String,
    posted: Arc<AtomicU64>,
    stops: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Poster {
    fn start(doors: Doors, number: usize) -> Self {
        let (posted, stops) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped) = (Arc::clone(&posted), Arc::clone(&stops));
        let room = format!("room:deploy-{number}");
        let (to, id) = (room.clone(), format!("01ARZ3NDEKTSV4RRFFQ69G5FA{number}"));
        let task = tokio::spawn(async move {
            let mut pace = interval(LOOKS_EVERY);
            let mut open = None;
            for n in 1.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                while !post(&doors, &mut open, &id, &to, n).await {}
                count.store(n, Ordering::Relaxed);
                pace.tick().await;
            }
        });
        Self { room, posted, stops, task }
    }

    /// Waits until this many more have been accepted.
    async fn goes_on(&self, more: u64) {
        let wanted = self.posted.load(Ordering::Relaxed) + more;
        let mut looks = interval(LOOKS_EVERY);
        within("more accepted posts", async {
            while self.posted.load(Ordering::Relaxed) < wanted && !self.task.is_finished() {
                looks.tick().await;
            }
        })
        .await;
    }

    /// Stops, and reads the room: everything is there, once and in order.
    async fn read_completely(self, reader: &mut Client) {
        self.stops.store(true, Ordering::Relaxed);
        within("its last post", self.task).await.expect("nothing is answered with an error");
        let log = reader.log(&self.room).await;
        let numbers: Vec<_> = log.iter().filter_map(|event| event["body"]["n"].as_u64()).collect();
        let posted = self.posted.load(Ordering::Relaxed);
        assert!(numbers.iter().copied().eq(1..=posted), "{posted} posts: {numbers:?}");
    }
}

/// Whether a post was accepted; `false` if the connection was lost.
async fn post(doors: &Doors, open: &mut Option<Client>, id: &str, room: &str, n: u64) -> bool {
    let mut client = match open.take() {
        Some(client) => client,
        None => {
            let at = fastrand::choice(doors.borrow().iter().copied()).expect("some node is ready");
            let mut client = Client::open(at, CodecKind::Json).await;
            if call(&mut client, "connect", json!({"client": id})).await.is_none() {
                return false;
            }
            client
        }
    };
    let op = json!({"entity": room, "n": n, "type": "post", "body": {"n": n}});
    let answered = call(&mut client, "send", op).await.is_some();
    if answered {
        *open = Some(client);
    }
    answered
}

/// The result of a request; `None` if the connection was lost first.
async fn call(client: &mut Client, method: &str, params: Value) -> Option<Value> {
    let id = client.try_ask(method, params).await.ok()?;
    let answer = client.try_answer(id).await.ok()?;
    Some(answer.unwrap_or_else(|error| panic!("`{method}` was answered with {error}")))
}

/// What the log of maps says of the versions after `first`.
async fn changes(cluster: &Cluster, first: &Value) -> Vec<String> {
    let url = format!("http://{}/sql", cluster.database.address());
    let statement = format!("SELECT VALUE what FROM map_log WHERE record::id(id) > {first}");
    let asked = tokio::task::spawn_blocking(move || {
        let request = ureq::post(&url)
            .header("authorization", "Basic cm9vdDpzZWNyZXQ=")
            .header("accept", "application/json")
            .header("surreal-ns", "greenroom")
            .header("surreal-db", "greenroom");
        let mut response = request.send(statement).expect("the database answers");
        response.body_mut().read_to_string().expect("it is text")
    });
    let text = within("the log of maps", asked).await.expect("asking does not panic");
    let answer: Value = serde_json::from_str(&text).expect("the answer is JSON");
    serde_json::from_value(answer[0]["result"].clone())
        .unwrap_or_else(|error| panic!("{error} in {answer}"))
}

/// How many slots a change has moved.
fn moved(change: &str) -> u64 {
    match change.strip_prefix("handed ").and_then(|rest| rest.split(' ').next()) {
        Some(count) => count.parse().expect("a count"),
        None => 0,
    }
}

#[tokio::test]
async fn the_next_release_is_rolled_out_under_load() {
    let mut cluster = Cluster::start(&[100, 100]).await;
    let map = cluster.map(0).await;
    let addresses = cluster.nodes.iter().map(|node| node.address).collect();
    let (doors, open) = watch::channel(addresses);
    let posters: Vec<_> = (0..4).map(|number| Poster::start(open.clone(), number)).collect();
    for name in ["node-2", "node-3"] {
        add_next(&mut cluster).await;
        assert_side_by_side(&cluster.nodes[0], name).await;
        doors.send_modify(|doors| doors.push(cluster.nodes.last().unwrap().address));
        for poster in &posters {
            poster.goes_on(5).await;
        }
        let old = cluster.nodes.remove(0);
        doors.send_modify(|doors| doors.retain(|door| *door != old.address));
        old.terminate().await;
        let (ended, stopped) = old.ended().await;
        assert_eq!(ended.code(), Some(0));
        let log = std::fs::read_to_string(stopped.directory.path().join("log")).unwrap();
        assert!(!log.contains("cannot be read"), "{log}");
        if name == "node-2" {
            let seen = status(&cluster.nodes[0]).await;
            assert_eq!(member(&seen, name)["slots"], 512, "the newer node receives: {seen}");
        }
        for poster in &posters {
            poster.goes_on(5).await;
        }
    }
    let mut reader = cluster.nodes[1].client(CodecKind::Json).await;
    for poster in posters {
        poster.read_completely(&mut reader).await;
    }
    cluster.nodes.iter().for_each(assert_all_was_read);
    let changes = changes(&cluster, &map).await;
    assert!(!changes.iter().any(|change| change.starts_with("took over")), "{changes:?}");
    let moved: u64 = changes.iter().map(|change| moved(change)).sum();
    assert_eq!(moved, 1024, "each slot moves once: {changes:?}");
}

/// An older node opens the database again after it was migrated.
#[tokio::test]
async fn an_older_node_goes_on_after_a_migration() {
    let mut cluster = Cluster::start(&[100]).await;
    add_next(&mut cluster).await;
    assert_side_by_side(&cluster.nodes[0], "node-1").await;
    cluster.until_settled(&[100, 100]).await;
    let rooms = [cluster.room_of(0).await, cluster.room_of(1).await];
    cluster.database.kill().await;
    cluster.database.run().await;
    // Each through the other node.
    for (node, room) in [(1, &rooms[0]), (0, &rooms[1])] {
        let mut client = cluster.nodes[node].client(CodecKind::Json).await;
        send_at_last(&mut client, room, 1).await;
        assert_eq!(client.log(room).await.len(), 2);
    }
    cluster.nodes.iter().for_each(assert_all_was_read);
}
