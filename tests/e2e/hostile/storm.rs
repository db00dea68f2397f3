//! Subscription storms: thousands of consecutive requests from several clients at once, some of
//! which are cut off in the middle. Afterwards nothing of them is left.

use fastrand::Rng;
use futures_util::future::{join, join_all};
use greenroom_protocol::CodecKind;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::client::Client;
use crate::limits::{burst, request};
use crate::raw::{CLOSE, FIN, Raw, read_frame};
use crate::server::Server;

/// The number of entities that all clients send requests for.
const ENTITIES: usize = 100;
/// The number of those in which events happen meanwhile.
const BUSY: usize = 4;
/// Events in each busy entity per storm.
const EVENTS: u64 = 100;
/// Clients per storm.
const CLIENTS: usize = 12;
/// Requests per client.
const REQUESTS: usize = 3000;
/// How many bytes of memory a storm may leave behind: allocators keep some of what they had.
const LEFT_OVER: f64 = 64.0 * 1024.0 * 1024.0;

fn entity(index: usize) -> String {
    format!("room:storm-{index}")
}

/// How a client's storm ends.
#[derive(Clone, Copy)]
enum End {
    /// With an answer to every request.
    Answered,
    /// With a reset, after this many frames have arrived.
    Reset(usize),
    /// In the middle of one of its frames, after this many bytes.
    HalfAFrame(usize),
}

fn requests(rng: &mut Rng, codec: CodecKind) -> Vec<u8> {
    let requests: Vec<Value> = (0..REQUESTS as u64)
        .map(|id| {
            let entity = entity(rng.usize(..ENTITIES));
            match rng.u8(..10) {
                0..=4 => {
                    request(id, "subscribe", json!({"entity": entity, "presence": rng.bool()}))
                }
                5..=7 => request(id, "unsubscribe", json!({"entity": entity})),
                8 => request(
                    id,
                    "presence",
                    json!({"entity": entity, "action": "enter", "meta": {"n": id}}),
                ),
                _ => request(id, "presence", json!({"entity": entity, "action": "leave"})),
            }
        })
        .collect();
    burst(codec, &requests)
}

/// One client's storm: it writes everything as fast as it can, and reads what arrives.
async fn storm(server: &Server, codec: CodecKind, end: End, mut rng: Rng) {
    let mut raw = Raw::websocket(server.address, codec).await;
    raw.write(&burst(codec, &[request(1, "connect", json!({}))])).await;
    raw.read_frame().await.expect("an answer");
    let mut bytes = requests(&mut rng, codec);
    if let End::HalfAFrame(after) = end {
        bytes.truncate(bytes.len().min(after));
    }
    let (mut read, mut write) = raw.split();
    let writing = async {
        let written = write.write_all(&bytes).await;
        if let End::HalfAFrame(_) = end {
            // End the stream in the middle of a frame.
            drop(write.shutdown().await);
        }
        written.is_ok()
    };
    let reading = async {
        let mut answers = 0;
        let mut frames = 0;
        while answers < REQUESTS {
            if matches!(end, End::Reset(after) if frames >= after) {
                break;
            }
            let Some((first, payload)) = read_frame(&mut read).await else { break };
            if first == FIN | CLOSE {
                break;
            }
            frames += 1;
            let message: Value = match codec {
                CodecKind::Json => serde_json::from_slice(&payload).expect("JSON"),
                CodecKind::MsgPack => rmp_serde::from_slice(&payload).expect("MessagePack"),
            };
            let code = &message["error"]["data"]["code"];
            assert!(
                code.is_null() || code == "too_many_subscriptions" || code == "overloaded",
                "{message}"
            );
            answers += usize::from(message.get("id").is_some());
        }
        answers
    };
    match end {
        End::Reset(_) => {
            // Cut the connection while it is still writing.
            tokio::select! {
                _ = reading => {}
                _ = async { writing.await; std::future::pending::<()>().await } => {}
            }
            Raw::from_halves(read, write).cut();
        }
        End::HalfAFrame(_) => drop(join(writing, reading).await),
        End::Answered => {
            let (written, answers) = join(writing, reading).await;
            assert!(written, "a client that reads can write");
            assert_eq!(answers, REQUESTS, "each request has an answer");
        }
    }
}

/// Runs all clients of one storm, with events in between.
async fn all(server: &Server, rng: &mut Rng, sender: &mut Client, steady: &mut Client, round: u64) {
    let storms = (0..CLIENTS).map(|index| {
        let end = match index / 2 % 3 {
            0 => End::Answered,
            1 => End::Reset(rng.usize(1..REQUESTS / 2)),
            _ => End::HalfAFrame(rng.usize(1..REQUESTS * 40)),
        };
        storm(server, CodecKind::ALL[index % 2], end, rng.fork())
    });
    let events = async {
        for n in 1..=EVENTS {
            for busy in 0..BUSY {
                let n = (round * EVENTS + n - 1) * BUSY as u64 + busy as u64 + 1;
                sender.send(&entity(busy), n, "post", json!({"round": round})).await;
            }
        }
    };
    let watching = async {
        let mut last = [round * EVENTS; BUSY];
        while last != [(round + 1) * EVENTS; BUSY] {
            let event = steady.event().await;
            let busy = (0..BUSY)
                .find(|busy| event["entity"] == entity(*busy))
                .expect("an entity it follows");
            last[busy] += 1;
            assert_eq!(event["seq"], last[busy], "each event once, in order, whatever others do");
        }
    };
    join(join_all(storms), join(events, watching)).await;
}

#[tokio::test]
async fn a_storm_leaves_nothing_behind() {
    let kind = format!(
        "kinds.room = {{behaviour = \"room\", idle_timeout = \"1s\", dedupe_ops = {REQUESTS}, max_pending_ops = {REQUESTS}}}"
    );
    let limits = format!(
        "socket.max_in_flight = {REQUESTS}\nsocket.max_subscriptions = 60\ndirectory.entity_inbox = 65536"
    );
    // Clients that were cut off could resume, but not for long.
    let resuming = "socket.resume_window = \"2s\"\nsocket.presence_grace = \"1s\"";
    let mut server =
        Server::builder().unlimited().with(limits).with(resuming).with(kind).start().await;
    let seed = std::env::var("E2E_SEED")
        .ok()
        .map_or(1, |seed| seed.parse().expect("`E2E_SEED` is a number"));
    eprintln!("seed {seed}; E2E_SEED={seed} repeats it");
    let mut rng = Rng::with_seed(seed);
    let mut sender = server.client(CodecKind::Json).await;
    let mut steady = server.client(CodecKind::MsgPack).await;
    for busy in 0..BUSY {
        steady.subscribe(&entity(busy)).await;
    }
    let mut memory = Vec::new();
    for round in 0..3 {
        all(&server, &mut rng, &mut sender, &mut steady, round).await;
        server.until("greenroom_connections", |open| open == 2.0).await;
        server.until("greenroom_sessions", |sessions| sessions == 2.0).await;
        server.until("greenroom_outbox_bytes", |bytes| bytes == 0.0).await;
        // An entity that anybody was subscribed to, or present in, would stay awake.
        server.until("greenroom_entities_awake{kind=\"room\"}", |awake| awake == BUSY as f64).await;
        memory.push(server.sample("process_resident_memory_bytes").await);
    }
    eprintln!("resident after each storm: {memory:?}");
    let grown = memory[2] - memory[0];
    assert!(grown < LEFT_OVER, "two more storms have left {grown} bytes: {memory:?}");

    // A new client receives everything that has happened and that happens from now on, and nobody
    // else is sent any of it.
    let mut fresh = server.client(CodecKind::Json).await;
    for busy in 0..BUSY {
        let epoch = sender.ok("read", json!({"entity": entity(busy)})).await["epoch"].clone();
        let caught = fresh
            .ok("subscribe", json!({"entity": entity(busy), "after": {"epoch": epoch, "seq": 0}}))
            .await;
        let seqs: Vec<_> = caught["events"]
            .as_array()
            .expect("events")
            .iter()
            .map(|event| event["seq"].clone())
            .collect();
        assert_eq!(seqs, (1..=3 * EVENTS).map(Value::from).collect::<Vec<_>>());
    }
    for index in BUSY..60 {
        fresh.subscribe(&entity(index)).await;
    }
    let delivered = server.sample("greenroom_events_delivered_total").await;
    for index in 0..60 {
        sender.send(&entity(index), 1_000_000 + index as u64, "post", json!({})).await;
        assert_eq!(fresh.event().await["entity"], entity(index));
    }
    for _ in 0..BUSY {
        steady.event().await;
    }
    let delivered = server.sample("greenroom_events_delivered_total").await - delivered;
    assert_eq!(delivered, (60 + BUSY) as f64, "clients that have gone are no longer subscribed");
    server.assert_serves().await;
}
