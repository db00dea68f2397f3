//! Presence is leased to the session, and the session outlives its connection for a while.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Builder, Server};
use crate::token::SECRET;

const ROOM: &str = "room:p";

fn builder() -> Builder {
    Server::builder()
        .with(SECRET)
        .with("kinds.room = {behaviour = \"room\", presence_interval = \"20ms\"}")
}

async fn watcher(server: &Server, codec: CodecKind) -> Client {
    let token = server.token("watcher", &[]).await;
    server
        .join(codec, json!({"token": token, "subscriptions": [{"entity": ROOM, "presence": true}]}))
        .await
        .0
}

async fn enter(client: &mut Client, at: &str) {
    client.ok("presence", json!({"entity": ROOM, "action": "enter", "meta": {"at": at}})).await;
}

/// Connects alice, who becomes present. Returns her client and the parameters to resume her
/// session.
async fn alice(server: &Server, codec: CodecKind) -> (Client, Value) {
    let token = server.token("alice", &[]).await;
    let (mut alice, hello) = server.join(codec, json!({"token": token})).await;
    enter(&mut alice, "desk").await;
    (alice, json!({"token": token, "client": hello["client"], "session": hello["session"]}))
}

fn member(at: &str) -> Value {
    json!({"user": "alice", "meta": {"at": at}, "sessions": 1})
}

/// Changes alice's meta and checks that this is the next thing the watcher sees: nothing was sent
/// before it.
async fn moves_to(alice: &mut Client, watcher: &mut Client, at: &str) {
    enter(alice, at).await;
    assert_eq!(
        watcher.expect("presence").await,
        json!({"entity": ROOM, "updated": [member(at)], "count": 1})
    );
}

async fn a_lost_connection_does_not_make_presence_flicker(codec: CodecKind) {
    let server = builder().start().await;
    let mut watcher = watcher(&server, codec).await;
    let (one, resume) = alice(&server, codec).await;
    assert_eq!(watcher.expect("presence").await["joined"], json!([member("desk")]));
    drop(one);
    server.until("greenroom_sessions_parked", |parked| parked == 1.0).await;
    let (mut two, hello) = server.join(codec, resume.clone()).await;
    assert_eq!(hello["resumed"], true);
    assert_ne!(hello["session"], resume["session"]);
    moves_to(&mut two, &mut watcher, "sofa").await;

    // A client that lost the answer asks for the first session again.
    drop(two);
    let (mut three, hello) = server.join(codec, resume).await;
    assert_eq!(hello["resumed"], true);
    moves_to(&mut three, &mut watcher, "bed").await;
    three.close().await;
    assert_eq!(
        watcher.expect("presence").await,
        json!({"entity": ROOM, "left": ["alice"], "count": 0}),
        "a proper close leaves at once"
    );
}

/// The client has noticed that its connection is lost, but the server has not.
async fn a_connection_that_only_looks_alive_is_replaced(codec: CodecKind) {
    let server = builder().start().await;
    let mut watcher = watcher(&server, codec).await;
    let (mut one, resume) = alice(&server, codec).await;
    watcher.expect("presence").await;
    let (mut two, hello) = server.join(codec, resume).await;
    assert_eq!(hello["resumed"], true);
    assert_eq!(one.closed().await, (4011, "replaced".to_owned()));
    moves_to(&mut two, &mut watcher, "sofa").await;
    let listed = watcher.ok("presence", json!({"entity": ROOM})).await;
    assert_eq!(listed, json!({"count": 1, "members": [member("sofa")]}));
}

async fn presence_ends_after_the_grace_period(codec: CodecKind) {
    let server = builder().with("socket.presence_grace = \"1s\"").start().await;
    let mut watcher = watcher(&server, codec).await;
    let (one, resume) = alice(&server, codec).await;
    watcher.expect("presence").await;
    let lost = std::time::Instant::now();
    drop(one);
    assert_eq!(
        watcher.expect("presence").await,
        json!({"entity": ROOM, "left": ["alice"], "count": 0})
    );
    assert!(lost.elapsed().as_millis() >= 1000, "there is a grace period");
    let (two, hello) = server.join(codec, resume).await;
    assert_eq!(hello["resumed"], true, "the resume window is longer");
    assert_eq!(
        watcher.expect("presence").await,
        json!({"entity": ROOM, "joined": [member("desk")], "count": 1})
    );
    drop(two);
    assert_eq!(watcher.expect("presence").await["left"], json!(["alice"]));
}

async fn another_users_session_cannot_be_resumed(codec: CodecKind) {
    let server = builder().start().await;
    let mut watcher = watcher(&server, codec).await;
    let (one, resume) = alice(&server, codec).await;
    watcher.expect("presence").await;
    drop(one);
    let bob = server.token("bob", &[]).await;
    let with = |name: &str, value: Value| {
        let mut params = resume.clone();
        params[name] = value;
        params
    };
    let another = json!("01J00000000000000000000000");
    for params in [
        with("token", json!(bob)),
        with("client", another),
        with("session", json!("nonsense")),
        with("session", json!("")),
    ] {
        let (client, hello) = server.join(codec, params.clone()).await;
        assert_eq!(hello.get("resumed"), None, "{params}");
        client.close().await;
    }
    let mut open = server.open(codec).await;
    open.fails("connect", with("session", json!("x".repeat(65))), "invalid_params").await;
    open.fails("connect", with("session", json!(7)), "invalid_params").await;
    let (mut two, hello) = server.join(codec, resume).await;
    assert_eq!(hello["resumed"], true);
    moves_to(&mut two, &mut watcher, "sofa").await;
}

/// An application's close code means that the client will be back; only a proper close ends the
/// presence at once.
async fn other_closes_count_as_lost_connections(codec: CodecKind) {
    let server = builder().start().await;
    let mut watcher = watcher(&server, codec).await;
    let (one, resume) = alice(&server, codec).await;
    watcher.expect("presence").await;
    one.close_with(4900, "reconnecting").await;
    let (mut two, hello) = server.join(codec, resume).await;
    assert_eq!(hello["resumed"], true);
    moves_to(&mut two, &mut watcher, "sofa").await;
    two.close_with(1001, "").await;
    assert_eq!(watcher.expect("presence").await["left"], json!(["alice"]), "closing a page leaves");
}

async fn resuming_delivers_missed_events(codec: CodecKind) {
    let server = builder().start().await;
    let mut watcher = watcher(&server, codec).await;
    let (mut one, resume) = alice(&server, codec).await;
    one.subscribe(ROOM).await;
    let first = watcher.send(ROOM, 1, "post", json!({"text": "before"})).await;
    assert_eq!(one.event().await["seq"], 1);
    drop(one);
    watcher.send(ROOM, 2, "post", json!({"text": "meanwhile"})).await;
    let mut params = resume;
    params["subscriptions"] =
        json!([{"entity": ROOM, "after": {"epoch": first["epoch"], "seq": 1}}]);
    let (mut two, hello) = server.join(codec, params).await;
    assert_eq!(hello["resumed"], true);
    let result = &hello["subscriptions"][0]["result"];
    assert_eq!(
        (&result["seq"], &result["events"][0]["body"]["text"]),
        (&json!(2), &json!("meanwhile"))
    );
    watcher.send(ROOM, 3, "post", json!({"text": "after"})).await;
    assert_eq!(two.event().await["seq"], 3);
}

#[tokio::test]
async fn parked_sessions_are_bounded_and_end() {
    let server =
        builder().with("workers = 1\nsocket.max_parked = 2\nsocket.resume_window = \"2s\"\nsocket.presence_grace = \"2s\"").start().await;
    let mut watcher = watcher(&server, CodecKind::Json).await;
    for user in ["a", "b", "c"] {
        let token = server.token(user, &[]).await;
        let (mut client, _) = server.join(CodecKind::Json, json!({"token": token})).await;
        enter(&mut client, "x").await;
        assert_eq!(watcher.expect("presence").await["joined"][0]["user"], user);
        if user == "c" {
            server.until("greenroom_sessions_parked", |parked| parked == 2.0).await;
        }
        drop(client);
    }
    assert_eq!(
        watcher.expect("presence").await,
        json!({"entity": ROOM, "left": ["a"], "count": 2}),
        "the first made room"
    );
    let mut left = Vec::new();
    while left.len() < 2 {
        left.extend(
            watcher.expect("presence").await["left"].as_array().expect("they leave").clone(),
        );
    }
    assert_eq!(left, ["b", "c"]);
    server.until("greenroom_sessions_parked", |parked| parked == 0.0).await;
}

mod codecs {
    use crate::over_both_codecs;

    over_both_codecs!(a_lost_connection_does_not_make_presence_flicker);
    over_both_codecs!(a_connection_that_only_looks_alive_is_replaced);
    over_both_codecs!(presence_ends_after_the_grace_period);
    over_both_codecs!(another_users_session_cannot_be_resumed);
    over_both_codecs!(other_closes_count_as_lost_connections);
    over_both_codecs!(resuming_delivers_missed_events);
}
