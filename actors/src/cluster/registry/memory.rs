//! The registry in memory, for tests: beside the logs of a [`MemoryStore`], whose leases it shares.

use async_trait::async_trait;

use super::{ChangeError, Note, Registry};
use crate::cluster::change::{self, Change};
use crate::cluster::map::{ClusterMap, LeaseRow, NodeId, Term};
use crate::cluster::membership::{Join, View};
use crate::store::memory::MemoryStore;
use crate::store::{Cause, Fence, StoreError};

/// The rows of all nodes that share one [`MemoryStore`].
#[derive(Debug, Clone, Default)]
pub struct MemoryRegistry(MemoryStore);

impl MemoryRegistry {
    /// The rows beside the logs of `store`.
    pub const fn new(store: MemoryStore) -> Self {
        Self(store)
    }
}

fn read(row: Option<&String>) -> Result<ClusterMap, Cause> {
    match row {
        Some(text) => Ok(serde_json::from_str(text)?),
        None => Ok(ClusterMap::empty()),
    }
}

fn refused(why: impl Into<Cause>) -> ChangeError {
    ChangeError::Refused(why.into())
}

/// Writes the map if it has the version that the change expects.
fn write(row: &mut Option<String>, change: &Change) -> Result<(), ChangeError> {
    let version = read(row.as_ref()).map_err(refused)?.version();
    if version != change.expects {
        return Err(refused(format!("the map has version {version}, not {}", change.expects)));
    }
    *row = Some(serde_json::to_string(&change.map).map_err(refused)?);
    Ok(())
}

#[async_trait]
impl Registry for MemoryRegistry {
    async fn view(&self) -> Result<View, StoreError> {
        self.0.agree(|leases, map| {
            let map = read(map.as_ref()).map_err(StoreError::Corrupt)?;
            let leases = leases.iter().filter_map(|(node, lease)| {
                let row = LeaseRow { term: Term(lease.term), number: lease.number };
                Some((NodeId((*node)?), row))
            });
            Ok(View { map, leases: leases.collect() })
        })
    }

    async fn join(&self, node: NodeId, join: &Join, _: &Note) -> Result<(), ChangeError> {
        self.0.agree(|leases, map| {
            let lease = leases.get(&Some(node.0));
            let row = lease.map(|lease| LeaseRow { term: Term(lease.term), number: lease.number });
            if row != join.lease {
                return Err(refused(format!("the lease is at {row:?}, not {:?}", join.lease)));
            }
            write(map, &join.change)?;
            let lease = leases.entry(Some(node.0)).or_default();
            lease.term = join.term.0;
            lease.number = 0;
            lease.committed = None;
            // A server without a cluster writes nothing more.
            leases.entry(None).or_default().term += 1;
            Ok(())
        })
    }

    async fn change(
        &self,
        node: NodeId,
        fence: Fence,
        change: &Change,
        _: &Note,
    ) -> Result<(), ChangeError> {
        self.0.agree(|leases, map| {
            leases.entry(Some(node.0)).or_default().admit(fence)?;
            for (loser, fence) in &change.fences {
                let change::Fence::Raise(seen) = fence else { continue };
                let lease = leases.entry(Some(loser.0)).or_default();
                if (lease.term, lease.number) != (seen.term.0, seen.number) {
                    return Err(refused(format!("the lease of `{loser}` has moved")));
                }
            }
            write(map, change)?;
            for (loser, fence) in &change.fences {
                if matches!(fence, change::Fence::Raise(_)) {
                    let lease = leases.entry(Some(loser.0)).or_default();
                    lease.term += 1;
                    lease.number = 0;
                    lease.committed = None;
                }
            }
            leases.entry(Some(node.0)).or_default().take(fence);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::registry::conformance;

    #[tokio::test]
    async fn keeps_the_contract() {
        let store = MemoryStore::new();
        let registry = MemoryRegistry::new(store.clone());
        conformance::run(&registry, &|node| Box::new(store.of_node(node.0))).await;
    }
}
