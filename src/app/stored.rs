//! Opens the store, and starts the committer over it.

use std::sync::Arc;
use std::time::Duration;

use greenroom_actors::journal::{Committer, CommitterLimits, Health, Journal, Outside, Registered};
use greenroom_actors::kind::Kinds;
use greenroom_actors::store::Store;
use tokio::sync::watch;

use super::threads;
use crate::cluster::Cluster;
use crate::config::{Config, JournalConfig};
use crate::failure::Failure;
use crate::store::{LeaseKey, SurrealStore};

/// A store that is open, and the journal over it.
pub(super) struct Stored {
    pub database: Arc<SurrealStore>,
    pub journal: Journal,
    pub health: watch::Receiver<Health>,
}

impl Stored {
    /// Opens the store and starts the committer: under the store's lease, which this process takes
    /// now, or as a node of a cluster, which commits nothing until it has joined.
    pub(super) async fn open(
        config: &Config,
        kinds: &Kinds,
        cluster: Option<&Cluster>,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let runtime = |error: &dyn std::fmt::Display| Failure::Runtime(error.to_string());
        let store = SurrealStore::open_patiently(&config.store, patience)
            .await
            .map_err(|error| runtime(&error))?;
        if let Err(error) = store.keep_behaviours(kinds).await {
            store.close().await;
            return Err(Failure::Config(error.to_string()));
        }
        let store = match cluster {
            None => store,
            Some(cluster) => store.with_lease(LeaseKey::Node { id: cluster.id().0, lane: 0 }),
        };
        let database = Arc::new(store);
        let term = match cluster {
            None => {
                refuse_cluster(&database).await?;
                database
                    .acquire()
                    .await
                    .map_err(|error| runtime(&format!("cannot take the lease: {error}")))?
            }
            Some(_) => 0,
        };
        let (journal, queue) = Journal::channel(config.journal.queue_ops);
        let JournalConfig { batch_ops, batch_bytes, linger, .. } = config.journal;
        let limits = CommitterLimits { batch_ops, batch_bytes, linger };
        let outside = Outside { pause: threads::pause_of_own_thread(), ..Outside::real() };
        let store: Arc<dyn Store> = database.clone();
        let (mut committer, health) = Committer::new(store, term, queue, limits, outside);
        if let Some(cluster) = cluster {
            committer = committer.of_node(Registered {
                node: cluster.id(),
                registry: Arc::new(database.registry()),
                standing: cluster.standing(),
            });
        }
        threads::spawn_committer(committer)?;
        Ok(Self { database, journal, health })
    }
}

/// A server without a cluster would take no notice of the nodes that use this database.
async fn refuse_cluster(store: &SurrealStore) -> Result<(), Failure> {
    let view = greenroom_actors::cluster::registry::Registry::view(&store.registry())
        .await
        .map_err(|error| Failure::Runtime(format!("cannot look for a cluster: {error}")))?;
    let members = view.map.peers().len();
    if members == 0 {
        return Ok(());
    }
    Err(Failure::Config(format!(
        "a cluster with {members} members uses this database; add `[cluster]` to the configuration, or set `store.namespace` or `store.database` to another one"
    )))
}
