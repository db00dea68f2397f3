//! What a node of a cluster asks of its committer: to commit under another term, to change the map,
//! and to commit something at all.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::Reign;
use crate::clock::Mono;
use crate::cluster::change::Change;
use crate::cluster::map::NodeId;
use crate::cluster::membership::Outcome;
use crate::cluster::registry::{Note, Registry};

/// A request of the node itself.
#[derive(Debug)]
pub enum Control {
    /// Commit under this term, for lives of this reign.
    Term { term: u64, reign: Reign },
    /// Change the map.
    Change { change: Box<Change>, note: Note, decided: oneshot::Sender<Outcome> },
    /// Commit an empty transaction, unless there is something to commit.
    Beat,
}

/// A transaction that succeeded: which term it proves, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// The term.
    pub term: u64,
    /// When the transaction was sent.
    pub sent: Mono,
}

/// What a node's transactions have shown of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// The latest transaction that succeeded.
    pub renewed: Option<Renewal>,
    /// The latest term under which one was fenced.
    pub fenced: Option<u64>,
}

/// A committer as a node of a cluster.
pub struct Registered {
    /// The node.
    pub node: NodeId,
    /// Where the map is.
    pub registry: Arc<dyn Registry>,
    /// Shows what its transactions find.
    pub standing: watch::Sender<Standing>,
}

impl Control {
    /// Whether nothing may share its turn.
    pub(super) const fn is_alone(&self) -> bool {
        matches!(self, Self::Term { .. } | Self::Change { .. })
    }
}
