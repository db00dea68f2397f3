//! Clients that ask for everything and read nothing: what 100,000 events, signals or answers then
//! cost the server.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::client::Client;
use crate::limits::{burst, request};
use crate::raw::Raw;
use crate::server::{Builder, Server};

/// The number of clients that do not read.
const DEAF: usize = 20;
/// The number of messages sent to them.
const FLOOD: u64 = 100_000;
/// How many ops are sent before waiting for their answers. A client reads while the server answers,
/// so it is never the slow one.
const AT_ONCE: u64 = 500;
const OUTBOX: usize = 256 * 1024;
/// What the pump may have taken from an outbox to write (`WRITE_BYTES` in src/ws/pump.rs), and
/// frames that exceed a bound.
const IN_HAND: usize = 192 * 1024;
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How late a busy machine may be.
const SLACK: Duration = Duration::from_secs(8);
const ROOM: &str = "room:flood";
/// The bytes waiting for all clients together.
const WAITING: &str = "greenroom_outbox_bytes";

fn builder() -> Builder {
    let kind = format!(
        "behaviour = \"room\", dedupe_ops = {AT_ONCE}, ops_per_second = 1000000, ops_burst = 1000000"
    );
    Server::builder()
        .unlimited()
        .with(format!(
            "socket.write_timeout = \"{}s\"\nsocket.max_in_flight = {AT_ONCE}",
            WRITE_TIMEOUT.as_secs()
        ))
        .with(format!("socket.outbox_bytes = {OUTBOX}\nkinds.room = {{{kind}}}"))
}

/// Connects clients that subscribe to the room and do not read.
async fn deaf(server: &Server) -> Vec<Client> {
    let mut clients = Vec::new();
    for index in 0..DEAF {
        let mut client = Client::open_narrow(server.address, CodecKind::ALL[index % 2]).await;
        client.ok("connect", json!({"subscriptions": [{"entity": ROOM}]})).await;
        clients.push(client);
    }
    clients
}

/// Runs `flood`. Returns the most bytes that were waiting for clients meanwhile, and how much the
/// process's memory has grown.
async fn cost(server: &Server, flood: impl Future<Output = ()>) -> (f64, f64) {
    let before = server.sample("process_resident_memory_bytes").await;
    let mut most: f64 = 0.0;
    let watching = async {
        let mut looks = tokio::time::interval(Duration::from_millis(100));
        loop {
            looks.tick().await;
            most = most.max(server.sample(WAITING).await);
        }
    };
    tokio::select! {
        () = flood => {}
        () = watching => {}
    }
    (most, server.sample("process_resident_memory_bytes").await - before)
}

/// Posts events while a neighbour reads them, each once and in order.
async fn post(sender: &mut Client, neighbour: &mut Client, numbers: RangeInclusive<u64>) {
    let text = "x".repeat(100);
    for first in numbers.clone().step_by(AT_ONCE as usize) {
        let part = first..(first + AT_ONCE).min(numbers.end() + 1);
        let mut ids = Vec::new();
        for n in part.clone() {
            ids.push(
                sender
                    .ask(
                        "send",
                        json!({"entity": ROOM, "n": n, "type": "post", "body": {"text": text}}),
                    )
                    .await,
            );
        }
        for id in ids {
            sender.answer(id).await.expect("it is accepted");
        }
        for n in part {
            assert_eq!(neighbour.event().await["seq"], n);
        }
    }
}

/// The most bytes waiting, even if the flood was over before the metrics showed them: they are
/// updated within a second, and the bytes wait for longer than that.
async fn seen(server: &Server, most: f64) -> f64 {
    if most > 0.0 {
        return most;
    }
    server.until(WAITING, |bytes| bytes > 0.0).await;
    server.sample(WAITING).await
}

/// Waits until all of them are closed, which must not take too long.
async fn until_closed(server: &Server, stuck: Instant) {
    server
        .until("greenroom_closes_total{reason=\"slow_consumer\"}", |closes| closes == DEAF as f64)
        .await;
    // Twice the timeout, because it may have restarted for a client whose last bytes were received
    // late.
    assert!(
        stuck.elapsed() < 2 * WRITE_TIMEOUT + SLACK,
        "they were kept for {:?}",
        stuck.elapsed()
    );
    server.until(WAITING, |bytes| bytes == 0.0).await;
}

#[tokio::test]
async fn unread_events_cost_only_a_cursor() {
    let mut server = builder().start().await;
    let mut sender = server.client(CodecKind::MsgPack).await;
    let mut neighbour = server.client(CodecKind::MsgPack).await;
    neighbour.subscribe(ROOM).await;
    // The store keeps every event, so what the same flood costs without the deaf clients is not
    // their fault.
    let (_, kept) = cost(&server, post(&mut sender, &mut neighbour, 1..=FLOOD)).await;
    let _deaf = deaf(&server).await;
    let (waiting, grown) =
        cost(&server, post(&mut sender, &mut neighbour, FLOOD + 1..=2 * FLOOD)).await;
    let waiting = seen(&server, waiting).await;
    let flooded = Instant::now();
    eprintln!(
        "at most {waiting} bytes waited; memory grew by {grown}, of which {kept} for the store"
    );
    assert!(
        waiting > 0.0 && waiting <= (DEAF * (OUTBOX + IN_HAND)) as f64,
        "{waiting} bytes waited for {DEAF} clients"
    );
    assert!(
        grown - kept < 48e6,
        "{DEAF} clients that do not read have cost {} bytes",
        grown - kept
    );
    until_closed(&server, flooded).await;
    server.assert_serves().await;
}

#[tokio::test]
async fn unread_signals_are_dropped() {
    let mut server = builder().start().await;
    let mut sender = server.client(CodecKind::MsgPack).await;
    let _deaf = deaf(&server).await;
    let text = "x".repeat(1000);
    let (waiting, grown) = cost(&server, async {
        for n in 0..FLOOD {
            sender
                .tell(
                    "signal",
                    json!({"entity": ROOM, "type": "typing", "body": {"n": n, "text": text}}),
                )
                .await;
            if n % AT_ONCE == 0 {
                sender.ok("ping", json!({})).await;
            }
        }
        sender.ok("ping", json!({})).await;
    })
    .await;
    let waiting = seen(&server, waiting).await;
    let flooded = Instant::now();
    eprintln!("{waiting} bytes waited at most; memory grew by {grown}");
    assert!(
        waiting > 0.0 && waiting <= (DEAF * (OUTBOX + IN_HAND)) as f64,
        "{waiting} bytes waited for {DEAF} clients"
    );
    // All signals together would be 100 MB.
    assert!(grown < 48e6, "{grown} bytes");
    until_closed(&server, flooded).await;
    server.assert_serves().await;
}

/// Answers must be sent, so they exceed the outbox's bound; but no more requests are read from a
/// client that does not receive them.
#[tokio::test]
async fn clients_that_read_no_answers_are_no_longer_read() {
    const ANSWER: usize = 10_000;
    const IN_FLIGHT: usize = 64;
    let mut server = Server::builder()
        .unlimited()
        .with(format!(
            "socket.write_timeout = \"{}s\"\nsocket.outbox_bytes = {OUTBOX}",
            WRITE_TIMEOUT.as_secs()
        ))
        .start()
        .await;
    let mut client = server.client(CodecKind::Json).await;
    client
        .send("doc:large", 1, "set", json!({"path": "/value", "value": "x".repeat(ANSWER)}))
        .await;
    let begun = Instant::now();
    let (waiting, grown) = cost(&server, async {
        let asking = (0..DEAF).map(async |index| {
            let codec = CodecKind::ALL[index % 2];
            let mut raw = Raw::connect_narrow(server.address).await.upgraded(codec).await;
            raw.write(&burst(codec, &[request(1, "connect", json!({}))])).await;
            raw.read_frame().await.expect("an answer");
            // Long ids, so that the kernel's buffers hold only a part of the requests.
            let read =
                |id: u64| json!({"jsonrpc": "2.0", "id": format!("{id:0>120}"), "method": "read", "params": {"entity": "doc:large"}});
            let reads = burst(codec, &(0..100).map(read).collect::<Vec<_>>());
            // Stop when the server has ended the connection. A write shows that only later, so each
            // part is short.
            let mut asked = 0;
            while asked < FLOOD && raw.try_write(&reads).await {
                asked += 100;
            }
            asked
        });
        let asked = join_all(asking).await;
        assert!(asked.iter().all(|asked| *asked < FLOOD), "all of their requests were read: {asked:?}");
    })
    .await;
    eprintln!("{waiting} bytes waited at most; memory grew by {grown}");
    assert!(
        waiting > 0.0 && waiting <= (DEAF * (OUTBOX + IN_HAND + IN_FLIGHT * (ANSWER + 300))) as f64,
        "{waiting} bytes"
    );
    assert!(grown < 64e6, "{grown} bytes");
    until_closed(&server, begun).await;
    server.assert_serves().await;
}
