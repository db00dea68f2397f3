//! A client whose connection is refused learns why, and so does the operator.

use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::limits::{burst, request};
use crate::raw::{Http, Raw, upgrade};
use crate::server::{Server, within};

async fn ask(server: &Server, request: &[u8]) -> Http {
    let mut raw = Raw::connect(server.address).await;
    raw.write(request).await;
    raw.http().await
}

#[tokio::test]
async fn a_refused_upgrade_explains_itself() {
    let mut server = Server::builder().start().await;
    let get = upgrade(&[]);
    for (why, request, status, says) in [
        ("the root", get.replacen("/ws", "/", 1), 404, "no WebSocket at `/`; it is at `/ws`"),
        (
            "another path",
            get.replacen("/ws", "/socket", 1),
            404,
            "no WebSocket at `/socket`; it is at `/ws`",
        ),
        ("a path below", get.replacen("/ws", "/ws/x", 1), 404, "it is at `/ws`"),
        (
            "a long path",
            get.replacen("/ws", &format!("/{}", "x".repeat(5000)), 1),
            404,
            "it is at `/ws`",
        ),
        ("not a GET", get.replacen("GET", "POST", 1), 405, "must be GET"),
        (
            "a proxy without Connection",
            upgrade(&[("Connection", "close")]),
            400,
            "`Connection: Upgrade` is required",
        ),
        (
            "a foreign page",
            upgrade(&[("Origin", "https://evil.test")]),
            403,
            "`https://evil.test` may not connect",
        ),
        ("a foreign name", upgrade(&[("Host", "evil.test")]), 403, "not to `evil.test`"),
        (
            "no upgrade at all",
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".into(),
            426,
            "`Upgrade: websocket` is missing",
        ),
        (
            "no upgrade, with a slash",
            "GET /ws/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".into(),
            426,
            "Upgrade",
        ),
    ] {
        let answer = ask(&server, request.as_bytes()).await;
        assert_eq!(answer.status, status, "{why}: {answer:?}");
        assert!(answer.body.contains(says), "{why}: no `{says}` in {answer:?}");
        assert!(
            answer.head.contains("content-type: text/plain; charset=utf-8")
                && answer.body.ends_with('\n'),
            "{why}: {answer:?}"
        );
        assert!(answer.body.len() < 600, "{why}: {}", answer.body.len());
    }
    server.assert_serves().await;
}

#[tokio::test]
async fn a_trailing_slash_is_the_same_path() {
    let server = Server::builder().start().await;
    let mut raw = Raw::connect(server.address).await;
    raw.write(upgrade(&[]).replacen("/ws", "/ws/", 1).as_bytes()).await;
    assert_eq!(raw.http_head().await.status, 101);
}

/// Whatever follows the head of an upgrade request is read as frames, so a body would be executed.
#[tokio::test]
async fn an_upgrade_with_a_body_is_refused() {
    let mut server = Server::builder().start().await;
    let frames =
        burst(CodecKind::Json, &[request(1, "connect", json!({})), request(2, "ping", json!({}))]);
    let length = frames.len().to_string();
    let mut chunked = format!("{:x}\r\n", frames.len()).into_bytes();
    chunked.extend_from_slice(&frames);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    for (headers, body) in [
        (vec![("Content-Length", length.as_str())], &frames),
        (vec![("Content-Length", "1")], &frames),
        (vec![("Transfer-Encoding", "chunked")], &chunked),
        (vec![("Transfer-Encoding", "identity")], &frames),
        (vec![("Transfer-Encoding", "chunked"), ("Content-Length", length.as_str())], &chunked),
        (vec![("Content-Length", length.as_str()), ("Upgrade", "WebSocket")], &frames),
    ] {
        for path in ["/ws", "/ws/", "/"] {
            let mut raw = Raw::connect(server.address).await;
            raw.write(&[upgrade(&headers).replacen("/ws", path, 1).as_bytes(), body].concat())
                .await;
            let rest = raw.rest().await;
            let text = String::from_utf8_lossy(&rest);
            assert!(text.starts_with("HTTP/1.1 400 "), "{headers:?} at {path}: {text}");
            assert!(
                !text.contains("jsonrpc") && !text.contains(" 101 "),
                "{headers:?} at {path}: {text}"
            );
        }
    }
    // An empty body is allowed.
    let mut raw = Raw::connect(server.address).await;
    raw.write(&[upgrade(&[("Content-Length", "0")]).as_bytes(), &frames].concat()).await;
    assert_eq!(raw.http_head().await.status, 101);
    assert_eq!(crate::limits::answers(&mut raw, CodecKind::Json, 2).await.len(), 2);
    server.assert_serves().await;
}

#[tokio::test]
async fn the_sdk_may_be_imported_from_anywhere_but_not_the_page() {
    let server = Server::builder().start().await;
    for (path, shared) in [
        ("/client/greenroom.js", true),
        ("/client/src/client.js", true),
        ("/", false),
        ("/demo/index.html", false),
    ] {
        for method in ["GET", "HEAD"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\nConnection: close\r\n\r\n"
            );
            let mut raw = Raw::connect(server.address).await;
            raw.write(request.as_bytes()).await;
            let text = String::from_utf8_lossy(&raw.rest().await).to_lowercase();
            assert!(text.starts_with("http/1.1 200"), "{path}: {text:.200}");
            assert_eq!(
                text.contains("access-control-allow-origin: *"),
                shared,
                "{method} {path}: {text:.500}"
            );
        }
    }
}

fn count(log: &str, parts: &[&str]) -> usize {
    log.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
}

#[tokio::test]
async fn repeated_refusals_leave_only_a_few_log_lines() {
    let server = Server::builder()
        .unlimited()
        .with("auth.secret = \"a-secret-of-these-tests-and-of-nothing-else\"")
        .start()
        .await;
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2VjcmV0LXNpZ25hdHVyZQ";
    for _ in 0..50 {
        let answer = ask(&server, upgrade(&[("Origin", "https://evil.test")]).as_bytes()).await;
        assert_eq!(answer.status, 403);
        let mut client = server.open(CodecKind::Json).await;
        client.fails("connect", json!({"token": token}), "unauthorized").await;
        client.closed().await;
    }
    server.until("greenroom_closes_total{reason=\"unauthorized\"}", |closed| closed == 50.0).await;
    let log = server.log();
    for parts in [
        &["INFO", "a connection is refused", "reason=\"origin\"", "https://evil.test", "127.0.0.1"]
            [..],
        &["INFO", "a `connect` is refused", "unauthorized"],
        &["INFO", "a connection is closed", "reason=\"unauthorized\"", "127.0.0.1"],
    ] {
        let lines = count(&log, parts);
        assert!((1..=10).contains(&lines), "{parts:?}: {lines} lines for 50 refusals\n{log}");
    }
    for secret in [token, "c2VjcmV0", "a-secret-of-these-tests"] {
        assert!(!log.contains(secret), "a line shows a token\n{log}");
    }
}

#[tokio::test]
async fn a_flood_is_logged_with_its_user_and_address() {
    let server = Server::builder()
        .with("limits.requests_per_second = 1\nlimits.requests_burst = 2\nlimits.abuse_after = 3")
        .start()
        .await;
    let mut client = server.client(CodecKind::Json).await;
    let flood = async {
        loop {
            let id = client.ask("ping", json!({})).await;
            if client.try_answer(id).await.is_err() {
                break;
            }
        }
    };
    within("the close", flood).await;
    server.until("greenroom_closes_total{reason=\"rate_limited\"}", |closed| closed == 1.0).await;
    let log = server.log();
    assert_eq!(
        count(
            &log,
            &[
                "INFO",
                "a connection is closed",
                "reason=\"rate_limited\"",
                "127.0.0.1",
                "user=\"anon-"
            ]
        ),
        1,
        "{log}"
    );
}

/// Nothing that a client sends can end a log line or hide one.
#[tokio::test]
async fn log_lines_cannot_be_forged() {
    let server = Server::builder().start().await;
    for request in [
        upgrade(&[("Host", "evil.test\u{1b}[2K\u{7f}")]),
        upgrade(&[("Origin", "https://evil.test\t2026-01-01 INFO all is well")]),
        upgrade(&[]).replacen("/ws", "/%0a%1b[2K", 1),
        upgrade(&[("Host", "evil.test\u{85}\u{2028}INFO")]),
    ] {
        let _ = ask(&server, request.as_bytes()).await;
    }
    let log = server.log();
    assert!(
        log.lines().all(|line| !line.contains(|c: char| c.is_control() || c == '\u{2028}')),
        "{log:?}"
    );
    assert_eq!(
        log.lines().filter(|line| !line.starts_with("20")).count(),
        0,
        "every line begins with the time: {log}"
    );
}
