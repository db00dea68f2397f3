//! The handshake: who is admitted, and what everybody else is told.

use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::raw::{Http, Raw, upgrade};
use crate::server::{Server, http_get};

async fn ask(server: &Server, request: &str) -> Http {
    let mut raw = Raw::connect(server.address).await;
    raw.write(request.as_bytes()).await;
    raw.http().await
}

#[tokio::test]
async fn invalid_handshakes_are_explained() {
    let mut server = Server::builder().start().await;
    let origin = ("Origin", "https://evil.example");
    let get = upgrade(&[]);
    for (why, request, status, says) in [
        ("a foreign page", upgrade(&[origin]), 403, "origin"),
        ("an opaque page", upgrade(&[("Origin", "null")]), 403, "origin"),
        (
            "an unknown codec",
            upgrade(&[("Sec-WebSocket-Protocol", "graphql-ws, xmpp")]),
            400,
            "greenroom.v1.json",
        ),
        ("an old version", upgrade(&[("Sec-WebSocket-Version", "8")]), 426, "13"),
        ("no version", upgrade(&[("Sec-WebSocket-Version", "")]), 400, "version"),
        ("no key", upgrade(&[("Sec-WebSocket-Key", "")]), 400, "handshake"),
        ("not a GET", get.replacen("GET", "POST", 1), 405, "handshake"),
        ("another path", get.replacen("/ws", "/socket", 1), 404, "/ws"),
    ] {
        let answer = ask(&server, &request).await;
        assert_eq!(answer.status, status, "{why}: {answer:?}");
        assert!(
            answer.body.to_lowercase().contains(says) || answer.head.contains(says),
            "{why}: {answer:?}"
        );
    }
    let answer = ask(&server, &upgrade(&[("Sec-WebSocket-Version", "8")])).await;
    assert!(answer.head.contains("sec-websocket-version: 13"), "RFC 6455, 4.4: {answer:?}");
    assert!(server.sample("greenroom_connections_refused_total{reason=\"origin\"}").await == 2.0);
    server.assert_serves().await;
}

#[tokio::test]
async fn the_codec_is_agreed_on() {
    let server = Server::builder()
        .with("auth.anonymous = true\nsocket.allowed_origins = [\"https://app.example\"]")
        .start()
        .await;
    for (offered, agreed) in [
        ("greenroom.v1.msgpack", Some("greenroom.v1.msgpack")),
        ("chat, greenroom.v1.json, greenroom.v1.msgpack", Some("greenroom.v1.json")),
        ("", None),
    ] {
        let mut raw = Raw::connect(server.address).await;
        raw.write(
            upgrade(&[("Sec-WebSocket-Protocol", offered), ("Origin", "https://app.example")])
                .as_bytes(),
        )
        .await;
        let answer = raw.http_head().await;
        assert_eq!(answer.status, 101, "{answer:?}");
        // The value that RFC 6455 gives for its own example key.
        assert!(
            answer.head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
            "{answer:?}"
        );
        let named =
            answer.head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(named, agreed, "{offered}");
    }
    let listed = ask(&server, &upgrade(&[("Origin", "https://other.example")])).await;
    assert_eq!(listed.status, 403);
}

/// Requests that arrive together with the handshake are not lost.
#[tokio::test]
async fn frames_may_follow_the_handshake_at_once() {
    let server = Server::builder().start().await;
    let mut raw = Raw::connect(server.address).await;
    let connect =
        crate::limits::burst(CodecKind::Json, &[crate::limits::request(1, "connect", json!({}))]);
    raw.write(&[upgrade(&[]).as_bytes(), &connect].concat()).await;
    assert_eq!(raw.http_head().await.status, 101);
    let answer = &crate::limits::answers(&mut raw, CodecKind::Json, 1).await[0];
    assert!(answer["result"]["session"].is_string(), "{answer}");
}

/// Half a request, random bytes and endless headers end by themselves.
#[tokio::test]
async fn unfinished_handshakes_time_out() {
    let mut server = Server::builder().with("socket.handshake_timeout = \"1s\"").start().await;
    let whole = upgrade(&[]);
    for half in ["", "G", "GET /ws HTTP/1.1\r\nHost: x\r\n", &whole[..whole.len() - 2]] {
        let mut raw = Raw::connect(server.address).await;
        raw.write(half.as_bytes()).await;
        let rest = raw.rest().await;
        assert!(
            rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"),
            "{half:?}: {:?}",
            String::from_utf8_lossy(&rest)
        );
    }
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\x00\xff\xfe\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut raw = Raw::connect(server.address).await;
        raw.write(garbage).await;
        let rest = raw.rest().await;
        assert!(
            rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"),
            "{garbage:?}: {:?}",
            String::from_utf8_lossy(&rest)
        );
    }
    let mut raw = Raw::connect(server.address).await;
    let endless = format!("GET /ws HTTP/1.1\r\nX-Endless: {}", "x".repeat(1 << 20));
    raw.write(endless.as_bytes()).await;
    let rest = raw.rest().await;
    assert!(
        rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"),
        "{:?}",
        String::from_utf8_lossy(&rest[..rest.len().min(200)])
    );
    server.assert_serves().await;
}

#[tokio::test]
async fn the_page_and_the_sdk_are_served() {
    let server = Server::builder().start().await;
    for (path, says) in [("/", "<!doctype html"), ("/client/greenroom.js", "export")] {
        let (status, body) = http_get(server.address, path).await;
        assert_eq!(status, 200, "{path}");
        assert!(body.to_lowercase().contains(says), "{path}: {body:.100}");
    }
    for path in
        ["/nothing", "/client/../Cargo.toml", "/client/%2e%2e/Cargo.toml", "/metrics", "/demo/"]
    {
        assert_eq!(http_get(server.address, path).await.0, 404, "{path}");
    }
}
