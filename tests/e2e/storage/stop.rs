//! Stopping while the store stands still.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, timeout};

use super::database::{Database, greenroom};
use super::load::{Load, PATIENT};
use super::tracer::Tracer;
use super::wire::{State, Wire};
use crate::server::Server;

/// What stopping may take beyond its deadline of 3 s on a busy machine, and still prove that it has
/// one: the store stands still for longer than both.
const SLACK: Duration = Duration::from_secs(7);

/// A flush that does not come back keeps neither the clients from their goodbye nor the process
/// from its end.
#[tokio::test]
async fn a_stuck_flush_does_not_hold_it_up() {
    let server =
        Server::builder().durable().unlimited().with("drain.deadline = \"3s\"").start().await;
    let load = Load::start(&server, PATIENT).await;
    load.acknowledged(100).await;
    let test = "a_stuck_flush_does_not_hold_it_up";
    let Some(fault) = Tracer::flushes(&server, "delay_enter=60000000", test).await else { return };
    let mut client = server.client(CodecKind::Json).await;
    let asked =
        client.ask("send", json!({"entity": "room:other", "type": "post", "body": {}})).await;
    let begun = Instant::now();
    server.terminate().await;
    client.expect("goodbye").await;
    assert!(
        !matches!(client.try_answer(asked).await, Ok(Ok(_))),
        "nobody can say that it is on disk"
    );
    // The last that it says. The thread that flushes cannot even die while the tracer holds it.
    server.until_logged("greenroom::app: stopped").await;
    assert!(begun.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", begun.elapsed());
    drop(fault);
    let (status, stopped) = server.ended().await;
    assert_eq!(status.code(), Some(0));
    let told = load.finish().await;
    let server = stopped.start().await;
    told.settles_with(&server).await;
}

/// The same with a database that does not answer; and an op that comes after the signal is refused
/// in so many words.
#[tokio::test]
async fn a_silent_database_does_not_hold_it_up() {
    let begun = shutting_down(CodecKind::Json).await.1;
    assert!(begun.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", begun.elapsed());
}

/// What an op is answered while the server stops, and when the stop began. Returns when the server
/// has ended.
pub async fn shutting_down(codec: CodecKind) -> (Value, Instant) {
    let database = Database::start().await;
    let wire = Wire::to(database.address()).await;
    let server = greenroom(wire.address, "1m").with("drain.deadline = \"3s\"").start().await;
    let mut client = server.client(codec).await;
    let op = json!({"entity": "room:x", "type": "post", "body": {}});
    client.ok("send", op.clone()).await;
    wire.set(State::Held);
    // Its commit holds the drain up, as long as there is time.
    let held = client.ask("send", op.clone()).await;
    let begun = Instant::now();
    server.terminate().await;
    let refused = loop {
        let id = client.ask("send", op.clone()).await;
        // Without an answer it came before the signal did.
        if let Ok(answer) = timeout(Duration::from_millis(100), client.answer(id)).await {
            break answer.expect_err("nothing can be on disk");
        }
    };
    client.expect("goodbye").await;
    assert!(
        !matches!(client.try_answer(held).await, Ok(Ok(_))),
        "nobody can say that it is on disk"
    );
    let (status, _) = server.ended().await;
    assert_eq!(status.code(), Some(0));
    (refused, begun)
}
