//! The axis `database`: many rooms that have a past, of which a few are in use.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use greenroom_protocol::params::Target;
use greenroom_protocol::results::State;
use greenroom_protocol::{Call, EntityId, Seq};
use tokio::time::sleep;

use super::Args;
use super::bench::{self, Bench};
use super::fill::Fill;
use super::probe::Figures;
use crate::disk::Disk;
use crate::raw::Dialect;
use greenroom_loadtest::client::Conn;
use greenroom_loadtest::server::Setup;

/// The rooms' run.
const RUN: &str = "database";
/// Events of each room.
const EACH: u64 = 20;
/// Rooms that are read after a start, each for the first time.
const READS: usize = 200;
/// Rooms that are read before, so that what only the first reads cost is not counted.
const FIRST_READS: usize = 10;
/// Rooms that get ops.
const ROOMS: usize = 10;
/// A server is at rest when it has used less than this part of a core for so many looks in a row.
const REST: f64 = 0.05;
const LOOKS: usize = 4;
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long that is waited for.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);
/// After a start the database goes on with what it has put off, though not always with all of it.
/// So often it is started at most until it finds nothing to do.
const MOST_STARTS: usize = 5;

/// Databases by their sizes: filled once, and found by each round as the one before left them.
#[derive(Default)]
pub struct Filled(BTreeMap<u64, Database>);

struct Database {
    setup: Setup,
    /// CPU microseconds for each event while it was filled, when many share a commit, and until it
    /// was at rest.
    fill_us: f64,
    /// The most MiB that the server held after its starts until it was at rest.
    settle_mib: f64,
    /// Bytes that it takes.
    bytes: u64,
}

/// With so many events on disk, when the server has just been started.
pub async fn measure(args: &Args, filled: &mut Filled, events: u64) -> Result<Figures> {
    let database = match filled.0.entry(events) {
        Entry::Occupied(there) => there.into_mut(),
        Entry::Vacant(place) => place.insert(fill(args, events).await?),
    };
    let began = Instant::now();
    let bench = Bench::start(args, &database.setup)?;
    let start_ms = began.elapsed().as_secs_f64() * 1000.0;

    let mut conn = bench.conn().await?;
    let rooms = fastrand::choose_multiple(0..events / EACH, FIRST_READS + READS);
    let (first, others) = rooms.split_at(FIRST_READS.min(rooms.len()));
    for room in first {
        read(&mut conn, *room).await?;
    }
    let reads = bench
        .requests(others.len() as u64, async |index| read(&mut conn, others[index as usize]).await)
        .await?;
    drop(conn);
    let ops = bench.ops(RUN, ROOMS).await?;
    let memory = bench.memory().await?;
    bench.stop()?;
    Ok(Figures::from([
        ("µs/op", ops.cost.us),
        ("ops/commit", ops.per_commit),
        ("ack p99 ms", ops.cost.p99_ms),
        ("µs/op while filling", database.fill_us),
        ("µs/cold read", reads.us),
        ("cold read p99 ms", reads.p99_ms),
        ("start ms", start_ms),
        ("resident MiB", memory),
        ("settling MiB", database.settle_mib),
        ("data directory MiB", database.bytes as f64 / 1024.0 / 1024.0),
    ]))
}

async fn fill(args: &Args, events: u64) -> Result<Database> {
    let setup = bench::setup(args, 0)?;
    let bench = Bench::start(args, &setup)?;
    let fill = Fill { run: RUN, rooms: events / EACH, events, bytes: args.bytes };
    let ((), mut us) = bench.spent(fill.pour(&bench.host(Dialect::Posts))).await?;
    bench.stop()?;
    let mut settle_mib = 0f64;
    for _ in 0..MOST_STARTS {
        let bench = Bench::start(args, &setup)?;
        let (settled, settle_us) = bench.spent(settle(&bench)).await?;
        bench.stop()?;
        us += settle_us;
        settle_mib = settle_mib.max(settled.mib);
        if settled.at_once {
            break;
        }
    }
    let bytes = Disk::look(&setup.data()).context("the data directory cannot be measured")?.bytes();
    Ok(Database { setup, fill_us: us / events as f64, settle_mib, bytes })
}

/// What came of waiting for a server's rest.
struct Settled {
    /// The most memory that it held meanwhile.
    mib: f64,
    /// It had nothing to do.
    at_once: bool,
}

/// Waits until the server rests: what the database does on its own is not what the probes are to
/// find.
async fn settle(bench: &Bench<'_>) -> Result<Settled> {
    let (began, mut mib, mut looks, mut rests) = (Instant::now(), 0f64, 0, 0);
    while rests < LOOKS && began.elapsed() < SETTLES_WITHIN {
        let pause = async {
            sleep(LOOK_EVERY).await;
            Ok(())
        };
        let ((), us) = bench.spent(pause).await?;
        looks += 1;
        rests = if us < LOOK_EVERY.as_micros() as f64 * REST { rests + 1 } else { 0 };
        mib = mib.max(bench.memory().await?);
    }
    Ok(Settled { mib, at_once: looks == rests })
}

async fn read(conn: &mut Conn, room: u64) -> Result<()> {
    let entity: EntityId = Dialect::Posts
        .room(RUN, room as usize)
        .parse()
        .context("the room's name is no entity id")?;
    let state: State = conn.ask(&Call::Read(Target { entity: entity.clone() })).await?;
    ensure!(state.seq >= Seq::new(EACH), "`{entity}` is at {} and has {EACH} events", state.seq);
    Ok(())
}
