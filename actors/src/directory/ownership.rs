//! What a shard serves of a cluster's entities. The shard decides, because everything for an entity
//! comes through it in order: what it does not serve goes to the exchange, in the same order.

use std::collections::BTreeMap;
use std::sync::Arc;

use greenroom_protocol::EntityId;
use tokio::sync::mpsc;

use crate::clock::Mono;
use crate::cluster::lease::Validity;
use crate::cluster::membership::Scope;
use crate::cluster::slot::{SlotId, SlotSet};
use crate::messages::ToEntity;

/// See the module's head.
#[derive(Debug)]
pub struct Ownership {
    validity: Arc<Validity>,
    open: Scope,
    flushing: Vec<Flushing>,
    /// Slots for which messages went to the exchange, which may give some of them back.
    pub(super) outside: SlotSet,
    /// What waits behind them.
    pub(super) held: BTreeMap<SlotId, Vec<(EntityId, ToEntity)>>,
}

/// Entities that are being put to sleep.
#[derive(Debug)]
struct Flushing {
    scope: Scope,
    /// Those of them that are still awake.
    left: usize,
    /// Dropped when all are asleep.
    _done: mpsc::Sender<()>,
}

impl Ownership {
    /// Nothing is served yet.
    pub const fn new(validity: Arc<Validity>) -> Self {
        Self {
            validity,
            open: Scope::EMPTY,
            flushing: Vec::new(),
            outside: SlotSet::EMPTY,
            held: BTreeMap::new(),
        }
    }

    /// Whether a message for this entity that arrives now is served here (M5).
    pub fn serves(&self, entity: &EntityId, now: Mono) -> bool {
        self.owns(entity) && self.validity.holds(now)
    }

    /// Whether its slot is open here.
    pub(super) fn owns(&self, entity: &EntityId) -> bool {
        self.open.contains(entity)
    }

    pub(super) fn open(&mut self, scope: &Scope) {
        self.open = self.open.with(scope);
        // A hand-off is over if something of it is served again. Nobody waits for its end.
        self.flushing.retain(|flushing| flushing.scope.both(scope).is_empty());
    }

    pub(super) fn close(&mut self, scope: &Scope) {
        self.open = self.open.without(scope);
    }

    /// Nothing is served any more.
    pub(super) fn abandon(&mut self) {
        self.open = Scope::EMPTY;
        self.flushing.clear();
    }

    /// `left` entities of this scope are awake, and are being put to sleep.
    pub(super) fn flush(&mut self, scope: Scope, left: usize, done: mpsc::Sender<()>) {
        if left > 0 {
            self.flushing.push(Flushing { scope, left, _done: done });
        }
    }

    /// Whether this entity is being put to sleep.
    pub(super) fn is_flushing(&self, entity: &EntityId) -> bool {
        self.flushing.iter().any(|flushing| flushing.scope.contains(entity))
    }

    /// An entity is not awake any more.
    pub(super) fn asleep(&mut self, entity: &EntityId) {
        for flushing in self.flushing.iter_mut().filter(|flushing| flushing.scope.contains(entity))
        {
            flushing.left -= 1;
        }
        self.flushing.retain(|flushing| flushing.left > 0);
    }
}
