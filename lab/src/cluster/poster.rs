//! A client that posts to one room, one post after the other, and writes down when it was answered.

use std::time::Duration;

use anyhow::Result;
use greenroom_loadtest::client::{Conn, Failure};
use greenroom_protocol::params::Send;
use greenroom_protocol::{Call, EntityId, RawJson};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// The pause between an answer and the next post.
const REST: Duration = Duration::from_millis(10);

/// A post.
#[derive(Debug, Clone, Copy)]
pub struct Posted {
    pub sent: Instant,
    pub acked: Instant,
}

/// What a poster has to say in the end.
#[derive(Debug, Default)]
pub struct Record {
    pub posts: Vec<Posted>,
    /// Answers other than an acknowledgement; the post was sent again.
    pub refused: usize,
}

/// Starts one.
pub fn start(
    conn: Conn,
    room: EntityId,
    stop: watch::Receiver<bool>,
) -> JoinHandle<Result<Record>> {
    tokio::spawn(post(conn, room, stop))
}

async fn post(mut conn: Conn, entity: EntityId, stop: watch::Receiver<bool>) -> Result<Record> {
    let mut record = Record::default();
    for n in 1.. {
        if *stop.borrow() {
            break;
        }
        let (r#type, body) = ("post".to_owned(), RawJson::from_value(&json!({"text": "x"}))?);
        let entity = entity.clone();
        let call = Call::Send(Send {
            entity,
            r#type,
            body,
            n: Some(n),
            first_sent: None,
            if_seq: None,
            tag: None,
        });
        let sent = Instant::now();
        loop {
            match conn.ask::<Value>(&call).await {
                Ok(_) => break,
                Err(failure @ Failure::Refused(_)) => {
                    record.refused += 1;
                    sleep(failure.retry_after().unwrap_or(REST)).await;
                }
                Err(other) => return Err(other.into()),
            }
        }
        record.posts.push(Posted { sent, acked: Instant::now() });
        sleep(REST).await;
    }
    Ok(record)
}
