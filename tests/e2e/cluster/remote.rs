//! Runs the other tests through a node that owns nothing, so that every operation is remote.
//!
//! With `GREENROOM_TEST_REMOTE=1` in the environment each server whose store is in memory becomes
//! such a node, with another one that owns everything, and a NATS server and a database of its own.

use std::net::SocketAddr;

use crate::nats;
use crate::server::{Server, Stopped, write_config};
use crate::storage::database::Database;

/// Whether the environment asks for it.
pub fn is_wanted() -> bool {
    std::env::var_os("GREENROOM_TEST_REMOTE").is_some_and(|value| value == "1")
}

/// What is behind a node that owns nothing.
pub struct Remote {
    nats: nats::Server,
    database: Database,
    /// The node that owns everything.
    pub owner: Server,
}

impl Remote {
    /// Starts a node that owns everything, with this configuration.
    pub async fn start(config: &str) -> Self {
        let nats = nats::Server::start("");
        let database = Database::start().await;
        let directory = tempfile::tempdir().expect("a temporary directory can be created");
        let head = node_config(&nats.url(), database.address(), 100);
        write_config(directory.path(), &format!("{head}{config}"));
        let owner = Box::pin(Stopped::node(directory).start()).await;
        owner.until("greenroom_ready", |value| value == 1.0).await;
        Self { nats, database, owner }
    }

    /// The configuration of a node that owns nothing.
    pub fn config_of_gateway(&self, config: &str) -> String {
        format!("{}{config}", node_config(&self.nats.url(), self.database.address(), 0))
    }
}

/// The lines that make a server a node; `nats` may be several URLs with commas.
pub fn node_config(nats: &str, database: SocketAddr, weight: u16) -> String {
    format!(
        "store.url = \"ws://{database}\"\nstore.username = \"root\"\nstore.password = \"secret\"\n\
         cluster.name = \"test\"\ncluster.weight = {weight}\ncluster.nats.url = \"{nats}\"\n"
    )
}
