//! Rooms: what everybody sees, and who may change what.

use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::server::Server;
use crate::token::SECRET;

async fn the_life_of_a_message(codec: CodecKind) {
    let mut server = Server::builder().with(SECRET).start().await;
    let alice = server.token("alice", &[]).await;
    let bob = server.token("bob", &[]).await;
    let eve = server.token("eve", &["room:*=moderate"]).await;
    let (mut alice, hello) = server.join(codec, json!({"token": alice})).await;
    assert_eq!(hello["user"], "alice");
    let (mut bob, _) = server.join(codec, json!({"token": bob})).await;
    let (mut moderator, _) = server.join(codec, json!({"token": eve})).await;
    let room = "room:lobby";

    let first = alice.subscribe(room).await;
    assert_eq!(
        (&first["seq"], &first["snapshot"], &first["reason"]),
        (&json!(0), &json!({"messages": []}), &json!("no_position"))
    );
    let sent = alice.send(room, 1, "post", json!({"text": "hi"})).await;
    assert_eq!((&sent["seq"], sent.get("duplicate"), sent.get("result")), (&json!(1), None, None));
    assert_eq!(sent["epoch"], first["epoch"]);
    let event = alice.event().await;
    let whole = json!({"entity": room, "seq": 1, "at": sent["at"], "from": "alice", "type": "post", "body": {"text": "hi"}});
    assert_eq!(event, whole, "an event has exactly the documented members");

    bob.rejected(room, 1, "edit", json!({"seq": 1, "body": {"text": "mine"}}), "not_author").await;
    bob.rejected(room, 2, "delete", json!({"seq": 1}), "not_author").await;
    alice.send(room, 2, "edit", json!({"seq": 1, "body": {"text": "hello"}})).await;
    bob.send(room, 3, "react", json!({"seq": 1, "emoji": "👍"})).await;
    moderator.send(room, 1, "edit", json!({"seq": 1, "body": {"text": "moderated"}})).await;
    let state = bob.read(room).await;
    let message = &state["messages"][0];
    assert_eq!(
        (&message["body"], &message["from"], &message["reactions"]),
        (&json!({"text": "moderated"}), &json!("alice"), &json!({"👍": ["bob"]}))
    );
    assert!(message["edited_at"].as_u64() >= message["at"].as_u64(), "{message}");

    bob.send(room, 4, "react", json!({"seq": 1, "emoji": "👍", "remove": true})).await;
    moderator.send(room, 2, "delete", json!({"seq": 1})).await;
    let message = &bob.read(room).await["messages"][0];
    assert_eq!(message["deleted"], true, "{message}");
    assert!(
        !message.to_string().contains("moderated"),
        "deleted text can no longer be read: {message}"
    );
    alice.rejected(room, 3, "edit", json!({"seq": 1, "body": {}}), "message_not_found").await;

    let mut seen = Vec::new();
    for _ in 2..=6 {
        let event = alice.event().await;
        seen.push((event["seq"].clone(), event["from"].clone(), event["type"].clone()));
    }
    let wanted = [
        (2, "alice", "edit"),
        (3, "bob", "react"),
        (4, "eve", "edit"),
        (5, "bob", "react"),
        (6, "eve", "delete"),
    ];
    assert_eq!(seen, wanted.map(|(seq, from, r#type)| (json!(seq), json!(from), json!(r#type))));
    assert_eq!(alice.settled().await, [], "refused ops cause no events");
    server.assert_serves().await;
}

async fn invalid_ops_are_refused_with_a_reason(codec: CodecKind) {
    let server = Server::builder()
        .with("kinds.room.behaviour = \"room\"")
        .with("kinds.room.max_reactions = 2")
        .with("kinds.room.messages = 3")
        .start()
        .await;
    let mut client = server.client(codec).await;
    let room = "room:strict";
    for (r#type, body) in [
        ("post", json!("text")),
        ("post", json!([])),
        ("post", json!(null)),
        ("edit", json!({"seq": 1})),
        ("edit", json!({"seq": "1", "body": {}})),
        ("delete", json!({"seq": 1, "more": true})),
        ("delete", json!({"seq": -1})),
        ("react", json!({"seq": 1, "emoji": ""})),
        ("react", json!({"seq": 1, "emoji": "x".repeat(65)})),
    ] {
        client.rejected(room, 1, r#type, body, "invalid_body").await;
    }
    client.rejected(room, 1, "explode", json!({}), "unknown_op").await;
    client.rejected(room, 1, "delete", json!({"seq": 7}), "message_not_found").await;
    client.send(room, 1, "post", json!({})).await;
    client.send(room, 2, "react", json!({"seq": 1, "emoji": "a"})).await;
    client.send(room, 3, "react", json!({"seq": 1, "emoji": "b"})).await;
    client.rejected(room, 4, "react", json!({"seq": 1, "emoji": "c"}), "too_many_reactions").await;
    for n in 5..8 {
        client.send(room, n, "post", json!({"n": n})).await;
    }
    let state = client.read(room).await;
    let kept: Vec<_> = state["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|message| &message["body"]["n"])
        .collect();
    assert_eq!(kept, [5, 6, 7], "the state keeps the last `messages` posts");
    client.rejected(room, 8, "react", json!({"seq": 1, "emoji": "a"}), "message_not_found").await;
}

/// Subscribers of both codecs on all workers see the concurrent posts of several senders in the
/// same order.
#[tokio::test]
async fn everybody_sees_the_same_order() {
    const SENDERS: u64 = 4;
    const EACH: u64 = 50;
    let mut server = Server::builder().unlimited().start().await;
    let room = "room:busy";
    let mut readers = Vec::new();
    for index in 0..6 {
        let mut reader = server.client(CodecKind::ALL[index % 2]).await;
        reader.subscribe(room).await;
        readers.push(reader);
    }
    let mut senders = Vec::new();
    for index in 0..SENDERS as usize {
        senders.push(server.client(CodecKind::ALL[index % 2]).await);
    }
    for n in 1..=EACH {
        for (index, sender) in senders.iter_mut().enumerate() {
            sender.ask("send", json!({"entity": room, "n": n, "type": "post", "body": {"sender": index, "n": n}})).await;
        }
    }
    let mut orders = Vec::new();
    for reader in &mut readers {
        let mut order = Vec::new();
        for seq in 1..=SENDERS * EACH {
            let event = reader.event().await;
            assert_eq!(event["seq"], seq, "events come once and in order");
            order.push(event);
        }
        orders.push(order);
    }
    assert!(orders.iter().all(|order| *order == orders[0]), "all subscribers see the same");
    for sender in 0..SENDERS {
        let mine: Vec<_> = orders[0]
            .iter()
            .filter(|event| event["body"]["sender"] == sender)
            .map(|event| event["body"]["n"].clone())
            .collect();
        assert_eq!(
            mine,
            (1..=EACH).map(|n| json!(n)).collect::<Vec<_>>(),
            "a sender's ops keep their order"
        );
    }
    server.assert_serves().await;
}

mod codecs {
    crate::over_both_codecs!(the_life_of_a_message);
    crate::over_both_codecs!(invalid_ops_are_refused_with_a_reason);
}
