//! The mailbox of an entity.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, StreamHandler, WrapFuture};
use futures_util::stream;
use greenroom_protocol::{EntityId, Epoch, ErrorCode, WireError};
use tokio::sync::{Semaphore, watch};

use super::messages::ToEntity;
use super::state::{Effects, Entity, LostOp};
use crate::answer::{overloaded, unavailable};
use crate::clock;
use crate::directory::{Directory, ToDirectory};
use crate::frames::Encoder;
use crate::journal::{Committed, Journal, Progress, ToJournal};
use crate::kind::Kind;
use crate::metrics::{self, KindMetrics};
use crate::relay::{RelayHandle, ToRelay};
use crate::store::{Loaded, Store, StoreError};

/// How long after a failed read or load the next one may come.
const RETRY_READ: Duration = Duration::from_secs(1);
/// The first pause before loading again after a failed commit; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause before loading again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What every entity of a thread needs.
pub struct EntityEnv {
    /// The relays of all threads, by worker.
    pub relays: Vec<RelayHandle>,
    /// Where events are queued.
    pub journal: Journal,
    /// Where logs are read.
    pub store: Arc<dyn Store>,
    /// The directory that this entity belongs to.
    pub directory: Directory,
    /// How messages are encoded.
    pub encoder: Encoder,
    /// How many entities may load at a time on this thread.
    pub cold_starts: Rc<Semaphore>,
    /// How many messages wait for a load, and the capacity of the mailbox after it.
    pub inbox: usize,
    /// How many entities of this thread load, or wait for their turn to.
    pub loading: Cell<usize>,
}

/// Counts a load for as long as it lives.
struct Loading(Rc<EntityEnv>);

impl Loading {
    fn new(env: Rc<EntityEnv>) -> Self {
        env.loading.set(env.loading.get() + 1);
        metrics::COLD_STARTS_WAITING.gauge_with([]).increment(1);
        Self(env)
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.0.loading.set(self.0.loading.get() - 1);
        metrics::COLD_STARTS_WAITING.gauge_with([]).decrement(1);
    }
}

/// A message for an entity.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Deliver(pub ToEntity);

/// End now: the directory has taken the entity out of its map.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;

/// See [`entity`](super).
pub struct EntityActor {
    id: EntityId,
    kind: Arc<Kind>,
    env: Rc<EntityEnv>,
    incarnation: u64,
    phase: Phase,
    progress: Option<Arc<Progress>>,
    presence_timer: bool,
    asleep: bool,
    drain: bool,
    metrics: KindMetrics,
}

enum Phase {
    /// Waits for its turn to load, and for the store.
    Loading { waiting: Vec<ToEntity>, since: Instant, after_crash: bool },
    /// Lives.
    Awake(Box<Entity>),
    /// A commit failed: its state is being read again. The ops whose commit failed wait.
    Reloading { entity: Box<Entity>, lost: Vec<LostOp>, pause: Duration },
    /// Nothing more.
    Ended,
}

impl EntityActor {
    /// An entity that loads as soon as it is started. `after_crash` makes it wait for what its last life had queued.
    pub fn new(id: EntityId, kind: Arc<Kind>, env: Rc<EntityEnv>, incarnation: u64, after_crash: bool) -> Self {
        let metrics = KindMetrics::new(kind.name);
        let phase = Phase::Loading { waiting: Vec::new(), since: Instant::now(), after_crash };
        Self { id, kind, env, incarnation, phase, progress: None, presence_timer: false, asleep: false, drain: false, metrics }
    }

    fn begin_life(&mut self, through: u64, ctx: &mut Context<Self>) {
        let (progress, watch) = Progress::new(through);
        self.progress = Some(progress);
        ctx.add_stream(changes(watch));
    }

    fn load(&self, ctx: &mut Context<Self>, barrier: bool) {
        let (env, id) = (Rc::clone(&self.env), self.id.clone());
        let load = async move {
            let _counted = Loading::new(Rc::clone(&env));
            // The semaphore is never closed.
            let _turn = env.cold_starts.acquire().await;
            if barrier {
                env.journal.barrier().await;
            }
            env.store.load(&id).await
        };
        ctx.spawn(load.into_actor(self).map(|loaded, this, ctx| this.loaded(loaded, ctx)));
    }

    fn loaded(&mut self, loaded: Result<Loaded, StoreError>, ctx: &mut Context<Self>) {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Loading { waiting, since, .. } => self.woken(loaded, waiting, since, ctx),
            Phase::Reloading { entity, lost, pause } => self.reloaded(loaded, entity, lost, pause, ctx),
            other => self.phase = other,
        }
    }

    fn woken(&mut self, loaded: Result<Loaded, StoreError>, waiting: Vec<ToEntity>, since: Instant, ctx: &mut Context<Self>) {
        let fresh = Epoch::from_bits(fastrand::u64(..));
        let woken = loaded.map_err(|error| error.to_string()).and_then(|loaded| {
            Entity::wake(self.id.clone(), Arc::clone(&self.kind), self.env.encoder, loaded, fresh).map_err(|error| error.to_string())
        });
        match woken {
            Ok(entity) => {
                self.metrics.woken(since.elapsed());
                self.begin_life(entity.committed(), ctx);
                self.phase = Phase::Awake(Box::new(entity));
                waiting.into_iter().for_each(|message| self.take(message, ctx));
            }
            Err(why) => {
                self.metrics.wake_failed();
                tracing::error!(entity = %self.id, %why, "an entity cannot be loaded");
                let error = WireError::new(ErrorCode::Unavailable, "the entity cannot be loaded now").retry_after_ms(1000);
                for message in waiting {
                    // A paused subscription is followed anew when the directory has told the relays.
                    let _ = message.refuse(error.clone());
                }
                // Until then what comes is refused at once, and whoever follows tries again no sooner.
                ctx.run_later(RETRY_READ, |this, ctx| this.end(false, ctx));
            }
        }
    }

    fn reloaded(
        &mut self, loaded: Result<Loaded, StoreError>, mut entity: Box<Entity>, lost: Vec<LostOp>, pause: Duration, ctx: &mut Context<Self>,
    ) {
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(why) => {
                tracing::warn!(entity = %self.id, %why, "an entity cannot be read again yet");
                self.phase = Phase::Reloading { entity, lost, pause: (pause * 2).min(LONGEST_PAUSE) };
                ctx.run_later(pause, |this, ctx| this.load(ctx, false));
                return;
            }
        };
        let mut fx = Effects::default();
        if let Err(why) = entity.reload(loaded, lost, &mut fx) {
            tracing::error!(entity = %self.id, %why, "an entity's state cannot be read");
            return self.end(true, ctx);
        }
        self.begin_life(entity.committed(), ctx);
        self.phase = Phase::Awake(entity);
        self.apply(fx, ctx);
        // Followers may have missed what a commit of unknown outcome stored: they read on from where they are.
        for relay in 0..self.env.relays.len() {
            self.send(relay, ToRelay::Lost(self.id.clone()), ctx);
        }
    }

    fn failed(&mut self, ctx: &mut Context<Self>) {
        let Phase::Awake(mut entity) = std::mem::replace(&mut self.phase, Phase::Ended) else { return };
        let lost = entity.fail();
        self.phase = Phase::Reloading { entity, lost, pause: FIRST_PAUSE };
        self.load(ctx, false);
    }

    /// Ends by itself; the directory is told.
    fn end(&mut self, crashed: bool, ctx: &mut Context<Self>) {
        self.phase = Phase::Ended;
        self.env.directory.tell(&self.id, ToDirectory::Ended { entity: self.id.clone(), incarnation: self.incarnation, crashed });
        self.asleep = true;
        ctx.stop();
    }

    fn take(&mut self, message: ToEntity, ctx: &mut Context<Self>) {
        let inbox = self.env.inbox;
        match &mut self.phase {
            Phase::Loading { waiting, .. } if waiting.len() < inbox || message.is_control() => waiting.push(message),
            Phase::Loading { .. } => drop(message.refuse(overloaded("entity"))),
            Phase::Awake(_) => self.take_awake(message, ctx),
            Phase::Reloading { entity, .. } => {
                let mut fx = Effects::default();
                match message {
                    gone @ ToEntity::Gone(_) => entity.take(gone, &mut fx),
                    // The relays are told to follow anew after the reload; sleep is asked for again.
                    other => drop(other.refuse(unavailable())),
                }
                self.apply(fx, ctx);
            }
            Phase::Ended => drop(message.refuse(unavailable())),
        }
    }

    fn take_awake(&mut self, message: ToEntity, ctx: &mut Context<Self>) {
        let Phase::Awake(entity) = &mut self.phase else { return };
        let mut fx = Effects::default();
        match message {
            ToEntity::Op(request) => {
                let made = client_made(&request.sender.client);
                let permit = self.env.journal.reserve();
                entity.op(*request, clock::now(), made, permit.is_some(), &mut fx);
                if let (Some(permit), Some(event), Some(progress)) = (permit, fx.event.take(), &self.progress) {
                    let text = serde_json::to_vec(&*event).expect("a record is strings, numbers and JSON");
                    permit.send(ToJournal::Event {
                        entity: self.id.clone(),
                        epoch: entity.epoch().clone(),
                        seq: event.seq,
                        text: text.into(),
                        progress: Arc::clone(progress),
                    });
                }
            }
            ToEntity::Sleep(drain) => {
                self.drain |= drain;
                self.sleep_if_idle(ctx);
                return;
            }
            other => entity.take(other, &mut fx),
        }
        self.apply(fx, ctx);
    }

    /// Saves what should be saved and asks the directory to let it go; until then it goes on as before.
    fn sleep_if_idle(&mut self, ctx: &mut Context<Self>) {
        let Phase::Awake(entity) = &mut self.phase else { return };
        let ready = if self.drain { entity.settled() } else { entity.idle() };
        if !ready {
            return;
        }
        let mut fx = Effects::default();
        entity.snapshot(&mut fx);
        self.apply(fx, ctx);
        self.env.directory.tell(&self.id, ToDirectory::Idle(self.id.clone(), self.incarnation));
    }

    fn apply(&mut self, fx: Effects, ctx: &mut Context<Self>) {
        if let (Some(row), Some(permit), Some(progress)) = (fx.snapshot, self.env.journal.reserve(), &self.progress) {
            permit.send(ToJournal::Snapshot { row, progress: Arc::clone(progress) });
        }
        for (worker, parts) in fx.parts {
            self.send(worker.0 as usize, ToRelay::Parts { entity: self.id.clone(), parts }, ctx);
        }
        for fetch in fx.fetches {
            let (env, id) = (Rc::clone(&self.env), self.id.clone());
            let read = async move { (env.store.events(&id, fetch.page).await, fetch.purpose) };
            ctx.spawn(read.into_actor(self).map(|(read, purpose), this, ctx| {
                if let Phase::Awake(entity) = &mut this.phase {
                    let mut fx = Effects::default();
                    entity.fetched(purpose, read, &mut fx);
                    this.apply(fx, ctx);
                }
            }));
        }
        for request in fx.retries {
            ctx.run_later(RETRY_READ, move |this, ctx| this.take(ToEntity::CatchUp(request), ctx));
        }
        if fx.presence_due && !self.presence_timer {
            self.presence_timer = true;
            ctx.run_later(self.kind.presence_interval, |this, ctx| this.flush_presence(ctx));
        }
    }

    fn flush_presence(&mut self, ctx: &mut Context<Self>) {
        self.presence_timer = false;
        if let Phase::Awake(entity) = &mut self.phase {
            let mut fx = Effects::default();
            entity.flush_presence(&mut fx);
            self.apply(fx, ctx);
        }
    }

    /// Sends to a relay. When its queue is full this entity does nothing else until there is room.
    fn send(&self, relay: usize, message: ToRelay, ctx: &mut Context<Self>) {
        let Some(relay) = self.env.relays.get(relay) else { return };
        if let Err(message) = relay.try_send(message) {
            let relay = relay.clone();
            ctx.wait(async move { relay.send(message).await }.into_actor(self));
        }
    }
}

impl Actor for EntityActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.env.inbox);
        self.metrics.awake.increment(1);
        let barrier = matches!(self.phase, Phase::Loading { after_crash: true, .. });
        self.load(ctx, barrier);
    }
}

impl Drop for EntityActor {
    fn drop(&mut self) {
        self.metrics.awake.decrement(1);
        if let Some(progress) = &self.progress {
            if !self.asleep {
                progress.end();
            }
        }
        if !self.asleep {
            // Only a panic ends an entity without the directory's knowledge.
            metrics::record_panic("entity");
            self.env.directory.tell(&self.id, ToDirectory::Ended { entity: self.id.clone(), incarnation: self.incarnation, crashed: true });
        }
    }
}

impl Handler<Deliver> for EntityActor {
    type Result = ();

    fn handle(&mut self, Deliver(message): Deliver, ctx: &mut Self::Context) {
        self.take(message, ctx);
    }
}

impl Handler<Stop> for EntityActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.asleep = true;
        ctx.stop();
    }
}

impl StreamHandler<Committed> for EntityActor {
    fn handle(&mut self, committed: Committed, ctx: &mut Self::Context) {
        if committed.ended {
            return self.failed(ctx);
        }
        let mut fx = Effects::default();
        if let Phase::Awake(entity) = &mut self.phase {
            entity.committed_through(committed.through, &mut fx);
        }
        self.apply(fx, ctx);
        if self.drain {
            self.sleep_if_idle(ctx);
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {
        // The stream of a life that has ended; the next life has its own.
    }
}

/// A watch as a stream of its changes.
fn changes(watch: watch::Receiver<Committed>) -> impl stream::Stream<Item = Committed> {
    stream::unfold(watch, |mut watch| async move {
        watch.changed().await.ok()?;
        let committed = *watch.borrow_and_update();
        Some((committed, watch))
    })
}

/// When a client id was made: a ULID begins with the time. The session has checked that it is one.
fn client_made(client: &str) -> clock::Millis {
    client.parse::<ulid::Ulid>().map_or(0, |id| id.timestamp_ms())
}
