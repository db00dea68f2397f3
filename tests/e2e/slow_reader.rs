//! A client that reads slowly, or not at all, costs only itself.

use std::collections::VecDeque;

use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::client::Client;
use crate::server::{Builder, Server};

const DOC: &str = "doc:big";
/// The size of each event's value in bytes.
const LARGE: usize = 30_000;
/// The number of events, which is more than the kernel's buffers and the outbox can hold.
const MANY: u64 = 500;
const OUTBOX: u64 = 128 * 1024;

fn builder() -> Builder {
    Server::builder().unlimited().with(format!("socket.outbox_bytes = {OUTBOX}"))
}

/// Sets a large value once for each of `numbers`, waiting for each op, so that the sender is never
/// the slow one.
async fn pour(sender: &mut Client, numbers: std::ops::RangeInclusive<u64>) {
    let value = "x".repeat(LARGE);
    for n in numbers {
        sender.send(DOC, n, "set", json!({"path": "/value", "value": value})).await;
    }
}

/// What the server closes a client with that receives nothing for the write timeout.
pub async fn closed_for_reading_nothing(server: &Server, codec: CodecKind) -> (u16, String) {
    let mut slow = Client::open_narrow(server.address, codec).await;
    slow.ok("connect", json!({"subscriptions": [{"entity": DOC}]})).await;
    let mut sender = server.client(codec).await;
    let value = "x".repeat(LARGE);
    // The close frame could only be read after everything before it, so wait until the metric shows
    // that the server has decided.
    for n in 1..=MANY {
        sender.send(DOC, n, "set", json!({"path": "/value", "value": value})).await;
    }
    server.until("greenroom_closes_total{reason=\"slow_consumer\"}", |closes| closes == 1.0).await;
    // What it was sent is cut off somewhere, and the metric has shown the reason. A client that had
    // read everything would have seen this close frame.
    let close = greenroom_protocol::close::CloseCode::SlowConsumer;
    (close.number(), close.reason().to_owned())
}

async fn replay_gives_each_event_once_and_in_order(codec: CodecKind) {
    let mut server = builder().start().await;
    let mut slow = Client::open_narrow(server.address, codec).await;
    slow.ok("connect", json!({"subscriptions": [{"entity": DOC}]})).await;
    let mut neighbour = server.client(codec).await;
    neighbour.subscribe(DOC).await;
    let mut sender = server.client(codec).await;
    for n in 1..=MANY {
        pour(&mut sender, n..=n).await;
        assert_eq!(neighbour.event().await["seq"], n, "a neighbour receives each event at once");
    }
    // The gauge is updated once a second: wait until it includes the slow client.
    server.until("greenroom_outbox_bytes", |bytes| bytes > 0.0).await;
    let waiting = server.sample("greenroom_outbox_bytes").await;
    assert!(
        waiting <= (OUTBOX + 2 * LARGE as u64) as f64,
        "{waiting} bytes are waiting: more than the outbox's bound"
    );
    for seq in 1..=MANY {
        let event = slow.event().await;
        assert_eq!(
            (&event["seq"], event["body"]["value"].as_str().map(str::len)),
            (&json!(seq), Some(LARGE))
        );
    }
    assert_eq!(slow.settled().await, [], "nothing arrived twice");
    pour(&mut sender, MANY + 1..=MANY + 1).await;
    assert_eq!(slow.event().await["seq"], MANY + 1, "it is live again");
    assert!(
        server.sample("greenroom_outbox_overflows_total{policy=\"replay\"}").await >= 1.0,
        "the client was too slow at least once"
    );
    server.assert_serves().await;
}

async fn an_overflowing_disconnect_subscription_closes(codec: CodecKind) {
    let server = builder().start().await;
    let mut slow = Client::open_narrow(server.address, codec).await;
    slow.ok("connect", json!({"subscriptions": [{"entity": DOC, "events": "disconnect"}]})).await;
    let mut neighbour = server.client(codec).await;
    neighbour.subscribe(DOC).await;
    let mut sender = server.client(codec).await;
    for n in 1..=MANY {
        pour(&mut sender, n..=n).await;
        assert_eq!(neighbour.event().await["seq"], n);
    }
    server.until("greenroom_closes_total{reason=\"slow_consumer\"}", |closes| closes == 1.0).await;
    assert!(server.sample("greenroom_outbox_overflows_total{policy=\"disconnect\"}").await >= 1.0);
}

/// A client that continues to read after an overflow finds the close frame after the events that
/// were sent.
#[tokio::test]
async fn the_close_frame_can_be_read() {
    let server = builder().start().await;
    let mut slow = Client::open_narrow(server.address, CodecKind::Json).await;
    slow.ok("connect", json!({"subscriptions": [{"entity": DOC, "events": "disconnect"}]})).await;
    let mut sender = server.client(CodecKind::Json).await;
    let reading = async {
        let mut overflows = 0.0;
        let mut n = 0;
        while overflows == 0.0 {
            n += 20;
            pour(&mut sender, n - 19..=n).await;
            overflows =
                server.sample("greenroom_outbox_overflows_total{policy=\"disconnect\"}").await;
        }
        slow.closed().await
    };
    assert_eq!(Box::pin(reading).await, (4009, "slow_consumer".into()));
}

/// Signals that a slow client cannot receive are dropped, the oldest first, or replaced by the
/// latest; events are not.
#[tokio::test]
async fn signals_are_dropped_before_events() {
    let server = builder().start().await;
    let mut readers = Vec::new();
    for policy in ["drop_oldest", "latest"] {
        let mut slow = Client::open_narrow(server.address, CodecKind::Json).await;
        slow.ok("connect", json!({"subscriptions": [{"entity": DOC, "signals": policy}]})).await;
        readers.push(slow);
    }
    let mut sender = server.client(CodecKind::Json).await;
    pour(&mut sender, 1..=MANY).await;
    for n in 1..=MANY {
        sender.ok("signal", json!({"entity": DOC, "type": "cursor", "key": "mine", "body": {"n": n, "pad": "x".repeat(1000)}})).await;
    }
    for slow in &mut readers {
        let mut events = 0;
        let mut signals = Vec::new();
        while events < MANY {
            let (method, params) = slow.notification().await;
            match method.as_str() {
                "event" => {
                    events += 1;
                    assert_eq!(params["seq"], events, "no event is dropped for a signal");
                }
                "signal" => signals.push(params["body"]["n"].as_u64().expect("a number")),
                other => panic!("`{other}`"),
            }
        }
        signals.extend(
            slow.settled()
                .await
                .iter()
                .map(|(_, params)| params["body"]["n"].as_u64().expect("a number")),
        );
        assert!(
            (signals.len() as u64) < MANY,
            "{} of {MANY} signals arrived: none was dropped",
            signals.len()
        );
        assert!(signals.is_sorted_by(|a, b| a < b), "{signals:?}");
    }
}

const BUSY: &str = "room:busy";
/// The number of events during a long stall. Together they are many times what the kernel and an
/// outbox can hold.
const STALL: u64 = 100_000;
/// The number of posts in flight at a time.
const IN_FLIGHT: usize = 128;
/// How many bytes the server may grow by meanwhile, including its database's tables in memory.
const GROWTH: u64 = 192 * 1024 * 1024;

/// Posts `count` small events to a room.
async fn flood(sender: &mut Client, count: u64) {
    let mut asked = VecDeque::new();
    for n in 1..=count {
        if asked.len() == IN_FLIGHT {
            let oldest = asked.pop_front().expect("it is full");
            sender.answer(oldest).await.expect("a post is accepted");
        }
        asked.push_back(
            sender
                .ask(
                    "send",
                    json!({"entity": BUSY, "n": n, "type": "post", "body": {"text": "so it goes"}}),
                )
                .await,
        );
    }
    for id in asked {
        sender.answer(id).await.expect("a post is accepted");
    }
}

/// Reads the events of these seqs, each once and in order.
async fn read(client: &mut Client, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        assert_eq!(client.event().await["seq"], seq);
    }
}

/// A reader that stands still while 100,000 events pass costs a cursor, not a buffer, and misses
/// nothing.
#[tokio::test]
async fn a_long_stall_costs_an_outbox_and_no_event() {
    let mut server = Server::builder()
        .unlimited()
        .durable()
        .with(format!("socket.outbox_bytes = {OUTBOX}\nsocket.max_in_flight = {IN_FLIGHT}"))
        .with("socket.write_timeout = \"10m\"\nsocket.idle_timeout = \"10m\"\nrelay.catch_up_percent = 50")
        .with("kinds.room = {behaviour = \"room\", ops_per_second = 1000000, ops_burst = 1000000}")
        .start()
        .await;
    let mut stalled = Vec::new();
    for codec in [CodecKind::Json, CodecKind::MsgPack] {
        let mut slow = Client::open_with_room_for(256 * 1024, server.address, codec).await;
        slow.ok("connect", json!({"subscriptions": [{"entity": BUSY}]})).await;
        stalled.push(slow);
    }
    let mut neighbour = server.client(CodecKind::Json).await;
    neighbour.subscribe(BUSY).await;
    let mut sender = server.client(CodecKind::Json).await;
    let before = server.memory("VmRSS");
    tokio::join!(flood(&mut sender, STALL), read(&mut neighbour, 1..=STALL));

    // The gauge is updated once a second: wait until only the slow clients remain.
    let bound = (stalled.len() as u64 * (OUTBOX + 64 * 1024)) as f64;
    server.until("greenroom_outbox_bytes", |bytes| bytes > 0.0 && bytes <= bound).await;
    let grown = server.memory("VmRSS").saturating_sub(before);
    assert!(grown <= GROWTH, "the server grew by {grown} bytes");
    assert_eq!(
        server.sample("greenroom_outbox_overflows_total{policy=\"replay\"}").await,
        stalled.len() as f64,
        "each paused once"
    );

    futures_util::future::join_all(stalled.iter_mut().map(|slow| read(slow, 1..=STALL))).await;
    let pages = server.sample("greenroom_catch_up_pages_total").await;
    assert!(pages > 0.0, "they catch up from the journal");
    continues_live(&mut sender, &mut stalled).await;
    server.assert_serves().await;
}

/// Afterwards the next event arrives as it happens, and nothing before it.
async fn continues_live(sender: &mut Client, stalled: &mut [Client]) {
    sender.send(BUSY, STALL + 1, "post", json!({"text": "and on"})).await;
    for slow in stalled {
        read(slow, STALL + 1..=STALL + 1).await;
        assert_eq!(slow.settled().await, [], "nothing arrived twice");
    }
}

mod codecs {
    crate::over_both_codecs!(replay_gives_each_event_once_and_in_order);
    crate::over_both_codecs!(an_overflowing_disconnect_subscription_closes);
}
