//! Where the rows on which the nodes agree live: the trait that `src/store/` of the server
//! implements over SurrealDB.

use async_trait::async_trait;

use super::change::Change;
use super::map::NodeId;
use super::membership::{Join, View};
use crate::clock::Millis;
use crate::store::{Cause, CommitError, Fence, StoreError};

pub mod conformance;
mod memory;

pub use memory::MemoryRegistry;

/// What people read of a change in the log of map versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Who made it.
    pub by: NodeId,
    /// What and why.
    pub what: String,
    /// When, by its maker's clock.
    pub at: Millis,
}

/// A change of the map did not report success.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Nothing was written, and no number was used: the map, or a lease that it compares, is not as
    /// expected.
    #[error("the map or a lease has changed meanwhile: {0}")]
    Refused(#[source] Cause),
    /// As for any transaction.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// The lease rows and the map. Its transactions write the same lease rows as those of
/// [`Store`](crate::store::Store), and are settled there.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Reads the map and all lease rows, in one transaction.
    ///
    /// # Errors
    /// Where the store does not answer, or what it holds cannot be read.
    async fn view(&self) -> Result<View, StoreError>;

    /// Writes the node's own lease row with the attempt's term and number 0, and the map, if both
    /// are as the attempt expects.
    ///
    /// # Errors
    /// [`ChangeError::Refused`] if they are not. There is no number to settle it by: if the outcome
    /// is unknown, the next view shows it.
    async fn join(&self, node: NodeId, join: &Join, note: &Note) -> Result<(), ChangeError>;

    /// Makes a change of the map as the node's transaction with this fence: moves the node's number,
    /// raises the term of the leases in [`Change::fences`] that are to be raised, and writes the map,
    /// if all of them are as expected.
    ///
    /// # Errors
    /// [`ChangeError::Refused`] if the map or one of those leases is not as expected; otherwise as
    /// for [`Store::commit`](crate::store::Store::commit).
    async fn change(
        &self,
        node: NodeId,
        fence: Fence,
        change: &Change,
        note: &Note,
    ) -> Result<(), ChangeError>;
}
