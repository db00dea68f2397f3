//! A node's part in a cluster: runs the real [`node::Node`](greenroom_actors::node::Node), and
//! carries out what it says.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use greenroom_actors::clock::Mono;
use greenroom_actors::cluster::lease::Validity;
use greenroom_actors::cluster::map::{NodeId, Term};
use greenroom_actors::cluster::membership::{
    BadOrder, ChangeId, Ended, HandOffId, Joined, Membership, Order, Outcome, PollNumber, Scope,
    View,
};
use greenroom_actors::cluster::registry::{ChangeError, Note, Registry, conformance::peer};
use greenroom_actors::ids::WorkerId;
use greenroom_actors::journal::{Registered, Standing};
use greenroom_actors::limits::Accounts;
use greenroom_actors::messages::{Directory, Exchange, Own, ToDirectory, ToExchange, ToRelay};
use greenroom_actors::node::{Do, Node as Core, Settings, Setup};
use greenroom_actors::store::CommitError;
use tokio::sync::{mpsc, watch};

use super::journal::Leased;
use super::{Node, Step};
use crate::bugs::Bug;
use crate::clock::Now;
use crate::panics::encoder;
use crate::sizes::Sizes;
use crate::store::SimRegistry;

/// Milliseconds between two ticks.
const TICK: u64 = 25;

/// How a node enters a cluster.
pub struct Entry {
    pub id: NodeId,
    pub registry: SimRegistry,
    pub settings: Settings,
    pub standing: (watch::Sender<Standing>, watch::Receiver<Standing>),
}

impl Entry {
    /// Until when the node serves what it owns.
    pub(super) fn validity(&self) -> Arc<Validity> {
        Arc::new(Validity::new(self.settings.membership.lease))
    }

    pub(super) fn leased(&self) -> Leased {
        Leased::Node(Registered {
            node: self.id,
            registry: Arc::new(self.registry.clone()),
            standing: self.standing.0.clone(),
        })
    }
}

/// What a task of a member has found out.
enum News {
    Viewed(PollNumber, View),
    Joined(Joined),
    Decided(ChangeId, Outcome),
    Flushed(HandOffId),
    LivesEnded,
    Beaten,
    Nothing,
}

pub struct Member {
    core: Core,
    id: NodeId,
    registry: SimRegistry,
    queue: mpsc::Receiver<ToExchange>,
    standing: watch::Receiver<Standing>,
    /// In the order in which they began.
    tasks: Vec<Pin<Box<dyn Future<Output = News>>>>,
    /// Whether an empty transaction is queued.
    beating: bool,
    /// Messages that wait for space in the queues of its relays.
    forwarding: Vec<VecDeque<ToRelay>>,
    next_tick: u64,
    /// What is to be published: for a node, or for all.
    pub outgoing: Vec<(Option<NodeId>, Bytes)>,
    pub ended: Option<Ended>,
}

impl Member {
    pub(super) fn new(
        entry: Entry,
        validity: Arc<Validity>,
        (exchange, queue): (Exchange, mpsc::Receiver<ToExchange>),
        accounts: Arc<Accounts>,
        sizes: Sizes,
        rng: fastrand::Rng,
        now: Now,
    ) -> Self {
        let Entry { id, registry, settings, standing } = entry;
        let me = peer(id, Term(0));
        let setup = Setup { me, settings, validity, encoder: encoder(), accounts, exchange, rng };
        Self {
            core: Core::new(setup, Mono::at(now.mono)),
            id,
            registry,
            queue,
            standing: standing.1,
            tasks: Vec::new(),
            beating: false,
            forwarding: (0..sizes.workers).map(|_| VecDeque::new()).collect(),
            next_tick: now.mono,
            outgoing: Vec::new(),
            ended: None,
        }
    }

    pub const fn id(&self) -> NodeId {
        self.id
    }

    pub const fn membership(&self) -> &Membership {
        self.core.membership()
    }

    pub(super) fn steps(&self, now: Now, steps: &mut Vec<Step>) {
        if now.mono >= self.next_tick {
            steps.push(Step::Tick);
        }
        if !self.queue.is_empty() {
            steps.push(Step::Exchange);
        }
    }

    /// The workers for whose relays messages wait.
    pub(super) fn forwards(&self) -> impl Iterator<Item = usize> {
        (0..self.forwarding.len()).filter(|worker| !self.forwarding[*worker].is_empty())
    }

    pub(super) fn next_tick(&self) -> Option<u64> {
        self.ended.is_none().then_some(self.next_tick)
    }

    fn spawn(&mut self, task: impl Future<Output = News> + 'static) {
        self.tasks.push(Box::pin(task));
    }

    fn finished(&mut self) -> Option<News> {
        let mut context = Context::from_waker(Waker::noop());
        for index in 0..self.tasks.len() {
            if let Poll::Ready(news) = self.tasks[index].as_mut().poll(&mut context) {
                drop(self.tasks.remove(index));
                return Some(news);
            }
        }
        None
    }
}

impl Node {
    /// Lets the core do something, and carries out what it says.
    fn with_core<T>(&mut self, now: Now, happen: impl FnOnce(&mut Core, Mono) -> T) -> Option<T> {
        let member = self.member.as_mut()?;
        let done = happen(&mut member.core, Mono::at(now.mono));
        loop {
            let all = self.member.as_mut()?.core.take_out();
            if all.is_empty() {
                return Some(done);
            }
            for one in all {
                self.carry_out(one, now);
            }
        }
    }

    pub(super) fn member_ticks(&mut self, now: Now) {
        self.with_core(now, Core::tick);
        if let Some(member) = &mut self.member {
            member.next_tick = now.mono + TICK;
        }
    }

    /// Takes what has gathered for other nodes.
    pub(super) fn exchange(&mut self, now: Now) {
        let most = self.rng.usize(1..8);
        for _ in 0..most {
            let Some(member) = &mut self.member else { return };
            let Ok(message) = member.queue.try_recv() else { break };
            self.note(&message);
            self.with_core(now, |core, now| core.take(message, now));
        }
        self.with_core(now, Core::flush_links);
    }

    /// Passes on what waits for a relay.
    pub(super) fn forward(&mut self, worker: usize) {
        let relays = self.envs[worker].relays.clone();
        let Some(member) = &mut self.member else { return };
        let Some(relay) = relays.here(WorkerId(worker as u16)) else { return };
        while let Some(message) = member.forwarding[worker].pop_front() {
            if let Err(message) = relay.try_send(message) {
                return member.forwarding[worker].push_front(message);
            }
        }
    }

    fn pass_on(&mut self, worker: usize, message: ToRelay) {
        if let Some(queue) =
            self.member.as_mut().and_then(|member| member.forwarding.get_mut(worker))
        {
            queue.push_back(message);
            if queue.len() == 1 {
                self.forward(worker);
            }
        }
    }

    /// A message of another node, or for all nodes, arrives.
    pub fn hear(&mut self, message: &Bytes, for_all: bool, now: Now) {
        self.tick(now);
        self.with_core(now, |core, now| {
            if for_all { core.heard(message, now) } else { core.receive(message.clone(), now) }
        });
    }

    /// The wire was connected again.
    pub fn reconnected(&mut self, now: Now) {
        self.tick(now);
        self.with_core(now, Core::reconnected);
    }

    /// Asks the node for something.
    pub fn order(&mut self, order: Order, now: Now) -> Result<(), BadOrder> {
        self.tick(now);
        self.with_core(now, |core, now| core.order(order, now)).unwrap_or(Ok(()))
    }

    /// Polls what the member waits for.
    pub(super) fn poll_member(&mut self, now: Now) {
        if self.member.is_none() {
            return;
        }
        loop {
            let Some(member) = &mut self.member else { return };
            // What a transaction has proved is reported before the outcome of what it did.
            if member.standing.has_changed().unwrap_or(false) {
                let Standing { renewed, fenced } = *member.standing.borrow_and_update();
                self.with_core(now, |core, now| {
                    if let Some(renewal) = renewed {
                        core.committed(renewal.term, renewal.sent, now);
                    }
                    if let Some(term) = fenced {
                        core.fenced(term, now);
                    }
                });
                continue;
            }
            let Some(news) = member.finished() else { break };
            self.learn(news, now);
            self.writer.poll();
        }
    }

    fn learn(&mut self, news: News, now: Now) {
        let Some(member) = &mut self.member else { return };
        match news {
            News::Viewed(poll, view) => {
                self.with_core(now, |core, now| core.viewed(poll, view, now));
            }
            News::Joined(joined) => {
                self.with_core(now, |core, now| core.joined(joined, now));
            }
            News::Decided(change, outcome) => {
                self.with_core(now, |core, now| core.decided(change, outcome, now));
            }
            News::Flushed(hand_off) => {
                self.with_core(now, |core, now| core.flushed(hand_off, now));
            }
            News::LivesEnded => {
                self.with_core(now, Core::lives_ended);
            }
            News::Beaten => member.beating = false,
            News::Nothing => {}
        }
    }

    fn carry_out(&mut self, one: Do, now: Now) {
        let journal = self.writer.journal.clone();
        let directory = self.directory.clone();
        let bug = self.bug;
        self.note(&Brief(&one));
        let Some(member) = &mut self.member else { return };
        let note = Note { by: member.id, what: String::new(), at: now.wall };
        let registry = member.registry.clone();
        match one {
            Do::Poll(poll) => member.spawn(async move {
                match registry.view().await {
                    Ok(view) => News::Viewed(poll, view),
                    Err(_) => News::Nothing,
                }
            }),
            Do::Join(join) => {
                let node = member.id;
                let sent = Mono::at(now.mono);
                member.spawn(async move {
                    let outcome = match registry.join(node, &join, &note).await {
                        Ok(()) => Outcome::Done,
                        Err(ChangeError::Commit(CommitError::Unknown(_))) => Outcome::Unknown,
                        Err(_) => Outcome::Refused,
                    };
                    News::Joined(Joined { id: join.id, sent, outcome })
                });
            }
            Do::BeginTerm(term) => {
                let begun = journal.begin_term(term);
                member.spawn(async move {
                    begun.await;
                    News::Nothing
                });
            }
            Do::Change(id, change, _) => member.spawn(async move {
                match journal.change(change, note).await {
                    Some(outcome) => News::Decided(id, outcome),
                    None => News::Nothing,
                }
            }),
            Do::Commit if !member.beating => {
                member.beating = true;
                member.spawn(async move {
                    journal.beat().await;
                    News::Beaten
                });
            }
            Do::Commit => {}
            Do::Own(Own::LinkOver(_)) if bug == Some(Bug::GhostsStay) => {}
            // Its end after the grace would make up for it.
            Do::Own(Own::LinkReset(_) | Own::LinkOver(_))
                if bug == Some(Bug::DeadFollowersKept) => {}
            Do::Own(own) => directory.own(&own),
            Do::Flush(id, scope) => {
                let early = bug == Some(Bug::ReleaseBeforeFlush);
                let flush = flush(&directory, scope);
                member.spawn(async move {
                    if !early {
                        flush.await;
                        journal.barrier().await;
                    }
                    News::Flushed(id)
                });
            }
            Do::Abandon if bug == Some(Bug::DemotionIgnored) => {
                member.spawn(async { News::LivesEnded });
            }
            Do::Abandon => {
                let (done, all_done) = mpsc::channel(1);
                directory.own(&Own::Abandon(done));
                member.spawn(async move {
                    closed(all_done).await;
                    News::LivesEnded
                });
            }
            Do::Local(entity, message) => directory.give(entity, message),
            Do::Marked(entity, settled) => {
                directory.tell(&entity.clone(), ToDirectory::Marked(entity, settled));
            }
            Do::Relay(worker, message) => self.pass_on(usize::from(worker.0), message),
            Do::OwnerChanged(_) if bug == Some(Bug::NeverFollowsAnew) => {}
            Do::OwnerChanged(scope) => {
                for worker in 0..self.sizes.workers {
                    self.pass_on(worker, ToRelay::OwnerChanged(Box::new(scope.clone())));
                }
            }
            Do::AudienceForgotten(entity, ended) => {
                for worker in 0..self.sizes.workers {
                    let entity = entity.clone();
                    self.pass_on(worker, ToRelay::AudienceForgotten { entity, ended });
                }
            }
            Do::Publish(to, frame) => member.outgoing.push((Some(to), frame)),
            Do::Broadcast(message) => member.outgoing.push((None, message)),
            Do::Ended(why) => {
                member.ended = Some(why);
                self.finish(now);
            }
        }
    }
}

/// Tells the shards to put the entities of a scope to sleep, and resolves when they are.
fn flush(directory: &Directory, scope: Scope) -> impl Future<Output = ()> + use<> {
    let (done, all_done) = mpsc::channel(1);
    directory.own(&Own::Flush(scope, done));
    closed(all_done)
}

/// Resolves when all senders are dropped.
async fn closed(mut queue: mpsc::Receiver<()>) {
    poll_fn(|context| queue.poll_recv(context)).await;
}

/// What is to be done, without maps and frames.
struct Brief<'a>(&'a Do);

impl std::fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Do::Change(id, change, why) => {
                write!(f, "Change {id:?} to version {} {why:?}", change.map.version())
            }
            Do::Join(join) => write!(f, "Join {:?} term {}", join.id, join.term.0),
            Do::Own(Own::Open(scope)) => write!(f, "Open {}", scope.slots.len()),
            Do::Own(Own::Close(scope)) => write!(f, "Close {}", scope.slots.len()),
            Do::Own(Own::Flush(..)) => write!(f, "Flush"),
            Do::Flush(id, scope) => write!(f, "Flush {id:?} {}", scope.slots.len()),
            Do::OwnerChanged(scope) => write!(f, "OwnerChanged {}", scope.slots.len()),
            Do::Publish(to, frame) => write!(f, "Publish {to} {}", frame.len()),
            Do::Broadcast(_) => write!(f, "Broadcast"),
            other => write!(f, "{other:?}"),
        }
    }
}
