//! Deleted and purged messages: nobody sees their contents any more, and in the end they are gone
//! from the database too.

use std::path::Path;

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Builder, Server, Stopped, command, within};
use crate::token::SECRET;

const ROOM: &str = "room:lobby";

/// A server that keeps few events in memory, so that the rest is read from the journal.
fn builder() -> Builder {
    Server::builder().with(SECRET).with(
        "kinds.room.behaviour = \"room\"\nkinds.room.ring_events = 3\nkinds.room.messages = 4",
    )
}

async fn join(server: &Server, user: &str, moderates: bool, codec: CodecKind) -> Client {
    let grants: &[&str] = if moderates { &["room:*=moderate"] } else { &[] };
    let token = server.token(user, grants).await;
    server.join(codec, json!({"token": token})).await.0
}

/// Everything that a newcomer can find out about the room.
async fn everything(server: &Server, codec: CodecKind) -> Vec<Value> {
    let mut client = join(server, "carol", false, codec).await;
    let mut all = vec![client.read(ROOM).await];
    for limit in [1, 2, 5, 100] {
        let mut before = None;
        loop {
            let page = client
                .ok("history", json!({"entity": ROOM, "limit": limit, "before": before}))
                .await;
            before = page["events"][0]["seq"].as_u64();
            let more = page["more"] == true;
            all.push(page);
            if !more {
                break;
            }
        }
    }
    let subscribed = client.subscribe(ROOM).await;
    let epoch = &subscribed["epoch"];
    let seq = subscribed["seq"].as_u64().expect("a seq");
    for after in 0..=seq {
        all.push(
            client
                .ok("subscribe", json!({"entity": ROOM, "after": {"epoch": epoch, "seq": after}}))
                .await,
        );
    }
    all
}

async fn assert_hidden(server: &Server, secrets: &[&str]) {
    for codec in CodecKind::ALL {
        for answer in everything(server, codec).await {
            let text = answer.to_string();
            assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
        }
    }
}

/// The seqs and types of the deleted events in the room's log.
async fn tombstones(server: &Server) -> Vec<(u64, String)> {
    let mut client = join(server, "dave", false, CodecKind::Json).await;
    let log = client.log(ROOM).await;
    assert!(log.iter().zip(1..).all(|(event, seq)| event["seq"] == seq), "seqs stay without gaps");
    let deleted = log.iter().filter(|event| event["deleted"] == true);
    deleted
        .map(|event| {
            assert_eq!(event["body"], json!(null));
            (
                event["seq"].as_u64().expect("a seq"),
                event["type"].as_str().expect("a type").to_owned(),
            )
        })
        .collect()
}

async fn deleted_messages_are_hidden_at_once(codec: CodecKind) {
    let server = builder().durable().start().await;
    let mut alice = join(&server, "alice", false, codec).await;
    let mut bob = join(&server, "bob", false, codec).await;
    let mut moderator = join(&server, "eve", true, codec).await;
    alice.send(ROOM, 1, "post", json!({"text": "kept one"})).await;
    alice.send(ROOM, 2, "post", json!({"text": "secret A"})).await;
    alice.send(ROOM, 3, "edit", json!({"seq": 2, "body": {"text": "secret B"}})).await;
    bob.send(ROOM, 1, "react", json!({"seq": 2, "emoji": "👍"})).await;
    bob.rejected(ROOM, 2, "delete", json!({"seq": 2}), "not_author").await;
    assert_eq!(
        server.sample("greenroom_erasures_total").await,
        0.0,
        "posts, edits and refused deletes erase nothing"
    );
    let sent = alice.send(ROOM, 4, "delete", json!({"seq": 2})).await;
    assert_eq!(sent["seq"], 5);
    server.until("greenroom_erasures_total", |count| count == 1.0).await;
    assert_hidden(&server, &["secret"]).await;
    assert_eq!(
        alice.send(ROOM, 4, "delete", json!({"seq": 2})).await["duplicate"],
        true,
        "a repeat has its first outcome"
    );
    alice.rejected(ROOM, 5, "delete", json!({"seq": 2}), "message_not_found").await;
    alice.rejected(ROOM, 6, "edit", json!({"seq": 2, "body": {}}), "message_not_found").await;
    alice.rejected(ROOM, 7, "react", json!({"seq": 2, "emoji": "x"}), "message_not_found").await;
    assert_eq!(tombstones(&server).await, [(2, "post".to_owned()), (3, "edit".to_owned())]);

    // A message that is no longer in the state can be purged, but not deleted.
    alice.send(ROOM, 8, "post", json!({"text": "secret C"})).await;
    for n in 9..16 {
        alice.send(ROOM, n, "post", json!({"text": format!("kept {n}")})).await;
    }
    alice.rejected(ROOM, 16, "delete", json!({"seq": 6}), "message_not_found").await;
    alice.rejected(ROOM, 17, "purge", json!({"seq": 6}), "not_moderator").await;
    moderator.rejected(ROOM, 1, "purge", json!({"seq": 99}), "message_not_found").await;
    let sent = moderator.send(ROOM, 2, "purge", json!({"seq": 6})).await;
    assert_hidden(&server, &["secret"]).await;
    assert_eq!(
        moderator.send(ROOM, 2, "purge", json!({"seq": 6})).await["seq"],
        sent["seq"],
        "a repeat has its first outcome"
    );
    moderator.send(ROOM, 3, "purge", json!({"seq": 2})).await;
    moderator.send(ROOM, 4, "purge", json!({"seq": 6})).await;
    assert_hidden(&server, &["secret"]).await;

    let mut server = server.kill().await.start().await;
    assert_hidden(&server, &["secret"]).await;
    assert_eq!(
        tombstones(&server).await.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(),
        [2, 3, 6]
    );
    let mut alice = join(&server, "alice", false, codec).await;
    let state = alice.read(ROOM).await.to_string();
    assert!(state.contains("kept 15"), "{state}");
    server.assert_serves().await;
}

/// The files below `directory` that contain these bytes.
fn files_with(directory: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("the directory can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if std::fs::read(&path)
            .expect("the file can be read")
            .windows(bytes.len())
            .any(|window| window == bytes)
        {
            found.push(path.display().to_string());
        }
    }
    found
}

async fn rewrite(stopped: &Stopped) -> (Option<i32>, String) {
    let output =
        within("the end of the rewrite", command(stopped.directory.path()).arg("rewrite").output())
            .await
            .expect("the binary runs");
    (
        output.status.code(),
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
    )
}

async fn stop(server: Server) -> Stopped {
    server.terminate().await;
    let (status, stopped) = server.ended().await;
    assert!(status.success(), "{status}");
    stopped
}

/// Everything in the database that a client can see.
async fn contents(server: &Server) -> Vec<Value> {
    let mut client = join(server, "carol", false, CodecKind::Json).await;
    let mut all = Vec::new();
    for entity in [ROOM, "room:other", "doc:plan"] {
        all.extend(client.log(entity).await);
        all.push(client.read(entity).await);
    }
    all
}

#[tokio::test]
async fn a_rewrite_removes_purged_bytes_from_the_disk() {
    let server = builder().with("kinds.doc.behaviour = \"document\"").durable().start().await;
    let mut alice = join(&server, "alice", false, CodecKind::Json).await;
    // Small and large values are stored in different files.
    let small = "a-secret-that-is-small";
    let large = format!("a-secret-that-is-large{}", "x".repeat(20_000));
    alice.send(ROOM, 1, "post", json!({"text": small})).await;
    alice.send(ROOM, 2, "post", json!({"text": large})).await;
    alice.send("room:other", 3, "post", json!({"text": "kept"})).await;
    alice.send("doc:plan", 4, "set", json!({"path": "/a", "value": [1, 2.50, "kept"]})).await;
    for n in 5..20 {
        alice
            .send(ROOM, n, "post", json!({"text": format!("kept {n} {}", "y".repeat(10_000))}))
            .await;
    }
    // They are in a snapshot too, because the room went to sleep.
    let server = stop(server).await.start().await;
    let mut alice_again = join(&server, "alice", false, CodecKind::Json).await;
    alice_again.send("room:other", 20, "post", json!({"text": "kept too"})).await;
    let mut moderator_again = join(&server, "eve", true, CodecKind::Json).await;
    drop(alice);
    moderator_again.send(ROOM, 1, "purge", json!({"seq": 1})).await;
    moderator_again.send(ROOM, 2, "purge", json!({"seq": 2})).await;
    server.until("greenroom_erasures_total", |count| count >= 2.0).await;
    let before = contents(&server).await;
    let data = server.path().join("data");
    let message = rewrite_while_it_runs(&server).await;
    assert!(message.contains("another process"), "{message}");

    let stopped = stop(server).await;
    assert!(
        !files_with(&data, b"a-secret").is_empty(),
        "before the rewrite the old bytes are there, so the test looks in the right place"
    );
    let (code, says) = rewrite(&stopped).await;
    assert_eq!(code, Some(0), "{says}");
    for part in ["rewriting", "rows of `journal`", "compared", "done"] {
        assert!(says.contains(part), "no `{part}` in: {says}");
    }
    assert_eq!(files_with(&data, b"a-secret"), [""; 0], "the bytes are gone");
    assert!(!files_with(&data, b"kept 12").is_empty(), "other bytes are still there");
    let server = stopped.start().await;
    assert_eq!(contents(&server).await, before, "everything else is still there");
    let mut alice = join(&server, "alice", false, CodecKind::Json).await;
    alice.send(ROOM, 21, "post", json!({"text": "and goes on"})).await;
    let stopped = stop(server).await;
    assert_eq!(rewrite(&stopped).await.0, Some(0), "it can be done again");
}

/// Sets up the files of a rewrite that was interrupted while it was moving the old ones away.
#[tokio::test]
async fn an_interrupted_rewrite_is_finished_at_the_next_start() {
    let server = builder().durable().start().await;
    let mut alice = join(&server, "alice", false, CodecKind::Json).await;
    alice.send(ROOM, 1, "post", json!({"text": "kept"})).await;
    let stopped = stop(server).await;
    let data = stopped.directory.path().join("data");
    let [new, old] = ["rewriting", "replaced"].map(|name| data.join(name));
    let names: Vec<_> = std::fs::read_dir(&data)
        .expect("it can be read")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    std::fs::create_dir(&new).expect("it can be created");
    std::fs::create_dir(&old).expect("it can be created");
    for name in names.iter().filter(|name| *name != "greenroom.lock") {
        std::fs::rename(data.join(name), new.join(name)).expect("it can be moved");
    }
    std::fs::write(data.join("an-old-file"), "old").expect("it can be written");
    std::fs::write(old.join("another-one"), "old").expect("it can be written");
    std::fs::write(data.join("rewrite.state"), "moving the old files out\n")
        .expect("it can be written");
    let server = stopped.start().await;
    assert!(server.log().contains("finished an interrupted rewrite"), "{}", server.log());
    let mut carol = join(&server, "carol", false, CodecKind::Json).await;
    assert_eq!(carol.log(ROOM).await[0]["body"]["text"], "kept");
    assert!(!data.join("an-old-file").exists(), "old files are removed");
    assert!(!new.exists() && !old.exists() && !data.join("rewrite.state").exists());
    // The next rewrite discards new files that were not complete.
    let stopped = stop(server).await;
    std::fs::create_dir(&new).expect("it can be created");
    std::fs::write(new.join("half"), "of it").expect("it can be written");
    let (code, says) = rewrite(&stopped).await;
    assert!(code == Some(0) && !new.exists() && !data.join("half").exists(), "{says}");
    let server = stopped.start().await;
    let mut carol = join(&server, "carol", false, CodecKind::Json).await;
    assert_eq!(carol.log(ROOM).await[0]["body"]["text"], "kept");
}

async fn rewrite_while_it_runs(server: &Server) -> String {
    let output = within("the end of the rewrite", command(server.path()).arg("rewrite").output())
        .await
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(1), "a running server keeps its database locked");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn only_a_database_on_disk_can_be_rewritten() {
    let stopped = Server::builder().prepare();
    let (code, says) = rewrite(&stopped).await;
    assert!(code == Some(2) && says.contains("memory"), "{says}");
    let stopped = Server::builder().durable().prepare();
    let (code, says) = rewrite(&stopped).await;
    assert!(code == Some(1) && says.contains("no database"), "{says}");
    assert!(!stopped.directory.path().join("data").exists(), "nothing is created");
}

mod codecs {
    crate::over_both_codecs!(deleted_messages_are_hidden_at_once);
}
