//! A SurrealDB server that hangs, loses answers, is killed, starts later or does not accept our
//! password.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};
use tokio::time::Duration;

use super::database::{Database, greenroom};
use super::load::{Load, PATIENT};
use super::until_ready;
use super::wire::{State, Wire};
use crate::server::{command, within};

const UNKNOWN: &str = "greenroom_commits_total{outcome=\"unknown\"}";

/// The transaction arrives but its answer does not: the server finds out what became of it, and
/// each op exists once.
#[tokio::test]
async fn a_lost_answer_is_settled() {
    let database = Database::start().await;
    let wire = Wire::to(database.address()).await;
    let server = greenroom(wire.address, "2s").start().await;
    let load = Load::start(&server, PATIENT).await;
    load.acknowledged(100).await;
    for round in 1..=2 {
        wire.set(State::Mute);
        server.until(UNKNOWN, |unknown| unknown >= f64::from(round)).await;
        // The connection is still open, but the answer never comes.
        wire.set(State::Open);
        load.acknowledged(100).await;
    }
    until_ready(&server, true).await;
    load.finish().await.settles_with(&server).await;
}

/// A database is suspended for a while: meanwhile the server is not ready and acknowledges nothing,
/// and afterwards everything resumes by itself.
#[tokio::test]
async fn a_suspended_database_is_waited_for() {
    let database = Database::start().await;
    let server = greenroom(database.address(), "2s").start().await;
    let load = Load::start(&server, PATIENT).await;
    load.acknowledged(100).await;
    database.signal("-STOP").await;
    server.until(UNKNOWN, |unknown| unknown > 0.0).await;
    let before = load.tally().acknowledged;
    until_ready(&server, false).await;
    assert_eq!(load.tally().acknowledged, before);
    database.signal("-CONT").await;
    load.acknowledged(100).await;
    until_ready(&server, true).await;
    load.finish().await.settles_with(&server).await;
}

/// A database is killed under load and started again.
#[tokio::test]
async fn a_killed_database_is_reconnected_to() {
    let mut database = Database::start().await;
    let server = greenroom(database.address(), "2s").start().await;
    let load = Load::start(&server, PATIENT).await;
    load.acknowledged(100).await;
    database.kill().await;
    until_ready(&server, false).await;
    database.run().await;
    load.acknowledged(100).await;
    until_ready(&server, true).await;
    load.finish().await.settles_with(&server).await;
}

/// A connection breaks again and again in the middle of transactions.
#[tokio::test]
async fn a_breaking_connection_loses_nothing() {
    let database = Database::start().await;
    let wire = Wire::to(database.address()).await;
    let server = greenroom(wire.address, "2s").start().await;
    let load = Load::start(&server, PATIENT).await;
    for _ in 0..3 {
        load.acknowledged(60).await;
        wire.cut();
    }
    load.acknowledged(60).await;
    load.finish().await.settles_with(&server).await;
}

/// If both are started together, the server waits for its database, but not for ever.
#[tokio::test]
async fn a_database_may_start_later() {
    let mut database = Database::prepare();
    let stopped = greenroom(database.address(), "2s").prepare();
    let output = command(stopped.directory.path()).arg("serve").output();
    let output = within("the end of the process", output).await.expect("the binary runs");
    let says = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "a supervisor must notice: {says}");
    assert!(
        says.contains("waiting for the store") && says.contains("no SurrealDB server answers at"),
        "{says}"
    );

    let stopped = greenroom(database.address(), "30s").prepare();
    let log = stopped.directory.path().join("log");
    let waits = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        while !std::fs::read_to_string(&log).unwrap_or_default().contains("waiting for the store") {
            looks.tick().await;
        }
    };
    let come = async {
        within("the server waiting", waits).await;
        database.run().await;
    };
    let (mut server, ()) = tokio::join!(stopped.start(), come);
    server.assert_serves().await;
}

#[tokio::test]
async fn a_wrong_password_is_reported_at_once() {
    let database = Database::start().await;
    let stopped = greenroom(database.address(), "2s").prepare();
    let mut serve = command(stopped.directory.path());
    let output = serve.arg("serve").env("GREENROOM_STORE__PASSWORD", "guess").output();
    let output = within("the end of the process", output).await.expect("the binary runs");
    let says = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{says}");
    assert!(says.contains("rejects user `root`") && says.contains("store.password_file"), "{says}");
    assert!(!says.contains("guess") && !says.contains("waiting"), "{says}");
}

/// The error that a read of a sleeping entity gets while the store cannot be reached.
pub async fn unavailable(codec: CodecKind) -> Value {
    let database = Database::start().await;
    let wire = Wire::to(database.address()).await;
    let server = greenroom(wire.address, "2s").start().await;
    let mut client = server.client(codec).await;
    wire.set(State::Gone);
    client.call("read", json!({"entity": "room:cold"})).await.expect_err("there is no store")
}
