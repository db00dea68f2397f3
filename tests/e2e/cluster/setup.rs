//! Starts NATS, a database and nodes, and leads the nodes to them.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};
use tokio::time::interval;

use super::steering::order;
use super::{remote, status, until_status};
use crate::nats;
use crate::server::{LOOKS_EVERY, Server, Stopped, within, write_config};
use crate::storage::database::Database;
use crate::storage::wire::Wire;
use crate::token::SECRET;

/// A cluster that is not running.
#[derive(Default)]
pub struct Plan {
    nats: Vec<nats::Server>,
    /// The URLs of NATS for each node, if they are not the same for all.
    urls: Vec<String>,
    database: Option<Database>,
    has_wires: bool,
    lines: String,
    last: Vec<(String, String)>,
}

/// A cluster.
pub struct Cluster {
    pub nats: Vec<nats::Server>,
    pub database: Database,
    pub nodes: Vec<Server>,
    /// The ways of each node, if they can be cut.
    pub wires: Vec<Wires>,
    urls: Vec<String>,
    has_wires: bool,
    lines: String,
    /// How many nodes there were so far.
    prepared: usize,
}

/// The ways of a node to what it needs.
pub struct Wires {
    pub nats: Wire,
    pub database: Wire,
}

impl Plan {
    /// With these NATS servers, of which all nodes know all.
    pub fn nats(self, servers: impl Into<Vec<nats::Server>>) -> Self {
        let nats = servers.into();
        let urls = vec![nats.iter().map(nats::Server::url).collect::<Vec<_>>().join(",")];
        Self { nats, urls, ..self }
    }

    /// With these NATS servers, of which the nodes know one each, in turn.
    pub fn a_server_each(self, servers: impl Into<Vec<nats::Server>>) -> Self {
        let nats = servers.into();
        let urls = nats.iter().map(nats::Server::url).collect();
        Self { nats, urls, ..self }
    }

    /// With this database, which runs.
    pub fn database(self, database: Database) -> Self {
        Self { database: Some(database), ..self }
    }

    /// With ways that can be cut.
    pub fn wires(self) -> Self {
        Self { has_wires: true, ..self }
    }

    /// Adds a line to the configuration of all nodes.
    pub fn with(mut self, line: &str) -> Self {
        self.lines.push_str(line);
        self.lines.push('\n');
        self
    }

    /// Adds variables to the environment of the last node.
    pub fn last_has(self, environment: Vec<(String, String)>) -> Self {
        Self { last: environment, ..self }
    }

    /// Starts nodes with these weights, and waits until all are ready and each serves its share.
    pub async fn start(self, weights: &[u16]) -> Cluster {
        let plan = if self.nats.is_empty() { self.nats([nats::Server::start("")]) } else { self };
        let database = match plan.database {
            Some(database) => database,
            None => Database::start().await,
        };
        let mut cluster = Cluster {
            nats: plan.nats,
            database,
            nodes: Vec::new(),
            wires: Vec::new(),
            urls: plan.urls,
            has_wires: plan.has_wires,
            lines: plan.lines,
            prepared: 0,
        };
        for (node, weight) in weights.iter().enumerate() {
            let is_last = node + 1 == weights.len();
            let environment = if is_last { plan.last.clone() } else { Vec::new() };
            let node = cluster.prepare(*weight).await.with_environment(environment);
            cluster.nodes.push(node.start().await);
        }
        cluster.divide(weights).await;
        cluster.until_settled(weights).await;
        cluster
    }
}

impl Cluster {
    /// Starts one NATS server, a database, and nodes with these weights, and waits until all are
    /// ready and each serves its share.
    pub async fn start(weights: &[u16]) -> Self {
        Plan::default().start(weights).await
    }

    /// Tells the node that owns everything to give the others their shares, which it would do by
    /// itself ten seconds later.
    async fn divide(&self, weights: &[u16]) {
        let first = &self.nodes[0];
        until_status(first, "all nodes and slots", |status| {
            status["slots"]["open"] == 1024
                && status["members"].as_array().is_some_and(|all| all.len() == weights.len())
        })
        .await;
        let all = weights.iter().filter(|weight| **weight > 0).count();
        let mut own = 1024;
        for (node, _) in weights.iter().enumerate().skip(1).filter(|(_, weight)| **weight > 0) {
            let (share, to) = (1024 / all, format!("node-{node}"));
            // The one before may be over, and what it has changed not yet be read.
            let mut looks = interval(LOOKS_EVERY);
            within("the end of the last hand-off", async {
                let body = json!({"slots": share, "to": to});
                while order(first, "move", body.clone(), None).await.0 == 409 {
                    looks.tick().await;
                }
            })
            .await;
            own -= share;
            for (node, open) in [(&self.nodes[node], share), (first, own)] {
                until_status(node, "its share", |seen| seen["slots"]["open"] == open).await;
            }
        }
    }

    /// Waits until the nodes, whose weights these are, are ready and each serves its share.
    pub async fn until_settled(&self, weights: &[u16]) {
        let all = weights.iter().filter(|weight| **weight > 0).count();
        for (node, weight) in self.nodes.iter().zip(weights) {
            node.until("greenroom_ready", |value| value == 1.0).await;
            let share = if *weight == 0 { 0 } else { 1024 / all };
            until_status(node, "its share", |status| {
                status["slots"]["open"].as_u64().is_some_and(|open| open >= share as u64)
                    && status["members"].as_array().is_some_and(|all| all.len() == weights.len())
            })
            .await;
        }
    }

    /// Another node, which has not been started.
    pub async fn prepare(&mut self, weight: u16) -> Stopped {
        let directory = tempfile::tempdir().expect("a temporary directory can be created");
        let name = self.prepared;
        self.prepared += 1;
        let config = if self.has_wires {
            let wires = Wires {
                nats: Wire::to(self.nats[0].address()).await,
                database: Wire::to(self.database.address()).await,
            };
            let url = format!("nats://{}", wires.nats.address);
            let config = remote::node_config(&url, wires.database.address, weight);
            self.wires.push(wires);
            config
        } else {
            self.config_of(weight)
        };
        let rest = format!(
            "{config}cluster.node = \"node-{name}\"\ndrain.reconnect_spread = \"500ms\"\n\
             limits.requests_per_second = 10000\nlimits.requests_burst = 10000\n\
             limits.anonymous_requests_per_second = 10000\nlimits.anonymous_requests_burst = 10000\n\
             {SECRET}\n{}",
            self.lines
        );
        write_config(directory.path(), &rest);
        Stopped::node(directory)
    }

    /// The lines that make a server the next node.
    pub fn config_of(&self, weight: u16) -> String {
        let urls = &self.urls[self.nodes.len() % self.urls.len()];
        remote::node_config(urls, self.database.address(), weight)
    }

    /// A room in a slot that this node serves, with one message.
    pub async fn room_of(&self, node: usize) -> String {
        let name = format!("node-{node}");
        let mut client = self.nodes[node].client(CodecKind::Json).await;
        for n in 0..1000 {
            let room = format!("room:{n}");
            let (code, owner) = self.nodes[node].admin_get(&format!("/cluster/owner/{room}")).await;
            assert_eq!(code, 200, "{owner}");
            if owner.contains(&name) {
                client.send(&room, 1, "post", json!({})).await;
                return room;
            }
        }
        panic!("a node that serves slots has some of 1,000 rooms");
    }

    /// No node has lost slots because it was silent or deaf. Balancing goes on.
    pub async fn assert_all_keep_their_slots(&self) {
        for why in ["silent", "deaf"] {
            let series = format!("greenroom_cluster_slot_moves_total{{why=\"{why}\"}}");
            for node in &self.nodes {
                assert_eq!(node.sample(&series).await, 0.0, "{why}");
            }
        }
    }

    /// The version of the map, as this node knows it.
    pub async fn map(&self, node: usize) -> Value {
        status(&self.nodes[node]).await["map"].clone()
    }
}

/// What a node says of the member with this name; null if it does not know it.
pub fn member<'a>(status: &'a Value, name: &str) -> &'a Value {
    let members = status["members"].as_array().expect("there is a list");
    members.iter().find(|member| member["name"] == name).unwrap_or(&Value::Null)
}
