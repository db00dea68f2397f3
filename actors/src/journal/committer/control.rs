//! What the committer does for a node of a cluster, between batches.

use super::{Committer, Health};
use crate::clock::Mono;
use crate::cluster::change::Change;
use crate::cluster::membership::Outcome;
use crate::cluster::registry::{ChangeError, Note};
use crate::journal::control::{Control, Registered, Renewal};
use crate::store::{CommitError, Fence, Settled};

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
        if let Some(Registered { standing, .. }) = &self.registered {
            let renewal = Renewal { term: self.term, sent: begun };
            standing.send_modify(|standing| standing.renewed = Some(renewal));
        }
    }
}
