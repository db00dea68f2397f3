//! Acknowledged means durable: no acknowledged op is lost in a power cut, and none happens twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::server::{Server, Stopped, within};

const CLIENTS: usize = 5;
const ROOMS: [&str; 2] = ["room:ledger", "room:other"];
/// The number of acknowledgements after which the power fails.
const ENOUGH: usize = 600;
const ROUNDS: usize = 3;

/// One sender: what it has sent, and which of that was acknowledged.
#[derive(Default)]
struct Sender {
    /// Its client id, once it has one.
    id: Option<String>,
    next: u64,
    /// The number and seq of each acknowledged op, by room.
    acknowledged: BTreeMap<&'static str, BTreeMap<u64, u64>>,
    /// Sent but not answered.
    open: BTreeMap<u64, &'static str>,
}

fn op(room: &str, sender: usize, n: u64) -> Value {
    json!({"entity": room, "n": n, "type": "post", "body": {"sender": sender, "n": n}})
}

impl Sender {
    async fn connect(&mut self, server: &Server, index: usize) -> Client {
        let params = self.id.as_ref().map_or(json!({}), |id| json!({"client": id}));
        let (client, hello) = server.join(CodecKind::ALL[index % 2], params).await;
        self.id = hello["client"].as_str().map(str::to_owned);
        client
    }

    fn acknowledge(&mut self, n: u64, sent: &Value) {
        let room = self.open.remove(&n).expect("only what is open is answered");
        self.acknowledged.entry(room).or_default().insert(n, sent["seq"].as_u64().expect("a seq"));
    }

    /// Keeps 20 ops in flight until the connection breaks.
    async fn pipeline(
        mut self,
        mut client: Client,
        index: usize,
        acks: Arc<AtomicUsize>,
        enough: Arc<Notify>,
    ) -> (usize, Self) {
        let mut flight = std::collections::VecDeque::new();
        loop {
            while flight.len() < 20 {
                self.next += 1;
                let n = self.next;
                let room = ROOMS[n as usize % ROOMS.len()];
                self.open.insert(n, room);
                let Ok(id) = client.try_ask("send", op(room, index, n)).await else {
                    return (index, self);
                };
                flight.push_back((id, n));
            }
            let (id, n) = flight.pop_front().expect("it was just filled");
            let Ok(answer) = client.try_answer(id).await else { return (index, self) };
            self.acknowledge(n, &answer.expect("a post is accepted"));
            if acks.fetch_add(1, Ordering::Relaxed) + 1 == ENOUGH {
                enough.notify_one();
            }
        }
    }

    /// Repeats the unanswered ops, as the SDK does after a reconnect.
    async fn settle(&mut self, server: &Server, index: usize) {
        let mut client = self.connect(server, index).await;
        for (n, room) in self.open.clone() {
            let sent = client.ok("send", op(room, index, n)).await;
            self.acknowledge(n, &sent);
        }
    }
}

/// Runs the senders at full load until the power fails.
async fn until_the_power_fails(server: Server, senders: Vec<Sender>) -> (Stopped, Vec<Sender>) {
    let acks = Arc::new(AtomicUsize::new(0));
    let enough = Arc::new(Notify::new());
    let mut tasks = JoinSet::new();
    for (index, mut sender) in senders.into_iter().enumerate() {
        let client = sender.connect(&server, index).await;
        tasks.spawn(sender.pipeline(client, index, Arc::clone(&acks), Arc::clone(&enough)));
    }
    within("enough acknowledgements", enough.notified()).await;
    let stopped = server.kill().await;
    let mut senders: Vec<_> = tasks.join_all().await;
    senders.sort_unstable_by_key(|(index, _)| *index);
    (stopped, senders.into_iter().map(|(_, sender)| sender).collect())
}

/// The seq of each op of each sender in the log. The log must have no gap and no op twice.
async fn ledger(server: &Server, room: &str) -> BTreeMap<(usize, u64), u64> {
    let mut client = server.client(CodecKind::Json).await;
    let mut found = BTreeMap::new();
    for (index, event) in client.log(room).await.iter().enumerate() {
        let seq = event["seq"].as_u64().expect("a seq");
        assert_eq!(seq, index as u64 + 1, "the log of {room} has a gap");
        let key = (
            event["body"]["sender"].as_u64().expect("a sender") as usize,
            event["body"]["n"].as_u64().expect("a number"),
        );
        let twice = found.insert(key, seq);
        assert_eq!(twice, None, "{key:?} is in the log of {room} twice");
    }
    found
}

#[tokio::test]
async fn acknowledged_ops_survive_power_cuts() {
    let mut server = Server::builder().durable().unlimited().start().await;
    let mut senders: Vec<Sender> = (0..CLIENTS).map(|_| Sender::default()).collect();
    for round in 1..=ROUNDS {
        let (stopped, after) = until_the_power_fails(server, senders).await;
        senders = after;
        server = stopped.start().await;
        for room in ROOMS {
            let ledger = ledger(&server, room).await;
            for (index, sender) in senders.iter().enumerate() {
                for (n, seq) in sender.acknowledged.get(room).into_iter().flatten() {
                    assert_eq!(
                        ledger.get(&(index, *n)),
                        Some(seq),
                        "round {round}: op {n} of sender {index} was acknowledged in {room}"
                    );
                }
            }
        }
        for (index, sender) in senders.iter_mut().enumerate() {
            sender.settle(&server, index).await;
        }
    }
    let mut total = 0;
    for room in ROOMS {
        let ledger = ledger(&server, room).await;
        total += ledger.len();
        for (index, sender) in senders.iter().enumerate() {
            for (n, seq) in &sender.acknowledged[room] {
                assert_eq!(
                    ledger.get(&(index, *n)),
                    Some(seq),
                    "in the end every op is in the log once, where its answer says"
                );
            }
        }
    }
    assert_eq!(
        total as u64,
        senders.iter().map(|sender| sender.next).sum::<u64>(),
        "nothing else is in the logs"
    );
    server.assert_serves().await;
}

/// An entity with snapshots wakes to the same state.
#[tokio::test]
async fn state_survives_snapshots_and_power_cuts() {
    let server = Server::builder()
        .durable()
        .unlimited()
        .with("kinds.doc = {behaviour = \"document\", snapshot_every = 10, resume_events = 10, keep_events = 20}")
        .start()
        .await;
    let mut client = server.client(CodecKind::MsgPack).await;
    let long = "x".repeat(2000);
    for n in 1..=100 {
        client
            .send("doc:s", n, "set", json!({"path": "/last", "value": {"n": n, "text": long}}))
            .await;
        client.send("doc:counts", n, "increment", json!({"path": "/count", "by": 1})).await;
    }
    assert!(server.sample("greenroom_snapshots_total").await >= 1.0, "there are snapshots");
    let server = server.kill().await.start().await;
    let mut client = server.client(CodecKind::Json).await;
    assert_eq!(client.ok("read", json!({"entity": "doc:s"})).await["seq"], 100);
    assert_eq!(client.read("doc:s").await, json!({"last": {"n": 100, "text": long}}));
    assert_eq!(client.read("doc:counts").await, json!({"count": 100}));
    let sent = client.send("doc:s", 1, "increment", json!({"path": "/last/n", "by": 1})).await;
    assert_eq!((&sent["seq"], &sent["result"]), (&json!(101), &json!(101)));
}

/// An entity that went to sleep wakes to the same state.
#[tokio::test]
async fn sleep_loses_nothing() {
    let server = Server::builder()
        .durable()
        .with("kinds.room = {behaviour = \"room\", idle_timeout = \"1s\"}")
        .start()
        .await;
    let (mut client, hello) = server.join(CodecKind::Json, json!({})).await;
    let first = client.send("room:sleepy", 1, "post", json!({"text": "before"})).await;
    client.close().await;
    // Nothing else shows that an entity sleeps.
    server.until("greenroom_entities_awake{kind=\"room\"}", |awake| awake == 0.0).await;
    let (mut client, _) = server.join(CodecKind::Json, json!({"client": hello["client"]})).await;
    assert_eq!(client.read("room:sleepy").await["messages"][0]["body"]["text"], "before");
    let repeat = client.send("room:sleepy", 1, "post", json!({"text": "before"})).await;
    assert_eq!(
        (&repeat["seq"], &repeat["epoch"], &repeat["duplicate"]),
        (&json!(1), &first["epoch"], &json!(true))
    );
}
