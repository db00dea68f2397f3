//! How a directory shard starts and reaches entities.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use greenroom_actors::directory::{Host, Undelivered};
use greenroom_actors::entity::ToEntity;
use greenroom_actors::journal::Journal;
use greenroom_actors::kind::Kind;
use greenroom_actors::relay::{RelayHandle, ToRelay};
use greenroom_protocol::EntityId;
use tokio::sync::Semaphore;

use super::proc::Proc;
use crate::clock::Now;
use crate::sizes::Sizes;
use crate::store::SimStore;

/// A message for an entity.
#[derive(Debug)]
pub(super) enum Letter {
    Take(ToEntity),
    Stop,
}

#[derive(Debug)]
pub(super) struct Inbox {
    pub letters: VecDeque<Letter>,
    pub capacity: usize,
    pub ended: bool,
}

pub(super) type Mailbox = Rc<RefCell<Inbox>>;

/// A control message that waits for room in a mailbox.
pub(super) struct Later {
    pub entity: EntityId,
    pub shard: usize,
    pub incarnation: u64,
    pub inbox: Mailbox,
    pub message: ToEntity,
}

impl Later {
    pub fn is_ready(&self) -> bool {
        let inbox = self.inbox.borrow();
        inbox.ended || inbox.letters.len() < inbox.capacity
    }
}

/// Starts entities for a shard.
pub(super) struct Hosting<'a> {
    pub shard: usize,
    pub now: Now,
    pub sizes: Sizes,
    pub next: &'a mut u64,
    pub store: &'a SimStore,
    pub journal: &'a Journal,
    pub cold_starts: &'a Arc<Semaphore>,
    pub relays: &'a [RelayHandle],
    pub procs: &'a mut BTreeMap<u64, Proc>,
    pub later: &'a mut Vec<Later>,
}

impl Host for Hosting<'_> {
    type Mailbox = Mailbox;

    fn start(
        &mut self,
        entity: &EntityId,
        kind: &Arc<Kind>,
        incarnation: u64,
        after_crash: bool,
    ) -> Self::Mailbox {
        let inbox = Rc::new(RefCell::new(Inbox {
            letters: VecDeque::new(),
            capacity: self.sizes.inbox,
            ended: false,
        }));
        let mut proc = Proc::new(entity.clone(), kind, self.shard, incarnation, Rc::clone(&inbox));
        proc.load(self.store, self.journal, self.cold_starts, after_crash);
        *self.next += 1;
        self.procs.insert(*self.next, proc);
        inbox
    }

    fn loading(&self) -> usize {
        self.procs.values().filter(|proc| proc.shard == self.shard && proc.loading).count()
    }

    fn deliver(&mut self, to: &Self::Mailbox, message: ToEntity) -> Result<(), Undelivered> {
        let mut inbox = to.borrow_mut();
        if inbox.ended {
            return Err(Undelivered::Ended(message));
        }
        if inbox.letters.len() >= inbox.capacity {
            return Err(Undelivered::Full(message));
        }
        inbox.letters.push_back(Letter::Take(message));
        Ok(())
    }

    fn deliver_later(
        &mut self,
        entity: &EntityId,
        incarnation: u64,
        to: &Self::Mailbox,
        message: ToEntity,
    ) {
        let (entity, inbox) = (entity.clone(), Rc::clone(to));
        self.later.push(Later { entity, shard: self.shard, incarnation, inbox, message });
    }

    fn stop(&mut self, to: &Self::Mailbox) -> bool {
        let mut inbox = to.borrow_mut();
        let room = inbox.letters.len() < inbox.capacity;
        if room {
            inbox.letters.push_back(Letter::Stop);
        }
        room
    }

    fn lost(&mut self, entity: &EntityId) {
        self.relays.iter().for_each(|relay| {
            relay.send_or_spawn(ToRelay::Lost { entity: entity.clone(), ended: true });
        });
    }
}
