//! Stopping while the store hangs.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, timeout};

use super::database::{Database, greenroom};
use super::load::{Load, PATIENT};
use super::tracer::Tracer;
use super::wire::{State, Wire};
use crate::server::Server;

/// How long stopping may take beyond its deadline of 3 s on a busy machine and still prove that
/// there is a deadline: the store hangs for longer than both together.
const SLACK: Duration = Duration::from_secs(7);

/// A flush that hangs keeps neither the clients from their goodbye nor the process from exiting.
#[tokio::test]
async fn a_hanging_flush_does_not_hold_up_the_stop() {
    let server =
        Server::builder().durable().unlimited().with("drain.deadline = \"3s\"").start().await;
    let load = Load::start(&server, PATIENT).await;
    load.acknowledged(100).await;
    let test = "a_hanging_flush_does_not_hold_up_the_stop";
    let Some(fault) = Tracer::flushes(&server, "delay_enter=60000000", test).await else { return };
    let mut client = server.client(CodecKind::Json).await;
    let asked =
        client.ask("send", json!({"entity": "room:other", "type": "post", "body": {}})).await;
    let begun = Instant::now();
    server.terminate().await;
    client.expect("goodbye").await;
    assert!(
        !matches!(client.try_answer(asked).await, Ok(Ok(_))),
        "it cannot be known to be on disk"
    );
    // This is the last line of the log. The thread that flushes cannot even exit while the tracer
    // holds it.
    server.until_logged("greenroom::app: stopped").await;
    assert!(begun.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", begun.elapsed());
    drop(fault);
    let (status, stopped) = server.ended().await;
    assert_eq!(status.code(), Some(0));
    let record = load.finish().await;
    let server = stopped.start().await;
    record.settles_with(&server).await;
}

/// The same with a database that does not answer. An op that arrives after the signal is refused as
/// `shutting_down`.
#[tokio::test]
async fn a_silent_database_does_not_hold_up_the_stop() {
    let begun = shutting_down(CodecKind::Json).await.1;
    assert!(begun.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", begun.elapsed());
}

/// The error that an op gets while the server is stopping, and the time when the stop began.
/// Returns when the server has exited.
pub async fn shutting_down(codec: CodecKind) -> (Value, Instant) {
    let database = Database::start().await;
    let wire = Wire::to(database.address()).await;
    let server = greenroom(wire.address, "1m").with("drain.deadline = \"3s\"").start().await;
    let mut client = server.client(codec).await;
    let op = json!({"entity": "room:x", "type": "post", "body": {}});
    client.ok("send", op.clone()).await;
    wire.set(State::Held);
    // Its commit holds up the drain for as long as there is time.
    let held = client.ask("send", op.clone()).await;
    let begun = Instant::now();
    server.terminate().await;
    let refused = loop {
        let id = client.ask("send", op.clone()).await;
        // If there is no answer, it arrived before the signal.
        if let Ok(answer) = timeout(Duration::from_millis(100), client.answer(id)).await {
            break answer.expect_err("nothing can be on disk");
        }
    };
    client.expect("goodbye").await;
    assert!(
        !matches!(client.try_answer(held).await, Ok(Ok(_))),
        "it cannot be known to be on disk"
    );
    let (status, _) = server.ended().await;
    assert_eq!(status.code(), Some(0));
    (refused, begun)
}
