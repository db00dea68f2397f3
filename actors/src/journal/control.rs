//! What a node of a cluster asks of its committer: to commit under another term, to change the map,
//! and to commit something at all.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::{Committer, Health, Reign};
use crate::clock::Mono;
use crate::cluster::change::Change;
use crate::cluster::map::NodeId;
use crate::cluster::membership::Outcome;
use crate::cluster::registry::{ChangeError, Note, Registry};
use crate::store::{CommitError, Fence, Settled};

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

/// A committer as a node of a cluster.
pub struct Registered {
    /// The node.
    pub node: NodeId,
    /// Where the map is.
    pub registry: Arc<dyn Registry>,
    /// Shows the latest transaction that succeeded.
    pub latest: watch::Sender<Option<Renewal>>,
}

impl Control {
    /// Whether nothing may share its turn.
    pub(super) const fn is_alone(&self) -> bool {
        matches!(self, Self::Term { .. } | Self::Change { .. })
    }
}

impl Committer {
    pub(super) async fn control(&mut self, control: Control) {
        match control {
            Control::Term { term, reign } => {
                self.term = term;
                self.number = 1;
                self.reign = reign;
                self.recovered();
            }
            Control::Change { change, note, decided } => {
                let outcome = self.change(&change, &note).await;
                // Whoever asked may have been demoted meanwhile.
                let _ = decided.send(outcome);
            }
            Control::Beat => {}
        }
    }

    async fn change(&mut self, change: &Change, note: &Note) -> Outcome {
        let Some(Registered { node, registry, .. }) = &self.registered else {
            return Outcome::Refused;
        };
        let nonce = self.outside.rng.u64(1..1 << 53);
        let fence = Fence { term: self.term, number: self.number, nonce };
        let begun = self.outside.clock.mono();
        let changed = registry.change(*node, fence, change, note).await;
        match changed {
            Ok(()) => {
                self.number += 1;
                self.show(begun);
                Outcome::Done
            }
            Err(ChangeError::Refused(why)) => {
                tracing::info!(%why, what = %note.what, "a change of the map was refused");
                Outcome::Refused
            }
            Err(ChangeError::Commit(CommitError::Failed(why))) => {
                tracing::warn!(%why, what = %note.what, "a change of the map failed");
                Outcome::Refused
            }
            Err(ChangeError::Commit(CommitError::Fenced(why))) => {
                self.fenced(&why);
                Outcome::Fenced
            }
            Err(ChangeError::Commit(CommitError::Unknown(why))) => {
                tracing::warn!(%why, what = %note.what, "whether the map was changed is unknown; asking the store");
                self.set_health(Health::Failing(why.to_string()));
                match self.settle(fence).await {
                    Some(Settled::Committed) => Outcome::Done,
                    Some(Settled::NotCommitted) => Outcome::Refused,
                    None => Outcome::Fenced,
                }
            }
        }
    }

    /// A transaction that was sent at `begun` has succeeded.
    pub(super) fn show(&self, begun: Mono) {
        if let Some(Registered { latest, .. }) = &self.registered {
            latest.send_replace(Some(Renewal { term: self.term, sent: begun }));
        }
    }
}
