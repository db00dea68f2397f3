//! What a greedy user asks for: of each request, the dearest that is known. docs/security.md has
//! the same list.

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use greenroom_protocol::params::{self, EventPolicy, PresenceAction, SignalPolicy};
use greenroom_protocol::results::State;
use greenroom_protocol::{Call, EntityId, Position, RawJson, Seq};
use tokio::time::sleep;

use greenroom_loadtest::client::{Conn, Failure};
use greenroom_loadtest::run::{self, Run};

/// Posts of 32 KB in the large room, as many as its state holds.
const LARGE: usize = 32;
/// Short posts in the long one.
const LONG: usize = 1000;
/// How many fill a room at once.
const AUTHORS: usize = 5;

/// Subscriptions that come with a `connect`.
const ENTRIES: usize = 256;

/// One row.
pub struct Appetite {
    /// What is asked.
    pub name: &'static str,
    /// How it is asked.
    pub wants: Wants,
}

/// What is asked for, again and again.
#[derive(Clone, Copy)]
pub enum Wants {
    /// On connections that stay.
    Ask(Request),
    /// New connections, each dropped once it is served.
    Visit(Visit),
}

/// What a connection asks.
#[derive(Clone, Copy)]
pub enum Request {
    /// The request of a turn.
    Of(fn(&Table, u64) -> Call),
    /// A post, and then this op on it.
    Erase(&'static str),
}

/// What a new connection is for.
#[derive(Clone, Copy)]
pub enum Visit {
    /// Nothing: it is opened, and that is all.
    Upgrade,
    /// This `connect`, without its token.
    Connect(fn(&Table) -> params::Connect),
}

const fn request(name: &'static str, call: fn(&Table, u64) -> Call) -> Appetite {
    Appetite { name, wants: Wants::Ask(Request::Of(call)) }
}

const fn erase(name: &'static str, op: &'static str) -> Appetite {
    Appetite { name, wants: Wants::Ask(Request::Erase(op)) }
}

const fn visit(name: &'static str, visit: Visit) -> Appetite {
    Appetite { name, wants: Wants::Visit(visit) }
}

/// All rows.
pub static APPETITES: &[Appetite] = &[
    request("ping", |_, _| Call::Ping(params::Ping {})),
    request("send: post of 100 bytes", |table, turn| post(&table.own, turn, 100)),
    request("send: post of 32 KB", |table, turn| post(&table.own, turn, 32_000)),
    erase("send: post, delete", "delete"),
    erase("send: post, purge", "purge"),
    request("send: set, 10,000 levels", |table, _| set(&table.doc, &"/a".repeat(10_000))),
    request("send: patch, 30 moves", |table, _| moves(&table.doc)),
    request("read: 1 MB", |table, _| Call::Read(params::Target { entity: table.large.clone() })),
    request("history: 1000 events", |table, _| history(&table.long)),
    request("history: events of 32 KB", |table, _| history(&table.large)),
    request("subscribe: a state of 1 MB", |table, turn| subscribe(&table.large, turn, None)),
    request("subscribe: 1000 events", |table, turn| {
        subscribe(&table.long, turn, Some(table.start.clone()))
    }),
    request("presence: enter, leave", |table, turn| presence(&table.large, turn)),
    request("signal of 32 KB", |table, _| signal(&table.large)),
    request("read: rooms that never were", |table, turn| {
        Call::Read(params::Target { entity: table.unused(turn) })
    }),
    visit("upgrade", Visit::Upgrade),
    visit("connect: 256 subscriptions", Visit::Connect(Table::connect)),
];

/// The entities that are asked for.
pub struct Table {
    large: EntityId,
    long: EntityId,
    own: EntityId,
    doc: EntityId,
    /// Those that a `connect` subscribes to.
    entries: Vec<EntityId>,
    /// The beginning of the long one.
    start: Position,
    run: String,
}

impl Table {
    /// Fills the rooms.
    pub async fn set(run: &Run) -> Result<Self> {
        let [large, long, own] =
            [run.entity("room", "large")?, run.entity("room", "long")?, run.entity("room", "own")?];
        let doc = run.entity("doc", "own")?;
        fill(run, &large, LARGE, 32_000).await?;
        fill(run, &long, LONG, 200).await?;
        let mut reader = run.open_patiently(0, "author-0", Vec::new()).await?.conn;
        let state: State = reader.ask(&Call::Read(params::Target { entity: long.clone() })).await?;
        let entry = |index| run.entity("room", format_args!("entry-{index}"));
        let entries = (0..ENTRIES).map(entry).collect::<Result<_>>()?;
        let start = Position { epoch: state.epoch, seq: Seq::ZERO };
        let run = own.as_str().to_owned();
        Ok(Self { large, long, own, doc, entries, start, run })
    }

    /// A post, or this op on one that was made.
    pub fn erase(&self, op: &'static str, turn: u64, posted: Option<Seq>) -> Call {
        match posted {
            Some(seq) => send(&self.own, op, format!(r#"{{"seq":{seq}}}"#)),
            None => post(&self.own, turn, 100),
        }
    }

    fn connect(&self) -> params::Connect {
        let subscriptions = self.entries.iter().map(run::subscribe).collect();
        params::Connect { subscriptions, ..params::Connect::default() }
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
    run::send(entity, r#type, json(body), None)
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
        after: Some(Seq::ZERO),
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
