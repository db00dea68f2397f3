//! An entity's actor: the real shell, with simulated ports.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use greenroom_actors::clock;
use greenroom_actors::entity::{Done, EntityEnv, Life, Load, Ports, Rest, Shell, Timer};
use greenroom_actors::journal::{Committed, Watch};
use greenroom_actors::messages::{Directory, RelayHandle, ToDirectory, ToEntity, ToRelay};
use greenroom_protocol::{EntityId, Seq};

use super::Node;
use super::host::{Letter, Mailbox};
use crate::bugs::Bug;
use crate::clock::Now;
use crate::panics::{burn, panic_on_purpose};
use crate::seen::Wait;

/// Where a handler will panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Panic {
    /// When it encodes a message, after this many others.
    Encoding(u32),
    /// After this many of the things that it has decided to do.
    Doing(u32),
}

pub struct Proc {
    pub id: EntityId,
    pub(super) shard: usize,
    shell: Shell,
    ports: Held,
    inbox: Mailbox,
    /// The first load, until it has ended.
    first_load: Option<Load>,
    panic: Option<Panic>,
}

/// The simulated ports: what the shell has requested.
#[derive(Default)]
struct Held {
    now: u64,
    tasks: Vec<Pin<Box<dyn Future<Output = Done>>>>,
    /// Each with the time when it rings.
    timers: Vec<(u64, Timer)>,
    watches: Vec<Watch>,
    /// Whether the latest of these has just begun.
    watches_anew: bool,
    /// A message that waits for space in a relay's queue.
    sending: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// Each with the time when it ends.
    rests: Vec<(u64, Rest)>,
    stopped: bool,
    /// The number of things until a planned panic.
    left: Option<u32>,
}

impl Held {
    /// Counts one thing, and returns whether the panic is due.
    fn dies(&mut self) -> bool {
        let Some(left) = &mut self.left else { return false };
        *left = left.saturating_sub(1);
        *left == 0
    }

    fn lives_on(&mut self) {
        if self.dies() {
            panic_on_purpose();
        }
    }

    fn in_ms(&self, pause: Duration) -> u64 {
        self.now + u64::try_from(pause.as_millis()).expect("pauses are short")
    }
}

impl Ports for Held {
    fn run(&mut self, task: impl Future<Output = Done> + 'static) {
        self.lives_on();
        self.tasks.push(Box::pin(task));
    }

    fn ring_after(&mut self, pause: Duration, timer: Timer) {
        self.lives_on();
        self.timers.push((self.in_ms(pause), timer));
    }

    fn watch(&mut self, watch: Watch) {
        self.lives_on();
        self.watches.push(watch);
        self.watches_anew = true;
    }

    fn send(&mut self, relay: &RelayHandle, message: ToRelay) -> Result<(), ToRelay> {
        self.lives_on();
        relay.try_send(message)
    }

    fn wait(&mut self, sending: impl Future<Output = ()> + 'static) {
        self.sending = Some(Box::pin(sending));
    }

    fn tell(&mut self, directory: &Directory, entity: &EntityId, message: ToDirectory) {
        self.lives_on();
        directory.tell(entity, message);
    }

    fn keep(&mut self, length: Duration, rest: Rest) {
        self.rests.push((self.in_ms(length), rest));
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}

impl Proc {
    pub(super) fn start(
        shell: Shell,
        shard: usize,
        inbox: Mailbox,
        first_load: Load,
        now: Now,
    ) -> Self {
        let id = shell.life().id().clone();
        let ports = Held { now: now.mono, ..Held::default() };
        let mut proc =
            Self { id, shard, shell, ports, inbox, first_load: Some(first_load), panic: None };
        proc.shell.start(&mut proc.ports);
        proc
    }

    pub fn life(&self) -> &Life {
        self.shell.life()
    }

    /// Whether handlers can run. An entity that waits for a relay does nothing else.
    pub(super) fn is_free(&self) -> bool {
        self.ports.sending.is_none()
    }

    /// Whether a panic can happen now.
    pub fn can_crash(&self) -> bool {
        self.is_free()
    }

    /// Makes a later handler panic.
    pub fn plan(&mut self, panic: Panic) {
        self.panic = Some(panic);
    }

    pub(super) fn has_letters(&self) -> bool {
        !self.inbox.borrow().letters.is_empty()
    }

    pub(super) fn has_news(&self) -> bool {
        self.ports.watches.iter().any(Watch::has_changed)
    }

    /// When the first timer rings.
    pub(super) fn rings(&self) -> Option<u64> {
        self.ports.timers.iter().map(|(due, _)| *due).min()
    }

    /// Returns a task that has ended.
    fn finish(&mut self) -> Option<Done> {
        let mut context = Context::from_waker(Waker::noop());
        for index in 0..self.ports.tasks.len() {
            if let Poll::Ready(done) = self.ports.tasks[index].as_mut().poll(&mut context) {
                drop(self.ports.tasks.remove(index));
                return Some(done);
            }
        }
        None
    }

    /// What the entity waits for, apart from the store.
    pub(super) fn waits(&self, env: &EntityEnv, asks_store: bool, turns: usize) -> Vec<Wait> {
        let mut waits = Vec::new();
        if let (Some(load), false) = (self.first_load, asks_store) {
            let has_turn = env.cold_starts.available_permits() > 0 || turns > 0;
            waits.push(if load == Load::AfterCrash && has_turn {
                Wait::Barrier
            } else {
                Wait::ColdStart
            });
        }
        let loads_later = self.ports.timers.iter().any(|(_, timer)| matches!(timer, Timer::Load));
        waits.extend(loads_later.then_some(Wait::Timer));
        waits.extend(self.ports.sending.as_ref().map(|_| Wait::RelayRoom));
        waits
    }
}

impl Node {
    /// Polls everything that waits for the store or the journal.
    pub fn poll_all(&mut self, now: Now) {
        self.tick(now);
        self.writer.poll();
        for uid in self.procs.keys().copied().collect::<Vec<_>>() {
            let Some(proc) = self.procs.get_mut(&uid).filter(|proc| proc.is_free()) else {
                continue;
            };
            let Some(mut done) = proc.finish() else { continue };
            if matches!(done, Done::Loaded(_)) {
                proc.first_load = None;
            }
            if let Done::Read(read) = &mut done {
                self.misdirect(uid, &mut read.purpose);
            }
            self.step(uid, now, |shell, time, ports| shell.done(done, time, ports));
        }
        self.poll_member(now);
    }

    /// Advances the node's clock, and ends rests that are over.
    pub(super) fn tick(&mut self, now: Now) {
        self.clock.set(now.clock().mono);
        self.rests.retain(|(due, _)| *due > now.mono);
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
                self.step(uid, now, |shell, time, ports| shell.take(message, time, ports));
            }
            Some(Letter::Stop) => self.step(uid, now, |shell, _, ports| shell.stop(ports)),
            None => {}
        }
    }

    pub(super) fn news(&mut self, uid: u64, now: Now) {
        let changed = self
            .procs
            .get_mut(&uid)
            .and_then(|proc| proc.ports.watches.iter_mut().find_map(Watch::news));
        if let Some(committed) = changed {
            self.committed(uid, committed, now);
        }
    }

    fn committed(&mut self, uid: u64, committed: Committed, now: Now) {
        self.step(uid, now, |shell, time, ports| shell.committed(committed, time.mono, ports));
    }

    pub(super) fn timer(&mut self, uid: u64, now: Now) {
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        let timers = &mut proc.ports.timers;
        let due: Vec<usize> =
            (0..timers.len()).filter(|index| timers[*index].0 <= now.mono).collect();
        let Some(index) = self.rng.choice(due) else { return };
        self.timers_rung += 1;
        let timer = timers.remove(index).1;
        self.step(uid, now, |shell, time, ports| shell.ring(timer, time, ports));
        self.poll_all(now);
    }

    /// Retries a message to a relay whose queue was full.
    pub(super) fn outgoing(&mut self, uid: u64, now: Now) {
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        let Some(sending) = &mut proc.ports.sending else { return };
        if sending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            proc.ports.sending = None;
            self.step(uid, now, |shell, _, ports| shell.sent(ports));
        }
    }

    /// Runs one handler of an entity, with its planned panic if there is one.
    fn step(&mut self, uid: u64, now: Now, happen: impl FnOnce(&mut Shell, clock::Now, &mut Held)) {
        let time = self.entity_time(now);
        let Some(Proc { shell, ports, panic, .. }) = self.procs.get_mut(&uid) else { return };
        let mut fuse = if let Some(Panic::Encoding(left)) = *panic { Some(left) } else { None };
        ports.now = now.mono;
        ports.left = if let Some(Panic::Doing(left)) = *panic { Some(left) } else { None };
        if burn(&mut fuse, || happen(shell, time, ports)) {
            self.panics_in_encode += u64::from(ports.left.is_none());
            self.panics_between += u64::from(ports.left.is_some());
            return self.crash(uid);
        }
        if ports.dies() && !ports.stopped {
            self.panics_between += 1;
            return self.crash(uid);
        }
        if let Some(Panic::Encoding(_)) = *panic {
            *panic = fuse.map(Panic::Encoding);
        }
        self.rests.append(&mut ports.rests);
        if std::mem::take(&mut ports.watches_anew) && self.bug == Some(Bug::AckBeforeCommit) {
            return self.committed(uid, Committed { through: Seq::MAX, ended: false }, now);
        }
        if ports.stopped {
            self.remove(uid);
        }
    }

    /// Ends an entity as a panic does: drops what it holds, and notifies its shard.
    pub fn crash(&mut self, uid: u64) {
        let waits = self.procs.get(&uid).map(|proc| self.waits_of(proc)).unwrap_or_default();
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        self.crashed.push((proc.id.clone(), waits));
        proc.shell.crash();
        self.remove(uid);
    }

    /// What an entity waits for.
    pub(super) fn waits_of(&self, proc: &Proc) -> Vec<Wait> {
        let env = &self.entity_envs[proc.shard];
        let in_shard = self.procs.values().filter(|other| other.shard == proc.shard);
        let asking = in_shard.filter(|other| self.store.is_loading(&other.id)).count();
        // An entity that may load and has not asked the store yet waits for the journal.
        let has = self.sizes.cold_starts - env.cold_starts.available_permits();
        proc.waits(env, self.store.is_loading(&proc.id), has.saturating_sub(asking))
    }

    fn remove(&mut self, uid: u64) {
        let Some(proc) = self.procs.remove(&uid) else { return };
        let letters: VecDeque<Letter> = {
            let mut inbox = proc.inbox.borrow_mut();
            inbox.ended = true;
            std::mem::take(&mut inbox.letters)
        };
        drop(letters);
        if self.bug == Some(Bug::PanicLosesAnswers) {
            // Requests at the gate are never answered.
            self.unanswered.push(proc.shell);
        }
    }
}
