//! The axis `history`: one room with a long log.

use anyhow::{Context, Result, ensure};
use greenroom_protocol::params::{self, Target};
use greenroom_protocol::results::{HistoryPage, State, Subscribed};
use greenroom_protocol::{Call, EntityId, Position, Seq};

use super::Args;
use super::bench::{self, Bench};
use super::fill::Fill;
use super::probe::{Cost, Figures};
use crate::compare::median;
use crate::raw::Dialect;
use greenroom_loadtest::client::Conn;
use greenroom_loadtest::run::subscribe;
use greenroom_loadtest::server::Setup;

/// The rooms' run.
const RUN: &str = "history";
/// How many events behind a subscriber is that comes back.
const BEHIND: u64 = 100;
/// How often it does so while the entity is awake.
const SUBSCRIBES: u64 = 500;
/// How often after a restart, each time with a restart of its own: an entity wakes once.
const COLD_SUBSCRIBES: usize = 3;
/// Pages that are read, and how many events each holds.
const PAGES: u64 = 200;
const PAGE: u32 = 100;

/// With so many events in one room's log. The ops of the probe come last: they make the log longer.
pub async fn measure(args: &Args, events: u64) -> Result<Figures> {
    let setup = bench::setup(args, 0)?;
    let bench = Bench::start(args, &setup)?;
    Fill { run: RUN, rooms: 1, events, bytes: args.bytes }
        .pour(&bench.host(Dialect::Posts))
        .await?;
    let entity: EntityId =
        Dialect::Posts.room(RUN, 0).parse().context("the room's name is no entity id")?;
    let mut conn = bench.conn().await?;
    let state = read(&mut conn, &entity).await?;
    ensure!(state.seq == Seq::new(events), "the room is at {} after {events} events", state.seq);

    let page = bench
        .requests(PAGES, async |index| page(&mut conn, &entity, Seq::new(events / 2 - index)).await)
        .await?;
    let warm =
        bench.requests(SUBSCRIBES, async |_| resume(&mut conn, &entity, &state).await).await?;
    drop(conn);
    let ops = bench.ops(RUN, 1).await?;
    let memory = bench.memory().await?;
    let state = read(&mut bench.conn().await?, &entity).await?;
    bench.stop()?;

    let mut colds = Vec::new();
    for _ in 0..COLD_SUBSCRIBES {
        colds.push(cold(args, &setup, &entity, &state).await?);
    }
    let of = |figure: fn(&Cost) -> f64| {
        median(colds.iter().map(figure).collect()).context("nothing was measured")
    };
    Ok(Figures::from([
        ("µs/op", ops.cost.us),
        ("ops/commit", ops.per_commit),
        ("ack p99 ms", ops.cost.p99_ms),
        ("µs/subscribe", warm.us),
        ("subscribe p99 ms", warm.p99_ms),
        ("µs/cold subscribe", of(|cold| cold.us)?),
        ("cold subscribe ms", of(|cold| cold.p99_ms)?),
        ("µs/page", page.us),
        ("page p99 ms", page.p99_ms),
        ("resident MiB", memory),
    ]))
}

/// The first subscription to the room after a restart.
async fn cold(args: &Args, setup: &Setup, entity: &EntityId, state: &State) -> Result<Cost> {
    let bench = Bench::start(args, setup)?;
    let mut conn = bench.conn().await?;
    // The first read of all has costs of its own, and another room bears them.
    read(
        &mut conn,
        &Dialect::Posts.room("other", 0).parse().context("the room's name is no entity id")?,
    )
    .await?;
    let cost = bench.requests(1, async |_| resume(&mut conn, entity, state).await).await?;
    drop(conn);
    bench.stop()?;
    Ok(cost)
}

async fn read(conn: &mut Conn, entity: &EntityId) -> Result<State> {
    Ok(conn.ask(&Call::Read(Target { entity: entity.clone() })).await?)
}

/// Subscribes as one who missed the last events before `state`; subscribing again takes the place
/// of the subscription before.
async fn resume(conn: &mut Conn, entity: &EntityId, state: &State) -> Result<()> {
    let after = Position { epoch: state.epoch.clone(), seq: state.seq - BEHIND };
    let answer: Subscribed = conn
        .ask(&Call::Subscribe(params::Subscribe { after: Some(after), ..subscribe(entity) }))
        .await?;
    let missed = answer.events.map_or(0, |events| events.len());
    ensure!(
        missed as u64 == BEHIND,
        "who missed {BEHIND} events got {missed} ({:?})",
        answer.reason
    );
    Ok(())
}

async fn page(conn: &mut Conn, entity: &EntityId, after: Seq) -> Result<()> {
    let call = Call::History(params::History {
        entity: entity.clone(),
        before: None,
        after: Some(after),
        limit: Some(PAGE),
    });
    let page: HistoryPage = conn.ask(&call).await?;
    let expected = after.next().through(after + u64::from(PAGE));
    ensure!(
        page.events.iter().map(|event| event.seq).eq(expected),
        "the page after {after} holds {} other events",
        page.events.len()
    );
    Ok(())
}
