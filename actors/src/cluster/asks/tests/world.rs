//! A world in which slots move between nodes, links break and nodes die, and what must hold in it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::planted::Bug;
use super::super::{AskId, Asks, Full, Output, Owner, Retry, Settings, Why};
use super::node::{Node, Pending, Reply, Sent};
use super::script::{NODES, SLOTS, Step};
use crate::clock::Mono;
use crate::cluster::slot::{SlotId, SlotSet};
use crate::ids::NodeIndex;

mod events;
mod judge;

/// Something that a session sends an entity. They are numbered in the order of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    pub n: u64,
    pub session: u8,
    pub kind: Kind,
}

/// What it is to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Ask,
    Once,
    Tell,
}

/// What the reference knows of something that was asked and is not decided.
#[derive(Debug, Clone, Copy)]
struct Known {
    slot: SlotId,
    message: Message,
    weight: usize,
    asked: u64,
    /// The round of its last sending.
    round: Option<u32>,
}

/// What happened, for the test to see that it did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Met {
    pub bounces: u32,
    pub repeats: u32,
    pub tells_repeated: u32,
    pub unknown: u32,
    pub once_again: u32,
    pub held_too_long: u32,
    pub tells_dropped: u32,
    pub full: u32,
    pub local: u32,
    pub rest_of_round: u32,
}

/// The machine, the other nodes, and the reference.
pub struct World {
    asks: Asks<Message>,
    settings: Settings,
    now: u64,
    next: u64,
    /// All versions of the map, from 0 on.
    maps: Vec<[Owner; SLOTS as usize]>,
    here_open: SlotSet,
    nodes: Vec<Node>,
    /// Asks by their number, until they are decided, and control messages, for good.
    known: BTreeMap<u64, Known>,
    /// How often each was sent.
    sent: BTreeMap<u64, u32>,
    /// What entities have taken for the first time, in that order, without what died uncommitted.
    taken: Vec<(SlotId, Message)>,
    /// Control messages that must go out before the end of the input.
    expected: BTreeSet<u64>,
    /// Control messages that must go out again some time: an ask before them was bounced, so they were
    /// not taken, or it was given up after it was sent.
    untaken: BTreeSet<u64>,
    /// Asks that were not taken, as a bounce has said, and were not sent again yet.
    bounced: BTreeSet<u64>,
    /// Control messages that were taken at least once.
    tells_taken: BTreeSet<u64>,
    /// The number of what was sent under an id.
    ids: BTreeMap<AskId, u64>,
    stable_since: Option<u64>,
    pub met: Met,
    pub complaints: Vec<String>,
}

const HERE: NodeIndex = NodeIndex::HERE;

/// The slots of a run are the first two and the last.
fn slot(number: u8) -> SlotId {
    SlotId::try_from([0, 1, 1023][usize::from(number)]).unwrap()
}

fn index(slot: SlotId) -> usize {
    slot.index().min(2)
}

fn only(slot: SlotId) -> SlotSet {
    SlotSet::from_iter([slot])
}

impl World {
    pub fn new(bug: Option<Bug>) -> Self {
        let hold_bytes = 3_000;
        let settings = Settings { hold_bytes, hold_count: 40, tell_hold: 6_000, ..<_>::default() };
        let mut asks = Asks::new(settings);
        asks.planted.bug = bug;
        let mut nodes: Vec<Node> = (0..=NODES).map(|_| Node::default()).collect();
        for node in &mut nodes {
            node.alive = true;
            node.refusals.planted.bug = bug;
        }
        let mut world = Self {
            asks,
            settings,
            now: 1_000,
            next: 1,
            maps: vec![[Owner::Nobody; SLOTS as usize]],
            here_open: SlotSet::EMPTY,
            nodes,
            known: BTreeMap::new(),
            sent: BTreeMap::new(),
            taken: Vec::new(),
            expected: BTreeSet::new(),
            untaken: BTreeSet::new(),
            bounced: BTreeSet::new(),
            tells_taken: BTreeSet::new(),
            ids: BTreeMap::new(),
            stable_since: None,
            met: Met::default(),
            complaints: Vec::new(),
        };
        for number in 0..SLOTS {
            world.step(Step::Move { slot: number, to: number });
            world.step(Step::Open { slot: number });
        }
        for node in 1..=NODES {
            world.step(Step::Up { node });
        }
        world.step(Step::Map { late: 0 });
        world
    }

    fn complain(&mut self, what: String) {
        self.complaints.push(what);
    }

    fn version(&self) -> u64 {
        self.maps.len() as u64 - 1
    }

    fn owner(&self, slot: SlotId) -> Owner {
        self.maps.last().unwrap()[index(slot)]
    }

    /// Calls the machine, and carries out what it says.
    fn call<R>(
        &mut self,
        input: impl FnOnce(&mut Asks<Message>, &mut dyn FnMut(Output<'_, Message>)) -> R,
    ) -> R {
        let (result, outputs) = self.collect(input);
        for output in outputs {
            self.carry_out(output);
        }
        result
    }

    fn collect<R>(
        &mut self,
        input: impl FnOnce(&mut Asks<Message>, &mut dyn FnMut(Output<'_, Message>)) -> R,
    ) -> (R, Vec<Done>) {
        let mut outputs = Vec::new();
        let result = input(&mut self.asks, &mut |output| {
            outputs.push(match output {
                Output::Send { node, slot, round, id, message, .. } => {
                    Done::Sent(node, Sent { slot, round, id: Some(id), message: *message })
                }
                Output::Tell { node, slot, round, message } => {
                    Done::Sent(node, Sent { slot, round, id: None, message: *message })
                }
                Output::Local { slot, message, .. } => Done::Local(slot, message),
                Output::GiveUp { why, message, .. } => Done::GivenUp(why, message),
                Output::Drop { message, .. } => Done::Dropped(message),
            });
        });
        (result, outputs)
    }

    fn carry_out(&mut self, done: Done) {
        match done {
            Done::Sent(node, sent) => {
                self.check_sending(node, sent);
                self.nodes[usize::from(node.0)].inbox.push_back(sent);
            }
            Done::Local(slot, message) => {
                self.met.local += 1;
                self.check_order(slot, message, None);
                if !self.here_open.contains(slot) {
                    self.complain(format!("closed: {message:?} was given to a closed slot here"));
                }
                self.expected.remove(&message.n);
                self.untaken.remove(&message.n);
                self.take(slot, message);
                if message.kind != Kind::Tell {
                    self.decided(message);
                }
            }
            Done::GivenUp(why, message) => {
                match why {
                    Why::Held => self.met.held_too_long += 1,
                    Why::Unknown => self.met.unknown += 1,
                }
                if let (Some(since), Some(known)) = (self.stable_since, self.known.get(&message.n))
                {
                    // What was asked before may have met a stale map, and be too old.
                    let young = match why {
                        Why::Held => known.asked + self.settings.hold > since + 3_000,
                        Why::Unknown => known.asked > since,
                    };
                    if young {
                        self.complain(format!("stuck: {message:?} was given up: {why:?}"));
                    }
                }
                if self.sent.contains_key(&message.n) && message.kind == Kind::Ask {
                    self.note_untaken(message.n);
                }
                self.decided(message);
            }
            Done::Dropped(message) => {
                self.met.tells_dropped += 1;
                self.expected.remove(&message.n);
                self.untaken.remove(&message.n);
                self.known.remove(&message.n);
            }
        }
    }

    fn ask(&mut self, slot: SlotId, session: u8, kind: Kind, weight: usize) {
        let message = Message { n: self.next, session, kind };
        self.next += 1;
        let (asked, now) = (self.now, Mono::at(self.now));
        self.known.insert(message.n, Known { slot, message, weight, asked, round: None });
        let (bytes, len) = (self.asks.bytes(), self.asks.len());
        let result = self.call(|asks, mut out| match kind {
            Kind::Ask => asks.ask(slot, weight, Retry::Repeatable, message, now, &mut out),
            Kind::Once => asks.ask(slot, weight, Retry::Once, message, now, &mut out),
            Kind::Tell => asks.tell(slot, weight, message, now, &mut out),
        });
        let Err(Full(message)) = result else { return };
        self.met.full += 1;
        self.known.remove(&message.n);
        let Settings { hold_bytes, hold_count, .. } = self.settings;
        if bytes + weight <= hold_bytes && len < hold_count && self.asks.bytes() == bytes {
            self.complain(format!("bounds: {message:?} was refused with {bytes} bytes, {len}"));
        }
    }

    /// Carries out one step.
    pub fn step(&mut self, step: Step) {
        match step {
            Step::Ask { slot: at, session, once, weight } => {
                let kind = if once { Kind::Once } else { Kind::Ask };
                self.ask(slot(at), session, kind, usize::from(weight));
            }
            Step::Tell { slot: at, session } => self.ask(slot(at), session, Kind::Tell, 10),
            Step::Read { node, count } => (0..count).for_each(|_| self.read(node)),
            Step::Commit { node, count } => {
                let pending = self.nodes[usize::from(node)].pending.iter_mut();
                for pending in pending.filter(|pending| !pending.committed).take(count.into()) {
                    pending.committed = true;
                }
            }
            Step::Answer { node, which } => self.nodes[usize::from(node)].answer(which),
            Step::Hear { node, count } => (0..count).for_each(|_| self.hear(node)),
            Step::Close { slot: at } => self.close(slot(at)),
            Step::Open { slot: at } => self.open(slot(at)),
            Step::Move { slot: at, to } => self.give(slot(at), to),
            Step::Map { late } => {
                let version = self.version().saturating_sub(late.into());
                let map = self.maps[version as usize];
                let owner = |slot: SlotId| match slot.number() {
                    0 | 1 | 1023 => map[index(slot)],
                    _ => Owner::Nobody,
                };
                self.call(|asks, mut out| asks.map_changed(version, owner, &mut out));
            }
            Step::Reset { node } => {
                self.nodes[usize::from(node)].reset(HERE);
                self.down(node);
            }
            Step::Silent { node } => self.down(node),
            Step::Die { node } => self.die(node),
            Step::Up { node } => {
                let back = &mut self.nodes[usize::from(node)];
                if back.heard {
                    return;
                }
                back.reset(HERE);
                back.alive = true;
                back.heard = true;
                self.call(|asks, mut out| asks.link_up(NodeIndex(node.into()), &mut out));
            }
            Step::Wait { ms } => {
                self.now += u64::from(ms);
                let now = Mono::at(self.now);
                self.call(|asks, mut out| asks.tick(now, &mut out));
            }
        }
        self.check_bounds(step);
    }

    fn run(&mut self, ms: u16) {
        for _ in 0..ms / 10 {
            for node in 1..=NODES {
                let count = u8::MAX;
                self.step(Step::Read { node, count });
                self.step(Step::Commit { node, count });
                (0..100).for_each(|which| self.step(Step::Answer { node, which }));
                self.step(Step::Hear { node, count });
            }
            self.step(Step::Wait { ms: 10 });
        }
    }
}

/// An output without what it borrows.
enum Done {
    Sent(NodeIndex, Sent),
    Local(SlotId, Message),
    GivenUp(Why, Message),
    Dropped(Message),
}
