//! A node of the model: the real state machine, and around it what it needs of a node: a committer,
//! lives of slots, links, and a clock that runs at a speed of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bugs::Bug;
use super::world::{Ask, MS, Numbered, Ran, Request, Time, Work, World};
use crate::clock::Mono;
use crate::cluster::change::Change;
use crate::cluster::lease::Validity;
use crate::cluster::map::{Common, NodeId, Peer, PeerState, Term, Versions};
use crate::cluster::membership::{
    Action, ChangeId, HandOffId, Join, Joined, Membership, Order, Outcome, PollNumber, Scope,
    Settings, View,
};
use crate::cluster::silence::Silence;

/// How long a node waits for a transaction's answer.
const TIMEOUT: Time = 3000 * MS;
/// The most by which a clock is fast or slow, in millionths: two differ by less than 5 percent.
const RATE: i64 = 24_000;

pub(super) struct Node {
    pub machine: Membership,
    validity: Arc<Validity>,
    /// Millionths by which the clock is faster.
    rate: i64,
    offset: Time,
    /// Changes with each process; events of earlier ones are void.
    process: u64,
    pub paused_until: Time,
    pub cut_until: Time,
    /// The committer: the term, the number of the last transaction, whether one is under way.
    term: Option<Term>,
    number: u64,
    busy: bool,
    beat: bool,
    control: Option<(ChangeId, Change)>,
    flush: Option<(HandOffId, Scope)>,
    /// Ops that wait for the next transaction, and logs of the one under way.
    queued: BTreeMap<usize, Vec<(Request, u64)>>,
    flying: BTreeSet<usize>,
    lives: BTreeMap<usize, Life>,
    /// Numbers lives.
    born: u64,
    /// For a planted bug: what earlier lives knew.
    memory: BTreeMap<usize, u64>,
    /// For a planted bug: the highest version that a poll has shown.
    shown: u64,
}

#[derive(Debug, Clone, Copy)]
struct Life {
    id: u64,
    open: bool,
    /// How far it is on disk, and how far ops are queued; `None` until it is loaded.
    at: Option<(u64, u64)>,
}

fn settings() -> Settings {
    Settings {
        settle: 1000,
        moves_at_once: 256,
        offer: 300,
        flush: 1000,
        drain: 2000,
        ..Settings::default()
    }
}

impl Node {
    pub(super) fn new(host: usize, random: &mut fastrand::Rng, process: u64, now: Time) -> Self {
        let versions = Versions { min: 1, max: 1 };
        let peer = Peer {
            number: 0,
            id: NodeId(random.u64(..)),
            term: Term(0),
            name: format!("host-{host}"),
            state: PeerState::Up,
            proto: versions,
            schema: versions,
            version: "1.0.0".into(),
            weight: 1,
            joined: 0,
            common: Common::default(),
        };
        let settings = settings();
        let validity = Arc::new(Validity::new(settings.lease));
        let (rate, offset) = (random.i64(-RATE..=RATE), random.u64(..100_000 * MS));
        let time = clock(rate, offset, now);
        Self {
            machine: Membership::new(peer, settings, Arc::clone(&validity), time),
            validity,
            rate,
            offset,
            process,
            paused_until: 0,
            cut_until: 0,
            term: None,
            number: 0,
            busy: false,
            beat: false,
            control: None,
            flush: None,
            queued: BTreeMap::new(),
            flying: BTreeSet::new(),
            lives: BTreeMap::new(),
            born: 0,
            memory: BTreeMap::new(),
            shown: 0,
        }
    }

    pub(super) fn id(&self) -> NodeId {
        self.machine.id()
    }

    /// Its own clock.
    pub(super) fn clock(&self, now: Time) -> Mono {
        clock(self.rate, self.offset, now)
    }

    pub(super) fn start(world: &mut World, host: usize) {
        let node = &mut world.nodes[host];
        if world.bug == Some(Bug::HalfTheSilence) {
            node.machine.silence = Silence::new(1200, 0);
        }
        let delay = world.random.u64(..500 * MS);
        Self::later(world, host, delay, Self::tick);
    }

    /// The process dies; another one starts a moment later.
    pub(super) fn restart(world: &mut World, host: usize) {
        let process = world.nodes[host].process + 1;
        let node = Self::new(host, &mut world.random, process, world.now);
        world.nodes[host] = node;
        let delay = world.random.u64(..2000 * MS);
        world.at(delay, move |world| Self::start(world, host));
    }

    /// Does something later, unless the process has ended; not before it goes on if it is paused.
    fn later(
        world: &mut World,
        host: usize,
        delay: Time,
        event: impl FnOnce(&mut World, usize) + 'static,
    ) {
        let process = world.nodes[host].process;
        Self::of_process(world, host, process, delay, event);
    }

    fn of_process(
        world: &mut World,
        host: usize,
        process: u64,
        delay: Time,
        event: impl FnOnce(&mut World, usize) + 'static,
    ) {
        world.at(delay, move |world| {
            let node = &world.nodes[host];
            if node.process != process {
                return;
            }
            if world.now < node.paused_until {
                let rest = node.paused_until - world.now + world.random.u64(..200);
                Self::of_process(world, host, process, rest, event);
            } else {
                event(world, host);
            }
        });
    }

    /// A call to the database: executed once, sooner or later. The answer may come too late: `then` is
    /// called once, with `None` if there was none in time.
    fn call<T: 'static>(
        world: &mut World,
        host: usize,
        timeout: Time,
        writes: bool,
        execute: impl FnOnce(&mut World) -> T + 'static,
        then: impl FnOnce(&mut World, usize, Option<T>) + 'static,
    ) {
        let process = world.nodes[host].process;
        let way = move |world: &mut World| {
            let cut = world.nodes[host].cut_until.saturating_sub(world.now);
            world.latency() + cut
        };
        let then = std::rc::Rc::new(std::cell::Cell::new(Some(then)));
        let answered = std::rc::Rc::clone(&then);
        let there = way(world);
        let run = move |world: &mut World| {
            let answer = execute(world);
            let back = way(world);
            Self::of_process(world, host, process, back, move |world, host| {
                if let Some(then) = answered.take() {
                    then(world, host, Some(answer));
                }
            });
        };
        world.at(there, move |world| {
            let stalled = world.writes_stall.saturating_sub(world.now);
            if writes && stalled > 0 { world.at(stalled, run) } else { run(world) }
        });
        Self::later(world, host, timeout, move |world, host| {
            if let Some(then) = then.take() {
                then(world, host, None);
            }
        });
    }

    fn with(
        world: &mut World,
        host: usize,
        step: impl FnOnce(&mut Membership, Mono) -> Vec<Action>,
    ) {
        let now = world.now;
        let node = &mut world.nodes[host];
        let time = node.clock(now);
        for action in step(&mut node.machine, time) {
            Self::perform(world, host, action);
        }
        Self::check_flushed(world, host);
        Self::kick(world, host);
    }

    fn tick(world: &mut World, host: usize) {
        Self::later(world, host, 50 * MS, Self::tick);
        Self::with(world, host, Membership::tick);
    }

    /// An operator's order, if the node listens.
    pub(super) fn order(world: &mut World, host: usize, order: Order) {
        Self::later(world, host, MS, move |world, host| {
            world.seen.count("orders");
            Self::with(world, host, |machine, now| machine.order(now, order).unwrap_or_default());
        });
    }

    fn perform(world: &mut World, host: usize, action: Action) {
        match action {
            Action::Poll(poll) => Self::poll(world, host, poll),
            Action::Join(join) => Self::join(world, host, join),
            Action::Change(id, change, _) => world.nodes[host].control = Some((id, change)),
            Action::Open(scope) => {
                for log in logs(world, &scope) {
                    Self::open(world, host, log);
                }
            }
            Action::Close(scope) => {
                for log in logs(world, &scope) {
                    if let Some(life) = world.nodes[host].lives.get_mut(&log)
                        && world.bug != Some(Bug::AcceptsWhileFlushing)
                    {
                        life.open = false;
                    }
                }
            }
            Action::Flush(id, scope) => world.nodes[host].flush = Some((id, scope)),
            Action::Release(scope) => {
                for log in logs(world, &scope) {
                    world.nodes[host].end_life(log);
                }
            }
            Action::Offer(id, to, _) => Self::offer(world, host, id, to),
            Action::Demote(_) => {
                world.seen.count("demotions");
                Self::demoted(world, host);
            }
            Action::Beat => world.nodes[host].beat = true,
            Action::Notice(version) => {
                for other in 0..world.nodes.len() {
                    if other != host && world.is_delivered() {
                        let delay = world.latency();
                        Self::later(world, other, delay, move |world, other| {
                            Self::with(world, other, |machine, now| machine.notice(now, version));
                        });
                    }
                }
            }
            Action::Ended(why) => {
                let id = world.nodes[host].id();
                world.note(|| format!("{id} ends: {why}"));
                world.seen.count("ends");
                Self::restart(world, host);
            }
        }
    }

    fn demoted(world: &mut World, host: usize) {
        let node = &mut world.nodes[host];
        // What the committer has queued can never commit under a later term.
        node.queued.clear();
        node.term = None;
        node.busy = false;
        node.beat = false;
        node.control = None;
        node.flush = None;
        node.flying.clear();
        node.machine.lives_ended();
        if world.bug != Some(Bug::LivesOutliveDemotion) {
            for log in 0..world.logs.len() {
                node.end_life(log);
            }
        }
    }

    fn end_life(&mut self, log: usize) {
        if let Some(Life { at: Some((durable, _)), .. }) = self.lives.remove(&log) {
            self.memory.insert(log, durable);
        }
    }

    fn poll(world: &mut World, host: usize, poll: PollNumber) {
        let execute = |world: &mut World| View {
            map: world.map.clone(),
            leases: world.leases.iter().map(|(node, (row, _))| (*node, *row)).collect(),
        };
        Self::call(world, host, TIMEOUT, false, execute, move |world, host, view| {
            let Some(view) = view else { return };
            let (bug, version) = (world.bug, view.map.version());
            let node = &mut world.nodes[host];
            let floor = match bug {
                Some(Bug::OldMapAfterOwnChange) => node.shown,
                Some(Bug::MapGoesBack) => 0,
                _ => u64::MAX,
            };
            if version >= floor {
                node.machine.forget_rule_m3(poll, version);
            }
            node.shown = node.shown.max(version);
            Self::with(world, host, |machine, now| machine.answer(now, poll, view));
        });
    }

    fn join(world: &mut World, host: usize, join: Join) {
        let sent = world.nodes[host].clock(world.now);
        let (id, term) = (join.id, join.term);
        let execute = move |world: &mut World| world.execute_join(&join);
        Self::call(world, host, TIMEOUT, true, execute, move |world, host, ran| {
            let outcome = match ran {
                Some(Ran::Done) => Outcome::Done,
                Some(Ran::Refused | Ran::Fenced) => Outcome::Refused,
                None => Outcome::Unknown,
            };
            if outcome == Outcome::Done {
                let node = &mut world.nodes[host];
                node.term = Some(term);
                node.number = 0;
            }
            Self::with(world, host, |machine, now| {
                machine.joined(now, Joined { id, sent, outcome })
            });
        });
    }

    /// A message to another node and its answer; either may be late.
    fn offer(world: &mut World, host: usize, id: HandOffId, to: NodeId) {
        let Some(other) = world.nodes.iter().position(|node| node.id() == to) else { return };
        let process = world.nodes[host].process;
        let delay = world.latency();
        Self::later(world, other, delay, move |world, other| {
            let accepts = world.nodes[other].machine.receives() && world.random.u8(..10) < 9;
            let delay = world.latency();
            Self::of_process(world, host, process, delay, move |world, host| {
                world.seen.count(if accepts { "offers accepted" } else { "offers declined" });
                Self::with(world, host, |machine, now| {
                    if accepts {
                        machine.accepted(now, id)
                    } else {
                        machine.declined(now, id);
                        Vec::new()
                    }
                });
            });
        });
    }

    /// Opens a slot: a life that is only closed goes on, otherwise one is loaded.
    fn open(world: &mut World, host: usize, log: usize) {
        let node = &mut world.nodes[host];
        if let Some(life) = node.lives.get_mut(&log) {
            life.open = true;
            return;
        }
        node.born += 1;
        let id = node.born;
        let remembered = node.memory.get(&log).copied();
        let at = remembered.filter(|_| world.bug == Some(Bug::OpensFromMemory));
        node.lives.insert(log, Life { id, open: true, at: at.map(|at| (at, at)) });
        if at.is_none() {
            Self::load(world, host, log, id);
        }
    }

    fn load(world: &mut World, host: usize, log: usize, id: u64) {
        let execute = move |world: &mut World| world.logs[log].ops.len() as u64;
        Self::call(world, host, TIMEOUT, false, execute, move |world, host, length| {
            let Some(life) = world.nodes[host].lives.get_mut(&log).filter(|life| life.id == id)
            else {
                return;
            };
            match length {
                Some(length) => life.at = Some((length, length)),
                None => Self::load(world, host, log, id),
            }
        });
    }

    /// Whether what is queued for a hand-off is decided.
    fn check_flushed(world: &mut World, host: usize) {
        let Some((id, scope)) = world.nodes[host].flush.take() else { return };
        let logs = logs(world, &scope);
        let node = &mut world.nodes[host];
        let waits = |log: &usize| node.flying.contains(log) || node.queued.contains_key(log);
        if logs.iter().any(waits) && world.bug != Some(Bug::ReleasesBeforeFlush) {
            node.flush = Some((id, scope));
        } else {
            Self::with(world, host, |machine, now| machine.flushed(now, id));
        }
    }

    /// Starts the next numbered transaction, if there is something to commit.
    fn kick(world: &mut World, host: usize) {
        let nonce = world.random.u64(1..);
        let node = &mut world.nodes[host];
        let Some(term) = node.term.filter(|_| !node.busy) else { return };
        let control = node.control.take();
        let batch =
            if control.is_none() { std::mem::take(&mut node.queued) } else { BTreeMap::new() };
        if batch.is_empty() && control.is_none() && !node.beat {
            return;
        }
        node.beat = false;
        node.busy = true;
        node.flying = batch.keys().copied().collect();
        let ops = batch.iter().flat_map(|(log, ops)| {
            ops.iter().filter_map(|(request, position)| match request.ask {
                Ask::Write(op) => Some((*log, *position, op)),
                Ask::Read => None,
            })
        });
        let (id, what) = match control {
            Some((id, change)) => (Some(id), Work::Control(Box::new(change))),
            None => (None, Work::Ops(ops.collect())),
        };
        let number = node.number + 1;
        let tx = Numbered { node: node.id(), term, number, nonce, what };
        let sent = node.clock(world.now);
        let flight = Flight { tx: tx.clone(), id, batch, sent };
        let execute = move |world: &mut World| world.execute(&tx);
        Self::call(world, host, TIMEOUT, true, execute, move |world, host, ran| match ran {
            None => {
                world.seen.count("unknown outcomes");
                if let Some(id) = flight.id.filter(|_| world.nodes[host].has(&flight)) {
                    Self::with(world, host, |machine, now| {
                        machine.decided(now, id, Outcome::Unknown)
                    });
                }
                Self::settle(world, host, flight);
            }
            Some(ran) => Self::decided(world, host, &flight, ran, true),
        });
    }

    fn has(&self, flight: &Flight) -> bool {
        self.term == Some(flight.tx.term) && self.number + 1 == flight.tx.number
    }

    fn settle(world: &mut World, host: usize, flight: Flight) {
        if !world.nodes[host].has(&flight) {
            return;
        }
        let tx = flight.tx.clone();
        let execute = move |world: &mut World| world.settle(&tx);
        Self::call(
            world,
            host,
            TIMEOUT,
            true,
            execute,
            move |world, host, settled| match settled {
                None => Self::settle(world, host, flight),
                Some(None) => Self::decided(world, host, &flight, Ran::Fenced, false),
                Some(Some(true)) => Self::decided(world, host, &flight, Ran::Done, false),
                Some(Some(false)) => {
                    // The number is used up.
                    let node = &mut world.nodes[host];
                    if node.has(&flight) {
                        node.number += 1;
                    }
                    Self::decided(world, host, &flight, Ran::Refused, false);
                }
            },
        );
    }

    fn decided(world: &mut World, host: usize, flight: &Flight, ran: Ran, in_time: bool) {
        let now = world.now;
        let node = &mut world.nodes[host];
        let time = node.clock(now);
        let term = flight.tx.term;
        if node.term != Some(term) {
            return;
        }
        node.busy = false;
        node.flying.clear();
        if ran == Ran::Done {
            node.number = flight.tx.number;
            if in_time {
                node.machine.committed(time, term, flight.sent);
            }
        }
        let mut reload = Vec::new();
        for (log, ops) in &flight.batch {
            if ran != Ran::Done {
                // These lives are over, and with them what they have queued. They are loaded again.
                node.queued.remove(log);
                if let Some(open) = node.lives.remove(log).map(|life| life.open) {
                    node.born += 1;
                    let id = node.born;
                    node.lives.insert(*log, Life { id, open, at: None });
                    reload.push((*log, id));
                }
            } else if let Some(Life { at: Some((durable, _)), .. }) = node.lives.get_mut(log) {
                let last = ops.last().map_or(0, |(_, position)| *position);
                *durable = last.max(*durable);
            }
        }
        if ran == Ran::Done {
            for (request, position) in flight.batch.values().flatten() {
                world.answered(*request, *position);
            }
        } else {
            for (log, id) in reload {
                Self::load(world, host, log, id);
            }
        }
        Self::with(world, host, |machine, now| match (flight.id, ran) {
            (_, Ran::Fenced) => machine.fenced(now, term),
            (Some(id), Ran::Done) => machine.decided(now, id, Outcome::Done),
            (Some(id), Ran::Refused) => machine.decided(now, id, Outcome::Refused),
            (None, Ran::Done | Ran::Refused) => Vec::new(),
        });
    }

    /// A client's request arrives (M5).
    pub(super) fn receive(world: &mut World, host: usize, request: Request) {
        let now = world.now;
        if now < world.nodes[host].paused_until {
            let rest = world.nodes[host].paused_until - now + world.random.u64(..200);
            return world.at(rest, move |world| Self::receive(world, host, request));
        }
        let node = &mut world.nodes[host];
        let valid = node.validity.holds(node.clock(now))
            || world.bug == Some(Bug::ReadsWithoutLease) && node.term.is_some();
        let life = node.lives.get_mut(&request.log).filter(|life| life.open && valid);
        let Some((durable, queued)) = life.and_then(|life| life.at.as_mut()) else {
            world.seen.count("refused requests");
            return;
        };
        match request.ask {
            Ask::Read => {
                let position = *durable;
                let delay = world.latency();
                Self::later(world, host, delay, move |world, _| world.answered(request, position));
            }
            Ask::Write(_) => {
                *queued += 1;
                let position = *queued;
                node.queued.entry(request.log).or_default().push((request, position));
                Self::kick(world, host);
            }
        }
    }
}

fn clock(rate: i64, offset: Time, now: Time) -> Mono {
    let ran = now as i64 + now as i64 * rate / 1_000_000;
    Mono::at((offset + ran as Time) / MS)
}

/// A numbered transaction under way.
struct Flight {
    tx: Numbered,
    id: Option<ChangeId>,
    batch: BTreeMap<usize, Vec<(Request, u64)>>,
    sent: Mono,
}

/// The watched logs of a scope.
fn logs(world: &World, scope: &Scope) -> Vec<usize> {
    let watched = world.watched.iter().enumerate();
    watched.filter(|(_, slot)| scope.slots.contains(**slot)).map(|(log, _)| log).collect()
}
