//! Presence: who is here, with one notification per change.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::Server;
use crate::token::SECRET;

const ROOM: &str = "room:p";

async fn enter(client: &mut Client, meta: Value) -> Value {
    client.ok("presence", json!({"entity": ROOM, "action": "enter", "meta": meta})).await
}

async fn one_entry_per_user(codec: CodecKind) {
    let server = Server::builder()
        .with(SECRET)
        .with("socket.presence_grace = \"0s\"")
        .with("kinds.room = {behaviour = \"room\", presence_interval = \"20ms\"}")
        .start()
        .await;
    let alice = server.token("alice", &[]).await;
    let bob = server.token("bob", &[]).await;
    let watcher = json!({"token": bob, "subscriptions": [{"entity": ROOM, "presence": true}]});
    let (mut bob, hello) = server.join(codec, watcher).await;
    assert_eq!(hello["subscriptions"][0]["result"]["presence"], json!({"count": 0, "members": []}));

    let (mut one, _) = server.join(codec, json!({"token": alice})).await;
    assert_eq!(enter(&mut one, json!({"at": "desk"})).await, json!({"count": 1}));
    let member =
        |meta: Value, sessions: u64| json!({"user": "alice", "meta": meta, "sessions": sessions});
    assert_eq!(
        bob.expect("presence").await,
        json!({"entity": ROOM, "joined": [member(json!({"at": "desk"}), 1)], "count": 1})
    );
    let (mut two, _) = server.join(codec, json!({"token": alice})).await;
    enter(&mut two, json!({"at": "phone"})).await;
    assert_eq!(
        bob.expect("presence").await,
        json!({"entity": ROOM, "updated": [member(json!({"at": "phone"}), 2)], "count": 1})
    );
    enter(&mut one, json!({"at": "sofa"})).await;
    assert_eq!(bob.expect("presence").await["updated"], json!([member(json!({"at": "sofa"}), 2)]));
    let listed = bob.ok("presence", json!({"entity": ROOM})).await;
    assert_eq!(listed, json!({"count": 1, "members": [member(json!({"at": "sofa"}), 2)]}));

    one.ok("presence", json!({"entity": ROOM, "action": "leave"})).await;
    assert_eq!(
        bob.expect("presence").await["updated"],
        json!([member(json!({"at": "phone"}), 1)]),
        "the meta of the session that left no longer counts"
    );
    two.close().await;
    assert_eq!(
        bob.expect("presence").await,
        json!({"entity": ROOM, "left": ["alice"], "count": 0})
    );
    assert_eq!(
        bob.ok("presence", json!({"entity": ROOM, "action": "list"})).await,
        json!({"count": 0, "members": []})
    );

    // A client that is cut off leaves as well, once its grace period is over: see `leases`.
    enter(&mut one, json!({})).await;
    assert_eq!(bob.expect("presence").await["count"], 1);
    drop(one);
    assert_eq!(
        bob.expect("presence").await,
        json!({"entity": ROOM, "left": ["alice"], "count": 0})
    );
}

async fn what_presence_refuses(codec: CodecKind) {
    let server = Server::builder()
        .with("kinds.room = {behaviour = \"room\", max_present = 1}")
        .start()
        .await;
    let mut client = server.client(codec).await;
    client
        .fails(
            "presence",
            json!({"entity": ROOM, "action": "enter", "meta": [1]}),
            "invalid_params",
        )
        .await;
    client
        .fails("presence", json!({"entity": ROOM, "action": "leave", "meta": {}}), "invalid_params")
        .await;
    client.fails("presence", json!({"entity": ROOM, "action": "dance"}), "invalid_params").await;
    client
        .fails(
            "presence",
            json!({"entity": ROOM, "action": "enter", "meta": {"x": "x".repeat(1024)}}),
            "too_large",
        )
        .await;
    client.ok("presence", json!({"entity": ROOM, "action": "leave"})).await;
    enter(&mut client, json!({})).await;
    let mut other = server.client(codec).await;
    let error =
        other.fails("presence", json!({"entity": ROOM, "action": "enter"}), "overloaded").await;
    assert_eq!(error["data"]["reason"], "presence_full");
}

async fn a_crowd_is_reported_by_its_number_only(codec: CodecKind) {
    let room =
        "kinds.room = {behaviour = \"room\", presence_interval = \"20ms\", presence_list = 2}";
    let server = Server::builder().with(SECRET).with(room).start().await;
    let watch = json!({"subscriptions": [{"entity": ROOM, "presence": true}]});
    let (mut watcher, _) = server.join(codec, watch.clone()).await;
    let mut members = Vec::new();
    for (index, user) in ["alice", "bob", "carol"].into_iter().enumerate() {
        let token = server.token(user, &[]).await;
        let (mut member, _) = server.join(codec, json!({"token": token})).await;
        enter(&mut member, json!({})).await;
        members.push(member);
        let change = watcher.expect("presence").await;
        let joined = json!({"entity": ROOM, "joined": [{"user": user, "meta": {}, "sessions": 1}], "count": index + 1});
        assert_eq!(change, if index < 2 { joined } else { json!({"entity": ROOM, "count": 3}) });
    }
    assert_eq!(watcher.ok("presence", json!({"entity": ROOM})).await, json!({"count": 3}));
    let (mut late, hello) = server.join(codec, watch).await;
    assert_eq!(hello["subscriptions"][0]["result"]["presence"], json!({"count": 3}));

    let leave = json!({"entity": ROOM, "action": "leave"});
    members[0].ok("presence", leave.clone()).await;
    for client in [&mut watcher, &mut late] {
        assert_eq!(
            client.expect("presence").await,
            json!({"entity": ROOM, "count": 2}),
            "still too many to list"
        );
    }
    members[1].ok("presence", leave).await;
    let carol = json!([{"user": "carol", "meta": {}, "sessions": 1}]);
    for client in [&mut watcher, &mut late] {
        assert_eq!(
            client.expect("presence").await,
            json!({"entity": ROOM, "members": carol, "count": 1})
        );
    }
    members.pop().expect("carol is the last").close_with(1000, "").await;
    assert_eq!(
        late.expect("presence").await,
        json!({"entity": ROOM, "left": ["carol"], "count": 0})
    );
}

/// Many changes within one interval are reported as their sum.
#[tokio::test]
async fn presence_changes_are_batched() {
    const CROWD: usize = 30;
    let server = Server::builder()
        .unlimited()
        .with("kinds.room = {behaviour = \"room\", presence_interval = \"1s\"}")
        .start()
        .await;
    let (mut watcher, _) = server
        .join(CodecKind::Json, json!({"subscriptions": [{"entity": ROOM, "presence": true}]}))
        .await;
    let mut crowd = Vec::new();
    for index in 0..CROWD {
        crowd.push(server.client(CodecKind::ALL[index % 2]).await);
    }
    let mut seen = 0;
    let mut messages = 0;
    for (index, client) in crowd.iter_mut().enumerate() {
        enter(client, json!({"index": index})).await;
        enter(client, json!({"index": index, "again": true})).await;
    }
    while seen < CROWD {
        let change = watcher.expect("presence").await;
        messages += 1;
        let joined = change["joined"].as_array().map_or(0, Vec::len);
        seen += joined;
        assert!(joined > 0 || change.get("updated").is_some(), "{change}");
        assert_eq!(change.get("left"), None, "empty lists are left out: {change}");
    }
    assert!(messages < CROWD, "{messages} messages for {CROWD} changes: nothing was gathered");
    let list = watcher.ok("presence", json!({"entity": ROOM})).await;
    assert_eq!(list["count"], CROWD);
    assert!(
        list["members"]
            .as_array()
            .expect("members")
            .iter()
            .all(|member| member["meta"]["again"] == true)
    );
}

mod codecs {
    crate::over_both_codecs!(one_entry_per_user);
    crate::over_both_codecs!(what_presence_refuses);
    crate::over_both_codecs!(a_crowd_is_reported_by_its_number_only);
}
