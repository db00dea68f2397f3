//! Identity: who may connect, as whom, for how long, and what they may do.

use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::server::{Server, command, within};
use crate::token::{SECRET, mint};

async fn capabilities_decide_what_is_allowed(codec: CodecKind) {
    let server = Server::builder()
        .with(SECRET)
        .with("kinds.room = {behaviour = \"room\", default_permissions = [\"read\"], anonymous_permissions = []}")
        .with("kinds.doc = {behaviour = \"document\", default_permissions = []}")
        .start()
        .await;
    let token = server.token("alice", &["room:team-*=send", "doc:plan-*=read"]).await;
    let (mut alice, hello) = server.join(codec, json!({"token": token})).await;
    assert_eq!(hello["user"], "alice");
    assert!(
        hello["expires_at"].as_u64().is_some_and(|at| at > hello["limits"]["ping_interval_ms"].as_u64().unwrap_or(u64::MAX)),
        "{hello}"
    );
    let op = |entity: &str| json!({"entity": entity, "n": 1, "type": "post", "body": {}});
    alice.ok("send", op("room:team-a")).await;
    alice.ok("signal", json!({"entity": "room:team-a", "type": "t", "body": 1})).await;
    alice.ok("presence", json!({"entity": "room:team-a", "action": "enter"})).await;
    alice.ok("read", json!({"entity": "room:lobby"})).await;
    alice.ok("presence", json!({"entity": "room:lobby"})).await;
    alice.fails("send", op("room:lobby"), "forbidden").await;
    alice
        .fails("signal", json!({"entity": "room:lobby", "type": "t", "body": 1}), "forbidden")
        .await;
    alice.fails("presence", json!({"entity": "room:lobby", "action": "enter"}), "forbidden").await;
    alice.ok("subscribe", json!({"entity": "doc:plan-7"})).await;
    alice.ok("history", json!({"entity": "doc:plan-7"})).await;
    alice.fails("send", json!({"entity": "doc:plan-7", "n": 2, "type": "set", "body": {"path": "/a", "value": 1}}), "forbidden").await;
    for method in ["subscribe", "read", "history", "presence"] {
        alice.fails(method, json!({"entity": "doc:other"}), "forbidden").await;
    }
    let mut anonymous = server.client(codec).await;
    anonymous.fails("read", json!({"entity": "room:team-a"}), "forbidden").await;
    // A token with all rights may use all configured kinds.
    let (mut all, _) = server
        .join(codec, json!({"token": server.token("root", &["*=read,send,moderate"]).await}))
        .await;
    all.ok("read", json!({"entity": "doc:other"})).await;
}

async fn bad_tokens_are_refused(codec: CodecKind) {
    let server = Server::builder().with(SECRET).start().await;
    let good = server.token("alice", &[]).await;
    let parts: Vec<&str> = good.split('.').collect();
    let flipped = if parts[2].starts_with('A') { "B" } else { "A" };
    let other = Server::builder()
        .with("auth.secret = \"another-secret-of-somebody-else-entirely\"")
        .prepare();
    let foreign = mint(other.directory.path(), &["--sub", "alice"]).await;
    for (token, why) in [
        (String::new(), "empty"),
        ("no.jwt".into(), "malformed"),
        (format!("{}.{}.{flipped}{}", parts[0], parts[1], &parts[2][1..]), "badly signed"),
        (format!("{}.{}.", "eyJhbGciOiJub25lIn0", parts[1]), "not signed at all"),
        (foreign, "signed by another"),
        ("x".repeat(33_000), "too long"),
    ] {
        let mut client = server.open(codec).await;
        let error = client.fails("connect", json!({"token": token}), "unauthorized").await;
        assert!(
            token.is_empty() || !error.to_string().contains(&token),
            "{why}: the answer must not repeat the token"
        );
        assert_eq!(client.closed().await, (4003, "unauthorized".into()), "{why}");
    }
}

async fn anonymous_access_can_be_off(codec: CodecKind) {
    let server = Server::builder().with(SECRET.replace("true", "false")).start().await;
    let mut client = server.open(codec).await;
    client.fails("connect", json!({}), "unauthorized").await;
    assert_eq!(client.closed().await, (4003, "unauthorized".into()));
    let open = Server::builder().start().await;
    let mut client = open.open(codec).await;
    client
        .fails("connect", json!({"token": server.token("alice", &[]).await}), "unauthorized")
        .await;
    let (_, hello) = open.join(codec, json!({})).await;
    assert!(hello["user"].as_str().is_some_and(|user| user.starts_with("anon-")), "{hello}");
    assert_eq!(hello.get("expires_at"), None, "anonymous users do not expire");
}

async fn an_identity_expires_or_is_refreshed(codec: CodecKind) {
    let server = Server::builder().with(SECRET).with("auth.leeway = \"0s\"").start().await;
    let brief = mint(server.path(), &["--sub", "alice", "--ttl", "3s"]).await;
    let (mut fading, hello) = server.join(codec, json!({"token": brief})).await;
    let (mut staying, _) =
        server.join(codec, json!({"token": brief, "subscriptions": [{"entity": "room:x"}]})).await;
    for client in [&mut fading, &mut staying] {
        let goodbye = client.expect("goodbye").await;
        assert_eq!(goodbye["reason"], "token_expiring");
        assert!(goodbye["closes_in_ms"].as_u64().is_some_and(|ms| ms <= 3000), "{goodbye}");
    }
    let alice = server.token("alice", &[]).await;
    let bob = server.token("bob", &[]).await;
    staying.fails("connect", json!({"token": bob}), "unauthorized").await;
    staying
        .fails(
            "connect",
            json!({"token": alice, "subscriptions": [{"entity": "room:y"}]}),
            "invalid_params",
        )
        .await;
    let refreshed = staying.ok("connect", json!({"token": alice})).await;
    assert!(refreshed["expires_at"].as_u64() > hello["expires_at"].as_u64(), "{refreshed}");
    assert_eq!(fading.closed().await, (4002, "token_expired".into()));
    // After the first token has expired the refreshed session goes on, and so does its
    // subscription.
    staying.send("room:x", 1, "post", json!({})).await;
    assert_eq!(staying.event().await["seq"], 1);
    let mut late = server.open(codec).await;
    late.fails("connect", json!({"token": brief}), "token_expired").await;
    assert_eq!(late.closed().await, (4002, "token_expired".into()));
}

/// The refusal comes before anybody could connect: the process never listens.
#[tokio::test]
async fn a_server_open_to_all_is_refused_beyond_loopback() {
    for (lines, wanted) in [
        ("listen = \"0.0.0.0:0\"", "auth."),
        ("listen = \"[::]:0\"\nauth.anonymous = false", "auth."),
    ] {
        let directory = tempfile::tempdir().expect("a temporary directory can be created");
        std::fs::write(
            directory.path().join("greenroom.toml"),
            format!("{lines}\nstore.url = \"memory\"\nmetrics.listen = \"\"\n"),
        )
        .expect("it can be written to");
        let output = within("the refusal", command(directory.path()).arg("serve").output())
            .await
            .expect("the binary runs");
        assert_eq!(output.status.code(), Some(2));
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(why.contains(wanted) && output.stdout.is_empty(), "{why}");
    }
}

mod codecs {
    crate::over_both_codecs!(capabilities_decide_what_is_allowed);
    crate::over_both_codecs!(bad_tokens_are_refused);
    crate::over_both_codecs!(anonymous_access_can_be_off);
    crate::over_both_codecs!(an_identity_expires_or_is_refreshed);
}
