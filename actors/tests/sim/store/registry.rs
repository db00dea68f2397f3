//! The simulated registry: the rows on which nodes agree, over the same path as a node's store.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use greenroom_actors::cluster::change::Change;
use greenroom_actors::cluster::map::NodeId;
use greenroom_actors::cluster::membership::{Join, View};
use greenroom_actors::cluster::registry::{ChangeError, MemoryRegistry, Note, Registry};
use greenroom_actors::store::memory::LostAnswer;
use greenroom_actors::store::{CommitError, Fence, StoreError};

use super::{Call, Fate, SimStore};
use crate::bugs::Bug;

/// Changes of the map whose answers were lost, and that may still arrive.
#[derive(Debug, Clone, Default)]
pub struct Late(Arc<Mutex<Vec<LateChange>>>);

type LateChange = (NodeId, Fence, Change, Note);

impl Late {
    fn add(&self, node: NodeId, fence: Fence, change: &Change, note: &Note) {
        let late = (node, fence, change.clone(), note.clone());
        self.0.lock().expect("there is one thread").push(late);
    }

    /// Lets them arrive.
    pub fn deliver(&self, rows: &MemoryRegistry) {
        for (node, fence, change, note) in
            std::mem::take(&mut *self.0.lock().expect("there is one thread"))
        {
            // The rows decide whether it is written or refused.
            drop(crate::log::now(rows.change(node, fence, &change, &note)));
        }
    }
}

/// See the module's documentation.
#[derive(Clone)]
pub struct SimRegistry {
    pub store: SimStore,
    pub rows: MemoryRegistry,
    pub late: Late,
}

fn unknown() -> ChangeError {
    ChangeError::Commit(CommitError::Unknown("its answer was lost".into()))
}

fn failed() -> ChangeError {
    ChangeError::Commit(CommitError::Failed("it was told to fail".into()))
}

#[async_trait]
impl Registry for SimRegistry {
    async fn view(&self) -> Result<View, StoreError> {
        let ticket = self.store.open(Call::View);
        let fate = ticket.turn().await;
        let view = self.rows.view().await;
        ticket.answer().await;
        if fate == Fate::Fine { view } else { Err(StoreError::Unavailable("cut".into())) }
    }

    async fn join(&self, node: NodeId, join: &Join, note: &Note) -> Result<(), ChangeError> {
        let ticket = self.store.open(Call::Join);
        let done = match ticket.turn().await {
            Fate::Fine => self.rows.join(node, join, note).await,
            Fate::Fails => Err(failed()),
            Fate::Loses(LostAnswer::Written) => {
                drop(self.rows.join(node, join, note).await);
                Err(unknown())
            }
            Fate::Loses(_) => Err(unknown()),
        };
        ticket.answer().await;
        done
    }

    async fn change(
        &self,
        node: NodeId,
        fence: Fence,
        change: &Change,
        note: &Note,
    ) -> Result<(), ChangeError> {
        let ticket = self.store.open(Call::Change);
        let mut change = change.clone();
        if self.store.bug == Some(Bug::TermNotRaised) {
            change.fences.clear();
        }
        let done = match ticket.turn().await {
            Fate::Fine => self.rows.change(node, fence, &change, note).await,
            Fate::Fails => Err(failed()),
            Fate::Loses(LostAnswer::Written) => {
                match self.rows.change(node, fence, &change, note).await {
                    Ok(()) => Err(unknown()),
                    refused => refused,
                }
            }
            Fate::Loses(LostAnswer::NotWritten) => Err(unknown()),
            Fate::Loses(LostAnswer::OnItsWay) => {
                self.late.add(node, fence, &change, note);
                Err(unknown())
            }
        };
        ticket.answer().await;
        done
    }
}
