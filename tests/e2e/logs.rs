//! What the log shows at the levels debug and trace, and what it never shows.

use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::server::Server;

/// A server with this log filter, on which a client has connected and posted to `room:logged`.
async fn posted(filter: &str) -> Server {
    let server = Server::builder().alone().with(format!("log.filter = \"{filter}\"")).start().await;
    let mut client = server.client(CodecKind::Json).await;
    client.subscribe("room:logged").await;
    client.send("room:logged", 7, "post", json!({"text": "not for the log"})).await;
    client.event().await;
    client.fails("read", json!({"entity": "nothing:x"}), "unknown_kind").await;
    client.close().await;
    server.until("greenroom_sessions", |sessions| sessions == 0.0).await;
    server
}

fn has(log: &str, parts: &[&str]) -> bool {
    log.lines().any(|line| parts.iter().all(|part| line.contains(part)))
}

#[tokio::test]
async fn debug_shows_sessions_and_entities() {
    let server = posted("info,greenroom=debug").await;
    let log = server.log();
    for parts in [
        &["DEBUG", "session{id=", "greenroom_actors::session", "connected", "anon-"][..],
        &["DEBUG", "a request is refused", "session=", "method=\"read\"", "unknown_kind"],
        &["DEBUG", "session{id=", "ended", "normal"],
        &["DEBUG", "entity{id=room:logged}", "woken"],
    ] {
        assert!(has(&log, parts), "no line with {parts:?} in:\n{log}");
    }
    assert!(!log.contains("greenroom::op") && !log.contains("not for the log"), "{log}");
}

#[tokio::test]
async fn trace_follows_an_op_to_the_disk_and_back() {
    for filter in ["info,greenroom=trace", "info,greenroom::op=trace"] {
        let server = posted(filter).await;
        let log = server.log();
        let steps: Vec<_> = log
            .lines()
            .filter(|line| line.contains("greenroom::op") && line.contains("room:logged"))
            .collect();
        for (line, parts) in steps.iter().zip([
            &["from its session to the directory", "n=7", "session=", "anon-"][..],
            &["from the directory to its entity", "n=7", "session="],
            &["from its entity to the journal", "n=7", "seq=1"],
            &["on disk", "seq=1"],
            &["released to its sender", "n=7", "seq=1", "session="],
        ]) {
            assert!(
                line.contains("TRACE") && parts.iter().all(|part| line.contains(part)),
                "no {parts:?} in {line}"
            );
        }
        assert_eq!(steps.len(), 5, "{log}");
        assert!(!log.contains("not for the log"), "{log}");
    }
}

/// The filter is accepted without a warning, and every line is a log line.
#[tokio::test]
async fn trace_causes_no_warnings() {
    let server = posted("trace").await;
    let log = server.log();
    assert!(
        log.lines().all(|line| line.starts_with("20")),
        "{:?}",
        log.lines().find(|line| !line.starts_with("20"))
    );
    assert!(has(&log, &["TRACE", "greenroom::op", "on disk"]), "Greenroom's own lines are there");
}

#[tokio::test]
async fn info_shows_neither_debug_nor_trace() {
    let server = posted("info").await;
    let log = server.log();
    assert!(
        !log.contains("DEBUG") && !log.contains("TRACE") && !log.contains("room:logged"),
        "{log}"
    );
}
