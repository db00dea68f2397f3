//! What surrounds a [`Life`]: it does what the life decides, and feeds back what comes of it.
//!
//! Input in, calls of [`Ports`] out. The actor and the simulation both run this shell; they differ
//! only in their ports: how a task, a timer or a full relay is waited for.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use greenroom_protocol::EntityId;

use super::env::{EntityEnv, Loading, Waiting};
use super::eraser::PagesOut;
use super::life::Life;
use super::state::{Effects, Fetch, FetchFor};
use super::todo::Todo;
use super::turns::{Rest, Turn};
use crate::clock::{Mono, Now};
use crate::ids::{Place, WorkerId};
use crate::journal::{Committed, Journal, Progress, Watch};
use crate::kind::Kind;
use crate::messages::{CatchUp, Directory, RelayHandle, ToDirectory, ToEntity, ToRelay};
use crate::metrics;
use crate::rare::Rare;
use crate::record::EventRecord;
use crate::store::{Loaded, StoreError, events_within};

/// How long after a failed read or load the next one may come.
const RETRY_READ: Duration = Duration::from_secs(1);

/// How a shell reaches everything that takes time, and everybody else.
pub trait Ports {
    /// Runs a task, and hands its outcome to [`Shell::done`].
    fn run(&mut self, task: impl Future<Output = Done> + 'static);
    /// Calls [`Shell::ring`] after a while.
    fn ring_after(&mut self, pause: Duration, timer: Timer);
    /// Calls [`Shell::committed`] with what this shows from now on.
    fn watch(&mut self, watch: Watch);
    /// Gives a message to a relay.
    ///
    /// # Errors
    /// The message, if the relay's queue is full.
    fn send(&mut self, relay: &RelayHandle, message: ToRelay) -> Result<(), ToRelay>;
    /// Waits for `sending`, and then calls [`Shell::sent`]. Until then the shell must be given
    /// nothing else.
    fn wait(&mut self, sending: impl Future<Output = ()> + 'static);
    /// Tells the directory something about this entity.
    fn tell(&mut self, directory: &Directory, entity: &EntityId, message: ToDirectory);
    /// Keeps this for so long and then drops it, whatever becomes of the entity.
    fn keep(&mut self, length: Duration, rest: Rest);
    /// Drops the shell. Nothing is given to it any more.
    fn stop(&mut self);
}

/// What has come of a task.
#[derive(Debug)]
pub enum Done {
    /// The entity is loaded, or cannot be.
    Loaded(Result<Loaded, StoreError>),
    /// A page is read, or cannot be.
    Read(Box<Read>),
    /// Erased bodies are gone from the disk, for the life with this progress; none when they are
    /// not.
    Rewritten(Option<Arc<Progress>>),
}

/// A page that was asked for.
#[derive(Debug)]
pub struct Read {
    /// What for.
    pub purpose: FetchFor,
    page: Result<Vec<EventRecord>, StoreError>,
    /// Kept until the entity has been given the page.
    out: PagesOut,
    turn: Option<Turn>,
}

/// What is due after a while.
#[derive(Debug)]
pub enum Timer {
    /// Load again.
    Load,
    /// Take this again.
    CatchUp(Box<CatchUp>),
    /// Go on erasing.
    Erase,
    /// Tell the followers who has come and gone.
    Presence,
    /// End.
    End,
}

/// When an entity may load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// At once.
    Now,
    /// Only after the journal has decided everything that the crashed last life queued.
    AfterCrash,
}

/// See the module's head.
pub struct Shell {
    env: Rc<EntityEnv>,
    incarnation: u64,
    life: Life,
    /// What is for relays, and comes after the message that is being sent.
    outgoing: Rare<VecDeque<(Place, ToRelay)>>,
    /// A message waits for room in a relay's queue. Meanwhile this entity does nothing else.
    sending: bool,
    /// The first load, until it begins. It is counted as loading from the start.
    first_load: Option<Load>,
    presence_timer: bool,
    /// The directory knows that it ends.
    asleep: bool,
}

impl Shell {
    /// An entity that is to be [`start`](Self::start)ed. `first_load` says when it may load.
    pub fn new(
        id: EntityId,
        kind: Arc<Kind>,
        env: Rc<EntityEnv>,
        incarnation: u64,
        first_load: Load,
        now: Mono,
    ) -> Self {
        let reign = env.journal.reign();
        let life = Life::of_reign(reign, id, kind, env.encoder, env.inbox, now);
        env.begin_loading();
        life.metrics().awake.increment(1);
        Self {
            env,
            incarnation,
            life,
            outgoing: Rare::default(),
            sending: false,
            first_load: Some(first_load),
            presence_timer: false,
            asleep: false,
        }
    }

    /// The life inside.
    pub fn life(&self) -> &Life {
        &self.life
    }

    /// Begins with the first load.
    pub fn start(&mut self, ports: &mut impl Ports) {
        if let Some(load) = self.first_load {
            self.load(load, ports);
        }
    }

    /// Takes a message.
    pub fn take(&mut self, message: ToEntity, now: Now, ports: &mut impl Ports) {
        self.step(now.mono, ports, |life, journal, todo| {
            life.take(message, now.wall, journal, todo);
        });
    }

    /// The progress of the life has changed.
    pub fn committed(&mut self, committed: Committed, now: Mono, ports: &mut impl Ports) {
        self.step(now, ports, |life, journal, todo| life.committed(committed, journal, todo));
    }

    /// A task has ended.
    pub fn done(&mut self, done: Done, now: Now, ports: &mut impl Ports) {
        match done {
            Done::Loaded(loaded) => {
                let fresh = self.env.fresh_epoch();
                let waiting = self.step(now.mono, ports, |life, journal, todo| {
                    life.loaded(loaded, fresh, journal, todo);
                });
                for message in waiting {
                    self.take(message, now, ports);
                }
            }
            Done::Read(read) => {
                let Read { purpose, page, out, turn } = *read;
                self.step(now.mono, ports, |life, journal, todo| {
                    life.fetched(purpose, page, journal, todo);
                });
                drop(out);
                if let Some((length, rest)) = turn.and_then(Turn::rest) {
                    ports.keep(length, rest);
                }
            }
            Done::Rewritten(Some(progress)) => {
                self.step(now.mono, ports, |life, _, todo| life.rewritten(&progress, todo));
            }
            Done::Rewritten(None) => {}
        }
    }

    /// A timer rings.
    pub fn ring(&mut self, timer: Timer, now: Now, ports: &mut impl Ports) {
        match timer {
            Timer::Load => self.load(Load::Now, ports),
            Timer::CatchUp(request) => {
                self.step(now.mono, ports, |life, _, todo| life.catch_up_again(*request, todo));
            }
            Timer::Erase => self.take(ToEntity::Erase, now, ports),
            Timer::Presence => {
                self.presence_timer = false;
                self.step(now.mono, ports, |life, _, todo| life.flush_presence(todo));
            }
            Timer::End => {
                let entity = self.life.id().clone();
                let incarnation = self.incarnation;
                let ended = ToDirectory::Ended { entity, incarnation, crashed: false };
                ports.tell(&self.env.directory, self.life.id(), ended);
                self.stop(ports);
            }
        }
    }

    /// The relay that had no room has taken the message.
    pub fn sent(&mut self, ports: &mut impl Ports) {
        self.sending = false;
        self.flush(ports);
    }

    /// Ends because the directory, which has taken it out of its map, says so.
    pub fn stop(&mut self, ports: &mut impl Ports) {
        self.asleep = true;
        ports.stop();
    }

    /// Lets something happen to the life, and does what it says. What has waited for the load is
    /// left to the caller.
    fn step(
        &mut self,
        now: Mono,
        ports: &mut impl Ports,
        happen: impl FnOnce(&mut Life, &Journal, &mut Todo),
    ) -> Vec<ToEntity> {
        let _span = tracing::debug_span!("entity", id = %self.life.id()).entered();
        let mut todo = Todo::at(now);
        happen(&mut self.life, &self.env.journal, &mut todo);
        let Todo { effects, audience_forgotten, load, watch, rewriting, waiting, idle, end } = todo;
        self.apply(effects, ports);
        if audience_forgotten {
            for place in self.env.relays.everywhere() {
                let entity = self.life.id().clone();
                self.send(place, ToRelay::AudienceForgotten { entity, ended: false }, ports);
            }
        }
        match load {
            Some(Duration::ZERO) => self.load(Load::Now, ports),
            Some(pause) => ports.ring_after(pause, Timer::Load),
            None => {}
        }
        if let Some(watch) = watch {
            ports.watch(watch);
        }
        if let Some(rewriting) = rewriting {
            ports.run(async move { Done::Rewritten(rewriting.written().await) });
        }
        if let Some(mark) = idle {
            let entity = self.life.id().clone();
            let incarnation = self.incarnation;
            let idle = ToDirectory::Idle { entity, incarnation, mark };
            ports.tell(&self.env.directory, self.life.id(), idle);
        }
        if end {
            ports.ring_after(RETRY_READ, Timer::End);
        }
        waiting
    }

    fn apply(&mut self, effects: Effects, ports: &mut impl Ports) {
        if let Some(why) = effects.corrupt
            && self.env.is_first_report(self.life.id())
        {
            tracing::error!(entity = %self.life.id(), %why, "what is stored of an entity cannot be read; this is said once");
        }
        for (place, parts) in effects.parts {
            let entity = self.life.id().clone();
            self.send(place, ToRelay::Parts { entity, parts }, ports);
        }
        for (node, parts) in effects.elsewhere {
            let entity = self.life.id().clone();
            // The message says which of the node's relays it is for.
            let place = Place { node, worker: WorkerId(0) };
            self.send(place, ToRelay::PartsByWorker { entity, parts }, ports);
        }
        for fetch in effects.fetches {
            self.read(fetch, ports);
        }
        for request in effects.retries {
            ports.ring_after(RETRY_READ, Timer::CatchUp(Box::new(request)));
        }
        if effects.erase_later {
            ports.ring_after(RETRY_READ, Timer::Erase);
        }
        if effects.presence_due && !self.presence_timer {
            self.presence_timer = true;
            ports.ring_after(self.life.presence_interval(), Timer::Presence);
        }
    }

    fn load(&mut self, load: Load, ports: &mut impl Ports) {
        let env = Rc::clone(&self.env);
        let id = self.life.id().clone();
        if self.first_load.take().is_none() {
            env.begin_loading();
        }
        let counted = Loading(Rc::clone(&env));
        let waiting = Waiting::new();
        ports.run(async move {
            let _counted = counted;
            // The semaphore is never closed.
            let _permit = env.cold_starts.acquire().await;
            drop(waiting);
            if load == Load::AfterCrash {
                env.journal.barrier().await;
            }
            Done::Loaded(env.store.load(&id).await)
        });
    }

    /// Reads a page; paused subscriptions wait for their turn first, and give the thread a rest
    /// afterwards.
    fn read(&self, Fetch { page, purpose, out }: Fetch, ports: &mut impl Ports) {
        let env = Rc::clone(&self.env);
        let id = self.life.id().clone();
        ports.run(async move {
            let (page, turn) = match &purpose {
                FetchFor::CatchUp(_) | FetchFor::Erase => {
                    let turn = env.turns.take().await;
                    (env.store.events(&id, page).await, Some(turn))
                }
                FetchFor::Subscribe(..) | FetchFor::History(..) => {
                    // The semaphore is never closed.
                    let _permit = env.reads.acquire().await;
                    (events_within(&*env.store, &id, page, purpose.most_bytes()).await, None)
                }
            };
            Done::Read(Box::new(Read { purpose, page, out, turn }))
        });
    }

    /// Sends to a relay. When its queue is full this entity does nothing else until there is room,
    /// and order is kept.
    fn send(&mut self, to: Place, message: ToRelay, ports: &mut impl Ports) {
        if self.sending {
            return self.outgoing.change(VecDeque::new, |all| all.push_back((to, message)));
        }
        let Some(handle) = self.env.relays.get(to) else { return };
        if let Err(message) = ports.send(&handle, message) {
            self.sending = true;
            let handle = handle.into_owned();
            ports.wait(async move { handle.send(message).await });
        }
    }

    /// Sends what has waited, until another relay has no room.
    fn flush(&mut self, ports: &mut impl Ports) {
        while !self.sending
            && let Some((to, message)) = self.outgoing.change_if_any(VecDeque::pop_front).flatten()
        {
            self.send(to, message, ports);
        }
    }

    /// It panics, or is about to be dropped because it has: what it has queued and is not on disk
    /// is skipped, and the directory is told.
    pub fn crash(&mut self) {
        if std::mem::replace(&mut self.asleep, true) {
            return;
        }
        self.life.abandon();
        metrics::record_panic("entity");
        let entity = self.life.id().clone();
        let incarnation = self.incarnation;
        let ended = ToDirectory::Ended { entity, incarnation, crashed: true };
        self.env.directory.tell(self.life.id(), ended);
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if self.first_load.is_some() {
            self.env.end_loading();
        }
        self.life.metrics().awake.decrement(1);
        // Only a panic ends an entity without the directory's knowledge.
        self.crash();
    }
}
