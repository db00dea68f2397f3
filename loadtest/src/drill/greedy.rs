//! A greedy user beside a drill's clients: it asks for the most expensive things that
//! docs/security.md knows, as often as it is let, and waits as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Result;
use futures_util::future::try_join_all;
use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::params::{self, Subscribe};
use greenroom_protocol::results::State;
use greenroom_protocol::{Call, EntityId, Position, RawJson, Seq};
use tokio::time::{Instant, sleep_until};

use crate::client::{Conn, Failure};
use crate::run::{Run, send, subscribe};

/// Requests in flight on each connection.
const AT_ONCE: usize = 16;
/// Posts of 32 KB in the large room: its state is 1 MB.
const LARGE: usize = 32;
/// Short posts in the long room.
const LONG: usize = 1000;
/// How many fill a room at once: what one user may send in one burst is not enough.
const AUTHORS: usize = 5;

/// How often it got what it asked for, and how often it was told to come back.
#[derive(Default)]
pub struct Counts {
    pub answered: AtomicU64,
    pub told_to_wait: AtomicU64,
}

/// What is asked for.
pub struct Table {
    large: EntityId,
    long: EntityId,
    doc: EntityId,
    /// The position before everything in the long room.
    start: Position,
}

impl Table {
    /// Fills the rooms.
    pub async fn set(run: &Run) -> Result<Self> {
        let (large, long) = (run.entity("room", "large")?, run.entity("room", "long")?);
        let doc = run.entity("doc", "greedy")?;
        fill(run, &large, LARGE, 32_000).await?;
        fill(run, &long, LONG, 100).await?;
        let set = op(&doc, "set", r#"{"path":"/a","value":1}"#.into());
        let mut conn = author(run, 0).await?;
        conn.ask_patiently::<RawJson>(&set).await?;
        let read = Call::Read(params::Target { entity: long.clone() });
        let State { epoch, .. } = conn.ask_patiently(&read).await?;
        Ok(Self { large, long, doc, start: Position { epoch, seq: Seq::ZERO } })
    }

    fn call(&self, turn: u64) -> Call {
        let entity = self.long.clone();
        match turn % 4 {
            0 => Call::Read(params::Target { entity: self.large.clone() }),
            1 => Call::History(params::History {
                entity,
                before: None,
                after: Some(Seq::ZERO),
                limit: Some(1000),
            }),
            2 => {
                let there = r#"{"op":"move","from":"/a","path":"/b"}"#;
                let back = r#"{"op":"move","from":"/b","path":"/a"}"#;
                op(&self.doc, "patch", format!("[{}]", [there, back].repeat(15).join(",")))
            }
            _ => Call::Subscribe(Subscribe {
                after: Some(self.start.clone()),
                ..subscribe(&self.long)
            }),
        }
    }
}

/// Asks until the connection is lost.
pub async fn eat(mut conn: Conn, table: Arc<Table>, counts: Arc<Counts>) -> Failure {
    let mut turn = fastrand::u64(..4);
    let mut in_flight = 0;
    let mut until = Instant::now();
    let mut once = async || {
        if Instant::now() >= until && in_flight < AT_ONCE {
            while in_flight < AT_ONCE {
                conn.feed(&table.call(turn));
                turn += 1;
                in_flight += 1;
            }
            conn.flush().await?;
        }
        let frame = tokio::select! {
            biased;
            frame = conn.next() => frame?,
            () = sleep_until(until), if in_flight < AT_ONCE => return Ok(()),
        };
        match conn.codec().decode_server(&frame)? {
            ServerMessage::Notification { .. } => return Ok(()),
            ServerMessage::Error { error, .. } if error.data.retry_after_ms.is_some() => {
                let wait = Duration::from_millis(error.data.retry_after_ms.unwrap_or(0));
                until = until.max(Instant::now() + wait);
                counts.told_to_wait.fetch_add(1, Relaxed);
            }
            _ => {
                counts.answered.fetch_add(1, Relaxed);
            }
        }
        in_flight -= 1;
        Ok::<_, Failure>(())
    };
    loop {
        if let Err(failure) = once().await {
            return failure;
        }
    }
}

fn op(entity: &EntityId, r#type: &str, body: String) -> Call {
    let body = RawJson::from_text(body).expect("it is written here as JSON");
    send(entity, r#type, body, None)
}

async fn author(run: &Run, index: usize) -> Result<Conn> {
    Ok(run.open_patiently(index, &format!("author-{index}"), Vec::new()).await?.conn)
}

async fn fill(run: &Run, room: &EntityId, posts: usize, bytes: usize) -> Result<()> {
    let authors = (0..AUTHORS).map(async |index| {
        let mut conn = author(run, index).await?;
        for turn in (index..posts).step_by(AUTHORS) {
            let text = format!(r#"{{"text":"{turn} {}"}}"#, "x".repeat(bytes));
            conn.ask_patiently::<RawJson>(&op(room, "post", text)).await?;
        }
        Ok::<_, anyhow::Error>(())
    });
    try_join_all(authors).await?;
    Ok(())
}
