//! Rights that end while a connection is using them.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::server::{Builder, Server};
use crate::token::SECRET;

/// In rooms nobody may do anything without a capability; the kind `pub` is open to all.
fn builder() -> Builder {
    Server::builder()
        .unlimited()
        .with(SECRET)
        .with("kinds.room = {behaviour = \"room\", default_permissions = []}")
        .with("kinds.pub = {behaviour = \"room\"}")
}

fn entities(prefix: &str, count: usize) -> Vec<Value> {
    (0..count).map(|index| json!({"entity": format!("{prefix}:{index}")})).collect()
}

async fn a_newer_token_applies_to_pending_entries_of_an_earlier_connect(codec: CodecKind) {
    let server = builder().start().await;
    let entitled = server.token("alice", &["room:*=read,send"]).await;
    let less = server.token("alice", &[]).await;
    let mut client = server.open(codec).await;
    let subscriptions = [entities("pub", 8), entities("room", 100)].concat();
    let asked = client
        .ask_together(vec![
            ("connect", json!({"token": entitled, "subscriptions": subscriptions, "presence": entities("room", 100)})),
            ("connect", json!({"token": less})),
        ])
        .await;
    let hello = client.answer(asked[0]).await.expect("it is admitted");
    client.answer(asked[1]).await.expect("it is refreshed");
    let granted = hello["subscriptions"]
        .as_array()
        .expect("all are answered")
        .iter()
        .filter(|one| one["result"].is_object())
        .count();
    assert_eq!((granted, hello["subscriptions"].as_array().map(Vec::len)), (8, Some(108)));
    client.fails("read", json!({"entity": "room:0"}), "forbidden").await;

    let (mut sender, _) = server
        .join(codec, json!({"token": server.token("bob", &["room:*=read,send"]).await}))
        .await;
    for index in 0..100 {
        let room = format!("room:{index}");
        sender.send(&room, index + 1, "post", json!({})).await;
        assert_eq!(sender.ok("presence", json!({"entity": room})).await["count"], 0);
    }
    sender.send("pub:3", 101, "post", json!({})).await;
    assert_eq!(client.event().await["entity"], "pub:3", "what is still allowed goes on");
    assert_eq!(client.settled().await, []);
}

async fn losing_a_right_ends_only_what_it_covered(codec: CodecKind) {
    let server = builder().start().await;
    let entitled = server.token("alice", &["room:*=read,send"]).await;
    let less = server.token("alice", &[]).await;
    let both = json!([{"entity": "room:a"}, {"entity": "pub:a"}]);
    let (mut bob, _) = server
        .join(codec, json!({"token": server.token("bob", &["room:*=read,send"]).await}))
        .await;
    bob.ok("subscribe", json!({"entity": "room:a", "presence": true})).await;
    let (mut alice, _) = server
        .join(codec, json!({"token": entitled, "subscriptions": both, "presence": both}))
        .await;
    assert_eq!(bob.expect("presence").await["joined"][0]["user"], "alice");

    alice.ok("connect", json!({"token": less})).await;
    assert_eq!(
        alice.expect("unsubscribed").await,
        json!({"entity": "room:a", "reason": "forbidden"})
    );
    assert_eq!(alice.expect("left").await, json!({"entity": "room:a", "reason": "forbidden"}));
    assert_eq!(
        bob.expect("presence").await["left"],
        json!(["alice"]),
        "nobody stays present without the right"
    );
    assert_eq!(
        alice.ok("presence", json!({"entity": "room:a", "action": "leave"})).await["count"],
        0,
        "leaving needs no right"
    );
    bob.send("room:a", 1, "post", json!({})).await;
    bob.send("pub:a", 2, "post", json!({})).await;
    assert_eq!(alice.event().await["entity"], "pub:a");
    assert_eq!(bob.ok("presence", json!({"entity": "pub:a"})).await["count"], 1);

    alice.ok("connect", json!({"token": entitled})).await;
    alice.subscribe("room:a").await;
    bob.event().await;
    bob.send("room:a", 3, "post", json!({})).await;
    assert_eq!(
        alice.event().await["seq"],
        2,
        "once the right is back, the client can subscribe again"
    );
}

async fn a_resumed_session_loses_what_its_token_does_not_allow(codec: CodecKind) {
    let server = builder().start().await;
    let entitled = server.token("alice", &["room:*=send"]).await;
    let less = server.token("alice", &[]).await;
    let both = json!([{"entity": "room:a"}, {"entity": "pub:a"}]);
    let client = "0000000000000000000000001A";
    let (lost, hello) =
        server.join(codec, json!({"token": entitled, "client": client, "presence": both})).await;
    let (mut alice, resumed) = server
        .join(codec, json!({"token": less, "client": client, "session": hello["session"]}))
        .await;
    assert_eq!(resumed["resumed"], true, "{resumed}");
    assert_eq!(alice.expect("left").await, json!({"entity": "room:a", "reason": "forbidden"}));
    let (mut bob, _) =
        server.join(codec, json!({"token": server.token("bob", &["room:*=read"]).await})).await;
    for (entity, count) in [("room:a", 0), ("pub:a", 1)] {
        assert_eq!(bob.ok("presence", json!({"entity": entity})).await["count"], count, "{entity}");
    }
    drop(lost);
}

async fn a_moderator_can_moderate_without_permission_to_send(codec: CodecKind) {
    let server = builder().start().await;
    let (mut bob, _) = server
        .join(codec, json!({"token": server.token("bob", &["room:*=read,send"]).await}))
        .await;
    let (mut eve, _) =
        server.join(codec, json!({"token": server.token("eve", &["room:*=moderate"]).await})).await;
    bob.send("room:a", 1, "post", json!({"text": "no"})).await;
    eve.fails("send", json!({"entity": "room:a", "n": 1, "type": "post", "body": {}}), "forbidden")
        .await;
    eve.send("room:a", 2, "edit", json!({"seq": 1, "body": {"text": "yes"}})).await;
    eve.send("room:a", 3, "delete", json!({"seq": 1})).await;
    eve.send("room:a", 4, "purge", json!({"seq": 1})).await;
    assert_eq!(bob.read("room:a").await["messages"][0]["deleted"], true);
}

mod codecs {
    crate::over_both_codecs!(a_newer_token_applies_to_pending_entries_of_an_earlier_connect);
    crate::over_both_codecs!(losing_a_right_ends_only_what_it_covered);
    crate::over_both_codecs!(a_resumed_session_loses_what_its_token_does_not_allow);
    crate::over_both_codecs!(a_moderator_can_moderate_without_permission_to_send);
}
