//! Exactly once: a numbered op is executed once, whatever happens to the connection or the server.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::Server;
use crate::token::SECRET;

const VOTE: &str = "doc:votes";

fn vote(n: u64) -> Value {
    json!({"entity": VOTE, "n": n, "type": "increment", "body": {"path": "/votes", "by": 1}})
}

/// Repeats an op, which must return its first outcome.
async fn repeat(client: &mut Client, n: u64, first: &Value) {
    let mut wanted = first.clone();
    wanted["duplicate"] = json!(true);
    assert_eq!(
        client.ok("send", vote(n)).await,
        wanted,
        "a repeat of {n} returns the first outcome"
    );
}

async fn a_repeat_returns_the_first_outcome(codec: CodecKind) {
    let server = Server::builder().start().await;
    let (mut client, hello) = server.join(codec, json!({})).await;
    let first = client.ok("send", vote(1)).await;
    assert_eq!(first["result"], 1);
    repeat(&mut client, 1, &first).await;
    client.ok("send", vote(2)).await;
    repeat(&mut client, 1, &first).await;
    client.close().await;
    // A client of the other codec is the same client if it presents the same id.
    for codec in CodecKind::ALL {
        let (mut again, second) = server.join(codec, json!({"client": hello["client"]})).await;
        assert_eq!(
            (&second["client"], &second["user"]),
            (&hello["client"], &hello["user"]),
            "an anonymous user stays the same"
        );
        repeat(&mut again, 1, &first).await;
        assert_eq!(again.read(VOTE).await, json!({"votes": 2}));
    }
    let (mut stranger, other) = server.join(codec, json!({})).await;
    assert_ne!(other["user"], hello["user"]);
    assert_eq!(
        stranger.ok("send", vote(1)).await["result"],
        3,
        "another client's numbers are its own"
    );
}

/// Of repeats in flight at the same time as the original, only one op is executed.
#[tokio::test]
async fn concurrent_repeats_are_executed_once() {
    let server = Server::builder().start().await;
    let (mut one, hello) = server.join(CodecKind::Json, json!({})).await;
    let (mut two, _) = server.join(CodecKind::MsgPack, json!({"client": hello["client"]})).await;
    for n in 1..=40 {
        let first = one.ask("send", vote(n)).await;
        let second = two.ask("send", vote(n)).await;
        let outcomes = [
            one.answer(first).await.expect("accepted"),
            two.answer(second).await.expect("accepted"),
        ];
        let duplicates = outcomes.iter().filter(|outcome| outcome["duplicate"] == true).count();
        assert_eq!(
            (duplicates, &outcomes[0]["seq"], &outcomes[1]["seq"]),
            (1, &json!(n), &json!(n))
        );
    }
    assert_eq!(one.read(VOTE).await, json!({"votes": 40}));
}

#[tokio::test]
async fn op_numbers_are_separate_for_each_user() {
    let server = Server::builder().with(SECRET).start().await;
    let alice = server.token("alice", &[]).await;
    let bob = server.token("bob", &[]).await;
    let (mut alice, hello) = server.join(CodecKind::Json, json!({"token": alice})).await;
    let (mut bob, _) =
        server.join(CodecKind::Json, json!({"token": bob, "client": hello["client"]})).await;
    assert_eq!(alice.ok("send", vote(1)).await["result"], 1);
    let theirs = bob.ok("send", vote(1)).await;
    assert_eq!(
        (&theirs["result"], theirs.get("duplicate")),
        (&json!(2), None),
        "the id counts only together with the user"
    );
}

#[tokio::test]
async fn ops_beyond_the_dedupe_window_get_a_definite_error() {
    let server = Server::builder()
        .with("socket.max_in_flight = 4")
        .with("kinds.doc = {behaviour = \"document\", dedupe_ops = 4}")
        .start()
        .await;
    let mut client = server.client(CodecKind::Json).await;
    for n in 1..=10 {
        client.ok("send", vote(n)).await;
    }
    client.fails("send", vote(6), "op_expired").await;
    client.fails("send", vote(1), "op_expired").await;
    assert_eq!(client.ok("send", vote(7)).await["duplicate"], true);
    assert_eq!(
        client.read(VOTE).await,
        json!({"votes": 10}),
        "expired ops were not executed again"
    );
}

/// A refusal is not an outcome: the same number may be tried again.
#[tokio::test]
async fn a_refused_op_may_be_repeated() {
    let server = Server::builder().start().await;
    let mut client = server.client(CodecKind::Json).await;
    client.send("doc:r", 1, "set", json!({"path": "/votes", "value": "many"})).await;
    client
        .rejected("doc:r", 2, "increment", json!({"path": "/votes", "by": 1}), "not_a_number")
        .await;
    client.send("doc:r", 3, "set", json!({"path": "/votes", "value": 1})).await;
    assert_eq!(
        client.send("doc:r", 2, "increment", json!({"path": "/votes", "by": 1})).await["result"],
        2
    );
}

#[tokio::test]
async fn outcomes_survive_restarts_and_power_cuts() {
    let server = Server::builder().durable().start().await;
    let (mut client, hello) = server.join(CodecKind::Json, json!({})).await;
    let first = client.ok("send", vote(1)).await;
    let server = server.kill().await.start().await;
    let (mut client, again) =
        server.join(CodecKind::Json, json!({"client": hello["client"]})).await;
    assert_eq!(again["user"], hello["user"]);
    repeat(&mut client, 1, &first).await;
    let second = client.ok("send", vote(2)).await;
    assert_eq!(
        (&second["seq"], &second["result"], &second["epoch"]),
        (&json!(2), &json!(2), &first["epoch"])
    );
    server.terminate().await;
    let (status, stopped) = server.ended().await;
    assert!(status.success(), "{status}");
    let server = stopped.start().await;
    let (mut client, _) = server.join(CodecKind::MsgPack, json!({"client": hello["client"]})).await;
    repeat(&mut client, 2, &second).await;
    repeat(&mut client, 1, &first).await;
    assert_eq!(client.read(VOTE).await, json!({"votes": 2}));
}

mod codecs {
    crate::over_both_codecs!(a_repeat_returns_the_first_outcome);
}
