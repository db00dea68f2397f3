//! An entity's actor: its life, what it waits for, and how it ends.

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use greenroom_actors::directory::ToDirectory;
use greenroom_actors::entity::{CatchUp, FetchFor, Life, PagesOut, ToEntity, Todo};
use greenroom_actors::journal::{Committed, Journal, Progress, Watch};
use greenroom_actors::kind::Kind;
use greenroom_actors::record::EventRecord;
use greenroom_actors::relay::{RelayHandle, ToRelay};
use greenroom_actors::store::{Loaded, Store, StoreError};
use greenroom_protocol::{EntityId, Epoch};
use tokio::sync::Semaphore;

use super::Node;
use super::host::{Letter, Mailbox};
use crate::bugs::Bug;
use crate::clock::Now;
use crate::panics::{burn, encoder};
use crate::seen::Wait;
use crate::store::SimStore;

/// How long after a failed read or load the next one may come, in ms.
const RETRY_READ: u64 = 1000;

enum Done {
    Loaded(Result<Loaded, StoreError>),
    Fetched(FetchFor, Result<Vec<EventRecord>, StoreError>, PagesOut),
    Rewritten(Option<Arc<Progress>>),
}

enum Timer {
    Load,
    Retry(CatchUp),
    Erase,
    Presence,
    End,
}

/// How a handler is to panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panic {
    /// When it encodes its next message but so many.
    Encoding(u32),
    /// After so many things of what it has decided to do.
    Doing(u32),
}

/// See the module's head.
pub struct Proc {
    pub id: EntityId,
    pub(super) shard: usize,
    incarnation: u64,
    pub life: Life,
    inbox: Mailbox,
    watches: Vec<Watch>,
    tasks: Vec<Pin<Box<dyn Future<Output = Done>>>>,
    /// With when they ring.
    timers: Vec<(u64, Timer)>,
    outgoing: VecDeque<(usize, ToRelay)>,
    /// Waits for room in a relay's queue.
    sending: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// It counts as loading until its first load has ended.
    pub(super) loading: bool,
    /// Where its load waits before it asks the store.
    waits: Rc<Cell<Option<Wait>>>,
    panic: Option<Panic>,
    asleep: bool,
}

impl Proc {
    pub(super) fn new(
        id: EntityId,
        kind: &Arc<Kind>,
        shard: usize,
        incarnation: u64,
        inbox: Mailbox,
    ) -> Self {
        let life = Life::new(id.clone(), Arc::clone(kind), encoder(), inbox.borrow().capacity);
        Self {
            id,
            shard,
            incarnation,
            life,
            inbox,
            watches: Vec::new(),
            tasks: Vec::new(),
            timers: Vec::new(),
            outgoing: VecDeque::new(),
            sending: None,
            loading: true,
            waits: Rc::default(),
            panic: None,
            asleep: false,
        }
    }

    pub(super) fn load(
        &mut self,
        store: &SimStore,
        journal: &Journal,
        cold_starts: &Arc<Semaphore>,
        barrier: bool,
    ) {
        let (store, journal, id, turns, waits) = (
            store.clone(),
            journal.clone(),
            self.id.clone(),
            Arc::clone(cold_starts),
            Rc::clone(&self.waits),
        );
        self.tasks.push(Box::pin(async move {
            waits.set(Some(Wait::ColdStart));
            let _turn = turns.acquire().await;
            if barrier {
                waits.set(Some(Wait::Barrier));
                journal.barrier().await;
            }
            waits.set(None);
            Done::Loaded(store.load(&id).await)
        }));
    }

    /// Whether its handlers may run: an entity that waits for a relay does nothing else.
    pub(super) fn is_free(&self) -> bool {
        self.outgoing.is_empty() && self.sending.is_none()
    }

    /// Whether a panic in it could happen now.
    pub fn can_crash(&self) -> bool {
        self.is_free() && !self.asleep
    }

    /// Lets a handler panic that is still to run.
    pub fn plan(&mut self, panic: Panic) {
        self.panic = Some(panic);
    }

    pub(super) fn has_letters(&self) -> bool {
        !self.inbox.borrow().letters.is_empty()
    }

    pub(super) fn has_news(&self) -> bool {
        self.watches.iter().any(Watch::has_changed)
    }

    /// When its first timer rings.
    pub(super) fn rings(&self) -> Option<u64> {
        self.timers.iter().map(|(due, _)| *due).min()
    }

    pub(super) fn waits(&self) -> Vec<Wait> {
        let mut waits: Vec<_> = self.waits.get().into_iter().collect();
        waits.extend(
            self.timers
                .iter()
                .any(|(_, timer)| matches!(timer, Timer::Load))
                .then_some(Wait::Timer),
        );
        waits.extend(self.sending.as_ref().map(|_| Wait::RelayRoom));
        waits
    }

    pub(super) fn flush(&mut self, relays: &[RelayHandle]) {
        loop {
            if let Some(sending) = &mut self.sending {
                if sending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                    return;
                }
                self.sending = None;
            }
            let Some((relay, message)) = self.outgoing.pop_front() else { return };
            let relay = relays[relay].clone();
            if let Err(message) = relay.try_send(message) {
                self.sending = Some(Box::pin(async move { relay.send(message).await }));
            }
        }
    }
}

impl Node {
    /// Polls whatever waits for the store or the journal. Says which entities have panicked.
    pub fn poll_all(&mut self, now: Now) {
        self.writer.poll(now);
        for uid in self.procs.keys().copied().collect::<Vec<_>>() {
            let Some(proc) = self.procs.get_mut(&uid).filter(|proc| proc.is_free()) else {
                continue;
            };
            let mut context = Context::from_waker(Waker::noop());
            let mut done = None;
            for index in 0..proc.tasks.len() {
                if let Poll::Ready(value) = proc.tasks[index].as_mut().poll(&mut context) {
                    drop(proc.tasks.remove(index));
                    done = Some(value);
                    break;
                }
            }
            match done {
                Some(Done::Loaded(loaded)) => {
                    proc.loading = false;
                    let fresh = Epoch::from_bits(self.rng.u64(..));
                    self.step(uid, now, |life, journal, todo| {
                        life.loaded(loaded, fresh, journal, todo);
                    });
                }
                Some(Done::Fetched(mut purpose, read, out)) => {
                    self.misdirect(uid, &mut purpose);
                    self.step(uid, now, |life, journal, todo| {
                        life.fetched(purpose, read, journal, todo);
                    });
                    drop(out);
                }
                Some(Done::Rewritten(Some(progress))) => {
                    self.step(uid, now, |life, _, todo| life.rewritten(&progress, todo));
                }
                Some(Done::Rewritten(None)) => {}
                None => {}
            }
        }
    }

    pub(super) fn letter(&mut self, uid: u64, now: Now) {
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        let letter = proc.inbox.borrow_mut().letters.pop_front();
        match letter {
            Some(Letter::Take(ToEntity::CatchUp(_)))
                if self.bug == Some(Bug::ForgetsWhoReads) && self.rng.bool() => {}
            Some(Letter::Take(mut message)) => {
                self.number_too_soon(&mut message);
                self.note(&message);
                self.take(uid, message, now);
            }
            Some(Letter::Stop) => {
                proc.asleep = true;
                self.remove(uid);
            }
            None => {}
        }
    }

    pub(super) fn news(&mut self, uid: u64, now: Now) {
        let changed =
            self.procs.get_mut(&uid).and_then(|proc| proc.watches.iter_mut().find_map(Watch::news));
        if let Some(committed) = changed {
            self.committed(uid, committed, now);
        }
    }

    pub(super) fn timer(&mut self, uid: u64, now: Now) {
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        let due: Vec<usize> =
            (0..proc.timers.len()).filter(|index| proc.timers[*index].0 <= now.mono).collect();
        let Some(index) = self.rng.choice(due) else { return };
        self.timers_rung += 1;
        match proc.timers.remove(index).1 {
            Timer::Load => {
                proc.load(&self.store, &self.writer.journal, &self.cold_starts[proc.shard], false);
            }
            Timer::Retry(request) => self.take(uid, ToEntity::CatchUp(request), now),
            Timer::Erase => self.take(uid, ToEntity::Erase, now),
            Timer::Presence => self.step(uid, now, |life, _, todo| life.flush_presence(todo)),
            Timer::End => self.end(uid, false),
        }
        self.poll_all(now);
    }

    fn take(&mut self, uid: u64, message: ToEntity, now: Now) {
        self.step(uid, now, |life, journal, todo| life.take(message, now.wall, journal, todo));
    }

    fn committed(&mut self, uid: u64, committed: Committed, now: Now) {
        self.step(uid, now, |life, journal, todo| life.committed(committed, journal, todo));
    }

    /// Lets something happen to a life and does what it says, as the actor does; unless it is to
    /// panic on the way.
    fn step(&mut self, uid: u64, now: Now, happen: impl FnOnce(&mut Life, &Journal, &mut Todo)) {
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        let mut todo = Todo::default();
        let mut fuse = if let Some(Panic::Encoding(left)) = proc.panic { Some(left) } else { None };
        let (life, journal) = (&mut proc.life, &self.writer.journal);
        if burn(&mut fuse, || happen(life, journal, &mut todo)) {
            self.panics_in_encode += 1;
            drop(todo);
            return self.crash(uid);
        }
        let mut left = match proc.panic {
            Some(Panic::Doing(left)) => left,
            Some(Panic::Encoding(_)) => {
                proc.panic = fuse.map(Panic::Encoding);
                u32::MAX
            }
            None => u32::MAX,
        };
        // Whether it comes to the next thing that it has decided to do.
        let mut lives = move || {
            left = left.saturating_sub(1);
            left > 0
        };
        self.carry_out(uid, now, todo, &mut lives);
        if !lives() && self.procs.contains_key(&uid) {
            self.panics_between += 1;
            self.crash(uid);
        }
    }

    fn carry_out(&mut self, uid: u64, now: Now, todo: Todo, lives: &mut impl FnMut() -> bool) {
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        let Todo { effects, lost, load, watch, rewriting, waiting, idle, end } = todo;
        for (worker, parts) in effects.parts {
            if !lives() {
                return;
            }
            proc.outgoing
                .push_back((worker.0 as usize, ToRelay::Parts { entity: proc.id.clone(), parts }));
        }
        if lost {
            let everybody = 0..self.relays.len();
            proc.outgoing.extend(
                everybody
                    .map(|relay| (relay, ToRelay::Lost { entity: proc.id.clone(), ended: false })),
            );
        }
        proc.flush(&self.relays);
        for fetch in effects.fetches {
            if !lives() {
                return;
            }
            let (store, id) = (self.store.clone(), proc.id.clone());
            // Those who are slow wait for each other.
            let turn = matches!(fetch.purpose, FetchFor::CatchUp(_) | FetchFor::Erase)
                .then(|| Arc::clone(&self.turns[proc.shard]));
            proc.tasks.push(Box::pin(async move {
                let _turn = match &turn {
                    Some(turn) => Some(turn.acquire().await),
                    None => None,
                };
                Done::Fetched(fetch.purpose, store.events(&id, fetch.page).await, fetch.out)
            }));
        }
        proc.timers.extend(
            effects
                .retries
                .into_iter()
                .map(|request| (now.mono + RETRY_READ, Timer::Retry(request))),
        );
        proc.timers.extend(effects.erase_later.then_some((now.mono + RETRY_READ, Timer::Erase)));
        if let Some(rewriting) = rewriting {
            proc.tasks.push(Box::pin(async move { Done::Rewritten(rewriting.written().await) }));
        }
        if effects.presence_due
            && !proc.timers.iter().any(|(_, timer)| matches!(timer, Timer::Presence))
        {
            proc.timers.push((now.mono + self.sizes.presence_interval, Timer::Presence));
        }
        proc.timers.extend(load.map(|pause| {
            (now.mono + u64::try_from(pause.as_millis()).expect("pauses are short"), Timer::Load)
        }));
        if let Some(watch) = watch {
            proc.watches.push(watch);
            if self.bug == Some(Bug::AckBeforeCommit) {
                self.committed(uid, Committed { through: u64::MAX, ended: false }, now);
            }
        }
        for message in waiting {
            if !lives() {
                return;
            }
            self.take(uid, message, now);
        }
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        if let Some(mark) = idle.filter(|_| lives()) {
            let (entity, incarnation) = (proc.id.clone(), proc.incarnation);
            self.directory.tell(&proc.id, ToDirectory::Idle { entity, incarnation, mark });
        }
        if end {
            proc.timers.push((now.mono + RETRY_READ, Timer::End));
        }
    }

    fn end(&mut self, uid: u64, crashed: bool) {
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        let (entity, incarnation) = (proc.id.clone(), proc.incarnation);
        self.directory.tell(&proc.id, ToDirectory::Ended { entity, incarnation, crashed });
        proc.asleep = true;
        self.remove(uid);
    }

    /// An entity panics: what it holds is dropped, and its end is told.
    pub fn crash(&mut self, uid: u64) {
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        self.crashed.push((proc.id.clone(), proc.waits()));
        proc.life.abandon();
        self.end(uid, true);
    }

    fn remove(&mut self, uid: u64) {
        let Some(proc) = self.procs.remove(&uid) else { return };
        let letters = {
            let mut inbox = proc.inbox.borrow_mut();
            inbox.ended = true;
            std::mem::take(&mut inbox.letters)
        };
        drop(letters);
        if self.bug == Some(Bug::PanicLosesAnswers) {
            // What waits at the gate is never answered.
            self.unanswered.push(proc.life);
        }
    }
}
