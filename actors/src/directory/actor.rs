//! The mailbox of a directory shard.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, StreamHandler, WrapFuture, dev::SendError};
use foldhash::fast::RandomState;
use greenroom_protocol::{EntityId, ErrorCode, WireError};
use tokio::sync::mpsc;

use super::ToDirectory;
use crate::answer::overloaded;
use crate::clock::{self, Millis};
use crate::entity::{Deliver, EntityActor, EntityEnv, Stop, ToEntity};
use crate::kind::Kinds;
use crate::metrics::{KindMetrics, MAILBOX_REFUSALS};
use crate::relay::{RelayHandle, ToRelay, batches};

/// Most messages taken in one go.
const BATCH: usize = 64;
/// How often some of the entities are asked whether they are idle.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// How many of them at a time: passivation never holds the thread for long.
const SWEEP_SOME: usize = 256;

/// A shard's bounds.
#[derive(Debug, Clone, Copy)]
pub struct DirectoryLimits {
    /// Entities awake at once on this shard.
    pub max_awake: usize,
    /// Entities that load, or wait for their turn to, at once on this shard.
    pub max_loading: usize,
}

/// What a shard is started with.
pub struct Shard {
    /// The kinds there are.
    pub kinds: Kinds,
    /// What its entities need.
    pub env: Rc<EntityEnv>,
    /// Its bounds.
    pub limits: DirectoryLimits,
    /// What it receives.
    pub queue: mpsc::Receiver<ToDirectory>,
}

/// See [`directory`](super).
pub struct DirectoryActor {
    kinds: Kinds,
    env: Rc<EntityEnv>,
    limits: DirectoryLimits,
    queue: Option<mpsc::Receiver<ToDirectory>>,
    slots: HashMap<EntityId, Slot, RandomState>,
    /// The entities in the order in which they are asked whether they are idle.
    round: VecDeque<(EntityId, u64)>,
    next_incarnation: u64,
    /// Entities whose last life ended in a panic.
    crashed: Vec<EntityId>,
    draining: bool,
    /// Dropped when everybody sleeps.
    drained: Option<mpsc::Sender<()>>,
}

struct Slot {
    addr: Addr<EntityActor>,
    incarnation: u64,
    last_used: Millis,
    /// Asked to sleep, and nothing was sent to it since.
    asked: bool,
    /// Control messages that its full mailbox did not take; while there are any, nothing goes past them.
    backlog: VecDeque<ToEntity>,
}

impl DirectoryActor {
    /// Starts a shard on the current thread.
    pub fn start_on_thread(shard: Shard) {
        let Shard { kinds, env, limits, queue } = shard;
        let slots = HashMap::default();
        let round = VecDeque::new();
        Self { kinds, env, limits, queue: Some(queue), slots, round, next_incarnation: 1, crashed: Vec::new(), draining: false, drained: None }.start();
    }

    fn receive(&mut self, message: ToDirectory, ctx: &mut Context<Self>) {
        match message {
            ToDirectory::Route(entity, message) => self.route(entity, message, ctx),
            ToDirectory::Idle(entity, incarnation) => self.idle(&entity, incarnation),
            ToDirectory::Ended { entity, incarnation, crashed } => self.ended(&entity, incarnation, crashed),
            ToDirectory::Drain(done) => self.begin_drain(done, ctx),
        }
    }

    fn route(&mut self, entity: EntityId, message: ToEntity, ctx: &mut Context<Self>) {
        if self.draining {
            let error = WireError::new(ErrorCode::ShuttingDown, "the server stops; reconnect").retry_after_ms(1000);
            return drop(message.refuse(error));
        }
        if !self.slots.contains_key(&entity) {
            // Whoever has gone need not be told to an entity that sleeps: its audience is empty.
            if matches!(message, ToEntity::Gone(_) | ToEntity::Sleep(_)) || !self.wake(&entity) {
                return drop(message.refuse(overloaded("directory")));
            }
        }
        let Some(slot) = self.slots.get_mut(&entity) else { return };
        slot.last_used = clock::now();
        slot.asked = false;
        if !slot.backlog.is_empty() {
            return match message.refuse(overloaded("entity")) {
                Some(control) => slot.backlog.push_back(control),
                None => MAILBOX_REFUSALS.counter_with(["entity"]).increment(1),
            };
        }
        match slot.addr.try_send(Deliver(message)) {
            Ok(()) => {}
            Err(SendError::Full(Deliver(message))) => match message.refuse(overloaded("entity")) {
                Some(control) => {
                    slot.backlog.push_back(control);
                    self.work_off(entity, ctx);
                }
                None => MAILBOX_REFUSALS.counter_with(["entity"]).increment(1),
            },
            // It panicked and its end is on the way here: what it says next decides.
            Err(SendError::Closed(Deliver(message))) => drop(message.refuse(crate::answer::unavailable())),
        }
    }

    /// Starts an entity's actor; false when there are too many, or no such kind.
    fn wake(&mut self, entity: &EntityId) -> bool {
        let Some(kind) = self.kinds.get(entity.kind()) else { return false };
        if self.slots.len() >= self.limits.max_awake {
            MAILBOX_REFUSALS.counter_with(["directory"]).increment(1);
            return false;
        }
        if self.env.loading.get() >= self.limits.max_loading {
            KindMetrics::new(kind.name).wake_refused();
            return false;
        }
        let incarnation = self.next_incarnation;
        self.next_incarnation += 1;
        let crashed = self.crashed.iter().position(|crashed| crashed == entity).map(|index| self.crashed.swap_remove(index));
        let actor = EntityActor::new(entity.clone(), kind.clone(), Rc::clone(&self.env), incarnation, crashed.is_some());
        let slot = Slot { addr: actor.start(), incarnation, last_used: clock::now(), asked: false, backlog: VecDeque::new() };
        self.slots.insert(entity.clone(), slot);
        self.round.push_back((entity.clone(), incarnation));
        true
    }

    /// Waits for room in the entity's mailbox for the first control message that it did not take, and goes on with the next.
    fn work_off(&mut self, entity: EntityId, ctx: &mut Context<Self>) {
        let Some(slot) = self.slots.get_mut(&entity) else { return };
        let Some(message) = slot.backlog.pop_front() else { return };
        let sent = slot.addr.send(Deliver(message));
        // While this waits the backlog must not look empty.
        slot.backlog.push_front(ToEntity::Sleep(false));
        ctx.spawn(sent.into_actor(self).map(move |_, this, ctx| {
            if let Some(slot) = this.slots.get_mut(&entity) {
                slot.backlog.pop_front();
            }
            this.work_off(entity, ctx);
        }));
    }

    fn idle(&mut self, entity: &EntityId, incarnation: u64) {
        let Some(slot) = self.slots.get(entity) else { return };
        if slot.incarnation != incarnation || !(slot.asked || self.draining) {
            return;
        }
        // A mailbox full of other things drains into an entity that is idle: it is asked again then.
        if slot.addr.try_send(Stop).is_ok() {
            self.slots.remove(entity);
            self.finish_drain();
        }
    }

    fn ended(&mut self, entity: &EntityId, incarnation: u64, crashed: bool) {
        if self.slots.get(entity).is_none_or(|slot| slot.incarnation != incarnation) {
            return;
        }
        self.slots.remove(entity);
        if crashed {
            tracing::error!(%entity, "an entity's actor has panicked; it is woken anew on demand");
            self.crashed.push(entity.clone());
        }
        for relay in &self.env.relays {
            tell(relay, ToRelay::Lost(entity.clone()));
        }
        self.finish_drain();
    }

    fn sweep(&mut self) {
        let now = clock::now();
        for _ in 0..SWEEP_SOME.min(self.round.len()) {
            let Some((entity, incarnation)) = self.round.pop_front() else { break };
            let Some(slot) = self.slots.get_mut(&entity).filter(|slot| slot.incarnation == incarnation) else { continue };
            let timeout = self.kinds.get(entity.kind()).map_or(Duration::ZERO, |kind| kind.idle_timeout);
            if u128::from(now.saturating_sub(slot.last_used)) >= timeout.as_millis() && slot.backlog.is_empty() {
                slot.asked = slot.addr.try_send(Deliver(ToEntity::Sleep(false))).is_ok();
            }
            self.round.push_back((entity, incarnation));
        }
    }

    fn begin_drain(&mut self, done: mpsc::Sender<()>, ctx: &mut Context<Self>) {
        self.draining = true;
        self.drained = Some(done);
        let everybody: Vec<EntityId> = self.slots.keys().cloned().collect();
        for entity in everybody {
            let Some(slot) = self.slots.get_mut(&entity) else { continue };
            if slot.addr.try_send(Deliver(ToEntity::Sleep(true))).is_err() {
                slot.backlog.push_back(ToEntity::Sleep(true));
                if slot.backlog.len() == 1 {
                    self.work_off(entity, ctx);
                }
            }
        }
        self.finish_drain();
    }

    fn finish_drain(&mut self) {
        if self.draining && self.slots.is_empty() {
            self.drained = None;
        }
    }
}

impl Actor for DirectoryActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let queue = self.queue.take().expect("an actor is started once");
        ctx.add_stream(batches(queue, BATCH));
        ctx.run_interval(SWEEP_EVERY, |this, _| this.sweep());
    }
}

impl StreamHandler<Vec<ToDirectory>> for DirectoryActor {
    fn handle(&mut self, messages: Vec<ToDirectory>, ctx: &mut Self::Context) {
        messages.into_iter().for_each(|message| self.receive(message, ctx));
    }
}

/// A relay whose queue is full is told in a task of its own: there is one such message per crash.
fn tell(relay: &RelayHandle, message: ToRelay) {
    relay.send_or_spawn(message);
}
