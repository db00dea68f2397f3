//! Starts a directory shard's entities and delivers messages to them.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use greenroom_actors::clock::Mono;
use greenroom_actors::directory::{Host, Undelivered};
use greenroom_actors::entity::{EntityEnv, Load, Shell};
use greenroom_actors::kind::Kind;
use greenroom_actors::messages::{ToEntity, ToRelay};
use greenroom_protocol::EntityId;

use super::proc::Proc;
use crate::clock::Now;

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

/// A control message that waits for space in a mailbox.
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

pub(super) struct Hosting<'a> {
    pub shard: usize,
    pub now: Now,
    pub next: &'a mut u64,
    pub env: &'a Rc<EntityEnv>,
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
        first_load: Load,
        now: Mono,
    ) -> Self::Mailbox {
        let inbox = Rc::new(RefCell::new(Inbox {
            letters: VecDeque::new(),
            capacity: self.env.inbox,
            ended: false,
        }));
        let kind = Arc::clone(kind);
        let env = Rc::clone(self.env);
        let shell = Shell::new(entity.clone(), kind, env, incarnation, first_load, now);
        let proc = Proc::start(shell, self.shard, Rc::clone(&inbox), first_load, self.now);
        *self.next += 1;
        self.procs.insert(*self.next, proc);
        inbox
    }

    fn loading(&self) -> usize {
        self.env.loading.get()
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
        self.later.push(Later {
            entity: entity.clone(),
            shard: self.shard,
            incarnation,
            inbox: Rc::clone(to),
            message,
        });
    }

    fn stop(&mut self, to: &Self::Mailbox) -> bool {
        let mut inbox = to.borrow_mut();
        let room = inbox.letters.len() < inbox.capacity;
        if room {
            inbox.letters.push_back(Letter::Stop);
        }
        room
    }

    fn elsewhere(&mut self, entity: EntityId, message: ToEntity) {
        let exchange = self.env.exchange.as_ref();
        exchange.expect("a server alone owns everything").elsewhere(entity, message);
    }

    fn mark(&mut self, entity: EntityId) {
        let exchange = self.env.exchange.as_ref();
        exchange.expect("a server alone owns everything").mark(entity);
    }

    fn end(&mut self, to: &Self::Mailbox) {
        to.borrow_mut().letters.push_back(Letter::Stop);
    }

    fn audience_forgotten(&mut self, entity: &EntityId) {
        let relays = &self.env.relays;
        for relay in relays.everywhere().filter_map(|place| relays.get(place)) {
            relay.send_or_spawn(ToRelay::AudienceForgotten { entity: entity.clone(), ended: true });
        }
    }
}
