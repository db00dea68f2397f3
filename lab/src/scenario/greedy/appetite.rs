//! What a greedy user asks for: of each request, the dearest that is known. docs/security.md has
//! the same list.

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use greenroom_protocol::params::{self, EventPolicy, PresenceAction, SignalPolicy};
use greenroom_protocol::results::State;
use greenroom_protocol::{Call, EntityId, Position, RawJson};
use tokio::time::sleep;

use greenroom_loadtest::client::{Conn, Failure};
use greenroom_loadtest::run::Run;

/// Posts of 32 KB in the large room, as many as its state holds.
const LARGE: usize = 32;
/// Short posts in the long one.
const LONG: usize = 1000;
/// How many fill a room at once.
const AUTHORS: usize = 5;

/// One row.
pub struct Appetite {
    /// What is asked.
    pub name: &'static str,
    /// The request of a turn.
    pub call: fn(&Table, u64) -> Call,
}

/// All rows.
pub static APPETITES: &[Appetite] = &[
    Appetite { name: "ping", call: |_, _| Call::Ping(params::Ping {}) },
    Appetite { name: "send: post of 100 bytes", call: |table, turn| post(&table.own, turn, 100) },
    Appetite { name: "send: post of 32 KB", call: |table, turn| post(&table.own, turn, 32_000) },
    Appetite {
        name: "send: set, 10,000 levels",
        call: |table, _| set(&table.doc, &"/a".repeat(10_000)),
    },
    Appetite { name: "send: patch, 30 moves", call: |table, _| moves(&table.doc) },
    Appetite {
        name: "read: 1 MB",
        call: |table, _| Call::Read(params::Target { entity: table.large.clone() }),
    },
    Appetite { name: "history: 1000 events", call: |table, _| history(&table.long) },
    Appetite { name: "history: events of 32 KB", call: |table, _| history(&table.large) },
    Appetite {
        name: "subscribe: a state of 1 MB",
        call: |table, turn| subscribe(&table.large, turn, None),
    },
    Appetite {
        name: "subscribe: 1000 events",
        call: |table, turn| subscribe(&table.long, turn, Some(table.start.clone())),
    },
    Appetite { name: "presence: enter, leave", call: |table, turn| presence(&table.large, turn) },
    Appetite { name: "signal of 32 KB", call: |table, _| signal(&table.large) },
    Appetite {
        name: "read: rooms that never were",
        call: |table, turn| Call::Read(params::Target { entity: table.unused(turn) }),
    },
];

/// The entities that are asked for.
pub struct Table {
    large: EntityId,
    long: EntityId,
    own: EntityId,
    doc: EntityId,
    /// The beginning of the long one.
    start: Position,
    run: String,
}

impl Table {
    /// Fills the rooms.
    ///
    /// # Errors
    /// Where that failed.
    pub async fn set(run: &Run) -> Result<Self> {
        let [large, long, own] =
            [run.entity("room", "large")?, run.entity("room", "long")?, run.entity("room", "own")?];
        let doc = run.entity("doc", "own")?;
        fill(run, &large, LARGE, 32_000).await?;
        fill(run, &long, LONG, 200).await?;
        let mut reader = run.open_patiently(0, "author-0", Vec::new()).await?.conn;
        let state: State = reader.ask(&Call::Read(params::Target { entity: long.clone() })).await?;
        let run = own.as_str().to_owned();
        Ok(Self { large, long, own, doc, start: Position { epoch: state.epoch, seq: 0 }, run })
    }

    fn unused(&self, turn: u64) -> EntityId {
        let id = format!("{}-{turn}", self.run);
        EntityId::parse(&id).expect("a name of the run and a number fits the grammar")
    }
}

async fn fill(run: &Run, room: &EntityId, posts: usize, bytes: usize) -> Result<()> {
    let authors = (0..AUTHORS).map(async |author| {
        let mut conn =
            run.open_patiently(author, &format!("author-{author}"), Vec::new()).await?.conn;
        for turn in (author..posts).step_by(AUTHORS) {
            patiently(&mut conn, &post(room, turn as u64, bytes)).await?;
        }
        Ok::<_, anyhow::Error>(())
    });
    try_join_all(authors).await?;
    Ok(())
}

async fn patiently(conn: &mut Conn, call: &Call) -> Result<()> {
    loop {
        match conn.ask::<RawJson>(call).await {
            Ok(_) => return Ok(()),
            Err(failure @ Failure::Refused(_)) => {
                sleep(failure.retry_after().context(failure)?).await;
            }
            Err(failure) => return Err(failure.into()),
        }
    }
}

fn json(text: String) -> RawJson {
    RawJson::from_text(text).expect("it is written here as JSON")
}

fn send(entity: &EntityId, r#type: &str, body: String) -> Call {
    let entity = entity.clone();
    Call::Send(params::Send {
        entity,
        r#type: r#type.into(),
        body: json(body),
        n: None,
        first_sent: None,
        if_seq: None,
        tag: None,
    })
}

fn post(room: &EntityId, turn: u64, bytes: usize) -> Call {
    send(room, "post", format!(r#"{{"text":"{turn} {}"}}"#, "x".repeat(bytes)))
}

fn set(doc: &EntityId, path: &str) -> Call {
    send(doc, "set", format!(r#"{{"path":"{path}","value":1}}"#))
}

fn moves(doc: &EntityId) -> Call {
    let there = r#"{"op":"move","from":"/a","path":"/b"},{"op":"move","from":"/b","path":"/a"}"#;
    let fails = r#"{"op":"test","path":"/c","value":1}"#;
    send(doc, "patch", format!("[{},{fails}]", [there; 15].join(",")))
}

fn history(room: &EntityId) -> Call {
    Call::History(params::History {
        entity: room.clone(),
        before: None,
        after: Some(0),
        limit: Some(1000),
    })
}

/// By turns subscribed and not.
fn subscribe(room: &EntityId, turn: u64, after: Option<Position>) -> Call {
    let entity = room.clone();
    if turn % 2 == 1 {
        return Call::Unsubscribe(params::Target { entity });
    }
    let (events, signals) = (EventPolicy::Replay, SignalPolicy::DropOldest);
    Call::Subscribe(params::Subscribe { entity, after, events, signals, presence: true })
}

/// By turns there and not.
fn presence(room: &EntityId, turn: u64) -> Call {
    let entity = room.clone();
    if turn % 2 == 1 {
        return Call::Presence(params::Presence {
            entity,
            action: PresenceAction::Leave,
            meta: None,
        });
    }
    let meta = json(format!(r#"{{"about":"{}"}}"#, "x".repeat(1000)));
    Call::Presence(params::Presence { entity, action: PresenceAction::Enter, meta: Some(meta) })
}

fn signal(room: &EntityId) -> Call {
    let body = json(format!("\"{}\"", "x".repeat(32_000)));
    Call::Signal(params::Signal { entity: room.clone(), r#type: "cursor".into(), body, key: None })
}
