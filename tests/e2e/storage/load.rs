//! Clients that write to one room as fast as they can, a client that watches, and a record of what
//! they were told.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::client::Client;
use crate::server::{Server, within};

/// The room they write to.
const ROOM: &str = "room:ledger";

/// An op: its writer and its number.
type Key = (usize, u64);

/// How fast and how much they write.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The number of clients.
    pub writers: usize,
    /// The number of ops in flight per client.
    pub in_flight: usize,
    /// The size of an op's text in bytes.
    pub text: usize,
    /// Whether they wait after a refusal for as long as it says.
    pub patient: bool,
}

/// A few well-behaved clients.
pub const PATIENT: Pace = Pace { writers: 4, in_flight: 8, text: 200, patient: true };
/// Clients that send large ops and repeat refused ones at once.
pub const FLOOD: Pace = Pace { writers: 4, in_flight: 32, text: 16_000, patient: false };

/// What has happened to all of them so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The number of acknowledged ops.
    pub acknowledged: u64,
    /// The number of bytes of text sent.
    pub sent: u64,
    /// The number of refusals by error code.
    pub refused: BTreeMap<String, u64>,
}

/// The running clients.
pub struct Load {
    tally: Arc<watch::Sender<Tally>>,
    stop: watch::Sender<bool>,
    writers: JoinSet<Writer>,
    watcher: JoinHandle<BTreeMap<u64, Key>>,
}

impl Load {
    /// Connects the clients and starts them.
    pub async fn start(server: &Server, pace: Pace) -> Self {
        let tally = Arc::new(watch::Sender::new(Tally::default()));
        let stop = watch::Sender::new(false);
        let mut watcher = server.client(CodecKind::Json).await;
        watcher.subscribe(ROOM).await;
        let watcher = tokio::spawn(watch_room(watcher, stop.subscribe()));
        let mut writers = JoinSet::new();
        for index in 0..pace.writers {
            let (client, hello) = server.join(CodecKind::ALL[index % 2], json!({})).await;
            let id = hello["client"].clone();
            let writer = Writer {
                index,
                id,
                next: 0,
                open: BTreeSet::new(),
                acknowledged: BTreeMap::new(),
                text: "x".repeat(pace.text),
            };
            writers.spawn(writer.write(client, pace, Arc::clone(&tally), stop.subscribe()));
        }
        Self { tally, stop, writers, watcher }
    }

    /// What has happened so far.
    pub fn tally(&self) -> Tally {
        self.tally.borrow().clone()
    }

    /// Waits until `wanted` accepts the tally.
    pub async fn until(&self, what: &str, wanted: impl FnMut(&Tally) -> bool) {
        let mut tally = self.tally.subscribe();
        within(what, tally.wait_for(wanted)).await.expect("the sender is ours");
    }

    /// Waits for this many more acknowledgements.
    pub async fn acknowledged(&self, more: u64) {
        let enough = self.tally().acknowledged + more;
        self.until("enough acknowledgements", |tally| tally.acknowledged >= enough).await;
    }

    /// Stops the clients, once the writers have finished what they have begun, or found that they
    /// cannot.
    pub async fn finish(self) -> Record {
        self.stop.send_replace(true);
        let mut writers = within("the end of the writers", self.writers.join_all()).await;
        writers.sort_unstable_by_key(|writer| writer.index);
        Record {
            writers,
            seen: within("the end of the watcher", self.watcher).await.expect("it did not panic"),
        }
    }
}

/// One writer: what it has sent, and which of that was acknowledged.
struct Writer {
    index: usize,
    id: Value,
    next: u64,
    /// Sent but undecided.
    open: BTreeSet<u64>,
    /// The seqs of the acknowledged ops, by number.
    acknowledged: BTreeMap<u64, u64>,
    text: String,
}

impl Writer {
    fn op(&self, n: u64) -> Value {
        json!({"entity": ROOM, "n": n, "type": "post", "body": {"writer": self.index, "n": n, "text": self.text}})
    }

    async fn write(
        mut self,
        mut client: Client,
        pace: Pace,
        tally: Arc<watch::Sender<Tally>>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let mut flight = HashMap::new();
        let mut again = VecDeque::new();
        loop {
            while flight.len() < pace.in_flight {
                let Some(n) =
                    again.pop_front().or_else(|| (!*stop.borrow()).then(|| self.next + 1))
                else {
                    break;
                };
                self.next = self.next.max(n);
                self.open.insert(n);
                let Ok(id) = client.try_ask("send", self.op(n)).await else { return self };
                tally.send_modify(|tally| tally.sent += pace.text as u64);
                flight.insert(id, n);
            }
            if flight.is_empty() {
                return self;
            }
            // In any order, because refusals overtake ops that are waiting for the disk.
            let Ok((id, answer)) = client.try_any_answer().await else { return self };
            let n = flight.remove(&id).expect("only requests are answered");
            match answer {
                Ok(sent) => {
                    self.acknowledge(n, &sent);
                    tally.send_modify(|tally| tally.acknowledged += 1);
                }
                Err(error) => {
                    let code =
                        error["data"]["code"].as_str().expect("an error has a code").to_owned();
                    assert!(
                        ["unavailable", "overloaded", "shutting_down"].contains(&code.as_str()),
                        "{error}"
                    );
                    let after = error["data"]["retry_after_ms"]
                        .as_u64()
                        .expect("the error has a retry time");
                    assert!(after > 0, "{error}");
                    tally.send_modify(|tally| *tally.refused.entry(code).or_default() += 1);
                    again.push_back(n);
                    if pace.patient {
                        tokio::time::sleep(Duration::from_millis(after)).await;
                    }
                }
            }
        }
    }

    fn acknowledge(&mut self, n: u64, sent: &Value) {
        self.open.remove(&n);
        let seq = sent["seq"].as_u64().expect("a seq");
        let before = self.acknowledged.insert(n, seq);
        assert!(
            before.is_none_or(|before| before == seq),
            "op {n} was acknowledged at {before:?} and then at {seq}"
        );
    }
}

/// Collects the events that a subscriber receives, by seq. Each must arrive once, in order, without
/// a gap.
async fn watch_room(mut client: Client, mut stop: watch::Receiver<bool>) -> BTreeMap<u64, Key> {
    let mut seen = BTreeMap::new();
    let mut last = 0;
    loop {
        let (method, params) = tokio::select! {
            next = client.try_notification() => match next {
                Ok(next) => next,
                Err(_) => return seen,
            },
            _ = stop.wait_for(|stop| *stop) => return seen,
        };
        let seq = params["seq"].as_u64();
        match method.as_str() {
            "event" => {
                assert_eq!(seq, Some(last + 1), "events come in order");
                seen.insert(last + 1, key(&params));
                last += 1;
            }
            "reset" => last = seq.expect("a reset has a seq"),
            _ => {}
        }
    }
}

fn key(event: &Value) -> Key {
    let body = &event["body"];
    (body["writer"].as_u64().expect("a writer") as usize, body["n"].as_u64().expect("a number"))
}

/// What clients were told, of which nothing may be missing.
pub struct Record {
    writers: Vec<Writer>,
    /// The events that the watcher saw, by seq.
    seen: BTreeMap<u64, Key>,
}

impl Record {
    /// Asserts that the log has every op that was acknowledged or shown, at the seq it was reported
    /// with.
    pub async fn is_kept_by(&self, server: &Server) {
        let log = log(server).await;
        for writer in &self.writers {
            for (n, seq) in &writer.acknowledged {
                assert_eq!(
                    log.get(&(writer.index, *n)),
                    Some(seq),
                    "op {n} of writer {} was acknowledged",
                    writer.index
                );
            }
        }
        assert!(!self.seen.is_empty(), "the watcher saw something");
        for (seq, key) in &self.seen {
            assert_eq!(log.get(key), Some(seq), "op {key:?} was shown to a subscriber");
        }
    }

    /// Repeats the undecided ops; then each op must be in the log once.
    pub async fn settles_with(mut self, server: &Server) {
        self.is_kept_by(server).await;
        for writer in &mut self.writers {
            let (mut client, _) = server.join(CodecKind::Json, json!({"client": writer.id})).await;
            for n in writer.open.clone() {
                let sent = client.ok("send", writer.op(n)).await;
                writer.acknowledge(n, &sent);
            }
        }
        self.is_kept_by(server).await;
        let ops: u64 = self.writers.iter().map(|writer| writer.next).sum();
        assert_eq!(log(server).await.len() as u64, ops, "the log has each op and nothing else");
    }
}

/// The seq of each op in the log, which must have no gap and no op twice.
async fn log(server: &Server) -> BTreeMap<Key, u64> {
    let mut client = server.client(CodecKind::Json).await;
    let mut found = BTreeMap::new();
    for (index, event) in client.log(ROOM).await.iter().enumerate() {
        let seq = event["seq"].as_u64().expect("a seq");
        assert_eq!(seq, index as u64 + 1, "the log has a gap");
        let twice = found.insert(key(event), seq);
        assert_eq!(twice, None, "{:?} is in the log twice", key(event));
    }
    found
}
