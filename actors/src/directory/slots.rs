//! A directory shard without its mailbox: finds entities, wakes them and puts them to sleep.
//!
//! A [`Host`] starts entities and delivers messages to them: the shard's actor, or the simulation.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use greenroom_protocol::{EntityId, ErrorCode, WireError};
use tokio::sync::mpsc;

use super::{DirectoryLimits, Ownership};
use crate::backlog::Backlog;
use crate::clock::Mono;
use crate::entity::Load;
use crate::kind::{Kind, Kinds};
use crate::limits::{KeptAwake, NotWoken, Payer, Space};
use crate::messages::{ToDirectory, ToEntity, overloaded, rate_limited, unavailable};
use crate::metrics::{KindMetrics, MAILBOX_REFUSALS};
use crate::trail;

mod owning;
mod settling;

/// The minimum number of entities that are asked at a time whether they are idle.
const SWEEP_SOME: usize = 256;
/// When few places are free, the `SLEEP_EARLY` longest unused of this many entities are asked to
/// sleep early.
const SLEEP_EARLY_AMONG: usize = 256;
const SLEEP_EARLY: usize = 64;
/// One in this many of the places for awake entities is reserved for payers that keep few awake.
const LEFT: usize = 8;
/// The retry time after too many entities were kept awake.
const AWAKE_RETRY: Duration = Duration::from_secs(5);
/// Every entity is asked once within this many sweeps, so that entities that are woken only briefly
/// do not accumulate.
const ROUND: usize = 100;

/// Runs entities.
pub trait Host {
    /// The address of one entity.
    type Mailbox;

    /// Starts an entity. `first_load` says when it may load.
    fn start(
        &mut self,
        entity: &EntityId,
        kind: &Arc<Kind>,
        incarnation: u64,
        first_load: Load,
        now: Mono,
    ) -> Self::Mailbox;

    /// The number of entities that are loading or waiting to load.
    fn loading(&self) -> usize;

    /// Delivers a message.
    ///
    /// # Errors
    /// The message, if the mailbox is full or the entity has ended.
    #[expect(clippy::result_large_err, reason = "a refused message is handed back as it was")]
    fn deliver(&mut self, to: &Self::Mailbox, message: ToEntity) -> Result<(), Undelivered>;

    /// Delivers a message when the mailbox has space, and then calls [`Slots::worked_off`], also if
    /// the entity ends first.
    fn deliver_later(
        &mut self,
        entity: &EntityId,
        incarnation: u64,
        to: &Self::Mailbox,
        message: ToEntity,
    );

    /// Ends an entity. False if its mailbox is full.
    fn stop(&mut self, to: &Self::Mailbox) -> bool;

    /// Notifies the relays that an entity has forgotten its audience.
    fn audience_forgotten(&mut self, entity: &EntityId);

    /// Passes on a message for an entity that another node owns, or that nobody may serve now. Only
    /// shards of a cluster do that.
    fn elsewhere(&mut self, entity: EntityId, message: ToEntity);

    /// Sends the exchange a mark behind all that was passed on. It answers with
    /// [`ToDirectory::Marked`].
    fn mark(&mut self, entity: EntityId);

    /// Ends an entity, as soon as its mailbox takes that.
    fn end(&mut self, to: &Self::Mailbox);
}

/// A message that was not delivered, and why.
#[derive(Debug)]
pub enum Undelivered {
    Full(ToEntity),
    Ended(ToEntity),
}

/// The entities of one shard.
#[derive(Debug)]
pub struct Slots<M> {
    kinds: Kinds,
    limits: DirectoryLimits,
    slots: HashMap<EntityId, Slot<M>, RandomState>,
    /// The entities in the order in which they are asked whether they are idle.
    round: VecDeque<(EntityId, u64)>,
    next_incarnation: u64,
    /// Entities whose last life ended in a crash.
    crashed: Vec<EntityId>,
    /// Control messages for entities that could not be woken, to be retried: a few for each
    /// subscription and presence entry. They are delivered before any later messages.
    postponed: HashMap<EntityId, Backlog<ToEntity>, RandomState>,
    /// The order in which these entities are retried.
    retry_order: VecDeque<EntityId>,
    /// When idle entities were last asked to sleep early.
    asked_early: Mono,
    draining: bool,
    /// Dropped when all entities are asleep.
    drained: Option<mpsc::Sender<()>>,
    /// In a cluster: what this shard serves.
    ownership: Option<Box<Ownership>>,
}

#[derive(Debug)]
struct Slot<M> {
    mailbox: M,
    incarnation: u64,
    last_used: Mono,
    /// The number of messages sent to it. It may sleep only if none was sent since it was asked,
    /// which may have happened several times.
    sent: u64,
    /// Control messages that wait for space in the full mailbox. No other message overtakes them.
    blocked: Option<Box<Backlog<ToEntity>>>,
    /// The payer for keeping it awake.
    kept: Option<KeptAwake>,
}

impl<M> Slots<M> {
    pub fn new(kinds: Kinds, limits: DirectoryLimits) -> Self {
        Self {
            kinds,
            limits,
            slots: HashMap::default(),
            round: VecDeque::new(),
            next_incarnation: 1,
            crashed: Vec::new(),
            postponed: HashMap::default(),
            retry_order: VecDeque::new(),
            asked_early: Mono::ZERO,
            draining: false,
            drained: None,
            ownership: None,
        }
    }

    /// The same in a cluster.
    #[must_use]
    pub fn owning(self, ownership: Ownership) -> Self {
        Self { ownership: Some(Box::new(ownership)), ..self }
    }

    /// The number of entities that are awake or loading.
    pub fn awake(&self) -> usize {
        self.slots.len()
    }

    /// Handles one message.
    pub fn receive(&mut self, message: ToDirectory, now: Mono, host: &mut impl Host<Mailbox = M>) {
        match message {
            ToDirectory::Route(entity, message) => self.take(entity, message, now, host),
            ToDirectory::Given(entity, message) => self.given(entity, message, now, host),
            ToDirectory::Marked(entity, settled) => self.marked(&entity, settled, now, host),
            ToDirectory::Idle { entity, incarnation, mark } => {
                self.idle(&entity, incarnation, mark, host);
            }
            ToDirectory::Ended { entity, incarnation, crashed } => {
                self.ended(&entity, incarnation, crashed, host);
            }
            ToDirectory::Drain(done) => self.begin_drain(done, host),
            ToDirectory::Own(own) => self.own(own, host),
        }
    }

    fn route(
        &mut self,
        entity: EntityId,
        message: ToEntity,
        now: Mono,
        host: &mut impl Host<Mailbox = M>,
    ) {
        let served = self.serves(&entity, now);
        self.route_if(served, entity, message, now, host);
    }

    /// Delivers a message if its entity is served here, and passes it on otherwise.
    fn route_if(
        &mut self,
        served: bool,
        entity: EntityId,
        message: ToEntity,
        now: Mono,
        host: &mut impl Host<Mailbox = M>,
    ) {
        if self.draining {
            let error = WireError::new(ErrorCode::ShuttingDown, "the server stops; reconnect")
                .retry_after_ms(1000);
            return drop(message.refuse(error));
        }
        if !served {
            return self.pass_on(entity, message, host);
        }
        if !self.slots.contains_key(&entity) {
            // An entity that is put to sleep has no followers and no members. After any other end,
            // or when a session is resumed, these messages wake it and restore them.
            let wakes = !message.is_control()
                || matches!(message, ToEntity::CatchUp(_) | ToEntity::Adopt(_) | ToEntity::Erase);
            if !wakes && !self.postponed.contains_key(&entity) {
                return;
            }
            if let Err(refused) = self.wake(&entity, message.payer(), now, host) {
                if let Some(control) = message.refuse(refused) {
                    self.postpone(entity, control);
                }
                return;
            }
        }
        self.deliver(&entity, message, now, host);
    }

    fn postpone(&mut self, entity: EntityId, control: ToEntity) {
        if self.postponed.entry(entity.clone()).or_default().push(control) {
            self.retry_order.push_back(entity);
        }
    }

    fn deliver(
        &mut self,
        entity: &EntityId,
        message: ToEntity,
        now: Mono,
        host: &mut impl Host<Mailbox = M>,
    ) {
        let Some(slot) = self.slots.get_mut(entity) else { return };
        slot.last_used = now;
        slot.sent += 1;
        if let ToEntity::Op(op) = &message {
            let ids = || trail::Ids {
                session: Some(op.reply.session()),
                user: Some(&op.sender.user),
                n: op.n,
                seq: None,
            };
            trail::at("from the directory to its entity", entity, ids);
        }
        if let (Some(kept), Some(payer)) = (&mut slot.kept, message.payer()) {
            kept.offer(payer);
        }
        let refused = if slot.blocked.is_some() {
            Err(Undelivered::Full(message))
        } else {
            host.deliver(&slot.mailbox, message)
        };
        match refused {
            Ok(()) => {}
            Err(Undelivered::Full(message)) => {
                let request = !message.is_control();
                if request {
                    MAILBOX_REFUSALS.counter_with(["entity"]).increment(1);
                }
                if let Some(control) = message.refuse(overloaded("entity")) {
                    slot.later(entity, control, host);
                }
            }
            // Its `Ended` is on the way here, and the followers will be notified then.
            Err(Undelivered::Ended(message)) => drop(message.refuse(unavailable())),
        }
    }

    /// Starts an entity and delivers the postponed messages. An error if too many are awake or
    /// loading, if the payer may not wake it, or if there is no such kind.
    fn wake(
        &mut self,
        entity: &EntityId,
        payer: Option<&Payer>,
        now: Mono,
        host: &mut impl Host<Mailbox = M>,
    ) -> Result<(), WireError> {
        let Some(kind) = self.kinds.get(entity.kind()).cloned() else {
            return Err(overloaded("directory"));
        };
        let most = self.limits.max_awake;
        let space = if self.slots.len() >= most - most / LEFT {
            self.ask_longest_unused(now, host);
            Space::Scarce
        } else {
            Space::Ample
        };
        if self.slots.len() >= most {
            MAILBOX_REFUSALS.counter_with(["directory"]).increment(1);
            return Err(overloaded("directory"));
        }
        if host.loading() >= self.limits.max_loading {
            KindMetrics::of(kind.name()).wake_refused();
            return Err(overloaded("directory"));
        }
        let kept = payer.map(|payer| payer.wake(space, now)).transpose().map_err(not_woken)?;
        let incarnation = self.next_incarnation;
        self.next_incarnation += 1;
        let first_load = match self.crashed.iter().position(|crashed| crashed == entity) {
            Some(index) => {
                self.crashed.swap_remove(index);
                Load::AfterCrash
            }
            None => Load::Now,
        };
        let mailbox = host.start(entity, &kind, incarnation, first_load, now);
        let slot = Slot { mailbox, incarnation, last_used: now, sent: 0, blocked: None, kept };
        self.slots.insert(entity.clone(), slot);
        self.round.push_back((entity.clone(), incarnation));
        if let Some(mut postponed) = self.postponed.remove(entity) {
            while let Some(earlier) = postponed.next() {
                self.deliver(entity, earlier, now, host);
            }
        }
        Ok(())
    }

    /// Asks idle entities to sleep early, the longest unused first.
    fn ask_longest_unused(&mut self, now: Mono, host: &mut impl Host<Mailbox = M>) {
        if std::mem::replace(&mut self.asked_early, now) == now {
            return;
        }
        let mut found = Vec::with_capacity(SLEEP_EARLY_AMONG);
        for _ in 0..SLEEP_EARLY_AMONG.min(self.round.len()) {
            let Some((entity, incarnation)) = self.round.pop_front() else { break };
            let Some(slot) = self.slots.get(&entity).filter(|slot| slot.incarnation == incarnation)
            else {
                continue;
            };
            if slot.blocked.is_none() {
                found.push((slot.last_used, entity.clone()));
            }
            self.round.push_back((entity, incarnation));
        }
        found.sort_unstable_by_key(|(last_used, _)| *last_used);
        for (_, entity) in found.iter().take(SLEEP_EARLY) {
            let Some(slot) = self.slots.get(entity) else { continue };
            let sleep = ToEntity::Sleep { drain: self.must_sleep(entity), mark: slot.sent };
            // An entity with a full mailbox is not idle.
            let _ = host.deliver(&slot.mailbox, sleep);
        }
    }

    /// The first waiting control message has been delivered: sends the next one.
    pub fn worked_off(
        &mut self,
        entity: &EntityId,
        incarnation: u64,
        host: &mut impl Host<Mailbox = M>,
    ) {
        let Some(slot) = self.slots.get_mut(entity).filter(|slot| slot.incarnation == incarnation)
        else {
            return;
        };
        match slot.blocked.as_mut().and_then(|backlog| backlog.next()) {
            Some(message) => host.deliver_later(entity, incarnation, &slot.mailbox, message),
            None => slot.blocked = None,
        }
    }

    fn idle(
        &mut self,
        entity: &EntityId,
        incarnation: u64,
        mark: u64,
        host: &mut impl Host<Mailbox = M>,
    ) {
        let Some(slot) = self.slots.get(entity) else { return };
        if slot.incarnation != incarnation || slot.sent != mark {
            return;
        }
        // If the mailbox is full, the entity will be asked again once it has drained.
        if host.stop(&slot.mailbox) {
            self.remove(entity);
            self.finish_drain();
        }
    }

    fn ended(
        &mut self,
        entity: &EntityId,
        incarnation: u64,
        crashed: bool,
        host: &mut impl Host<Mailbox = M>,
    ) {
        if self.slots.get(entity).is_none_or(|slot| slot.incarnation != incarnation) {
            return;
        }
        self.remove(entity);
        if crashed {
            tracing::error!(%entity, "an entity's actor has crashed; the next request starts a new one");
            self.crashed.push(entity.clone());
        }
        host.audience_forgotten(entity);
        self.finish_drain();
    }

    /// Asks some of the entities whether they are idle, and retries postponed messages. To be
    /// called at regular intervals.
    pub fn sweep(&mut self, now: Mono, host: &mut impl Host<Mailbox = M>) {
        for _ in 0..SWEEP_SOME.min(self.retry_order.len()) {
            let Some(entity) = self.retry_order.pop_front() else { break };
            if !self.postponed.contains_key(&entity) {
                continue;
            }
            if !self.serves(&entity, now) {
                self.pass_postponed_on(entity, host);
            } else if self.wake(&entity, None, now, host).is_err() {
                self.retry_order.push_back(entity);
            }
        }
        for _ in 0..SWEEP_SOME.max(self.round.len() / ROUND).min(self.round.len()) {
            let Some((entity, incarnation)) = self.round.pop_front() else { break };
            let Some(slot) = self.slots.get(&entity).filter(|slot| slot.incarnation == incarnation)
            else {
                continue;
            };
            let timeout =
                self.kinds.get(entity.kind()).map_or(Duration::ZERO, |kind| kind.idle_timeout);
            if u128::from(now.since(slot.last_used)) >= timeout.as_millis()
                && slot.blocked.is_none()
            {
                let sleep = ToEntity::Sleep { drain: self.must_sleep(&entity), mark: slot.sent };
                // An entity with a full mailbox is not idle.
                let _ = host.deliver(&slot.mailbox, sleep);
            }
            self.round.push_back((entity, incarnation));
        }
    }

    /// Whether an entity is to sleep even if somebody follows.
    fn must_sleep(&self, entity: &EntityId) -> bool {
        self.draining
            || self.ownership.as_ref().is_some_and(|ownership| ownership.is_flushing(entity))
    }

    fn begin_drain(&mut self, done: mpsc::Sender<()>, host: &mut impl Host<Mailbox = M>) {
        self.draining = true;
        self.drained = Some(done);
        self.postponed.clear();
        self.retry_order.clear();
        self.put_to_sleep(|_| true, host);
        self.finish_drain();
    }

    /// Asks these entities to sleep as soon as everything is on disk; returns their number.
    fn put_to_sleep(
        &mut self,
        wanted: impl Fn(&EntityId) -> bool,
        host: &mut impl Host<Mailbox = M>,
    ) -> usize {
        let mut asked = 0;
        for (entity, incarnation) in self.round.iter().filter(|(entity, _)| wanted(entity)) {
            let Some(slot) =
                self.slots.get_mut(entity).filter(|slot| slot.incarnation == *incarnation)
            else {
                continue;
            };
            asked += 1;
            let sleep = || ToEntity::Sleep { drain: true, mark: slot.sent };
            if slot.blocked.is_some() || host.deliver(&slot.mailbox, sleep()).is_err() {
                let sleep = sleep();
                slot.later(entity, sleep, host);
            }
        }
        asked
    }

    fn remove(&mut self, entity: &EntityId) {
        if self.slots.remove(entity).is_some()
            && let Some(ownership) = &mut self.ownership
        {
            ownership.asleep(entity);
        }
    }

    fn finish_drain(&mut self) {
        if self.draining && self.slots.is_empty() {
            self.drained = None;
        }
    }
}

fn not_woken(refused: NotWoken) -> WireError {
    match refused {
        NotWoken::TooFast(after) => rate_limited(
            after,
            "waking",
            "this user or address has woken many entities in a short time; nothing was done",
        ),
        NotWoken::TooMany => rate_limited(
            AWAKE_RETRY,
            "awake",
            "this user or address keeps too many entities awake; leave some, or use entities that are already awake",
        ),
    }
}

impl<M> Slot<M> {
    /// Delivers a control message when the mailbox has space, after those that are already waiting.
    fn later(&mut self, entity: &EntityId, message: ToEntity, host: &mut impl Host<Mailbox = M>) {
        let backlog = self.blocked.get_or_insert_default();
        if backlog.push(message)
            && let Some(first) = backlog.next()
        {
            host.deliver_later(entity, self.incarnation, &self.mailbox, first);
        }
    }
}
