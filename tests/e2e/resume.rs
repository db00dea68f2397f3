//! Resuming: the client receives exactly what it missed, or a snapshot with the reason.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::Server;

const ROOM: &str = "room:r";

async fn post(client: &mut Client, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        client.send(ROOM, n, "post", json!({"n": n})).await;
    }
}

fn seqs(events: &Value) -> Vec<u64> {
    events
        .as_array()
        .expect("a list of events")
        .iter()
        .map(|event| event["seq"].as_u64().expect("a seq"))
        .collect()
}

async fn subscribing_after_a_position_returns_later_events(codec: CodecKind) {
    let server = Server::builder()
        .with("kinds.room = {behaviour = \"room\", resume_events = 10, ring_events = 3}")
        .start()
        .await;
    let mut sender = server.client(codec).await;
    post(&mut sender, 1..=12).await;
    let mut client = server.client(codec).await;
    let fresh = client.subscribe(ROOM).await;
    assert_eq!(
        (&fresh["seq"], &fresh["reason"], fresh.get("events")),
        (&json!(12), &json!("no_position"), None)
    );
    let epoch = fresh["epoch"].clone();
    // Events from memory, events from the store, and no events.
    for (seq, missed) in [(10, vec![11, 12]), (3, (4..=12).collect()), (12, vec![])] {
        let resumed = client
            .ok("subscribe", json!({"entity": ROOM, "after": {"epoch": epoch, "seq": seq}}))
            .await;
        assert_eq!(seqs(&resumed["events"]), missed, "after {seq}");
        assert_eq!(
            (&resumed["seq"], resumed.get("snapshot"), resumed.get("reason")),
            (&json!(12), None, None)
        );
        if let Some(event) = resumed["events"].as_array().and_then(|events| events.first()) {
            assert_eq!(event.get("entity"), None, "events in results omit the entity: {event}");
        }
    }
    for (after, reason) in [
        (json!({"epoch": epoch, "seq": 1}), "too_old"),
        (json!({"epoch": "0123456789abcdef", "seq": 12}), "epoch_changed"),
        (json!({"epoch": epoch, "seq": 99}), "epoch_changed"),
    ] {
        let resumed = client.ok("subscribe", json!({"entity": ROOM, "after": after})).await;
        assert_eq!(
            (&resumed["reason"], &resumed["seq"], resumed.get("events")),
            (&json!(reason), &json!(12), None),
            "{after}"
        );
        assert_eq!(resumed["snapshot"]["messages"].as_array().map(Vec::len), Some(12));
    }
    post(&mut sender, 13..=13).await;
    assert_eq!(client.event().await["seq"], 13, "subscribed several times, one event");
    assert_eq!(client.settled().await, []);
    client.ok("unsubscribe", json!({"entity": ROOM})).await;
    client.ok("unsubscribe", json!({"entity": ROOM})).await;
    post(&mut sender, 14..=14).await;
    assert_eq!(client.settled().await, [], "no events after unsubscribing");
}

async fn a_lost_connection_misses_nothing(codec: CodecKind) {
    let server = Server::builder().start().await;
    let mut sender = server.client(codec).await;
    let mut client = server.client(codec).await;
    let epoch = client.subscribe(ROOM).await["epoch"].clone();
    post(&mut sender, 1..=3).await;
    let mut last = 0;
    while last < 3 {
        last = client.event().await["seq"].as_u64().expect("a seq");
    }
    drop(client);
    post(&mut sender, 4..=9).await;
    let subscription = json!({"entity": ROOM, "after": {"epoch": epoch, "seq": last}});
    let (mut client, hello) = server.join(codec, json!({"subscriptions": [subscription]})).await;
    assert_eq!(seqs(&hello["subscriptions"][0]["result"]["events"]), [4, 5, 6, 7, 8, 9]);
    post(&mut sender, 10..=10).await;
    assert_eq!(client.event().await["seq"], 10);
}

/// All subscriptions of a `connect` are answered in one message, in order, and no event overtakes
/// it.
#[tokio::test]
async fn connect_is_answered_before_any_event() {
    let mut server = Server::builder()
        .unlimited()
        .with("kinds.room.behaviour = \"room\"")
        .with("kinds.doc = {behaviour = \"document\", anonymous_permissions = []}")
        .start()
        .await;
    let mut sender = server.client(CodecKind::Json).await;
    let entities: Vec<String> = (0..20).map(|index| format!("room:many-{index}")).collect();
    for n in 1..=10u64 {
        // Keep all rooms busy while a client connects.
        for entity in &entities {
            sender
                .tell("send", json!({"entity": entity, "n": n, "type": "post", "body": {"n": n}}))
                .await;
        }
        let codec = CodecKind::ALL[n as usize % 2];
        let mut client = server.open(codec).await;
        let listed: Vec<Value> = entities
            .iter()
            .map(|entity| json!({"entity": entity}))
            .chain([json!({"entity": "doc:x"}), json!({"entity": "no:x"})])
            .collect();
        let hello = client.ok("connect", json!({"subscriptions": listed})).await;
        assert_eq!(
            client.order.first().map(String::as_str),
            Some("answer 1"),
            "an event came before the answer"
        );
        let outcomes = hello["subscriptions"].as_array().expect("outcomes");
        let order: Vec<_> =
            outcomes.iter().map(|outcome| outcome["entity"].as_str().expect("an entity")).collect();
        assert_eq!(
            order,
            entities.iter().map(String::as_str).chain(["doc:x", "no:x"]).collect::<Vec<_>>()
        );
        assert_eq!(
            (&outcomes[20]["error"]["data"]["code"], &outcomes[21]["error"]["data"]["code"]),
            (&json!("forbidden"), &json!("unknown_kind"))
        );
        // From each position onwards, the events follow without a gap.
        let mut expected: std::collections::HashMap<&str, u64> = outcomes[..20]
            .iter()
            .map(|outcome| {
                (
                    outcome["entity"].as_str().expect("an entity"),
                    outcome["result"]["seq"].as_u64().expect("a seq") + 1,
                )
            })
            .collect();
        while expected.values().any(|next| *next <= n) {
            let event = client.event().await;
            let next = expected
                .get_mut(event["entity"].as_str().expect("an entity"))
                .expect("a room that was subscribed to");
            assert_eq!(event["seq"], *next, "{event}");
            *next += 1;
        }
    }
    server.assert_serves().await;
}

/// For clients that subscribe while others post, there is no gap between the result and the events
/// that follow.
#[tokio::test]
async fn subscribing_leaves_no_gap() {
    const POSTS: u64 = 400;
    let server = Server::builder().unlimited().start().await;
    let mut sender = server.client(CodecKind::Json).await;
    let mut clients = Vec::new();
    let mut flight = Vec::new();
    for n in 1..=POSTS {
        flight.push(
            sender
                .ask("send", json!({"entity": ROOM, "n": n, "type": "post", "body": {"n": n}}))
                .await,
        );
        if n % 20 == 0 {
            let codec = CodecKind::ALL[clients.len() % 2];
            let (client, hello) =
                server.join(codec, json!({"subscriptions": [{"entity": ROOM}]})).await;
            clients.push((
                client,
                hello["subscriptions"][0]["result"]["seq"].as_u64().expect("a seq"),
            ));
            for id in flight.drain(..) {
                sender.answer(id).await.expect("a post is accepted");
            }
        }
    }
    for (client, seq) in &mut clients {
        for next in *seq + 1..=POSTS {
            assert_eq!(client.event().await["seq"], next);
        }
    }
}

#[tokio::test]
async fn a_position_survives_a_power_cut() {
    let server = Server::builder().durable().start().await;
    let (mut client, hello) =
        server.join(CodecKind::Json, json!({"subscriptions": [{"entity": ROOM}]})).await;
    let epoch = hello["subscriptions"][0]["result"]["epoch"].clone();
    post(&mut client, 1..=5).await;
    let server = server.kill().await.start().await;
    let subscription = json!({"entity": ROOM, "after": {"epoch": epoch, "seq": 2}});
    let (_, hello) = server.join(CodecKind::Json, json!({"subscriptions": [subscription]})).await;
    assert_eq!(seqs(&hello["subscriptions"][0]["result"]["events"]), [3, 4, 5]);
}

/// Trimmed events are gone: a position before them gets a snapshot, and the history begins later.
#[tokio::test]
async fn trimmed_history_is_too_old() {
    let server = Server::builder()
        .with("kinds.room = {behaviour = \"room\", messages = 2, resume_events = 5, ring_events = 2, keep_events = 5, snapshot_every = 10}")
        .start()
        .await;
    let mut client = server.client(CodecKind::Json).await;
    let epoch = client.subscribe(ROOM).await["epoch"].clone();
    for n in 1..=80 {
        client.send(ROOM, n, "post", json!({"text": "x".repeat(2000)})).await;
    }
    let resumed =
        client.ok("subscribe", json!({"entity": ROOM, "after": {"epoch": epoch, "seq": 1}})).await;
    assert_eq!(resumed["reason"], "too_old");
    let page = client.ok("history", json!({"entity": ROOM, "after": 0, "limit": 1000})).await;
    let kept = seqs(&page["events"]);
    assert!(kept.first().is_none_or(|first| *first > 1), "{kept:?}");
    // These are the events to keep, those since the latest snapshot, and those still to be deleted.
    assert!(kept.len() <= 40, "{kept:?}");
    assert!(server.sample("greenroom_trims_total").await >= 5.0);
    assert!(kept.is_sorted_by(|a, b| a + 1 == *b), "{kept:?}");
    let page = client.ok("history", json!({"entity": ROOM})).await;
    let last = seqs(&page["events"]);
    assert_eq!(last.last(), Some(&80));
    assert!(last.is_sorted_by(|a, b| a + 1 == *b), "{last:?}");
}

mod codecs {
    crate::over_both_codecs!(subscribing_after_a_position_returns_later_events);
    crate::over_both_codecs!(a_lost_connection_misses_nothing);
}
