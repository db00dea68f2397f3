//! A client that reads slowly, or not at all, costs itself.

use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::client::Client;
use crate::server::{Builder, Server};

const DOC: &str = "doc:big";
/// Bytes of each event's value.
const LARGE: usize = 30_000;
/// Events that are more than the kernel's buffers and the outbox hold together.
const MANY: u64 = 500;
const OUTBOX: u64 = 128 * 1024;

fn builder() -> Builder {
    Server::builder().unlimited().with(format!("socket.outbox_bytes = {OUTBOX}"))
}

/// Sets a large value `numbers` times, waiting for each: the sender itself is never the slow one.
async fn pour(sender: &mut Client, numbers: std::ops::RangeInclusive<u64>) {
    let value = "x".repeat(LARGE);
    for n in numbers {
        sender.send(DOC, n, "set", json!({"path": "/value", "value": value})).await;
    }
}

/// What a client is closed with that takes nothing for the write timeout.
pub async fn closed_for_reading_nothing(server: &Server, codec: CodecKind) -> (u16, String) {
    let mut slow = Client::open_narrow(server.address, codec).await;
    slow.ok("connect", json!({"subscriptions": [{"entity": DOC}]})).await;
    let mut sender = server.client(codec).await;
    let value = "x".repeat(LARGE);
    // The close frame itself can only be read once the rest is. Wait until the server has made up its mind.
    for n in 1..=MANY {
        sender.send(DOC, n, "set", json!({"path": "/value", "value": value})).await;
    }
    server.until("greenroom_closes_total{reason=\"slow_consumer\"}", |closes| closes == 1.0).await;
    // What it was sent before is cut off somewhere; the metric has said why. A client that had read would have seen this.
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
        assert_eq!(neighbour.event().await["seq"], n, "a neighbour gets each event at once");
    }
    // The gauge follows once a second: wait until it knows of the slow one.
    server.until("greenroom_outbox_bytes", |bytes| bytes > 0.0).await;
    let waiting = server.sample("greenroom_outbox_bytes").await;
    assert!(waiting <= (OUTBOX + 2 * LARGE as u64) as f64, "{waiting} bytes wait: the outbox has a bound");
    for seq in 1..=MANY {
        let event = slow.event().await;
        assert_eq!((&event["seq"], event["body"]["value"].as_str().map(str::len)), (&json!(seq), Some(LARGE)));
    }
    assert_eq!(slow.settled().await, [], "nothing came twice");
    pour(&mut sender, MANY + 1..=MANY + 1).await;
    assert_eq!(slow.event().await["seq"], MANY + 1, "it is live again");
    assert!(server.sample("greenroom_outbox_overflows_total{policy=\"replay\"}").await >= 1.0, "it was too slow at least once");
    server.assert_serves().await;
}

async fn disconnect_closes(codec: CodecKind) {
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

/// A client that reads on after an overflow finds the close frame behind what was sent.
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
            overflows = server.sample("greenroom_outbox_overflows_total{policy=\"disconnect\"}").await;
        }
        slow.closed().await
    };
    assert_eq!(Box::pin(reading).await, (4009, "slow_consumer".into()));
}

/// Signals that a slow client cannot take are dropped, the oldest first, or replaced by the latest; events are not.
#[tokio::test]
async fn signals_give_way() {
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
        let (mut events, mut signals) = (0, Vec::new());
        while events < MANY {
            let (method, params) = slow.notification().await;
            match method.as_str() {
                "event" => {
                    events += 1;
                    assert_eq!(params["seq"], events, "no event gives way to a signal");
                }
                "signal" => signals.push(params["body"]["n"].as_u64().expect("a number")),
                other => panic!("`{other}`"),
            }
        }
        signals.extend(slow.settled().await.iter().map(|(_, params)| params["body"]["n"].as_u64().expect("a number")));
        assert!((signals.len() as u64) < MANY, "{} of {MANY} signals came: none gave way", signals.len());
        assert!(signals.is_sorted_by(|a, b| a < b), "{signals:?}");
    }
}

mod codecs {
    crate::over_both_codecs!(replay_gives_each_event_once_and_in_order);
    crate::over_both_codecs!(disconnect_closes);
}
