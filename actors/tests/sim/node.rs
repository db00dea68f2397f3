//! A node: the real relays, sessions, directory shards, lives and committer, joined by their real channels, with a shell that
//! does one step at a time where the server has actors.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use greenroom_actors::directory::{Directory, DirectoryLimits, Host, Slots, ToDirectory, Undelivered};
use greenroom_actors::entity::{CatchUp, End, Entity, FetchFor, Life, ToEntity, Todo};
use greenroom_actors::frames::Encoder;
use greenroom_actors::ids::WorkerId;
use greenroom_actors::journal::{Committed, Committer, CommitterLimits, Journal, Progress, ToJournal};
use greenroom_actors::kind::{Kind, Kinds};
use greenroom_actors::limits::{Keyed, Rate};
use greenroom_actors::record::EventRecord;
use greenroom_actors::relay::{Part, Relay, RelayHandle, Seat, ToRelay};
use greenroom_actors::session::{Session, SessionBounds, SessionEnv};
use greenroom_actors::store::{Loaded, Store, StoreError};
use greenroom_protocol::results::SessionLimits;
use greenroom_protocol::{CodecKind, EntityId, Epoch};
use tokio::sync::{mpsc, watch};

use super::client::Believes;
use super::store::{Call, SimStore};
use super::{Bug, Sizes};

/// A message for an entity.
#[derive(Debug)]
enum Letter {
    Take(ToEntity),
    Stop,
}

#[derive(Debug)]
struct Inbox {
    letters: VecDeque<Letter>,
    capacity: usize,
    ended: bool,
}

enum Done {
    Loaded(Result<Loaded, StoreError>),
    Fetched(FetchFor, Result<Vec<EventRecord>, StoreError>),
}

enum Timer {
    Load,
    Retry(CatchUp),
    Presence,
    End,
}

type Mailbox = Rc<RefCell<Inbox>>;
type Shard = Slots<Mailbox>;

/// An entity's actor.
pub struct Proc {
    pub id: EntityId,
    shard: usize,
    incarnation: u64,
    pub life: Life,
    inbox: Rc<RefCell<Inbox>>,
    watches: Vec<watch::Receiver<Committed>>,
    tasks: Vec<Pin<Box<dyn Future<Output = Done>>>>,
    timers: Vec<Timer>,
    outgoing: VecDeque<(usize, ToRelay)>,
    /// Waits for room in a relay's queue.
    sending: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// It counts as loading until its first load has ended.
    loading: bool,
    asleep: bool,
}

/// A socket, both its ends.
pub struct Connection {
    pub client: usize,
    session: Session,
    pub seat: Rc<Seat>,
    pub worker: usize,
    pub to_server: VecDeque<Vec<u8>>,
    pub to_client: VecDeque<Bytes>,
}

/// A control message that waits for room in a mailbox.
struct Later {
    entity: EntityId,
    shard: usize,
    incarnation: u64,
    inbox: Rc<RefCell<Inbox>>,
    message: ToEntity,
}

/// What a node can do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Relay(usize),
    Directory(usize),
    Letter(u64),
    Committed(u64),
    Timer(u64),
    Outgoing(u64),
    Later(usize),
    Commit,
    Hop,
    Sweep(usize),
    Receive(u64),
    Pump(u64),
}

pub struct Node {
    store: SimStore,
    sizes: Sizes,
    bug: Option<Bug>,
    pub directory: Directory,
    shards: Vec<(Shard, mpsc::Receiver<ToDirectory>)>,
    relays: Vec<RelayHandle>,
    relay_queues: Vec<mpsc::Receiver<ToRelay>>,
    pub envs: Vec<Rc<SessionEnv>>,
    /// Where entities queue; with one of the planted bugs it is not the committer's own queue.
    journal: Journal,
    hop: Option<(mpsc::Receiver<ToJournal>, Journal)>,
    committer: Pin<Box<dyn Future<Output = ()>>>,
    pausing: Arc<AtomicBool>,
    pub procs: BTreeMap<u64, Proc>,
    pub connections: BTreeMap<u64, Connection>,
    later: Vec<Later>,
    next: u64,
    rng: fastrand::Rng,
    /// Whether to say what each step is about.
    verbose: bool,
    pub notes: Vec<String>,
}

/// Starts entities for a shard.
struct Hosting<'a> {
    shard: usize,
    sizes: Sizes,
    next: &'a mut u64,
    store: &'a SimStore,
    journal: &'a Journal,
    relays: &'a [RelayHandle],
    procs: &'a mut BTreeMap<u64, Proc>,
    later: &'a mut Vec<Later>,
}

impl Host for Hosting<'_> {
    type Mailbox = Mailbox;

    fn start(&mut self, entity: &EntityId, kind: &Arc<Kind>, incarnation: u64, after_crash: bool) -> Self::Mailbox {
        let inbox = Rc::new(RefCell::new(Inbox { letters: VecDeque::new(), capacity: self.sizes.inbox, ended: false }));
        let life = Life::new(entity.clone(), Arc::clone(kind), encoder(), self.sizes.inbox);
        let mut proc = Proc {
            id: entity.clone(),
            shard: self.shard,
            incarnation,
            life,
            inbox: Rc::clone(&inbox),
            watches: Vec::new(),
            tasks: Vec::new(),
            timers: Vec::new(),
            outgoing: VecDeque::new(),
            sending: None,
            loading: true,
            asleep: false,
        };
        proc.load(self.store, self.journal, after_crash);
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

    fn deliver_later(&mut self, entity: &EntityId, incarnation: u64, to: &Self::Mailbox, message: ToEntity) {
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
        self.relays.iter().for_each(|relay| relay.send_or_spawn(ToRelay::Lost(entity.clone())));
    }
}

impl Proc {
    fn load(&mut self, store: &SimStore, journal: &Journal, barrier: bool) {
        let (store, journal, id) = (store.clone(), journal.clone(), self.id.clone());
        self.tasks.push(Box::pin(async move {
            if barrier {
                journal.barrier().await;
            }
            Done::Loaded(store.load(&id).await)
        }));
    }

    /// Whether its handlers may run: an entity that waits for a relay does nothing else.
    fn is_free(&self) -> bool {
        self.outgoing.is_empty() && self.sending.is_none()
    }

    /// Whether a panic in it could happen now.
    pub fn can_crash(&self) -> bool {
        self.is_free() && !self.asleep
    }
}

impl Node {
    pub fn start(store: SimStore, term: u64, kinds: Kinds, sizes: Sizes, bug: Option<Bug>, mut rng: fastrand::Rng) -> Self {
        let (directory, queues) = Directory::channels(sizes.workers, sizes.directory);
        let (relays, relay_queues): (Vec<_>, Vec<_>) = (0..sizes.workers).map(|_| RelayHandle::channel(sizes.relay)).unzip();
        let (journal, queue) = Journal::channel(sizes.journal);
        let limits = CommitterLimits { batch_ops: sizes.batch_ops, batch_bytes: sizes.batch_bytes };
        let (committer, _) = Committer::new(Arc::new(store.clone()), term, queue, limits);
        let pausing = Arc::new(AtomicBool::new(false));
        let paused = Arc::clone(&pausing);
        let committer = committer.with_pause(Box::new(move |_| {
            paused.store(true, Ordering::Relaxed);
            let paused = Arc::clone(&paused);
            Box::pin(std::future::poll_fn(move |_| if paused.load(Ordering::Relaxed) { Poll::Pending } else { Poll::Ready(()) }))
        }));
        let (journal, hop) = if bug == Some(Bug::NoSkipAfterFailure) {
            let (front, behind) = Journal::channel(sizes.journal);
            (front, Some((behind, journal)))
        } else {
            (journal, None)
        };
        let rate = Rate::new(1_000_000_000, 1_000_000_000);
        let users = Arc::new(Keyed::new(rate));
        let env = |worker: usize| {
            let id = WorkerId(u16::try_from(worker).expect("there are a few workers"));
            Rc::new(SessionEnv {
                relay: Relay::new(id, directory.clone(), encoder()),
                relay_handle: relays[worker].clone(),
                directory: directory.clone(),
                kinds: kinds.clone(),
                encoder: encoder(),
                authenticate: Arc::new(Believes),
                users: Arc::clone(&users),
                bounds: bounds(rate, sizes),
                server: "sim".into(),
            })
        };
        let envs = (0..sizes.workers).map(env).collect();
        let limits = DirectoryLimits { max_awake: 100, max_loading: sizes.max_loading };
        let shards = queues.into_iter().map(|queue| (Slots::new(kinds.clone(), limits), queue)).collect();
        let next = rng.u64(..1000);
        Self {
            store,
            sizes,
            bug,
            directory,
            shards,
            relays,
            relay_queues,
            envs,
            journal,
            hop,
            committer: Box::pin(committer.run()),
            pausing,
            procs: BTreeMap::new(),
            connections: BTreeMap::new(),
            later: Vec::new(),
            next,
            rng,
            verbose: super::number("SIM_SEED").is_some(),
            notes: Vec::new(),
        }
    }

    /// A client's new connection, with its first request under way.
    pub fn accept(&mut self, client: usize, codec: CodecKind, first: Vec<u8>, now: u64) -> u64 {
        let worker = self.rng.usize(..self.sizes.workers);
        let session = Session::begin(Rc::clone(&self.envs[worker]), codec, now);
        let seat = Rc::clone(session.seat());
        self.next += 1;
        let connection = Connection { client, session, seat, worker, to_server: VecDeque::from([first]), to_client: VecDeque::new() };
        self.connections.insert(self.next, connection);
        self.next
    }

    /// All that can happen next, sweeps aside.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let queued = |empty: bool, step| (!empty).then_some(step);
        steps.extend(self.relay_queues.iter().enumerate().filter_map(|(w, queue)| queued(queue.is_empty(), Step::Relay(w))));
        steps.extend(self.shards.iter().enumerate().filter_map(|(w, (_, queue))| queued(queue.is_empty(), Step::Directory(w))));
        for (uid, proc) in &self.procs {
            if !proc.is_free() {
                steps.push(Step::Outgoing(*uid));
                continue;
            }
            if !proc.inbox.borrow().letters.is_empty() {
                steps.push(Step::Letter(*uid));
            }
            if proc.watches.iter().any(|watch| watch.has_changed().unwrap_or(false)) {
                steps.push(Step::Committed(*uid));
            }
            if !proc.timers.is_empty() {
                steps.push(Step::Timer(*uid));
            }
        }
        steps.extend(self.later.iter().enumerate().filter(|(_, later)| later.is_ready()).map(|(index, _)| Step::Later(index)));
        let committing = self.store.is_busy(&[Call::Commit, Call::Settle]);
        let waiting = self.hop.as_ref().map_or(&self.journal, |(_, journal)| journal).waiting() > 0;
        if self.pausing.load(Ordering::Relaxed) || (!committing && waiting) {
            steps.push(Step::Commit);
        }
        if self.hop.as_ref().is_some_and(|(queue, _)| !queue.is_empty()) {
            steps.push(Step::Hop);
        }
        for (id, connection) in &self.connections {
            let outbox = &connection.seat.outbox;
            if !connection.to_server.is_empty() && !outbox.is_full() {
                steps.push(Step::Receive(*id));
            }
            if outbox.bytes() > 0 && connection.seat.gather.borrow().is_none() && connection.to_client.len() < self.sizes.link {
                steps.push(Step::Pump(*id));
            }
        }
        steps
    }

    pub fn perform(&mut self, step: Step, now: u64) {
        match step {
            Step::Relay(worker) => {
                if let Ok(message) = self.relay_queues[worker].try_recv() {
                    self.note(&message);
                    let message = self.spoil(message);
                    self.envs[worker].relay.borrow_mut().receive(message);
                }
            }
            Step::Directory(shard) => {
                if let Ok(message) = self.shards[shard].1.try_recv() {
                    self.note(&message);
                    self.with_shard(shard, |slots, host| slots.receive(message, now, host));
                }
            }
            Step::Sweep(shard) => self.with_shard(shard, |slots, host| slots.sweep(now, host)),
            Step::Letter(uid) => self.letter(uid, now),
            Step::Committed(uid) => {
                let changed = self.procs.get_mut(&uid).and_then(|proc| {
                    proc.watches.iter_mut().find(|watch| watch.has_changed().unwrap_or(false)).map(|watch| *watch.borrow_and_update())
                });
                if let Some(committed) = changed {
                    self.committed(uid, committed, now);
                }
            }
            Step::Timer(uid) => self.timer(uid, now),
            Step::Outgoing(uid) => {
                if let Some(proc) = self.procs.get_mut(&uid) {
                    flush(proc, &self.relays);
                }
            }
            Step::Later(index) => {
                let Later { entity, shard, incarnation, inbox, message } = self.later.remove(index);
                // A mailbox that has ended drops it.
                inbox.borrow_mut().letters.push_back(Letter::Take(message));
                self.with_shard(shard, |slots, host| slots.worked_off(&entity, incarnation, host));
            }
            Step::Commit => {
                self.pausing.store(false, Ordering::Relaxed);
                self.poll_committer();
            }
            Step::Hop => self.hop(),
            Step::Receive(id) => {
                let Some(connection) = self.connections.get_mut(&id) else { return };
                if let Some(request) = connection.to_server.pop_front() {
                    connection.session.receive(&request, now);
                }
            }
            Step::Pump(id) => self.pump(id),
        }
    }

    /// Says in the trace what a step is about.
    fn note(&mut self, message: &impl std::fmt::Debug) {
        if self.verbose {
            self.notes.push(format!("{message:?}"));
        }
    }

    /// Polls whatever waits for the store or the journal.
    pub fn poll_all(&mut self, now: u64) {
        self.poll_committer();
        for uid in self.procs.keys().copied().collect::<Vec<_>>() {
            let Some(proc) = self.procs.get_mut(&uid).filter(|proc| proc.is_free()) else { continue };
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
                    self.step(uid, now, |life, journal, todo| life.loaded(loaded, fresh, journal, todo));
                }
                Some(Done::Fetched(purpose, read)) => self.step(uid, now, |life, _, todo| life.fetched(purpose, read, todo)),
                None => {}
            }
        }
    }

    fn poll_committer(&mut self) {
        let done = self.committer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(done.is_pending(), "a committer runs while somebody can queue");
    }

    /// A planted bug: what follows a failure is let through as if nothing had happened.
    fn hop(&mut self) {
        let Some((queue, behind)) = &mut self.hop else { return };
        let Some(permit) = behind.reserve() else { return };
        let Ok(message) = queue.try_recv() else { return };
        permit.send(match message {
            ToJournal::Event { entity, epoch, seq, text, progress } if progress.ended() => {
                ToJournal::Event { entity, epoch, seq, text, progress: Progress::new(seq - 1).0 }
            }
            other => other,
        });
    }

    /// A planted bug: a subscription begins behind the events that are released with it.
    fn spoil(&self, message: ToRelay) -> ToRelay {
        let ToRelay::Parts { entity, mut parts } = message else { return message };
        if self.bug == Some(Bug::GapOnSubscribe) {
            let mut index = 0;
            while index + 1 < parts.len() {
                if let (Part::Joined { .. }, Part::Events { last, .. }) = (&parts[index], &parts[index + 1]) {
                    let last = *last;
                    drop(parts.remove(index + 1));
                    if let Part::Joined { seq, .. } = &mut parts[index] {
                        *seq = last;
                    }
                }
                index += 1;
            }
        }
        ToRelay::Parts { entity, parts }
    }

    fn with_shard(&mut self, shard: usize, happen: impl FnOnce(&mut Shard, &mut Hosting<'_>)) {
        let mut host = Hosting {
            shard,
            sizes: self.sizes,
            next: &mut self.next,
            store: &self.store,
            journal: &self.journal,
            relays: &self.relays,
            procs: &mut self.procs,
            later: &mut self.later,
        };
        happen(&mut self.shards[shard].0, &mut host);
    }

    fn letter(&mut self, uid: u64, now: u64) {
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        let letter = proc.inbox.borrow_mut().letters.pop_front();
        match letter {
            Some(Letter::Take(message)) => {
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

    fn timer(&mut self, uid: u64, now: u64) {
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        let index = self.rng.usize(..proc.timers.len());
        match proc.timers.remove(index) {
            Timer::Load => proc.load(&self.store, &self.journal, false),
            Timer::Retry(request) => self.take(uid, ToEntity::CatchUp(request), now),
            Timer::Presence => self.step(uid, now, |life, _, todo| life.flush_presence(todo)),
            Timer::End => self.end(uid, false),
        }
        self.poll_all(now);
    }

    fn take(&mut self, uid: u64, message: ToEntity, now: u64) {
        self.step(uid, now, |life, journal, todo| life.take(message, now, journal, todo));
    }

    fn committed(&mut self, uid: u64, committed: Committed, now: u64) {
        self.step(uid, now, |life, journal, todo| life.committed(committed, journal, todo));
    }

    /// Lets something happen to a life and does what it says, as the actor does.
    fn step(&mut self, uid: u64, now: u64, happen: impl FnOnce(&mut Life, &Journal, &mut Todo)) {
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        let mut todo = Todo::default();
        happen(&mut proc.life, &self.journal, &mut todo);
        let Todo { effects, lost, load, watch, waiting, idle, end } = todo;
        for (worker, parts) in effects.parts {
            proc.outgoing.push_back((worker.0 as usize, ToRelay::Parts { entity: proc.id.clone(), parts }));
        }
        if lost {
            let everybody = 0..self.relays.len();
            proc.outgoing.extend(everybody.map(|relay| (relay, ToRelay::Lost(proc.id.clone()))));
        }
        flush(proc, &self.relays);
        for fetch in effects.fetches {
            let (store, id) = (self.store.clone(), proc.id.clone());
            proc.tasks.push(Box::pin(async move { Done::Fetched(fetch.purpose, store.events(&id, fetch.page).await) }));
        }
        proc.timers.extend(effects.retries.into_iter().map(Timer::Retry));
        if effects.presence_due && !proc.timers.iter().any(|timer| matches!(timer, Timer::Presence)) {
            proc.timers.push(Timer::Presence);
        }
        proc.timers.extend(load.map(|_| Timer::Load));
        if let Some(watch) = watch {
            proc.watches.push(watch);
            if self.bug == Some(Bug::AckBeforeCommit) {
                self.committed(uid, Committed { through: u64::MAX, ended: false }, now);
            }
        }
        for message in waiting {
            self.take(uid, message, now);
        }
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        if let Some(mark) = idle {
            let (entity, incarnation) = (proc.id.clone(), proc.incarnation);
            self.directory.tell(&proc.id, ToDirectory::Idle { entity, incarnation, mark });
        }
        match end {
            Some(End::Unloadable) => proc.timers.push(Timer::End),
            Some(End::Crashed) => self.end(uid, true),
            None => {}
        }
    }

    fn end(&mut self, uid: u64, crashed: bool) {
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        let (entity, incarnation) = (proc.id.clone(), proc.incarnation);
        self.directory.tell(&proc.id, ToDirectory::Ended { entity, incarnation, crashed });
        proc.asleep = true;
        self.remove(uid);
    }

    /// An entity panics.
    pub fn crash(&mut self, uid: u64) {
        let Some(proc) = self.procs.get_mut(&uid) else { return };
        proc.life.abandon();
        self.end(uid, true);
    }

    fn remove(&mut self, uid: u64) {
        let Some(proc) = self.procs.remove(&uid) else { return };
        let mut inbox = proc.inbox.borrow_mut();
        inbox.ended = true;
        inbox.letters.clear();
    }

    fn pump(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let mut taken = VecDeque::new();
        let _ = connection.seat.outbox.poll_take(&mut Context::from_waker(Waker::noop()), &mut taken, 2, 4096);
        connection.to_client.extend(taken);
        if connection.seat.outbox.take_starved() {
            self.envs[connection.worker].relay.borrow_mut().drained(&connection.seat);
        }
    }

    /// Entities awake, by the directory.
    pub fn awake(&self) -> usize {
        self.shards.iter().map(|(slots, _)| slots.awake()).sum()
    }

    /// Whether relays and entities agree about who follows, and every request is answered.
    pub fn agreement(&self) -> Result<(), String> {
        for entity in super::entities() {
            let proc = self.procs.values().find(|proc| proc.id == entity);
            let mut by_entity: Vec<_> = proc.and_then(|proc| proc.life.awake()).into_iter().flat_map(Entity::followers).collect();
            let mut by_relay = Vec::new();
            for env in &self.envs {
                by_relay.extend(env.relay.borrow().followers(&entity));
            }
            by_entity.sort_unstable();
            by_relay.sort_unstable();
            if by_entity != by_relay {
                return Err(format!("`{entity}`: the entity knows {by_entity:?}, the relays {by_relay:?}"));
            }
        }
        for connection in self.connections.values() {
            if connection.seat.in_flight.get() != 0 {
                return Err(format!("{} requests of client {} count as in flight", connection.seat.in_flight.get(), connection.client));
            }
        }
        Ok(())
    }
}

impl Later {
    fn is_ready(&self) -> bool {
        let inbox = self.inbox.borrow();
        inbox.ended || inbox.letters.len() < inbox.capacity
    }
}

fn flush(proc: &mut Proc, relays: &[RelayHandle]) {
    loop {
        if let Some(sending) = &mut proc.sending {
            if sending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                return;
            }
            proc.sending = None;
        }
        let Some((relay, message)) = proc.outgoing.pop_front() else { return };
        let relay = relays[relay].clone();
        if let Err(message) = relay.try_send(message) {
            proc.sending = Some(Box::pin(async move { relay.send(message).await }));
        }
    }
}

/// Frames are their length and the message.
fn encoder() -> Encoder {
    Encoder::new(|_, payload, out| {
        out.extend(u32::try_from(payload.len()).expect("messages are short").to_be_bytes());
        out.extend(payload);
    })
}

fn bounds(rate: Rate, sizes: Sizes) -> SessionBounds {
    SessionBounds {
        told: SessionLimits {
            max_message_bytes: 65536,
            max_body_bytes: 32768,
            max_subscriptions: 16,
            max_in_flight: 16,
            ping_interval_ms: 25000,
        },
        outbox_bytes: sizes.outbox,
        connect_timeout_ms: 10_000,
        requests: rate,
        bytes: rate,
        abuse_after: 100,
        abuse_window_ms: 1000,
    }
}
