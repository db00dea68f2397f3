//! The entities of a kind keep their behaviour, and unreadable entities are reported.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{Server, Stopped, command, within};
use crate::storage::database::{Database, greenroom};

const POLL: &str = "kinds.poll = {behaviour = \"document\", idle_timeout = \"1s\"}";

/// Replaces text in the configuration.
fn change(stopped: &Stopped, from: &str, to: &str) {
    let path = stopped.directory.path().join("greenroom.toml");
    let text = std::fs::read_to_string(&path).expect("it was written");
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replace(from, to)).expect("it can be written");
}

async fn run(stopped: &Stopped, argument: &str) -> (Option<i32>, String) {
    let output =
        within("the end of the process", command(stopped.directory.path()).arg(argument).output())
            .await
            .expect("the binary runs");
    (
        output.status.code(),
        [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat(),
    )
}

#[tokio::test]
async fn a_kind_that_has_entities_keeps_its_behaviour() {
    let rooms = "kinds.note = {behaviour = \"room\"}";
    let server = Server::builder().with(POLL).with(rooms).durable().start().await;
    let mut client = server.client(CodecKind::Json).await;
    client.send("poll:a", 1, "set", json!({"path": "/votes", "value": 3})).await;
    let mut stopped = server.kill().await;

    let other = POLL.replace("document", "room");
    change(&stopped, POLL, &other);
    for argument in ["serve", "check"] {
        let (code, says) = run(&stopped, argument).await;
        assert!(code.is_some_and(|code| code != 0), "{argument}: {says}");
        for part in ["`poll`", "\"document\"", "\"room\"", "kinds.poll.behaviour", "another name"] {
            assert!(says.contains(part), "{argument} does not say {part}: {says}");
        }
    }
    change(&stopped, &other, POLL);
    // A kind without entities may change, and a kind may be removed and restored.
    for (from, to) in [(rooms, "kinds.note = {behaviour = \"document\"}"), (POLL, "")] {
        change(&stopped, from, to);
        let (code, says) = run(&stopped, "check").await;
        assert_eq!(code, Some(0), "{says}");
        let server = stopped.start().await;
        let mut client = server.client(CodecKind::Json).await;
        if to.is_empty() {
            client.fails("read", json!({"entity": "poll:a"}), "unknown_kind").await;
        } else {
            assert_eq!(client.read("poll:a").await, json!({"votes": 3}));
        }
        stopped = server.kill().await;
    }
    let path = stopped.directory.path().join("greenroom.toml");
    let text = std::fs::read_to_string(&path).expect("it was written");
    std::fs::write(&path, format!("{text}\n{POLL}\n")).expect("it can be written");
    let server = stopped.start().await;
    assert_eq!(server.client(CodecKind::Json).await.read("poll:a").await, json!({"votes": 3}));
}

#[tokio::test]
async fn smaller_limits_do_not_make_entities_unusable() {
    let large = "kinds.poll = {behaviour = \"document\", max_state_bytes = 4096}";
    let server = Server::builder()
        .with(large)
        .with("kinds.room = {behaviour = \"room\", messages = 50}")
        .durable()
        .start()
        .await;
    let mut client = server.client(CodecKind::Json).await;
    client.send("poll:a", 1, "set", json!({"path": "/text", "value": "x".repeat(3000)})).await;
    for n in 1..=20 {
        client.send("room:a", n, "post", json!({"text": n.to_string()})).await;
    }
    server.terminate().await;
    let (_, stopped) = server.ended().await;
    change(&stopped, "4096", "100, initial = {b = 1}");
    change(&stopped, "messages = 50", "messages = 3");
    let server = stopped.start().await;
    let (mut client, _) = server.join(CodecKind::Json, json!({})).await;
    assert_eq!(client.read("poll:a").await["text"].as_str().map(str::len), Some(3000));
    client.fails("send", json!({"entity": "poll:a", "n": 1, "type": "set", "body": {"path": "/more", "value": 1}}), "too_large").await;
    client.send("poll:a", 2, "set", json!({"path": "/text", "value": "short"})).await;
    client.read("room:a").await;
    client.send("room:a", 1, "post", json!({"text": "21"})).await;
    let state = client.read("room:a").await;
    assert_eq!(state["messages"].as_array().map(Vec::len), Some(3), "{state}");
}

/// Runs a statement in the database, as an operator would in its shell.
async fn sql(database: &Database, statement: &str) {
    let head = "POST /sql HTTP/1.1\r\nHost: database\r\nAuthorization: Basic cm9vdDpzZWNyZXQ=\r\nSurreal-NS: greenroom\r\nSurreal-DB: greenroom\r\n\
                Accept: application/json\r\nConnection: close\r\n";
    let work = async {
        let mut stream = TcpStream::connect(database.address()).await.expect("it listens");
        let request = format!("{head}Content-Length: {}\r\n\r\n{statement}", statement.len());
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    };
    let answer = within("the database's answer", work).await;
    assert!(answer.contains("\"OK\"") && !answer.contains("\"ERR\""), "{answer}");
}

/// Provokes the error of an entity whose rows are not JSON.
pub async fn corrupt(codec: CodecKind) -> Value {
    let database = Database::start().await;
    let server = greenroom(database.address(), "20s").start().await;
    let mut client = server.client(codec).await;
    for name in ["room:damaged", "room:whole"] {
        client.send(name, 1, "post", json!({"text": "hello"})).await;
    }
    let stopped = server.kill().await;
    sql(&database, "UPDATE journal SET events = 'not JSON' WHERE id[1] = 'damaged'").await;
    let server = stopped.start().await;
    let mut client = server.client(codec).await;
    let error = client.fails("read", json!({"entity": "room:damaged"}), "corrupt").await;
    for _ in 0..5 {
        client
            .fails(
                "send",
                json!({"entity": "room:damaged", "type": "post", "body": {"text": "again"}}),
                "corrupt",
            )
            .await;
        client.fails("subscribe", json!({"entity": "room:damaged"}), "corrupt").await;
    }
    assert_eq!(
        client.read("room:whole").await["messages"].as_array().map(Vec::len),
        Some(1),
        "other entities are not affected"
    );
    server.until("greenroom_corrupt_reads_total{kind=\"room\"}", |reads| reads >= 1.0).await;
    assert!(
        server.sample("greenroom_corrupt_reads_total{kind=\"room\"}").await < 2.0,
        "it is not read again and again"
    );
    assert_eq!(
        server.log().matches("cannot be read; this is said once").count(),
        1,
        "{}",
        server.log()
    );
    assert!(server.log().contains("room:damaged"));
    error
}

#[tokio::test]
async fn an_unreadable_entity_is_reported() {
    corrupt(CodecKind::Json).await;
}
