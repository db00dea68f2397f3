//! The processes that are measured.

use std::time::Duration;

use anyhow::{Context, Result};
use greenroom_loadtest::client::{Conn, Target, Tokens, Who};
use greenroom_loadtest::drill::nodes::cluster::{Cluster, Extras, Spot};
use greenroom_loadtest::drill::nodes::find_nats;
use greenroom_loadtest::server::Setup;
use greenroom_loadtest::server_use::{self, Source};
use greenroom_protocol::params::Subscribe;
use greenroom_protocol::{CodecKind, EntityId};
use serde::Deserialize;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::Args;

/// The number of nodes.
pub const NODES: usize = 3;
/// How often a node is asked for something that is to change.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The cluster.
pub struct Rig {
    pub cluster: Cluster,
}

/// CPU seconds of each process.
pub struct Cpu {
    pub nodes: Vec<f64>,
    pub nats: f64,
    pub database: f64,
}

#[derive(Deserialize)]
struct Owner {
    node: String,
}

#[derive(Deserialize)]
struct Me {
    id: String,
}

impl Rig {
    /// Starts all of it, and waits until every node has its share.
    pub async fn start(args: &Args) -> Result<Self> {
        let nats = args.nats.clone().map_or_else(find_nats, Ok)?;
        let server = args.own.binary.as_ref().context("`--server PATH` is required")?;
        let beside = || server.with_file_name("greenroom-dev-surrealdb");
        let database = args.database.clone().unwrap_or_else(beside);
        let setup = Setup::new(&args.own)?;
        let programs = [nats.as_path(), database.as_path()];
        let cluster = Cluster::start(setup, NODES as u16, Extras::default(), programs).await?;
        cluster.balanced().await?;
        Ok(Self { cluster })
    }

    /// Ends all of it.
    pub async fn stop(mut self) {
        self.cluster.stop().await;
    }

    fn spot(&self, node: usize) -> Spot {
        self.cluster.spots()[node]
    }

    async fn ask<T: for<'a> Deserialize<'a> + Send + 'static>(
        &self,
        node: usize,
        path: &str,
    ) -> Result<T> {
        let url = format!("http://{}/cluster{path}", self.spot(node).addresses.1);
        let get = move || Ok(serde_json::from_str(&server_use::get(&url)?)?);
        spawn_blocking(get).await.context("the task that asks a node failed")?
    }

    /// The node that owns an entity, as `asked` sees it.
    pub async fn owner(&self, entity: &EntityId, asked: usize) -> Result<usize> {
        let owner = self.ask::<Owner>(asked, &format!("/owner/{entity}")).await?.node;
        for node in 0..NODES {
            if self.ask::<Me>(node, "").await?.id == owner {
                return Ok(node);
            }
        }
        anyhow::bail!("`{entity}` belongs to a node that is not one of these")
    }

    /// Rooms that this node owns.
    pub async fn rooms_of(&self, node: usize, count: usize, name: &str) -> Result<Vec<EntityId>> {
        let me = self.ask::<Me>(node, "").await?.id;
        let mut rooms = Vec::new();
        for number in 0.. {
            if rooms.len() == count {
                break;
            }
            let room = room(&format!("{name}-{number}"))?;
            if self.ask::<Owner>(node, &format!("/owner/{room}")).await?.node == me {
                rooms.push(room);
            }
        }
        Ok(rooms)
    }

    /// Has the owner of an entity hand its slot over, and waits until both know of it.
    pub async fn move_slot(&self, entity: &EntityId, from: usize, to: usize) -> Result<()> {
        let id = self.ask::<Me>(to, "").await?.id;
        let url = format!("http://{}/cluster/move", self.spot(from).addresses.1);
        let body = format!(r#"{{"entity":"{entity}","to":"{id}"}}"#);
        spawn_blocking(move || server_use::post(&url, &body)).await??;
        for node in [from, to] {
            while self.owner(entity, node).await? != to {
                sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// Connects to one node.
    pub async fn connect(&self, node: usize, subscriptions: Vec<Subscribe>) -> Result<Conn> {
        let url = format!("ws://{}/ws", self.spot(node).addresses.0);
        let target = Target::new(&url, CodecKind::Json, Tokens::Anonymous).await?;
        Ok(Conn::open(&target, Who::default(), subscriptions).await?.0)
    }

    /// What all have used so far.
    pub async fn cpu(&self) -> Result<Cpu> {
        let mut nodes = Vec::new();
        for spot in self.cluster.spots() {
            nodes.push(cpu_of(spot.pid).await?);
        }
        let [nats, database] = self.cluster.helpers()?;
        Ok(Cpu { nodes, nats: cpu_of(nats).await?, database: cpu_of(database).await? })
    }

    /// The resident memory of one node in bytes.
    pub async fn memory(&self, node: usize) -> Result<f64> {
        let source = Source { pid: Some(self.spot(node).pid), metrics: None };
        source.snapshot().await?.rss_bytes.context("the memory is not known")
    }
}

impl Cpu {
    /// What was used between two moments.
    pub fn minus(&self, before: &Self) -> Self {
        self.with(before, |after, before| after - before)
    }

    /// Both together.
    pub fn plus(&self, other: &Self) -> Self {
        self.with(other, |one, other| one + other)
    }

    fn with(&self, other: &Self, both: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            nodes: self.nodes.iter().zip(&other.nodes).map(|(a, b)| both(*a, *b)).collect(),
            nats: both(self.nats, other.nats),
            database: both(self.database, other.database),
        }
    }

    /// Microseconds for each of `count`, as cells of a table: the nodes, NATS, the database.
    pub fn each(&self, count: usize) -> String {
        let all = self.nodes.iter().chain([&self.nats, &self.database]);
        let cells = all.map(|seconds| format!("{:.1}", seconds * 1e6 / count as f64));
        cells.collect::<Vec<_>>().join(" | ")
    }
}

async fn cpu_of(pid: u32) -> Result<f64> {
    let source = Source { pid: Some(pid), metrics: None };
    source.snapshot().await?.cpu_s.context("the CPU time is not known")
}

/// A room with this name.
pub fn room(name: &str) -> Result<EntityId> {
    Ok(EntityId::parse(&format!("room:{name}"))?)
}

/// Follows everything of an entity.
pub fn follow(entity: &EntityId) -> Subscribe {
    Subscribe {
        entity: entity.clone(),
        after: None,
        events: Default::default(),
        signals: Default::default(),
        presence: false,
    }
}
