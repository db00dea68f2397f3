//! The mailbox of an entity.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, StreamHandler,
    WrapFuture,
};
use greenroom_protocol::{EntityId, Epoch};
use tokio::sync::Semaphore;

use super::life::{Life, Rewriting, Todo};
use super::messages::ToEntity;
use super::state::{Effects, Fetch, FetchFor};
use super::turns::Turns;
use crate::clock;
use crate::directory::{Directory, ToDirectory};
use crate::frames::Encoder;
use crate::journal::{Committed, Journal};
use crate::kind::Kind;
use crate::metrics;
use crate::rare::Rare;
use crate::relay::{RelayHandle, ToRelay};
use crate::store::{Store, events_within};

/// How long after a failed read or load the next one may come.
const RETRY_READ: Duration = Duration::from_secs(1);
/// Most entities of a thread that are reported as unreadable in the log. The metric counts all of
/// them.
const MOST_REPORTS: usize = 1000;

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
    /// How many pages may be read at a time on this thread for `subscribe` and `history`.
    pub reads: Semaphore,
    /// How many messages wait for a load, and the capacity of the mailbox after it.
    pub inbox: usize,
    /// How many entities of this thread load, or wait for their turn to.
    pub loading: Cell<usize>,
    /// When paused subscriptions read on.
    pub turns: Turns,
    /// The entities of this thread that were reported as unreadable in the log.
    pub corrupt: RefCell<HashSet<EntityId>>,
}

impl EntityEnv {
    /// Whether to report in the log that `entity` cannot be read: once, and not for more than
    /// [`MOST_REPORTS`] entities.
    fn is_first_report(&self, entity: &EntityId) -> bool {
        let mut known = self.corrupt.borrow_mut();
        known.len() < MOST_REPORTS && known.insert(entity.clone())
    }
}

/// A load that is counted for as long as this lives.
struct Loading(Rc<EntityEnv>);

/// Counts one more load.
fn count(env: &EntityEnv) {
    env.loading.set(env.loading.get() + 1);
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.0.loading.set(self.0.loading.get() - 1);
    }
}

/// Counts a load until its turn comes.
struct Waiting;

impl Waiting {
    fn new() -> Self {
        metrics::COLD_STARTS_WAITING.gauge_with([]).increment(1);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
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
    env: Rc<EntityEnv>,
    incarnation: u64,
    life: Life,
    /// Whether to wait for what the last life had queued before the first load.
    after_crash: bool,
    /// The first load is still to begin. It is counted from the moment on that it is decided.
    first_load: bool,
    /// What did not fit into a relay's queue, and what came after it. While there is any, this
    /// entity does nothing else.
    outgoing: Rare<VecDeque<(usize, ToRelay)>>,
    presence_timer: bool,
    /// The directory knows that it ends.
    asleep: bool,
}

impl EntityActor {
    /// An entity that loads as soon as it is started. `after_crash` makes it wait for what its last
    /// life had queued.
    pub fn new(
        id: EntityId,
        kind: Arc<Kind>,
        env: Rc<EntityEnv>,
        incarnation: u64,
        after_crash: bool,
    ) -> Self {
        let life = Life::new(id, kind, env.encoder, env.inbox);
        count(&env);
        let outgoing = Rare::default();
        Self {
            env,
            incarnation,
            life,
            after_crash,
            first_load: true,
            outgoing,
            presence_timer: false,
            asleep: false,
        }
    }

    fn load(&mut self, ctx: &mut Context<Self>, barrier: bool) {
        let (env, id) = (Rc::clone(&self.env), self.life.id().clone());
        if !std::mem::take(&mut self.first_load) {
            count(&env);
        }
        let counted = Loading(Rc::clone(&env));
        let waiting = Waiting::new();
        let load = async move {
            let _counted = counted;
            // The semaphore is never closed.
            let _turn = env.cold_starts.acquire().await;
            drop(waiting);
            if barrier {
                env.journal.barrier().await;
            }
            env.store.load(&id).await
        };
        ctx.spawn(load.into_actor(self).map(|loaded, this, ctx| {
            let fresh = Epoch::from_bits(fastrand::u64(..));
            this.step(ctx, |life, journal, todo| life.loaded(loaded, fresh, journal, todo));
        }));
    }

    /// Lets something happen to the life, and does what it says.
    fn step(
        &mut self,
        ctx: &mut Context<Self>,
        happen: impl FnOnce(&mut Life, &Journal, &mut Todo),
    ) {
        let _span = tracing::debug_span!("entity", id = %self.life.id()).entered();
        let mut todo = Todo::default();
        happen(&mut self.life, &self.env.journal, &mut todo);
        let Todo { effects, lost, load, watch, rewriting, waiting, idle, end } = todo;
        self.apply(effects, ctx);
        if lost {
            for relay in 0..self.env.relays.len() {
                self.send(
                    relay,
                    ToRelay::Lost { entity: self.life.id().clone(), ended: false },
                    ctx,
                );
            }
        }
        match load {
            Some(Duration::ZERO) => self.load(ctx, false),
            Some(pause) => drop(ctx.run_later(pause, |this, ctx| this.load(ctx, false))),
            None => {}
        }
        if let Some(watch) = watch {
            ctx.add_stream(watch);
        }
        if let Some(rewriting) = rewriting {
            self.await_rewriting(rewriting, ctx);
        }
        for message in waiting {
            self.take(message, ctx);
        }
        if let Some(mark) = idle {
            let (entity, incarnation) = (self.life.id().clone(), self.incarnation);
            self.env
                .directory
                .tell(self.life.id(), ToDirectory::Idle { entity, incarnation, mark });
        }
        if end {
            ctx.run_later(RETRY_READ, Self::end);
        }
    }

    fn apply(&mut self, effects: Effects, ctx: &mut Context<Self>) {
        if let Some(why) = effects.corrupt
            && self.env.is_first_report(self.life.id())
        {
            tracing::error!(entity = %self.life.id(), %why, "what is stored of an entity cannot be read; this is said once");
        }
        for (worker, parts) in effects.parts {
            self.send(
                worker.0 as usize,
                ToRelay::Parts { entity: self.life.id().clone(), parts },
                ctx,
            );
        }
        for fetch in effects.fetches {
            self.read(fetch, ctx);
        }
        for request in effects.retries {
            ctx.run_later(RETRY_READ, move |this, ctx| this.take(ToEntity::CatchUp(request), ctx));
        }
        if effects.erase_later {
            ctx.run_later(RETRY_READ, |this, ctx| this.take(ToEntity::Erase, ctx));
        }
        if effects.presence_due && !self.presence_timer {
            self.presence_timer = true;
            ctx.run_later(self.life.presence_interval(), |this, ctx| {
                this.presence_timer = false;
                this.step(ctx, |life, _, todo| life.flush_presence(todo));
            });
        }
    }

    /// Reads a page; paused subscriptions wait for their turn first, and give the thread a rest
    /// afterwards.
    fn read(&self, Fetch { page, purpose, out }: Fetch, ctx: &mut Context<Self>) {
        let (env, id) = (Rc::clone(&self.env), self.life.id().clone());
        let read = async move {
            match purpose {
                FetchFor::CatchUp(_) | FetchFor::Erase => {
                    let turn = env.turns.take().await;
                    (env.store.events(&id, page).await, purpose, Some(turn))
                }
                FetchFor::Subscribe(..) | FetchFor::History(..) => {
                    // The semaphore is never closed.
                    let _turn = env.reads.acquire().await;
                    (
                        events_within(&*env.store, &id, page, purpose.most_bytes()).await,
                        purpose,
                        None,
                    )
                }
            }
        };
        ctx.spawn(read.into_actor(self).map(move |(read, purpose, turn), this, ctx| {
            this.step(ctx, |life, journal, todo| life.fetched(purpose, read, journal, todo));
            drop(out);
            if let Some(turn) = turn {
                turn.rest();
            }
        }));
    }

    fn await_rewriting(&self, rewriting: Rewriting, ctx: &mut Context<Self>) {
        ctx.spawn(rewriting.written().into_actor(self).map(|written, this, ctx| {
            if let Some(progress) = written {
                this.step(ctx, |life, _, todo| life.rewritten(&progress, todo));
            }
        }));
    }

    fn take(&mut self, message: ToEntity, ctx: &mut Context<Self>) {
        self.step(ctx, |life, journal, todo| life.take(message, clock::wall(), journal, todo));
    }

    /// Ends by itself; the directory is told.
    fn end(&mut self, ctx: &mut Context<Self>) {
        self.tell_ended(false);
        self.asleep = true;
        ctx.stop();
    }

    fn tell_ended(&self, crashed: bool) {
        let (entity, incarnation) = (self.life.id().clone(), self.incarnation);
        self.env
            .directory
            .tell(self.life.id(), ToDirectory::Ended { entity, incarnation, crashed });
    }

    /// Sends to a relay. When its queue is full this entity does nothing else until there is room,
    /// and order is kept.
    fn send(&mut self, relay: usize, message: ToRelay, ctx: &mut Context<Self>) {
        if !self.outgoing.is_empty() {
            return self.hold((relay, message));
        }
        let Some(handle) = self.env.relays.get(relay) else { return };
        if let Err(message) = handle.try_send(message) {
            self.hold((relay, message));
            self.flush(ctx);
        }
    }

    fn hold(&mut self, message: (usize, ToRelay)) {
        self.outgoing.change(VecDeque::new, |outgoing| outgoing.push_back(message));
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        while let Some((relay, message)) =
            self.outgoing.change_if_any(VecDeque::pop_front).flatten()
        {
            let Some(handle) = self.env.relays.get(relay) else { continue };
            let Err(message) = handle.try_send(message) else { continue };
            let handle = handle.clone();
            // One that is still on its way keeps its place, so that nothing goes past it.
            let on_its_way =
                (usize::MAX, ToRelay::Lost { entity: self.life.id().clone(), ended: false });
            self.outgoing.change(VecDeque::new, |outgoing| outgoing.push_front(on_its_way));
            return ctx.wait(async move { handle.send(message).await }.into_actor(self).map(
                |(), this, ctx| {
                    this.outgoing.change_if_any(VecDeque::pop_front);
                    this.flush(ctx);
                },
            ));
        }
    }
}

impl Actor for EntityActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.life.metrics().awake.increment(1);
        self.load(ctx, self.after_crash);
    }
}

impl Drop for EntityActor {
    fn drop(&mut self) {
        if self.first_load {
            drop(Loading(Rc::clone(&self.env)));
        }
        self.life.metrics().awake.decrement(1);
        if !self.asleep {
            // Only a panic ends an entity without the directory's knowledge.
            self.life.abandon();
            metrics::record_panic("entity");
            self.tell_ended(true);
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
        self.step(ctx, |life, journal, todo| life.committed(committed, journal, todo));
    }

    fn finished(&mut self, _: &mut Self::Context) {
        // The stream of a life that has ended; the next life has its own.
    }
}
