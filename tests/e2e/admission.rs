//! Who is admitted if the configuration does not say, and what the log tells the operator about it.

use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::raw::{Http, Raw, upgrade};
use crate::server::{Server, http_get};

const KEY: &str = "auth.secret = \"a-secret-of-these-tests-and-of-nothing-else\"";

/// The README's setup: a key, and a listener on loopback behind a proxy.
async fn a_configured_key_turns_off_anonymous_access(codec: CodecKind) {
    let server = Server::builder().with(KEY).start().await;
    let mut client = server.open(codec).await;
    client.fails("connect", json!({}), "unauthorized").await;
    assert_eq!(client.closed().await, (4003, "unauthorized".into()));
    let (_, hello) = server.join(codec, json!({"token": server.token("alice", &[]).await})).await;
    assert_eq!(hello["user"], "alice");
}

#[tokio::test]
async fn the_log_says_who_is_admitted_and_why() {
    for (line, says) in [
        ("", ["no tokens", "anonymous users allowed", "nothing in the configuration suggests"]),
        (KEY, ["tokens by 1 key", "anonymous users refused", "`auth.secret` is set"]),
        (
            &format!("{KEY}\nauth.anonymous = true"),
            ["tokens by 1 key", "anonymous users allowed", "`auth.anonymous` is true"],
        ),
        (
            &format!("{KEY}\nlimits.trusted_proxies = [\"10.0.0.0/8\"]"),
            ["tokens by 1 key", "anonymous users refused", "is set"],
        ),
    ] {
        let log = Server::builder().with(line).start().await.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("who is admitted")).collect();
        assert_eq!(lines.len(), 1, "{log}");
        for part in says {
            assert!(lines[0].contains(part), "{line}: no `{part}` in {}", lines[0]);
        }
    }
}

async fn ask(server: &Server, request: &str) -> Http {
    let mut raw = Raw::connect(server.address).await;
    raw.write(request.as_bytes()).await;
    raw.http_head().await
}

/// A page under a name that its owner points to 127.0.0.1 is not one of this server's pages.
#[tokio::test]
async fn a_rebound_name_reaches_nothing() {
    let mut server = Server::builder().start().await;
    let port = server.address.port();
    let page = |host: &str| upgrade(&[("Host", host), ("Origin", &format!("http://{host}"))]);
    for (request, status) in [
        (page(&format!("localhost:{port}")), 101),
        (page(&format!("127.0.0.1:{port}")), 101),
        (page(&format!("[::1]:{port}")), 101),
        (page(&format!("app.localhost:{port}")), 101),
        (page(&format!("evil.test:{port}")), 403),
        (page("evil.test"), 403),
        (page(&format!("0.0.0.0:{port}")), 403),
        (page("localhost.evil.test"), 403),
        (page("localhost:80@evil.test"), 403),
        (upgrade(&[("Host", "evil.test")]), 403),
        (upgrade(&[("Host", "localhost"), ("Origin", "http://evil.test")]), 403),
        // A full URL as the request's target is checked like the header, which may say something
        // else.
        (page("evil.test").replacen("/ws", "http://localhost/ws", 1), 403),
        (upgrade(&[("Host", "localhost")]).replacen("/ws", "http://evil.test/ws", 1), 403),
        (page("localhost").replacen("/ws", "http://localhost/ws", 1), 101),
    ] {
        let answer = ask(&server, &request).await;
        assert_eq!(answer.status, status, "{request}{answer:?}");
    }
    // The operators' listener is not for such pages either.
    let mut raw = Raw::connect(server.admin).await;
    raw.write(b"GET /metrics HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n").await;
    let answer = raw.http().await;
    assert!(answer.status == 403 && !answer.body.contains("greenroom_ready"), "{answer:?}");
    assert_eq!(server.admin_get("/metrics").await.0, 200);
    server.assert_serves().await;
}

/// By setting a list the operator has decided, and the host's name no longer matters.
#[tokio::test]
async fn a_list_of_origins_allows_other_names() {
    let server = Server::builder()
        .with("auth.anonymous = true\nsocket.allowed_origins = [\"https://app.example.org\"]")
        .start()
        .await;
    for (host, origin, status) in [
        ("app.example.org", "https://app.example.org", 101),
        ("localhost", "https://app.example.org", 101),
        ("app.example.org", "https://evil.test", 403),
        ("evil.test", "https://evil.test", 403),
    ] {
        assert_eq!(
            ask(&server, &upgrade(&[("Host", host), ("Origin", origin)])).await.status,
            status,
            "{origin} at {host}"
        );
    }
    assert_eq!(http_get(server.address, "/").await.0, 200);
}

mod codecs {
    crate::over_both_codecs!(a_configured_key_turns_off_anonymous_access);
}
