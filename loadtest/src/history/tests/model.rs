//! Makes valid histories: a server that is one list for each entity, and clients whose requests
//! take effect at some moment between their invocation and their answer, if they are answered at
//! all. One seed decides everything.

use fastrand::Rng;
use greenroom_protocol::results::SnapshotReason;
use greenroom_protocol::{Epoch, Position, Seq};

use crate::history::digest::Messages;
use crate::history::{Effect, Entry, Event, Follow, Got, History, Name, Page, State, What};

/// How large a history is made.
#[derive(Debug, Clone)]
pub struct Size {
    /// Things that happen, about.
    pub steps: usize,
    /// Clients that do them.
    pub clients: u32,
    /// Entities: rooms, and every other one a document.
    pub entities: u32,
    /// Messages in a room's state.
    pub window: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { steps: 400, clients: 3, entities: 2, window: 4 }
    }
}

/// The epoch of an entity's log.
pub fn epoch(entity: u32) -> Epoch {
    Epoch::from_bits(u64::from(entity))
}

/// What a log comes to after its first `seq` events; `add` is what each adds, for documents.
pub fn state(entity: u32, log: &[(Event, i64)], seq: Seq, window: usize) -> State {
    let log = &log[..usize::try_from(seq).expect("it is small")];
    if entity % 2 == 1 {
        return State::Sum(log.iter().map(|(_, add)| add).sum());
    }
    let shown = &log[log.len().saturating_sub(window)..];
    let all =
        shown.iter().fold(Name::NONE, |all, (event, _)| all.then(event.seq, event.at, event.op));
    State::Room(Messages { count: shown.len() as u32, all })
}

/// A valid history.
pub fn history(seed: u64, size: &Size) -> History {
    let mut model = Model::new(seed, size);
    for _ in 0..size.steps {
        model.step();
    }
    model.end()
}

struct Op {
    entity: u32,
    name: Name,
    add: i64,
    placed: Option<Event>,
}

/// A request other than an op: what it will be answered, once it has taken effect.
struct Ask {
    entity: u32,
    asked: u64,
    kind: AskKind,
    taken: Option<What>,
}

#[derive(Clone, Copy, PartialEq)]
enum AskKind {
    Read,
    Page,
    Follow,
}

#[derive(Default, Clone)]
struct View {
    position: Option<Seq>,
    follows: bool,
    /// Whether nothing is expected any more.
    over: bool,
}

#[derive(Default)]
struct Client {
    sent: u64,
    ops: Vec<Op>,
    asks: Vec<Ask>,
    views: Vec<View>,
}

struct Model {
    rng: Rng,
    size: Size,
    t: u64,
    logs: Vec<Vec<(Event, i64)>>,
    clients: Vec<Client>,
    /// Ops whose answer will never come, and that may take effect all the same.
    orphans: Vec<Op>,
    history: History,
}

impl Model {
    fn new(seed: u64, size: &Size) -> Self {
        let name = |entity| {
            format!("{}:{entity}", if entity % 2 == 1 { "doc" } else { "room" })
                .parse()
                .expect("it is an entity id")
        };
        let views = vec![View::default(); size.entities as usize];
        Self {
            rng: Rng::with_seed(seed),
            size: size.clone(),
            t: 0,
            logs: vec![Vec::new(); size.entities as usize],
            clients: (0..size.clients)
                .map(|_| Client { views: views.clone(), ..Client::default() })
                .collect(),
            orphans: Vec::new(),
            history: History {
                entities: (0..size.entities).map(name).collect(),
                entries: Vec::new(),
            },
        }
    }

    fn tick(&mut self) -> u64 {
        self.t += self.rng.u64(1..5);
        self.t
    }

    fn note(&mut self, client: u32, entity: u32, what: What) {
        let t = self.tick();
        self.history.entries.push(Entry { t, client, entity, what });
    }

    fn step(&mut self) {
        let client = self.rng.u32(0..self.size.clients);
        let entity = self.rng.u32(0..self.size.entities);
        match self.rng.u32(0..20) {
            0..4 => self.invoke(client, entity),
            4..8 => self.place(client),
            8..11 => self.answer(client),
            11..13 => self.ask(client, entity),
            13..15 => self.take(client),
            15..17 => self.finish(client),
            17..19 => self.tell(client, entity),
            _ => self.interrupt(client, entity),
        }
    }

    fn invoke(&mut self, client: u32, entity: u32) {
        let me = &mut self.clients[client as usize];
        if me.ops.len() >= 4 {
            return;
        }
        me.sent += 1;
        let name = Name::of(&format!("c{client}"), "post", &me.sent.to_string());
        let (add, effect) = if entity % 2 == 1 {
            (me.sent as i64, Effect::Add(me.sent as i64))
        } else {
            (0, Effect::Post)
        };
        me.ops.push(Op { entity, name, add, placed: None });
        self.note(client, entity, What::Invoked { op: name, effect });
    }

    fn put(log: &mut Vec<(Event, i64)>, op: &Op) -> Event {
        let seq = log.len() as u64 + 1;
        let event = Event { seq, at: 1000 + seq / 3, op: op.name };
        log.push((event, op.add));
        event
    }

    /// An op takes effect.
    fn place(&mut self, client: u32) {
        if self.rng.u32(0..8) == 0
            && let Some(op) = self.orphans.pop()
        {
            Self::put(&mut self.logs[op.entity as usize], &op);
            return;
        }
        let me = &mut self.clients[client as usize];
        if let Some(op) = me.ops.iter_mut().find(|op| op.placed.is_none()) {
            op.placed = Some(Self::put(&mut self.logs[op.entity as usize], op));
        }
    }

    /// An op is answered, or never will be.
    fn answer(&mut self, client: u32) {
        let count = self.clients[client as usize].ops.len();
        if count == 0 {
            return;
        }
        let which = self.rng.usize(0..count);
        let op = &self.clients[client as usize].ops[which];
        let chance = self.rng.u32(0..12);
        match op.placed {
            Some(_) if chance == 0 => drop(self.clients[client as usize].ops.swap_remove(which)),
            Some(Event { seq, at, op: name }) => {
                let entity = self.clients[client as usize].ops.swap_remove(which).entity;
                self.note(
                    client,
                    entity,
                    What::Acked { op: name, epoch: epoch(entity), seq, at, duplicate: chance == 1 },
                );
            }
            None if chance == 0 => {
                let op = self.clients[client as usize].ops.swap_remove(which);
                self.note(client, op.entity, What::Refused { op: op.name });
                if self.rng.bool() {
                    // Refused for now only.
                    let effect =
                        if op.entity % 2 == 1 { Effect::Add(op.add) } else { Effect::Post };
                    self.note(client, op.entity, What::Invoked { op: op.name, effect });
                    self.clients[client as usize].ops.push(op);
                }
            }
            None if chance == 1 => {
                let op = self.clients[client as usize].ops.swap_remove(which);
                self.orphans.push(op);
            }
            None => {}
        }
    }

    fn ask(&mut self, client: u32, entity: u32) {
        let following = self.clients[client as usize].views[entity as usize].follows;
        let waiting = self.clients[client as usize]
            .asks
            .iter()
            .any(|ask| ask.entity == entity && ask.kind == AskKind::Follow);
        let kind = match self.rng.u32(0..4) {
            0 => AskKind::Page,
            1 => AskKind::Read,
            _ if following || waiting => AskKind::Read,
            _ => AskKind::Follow,
        };
        let asked = self.tick();
        self.clients[client as usize].asks.push(Ask { entity, asked, kind, taken: None });
    }

    /// A request takes effect: its answer is what the log is now.
    fn take(&mut self, client: u32) {
        let Some(which) =
            self.clients[client as usize].asks.iter().position(|ask| ask.taken.is_none())
        else {
            return;
        };
        let Ask { entity, asked, kind, .. } = self.clients[client as usize].asks[which];
        let log = &self.logs[entity as usize];
        let (seq, epoch) = (log.len() as u64, epoch(entity));
        let all = |from: Seq, to: Seq| {
            log[from as usize..to as usize].iter().map(|(event, _)| *event).collect::<Vec<_>>()
        };
        let state = state(entity, log, seq, self.size.window);
        let taken = match kind {
            AskKind::Read => What::Read { asked, epoch, seq, state },
            AskKind::Page if self.rng.bool() => {
                let from = seq.saturating_sub(5);
                What::Page(Box::new(Page {
                    asked,
                    after: None,
                    epoch,
                    events: all(from, seq),
                    more: from > 0,
                }))
            }
            AskKind::Page => {
                let from = self.rng.u64(0..=seq);
                let to = seq.min(from + 5);
                What::Page(Box::new(Page {
                    asked,
                    after: Some(from),
                    epoch,
                    events: all(from, to),
                    more: to < seq,
                }))
            }
            AskKind::Follow => {
                let after = self.clients[client as usize].views[entity as usize].position;
                let got = match after {
                    Some(after) if after == seq || self.rng.bool() => Got::Events(all(after, seq)),
                    Some(_) => Got::Snapshot { state, reason: Some(SnapshotReason::TooOld) },
                    None => Got::Snapshot { state, reason: Some(SnapshotReason::NoPosition) },
                };
                let after = after.map(|seq| Position { epoch: epoch.clone(), seq });
                What::Followed(Box::new(Follow { asked, after, epoch, seq, got }))
            }
        };
        self.clients[client as usize].asks[which].taken = Some(taken);
    }

    /// An answer arrives.
    fn finish(&mut self, client: u32) {
        let me = &mut self.clients[client as usize];
        let Some(which) = me.asks.iter().position(|ask| ask.taken.is_some()) else { return };
        let ask = me.asks.remove(which);
        let what = ask.taken.expect("it was looked for");
        if let What::Followed(follow) = &what {
            me.views[ask.entity as usize] =
                View { position: Some(follow.seq), follows: true, over: false };
        }
        self.note(client, ask.entity, what);
    }

    /// A subscriber is told the next event.
    fn tell(&mut self, client: u32, entity: u32) {
        let view = &mut self.clients[client as usize].views[entity as usize];
        let Some(position) = view.position.filter(|_| view.follows) else { return };
        let Some((event, _)) = self.logs[entity as usize].get(position as usize).copied() else {
            return;
        };
        view.position = Some(event.seq);
        self.note(client, entity, What::Told(event));
    }

    /// A subscription does not just go on.
    fn interrupt(&mut self, client: u32, entity: u32) {
        let log = &self.logs[entity as usize];
        let seq = log.len() as u64;
        let view = &mut self.clients[client as usize].views[entity as usize];
        if !view.follows {
            return;
        }
        match self.rng.u32(0..3) {
            0 => view.follows = false,
            1 => {
                (view.follows, view.over) = (false, true);
                self.note(client, entity, What::Unfollowed);
            }
            _ => {
                view.position = Some(seq);
                let state = state(entity, log, seq, self.size.window);
                self.note(
                    client,
                    entity,
                    What::Reset {
                        epoch: epoch(entity),
                        seq,
                        state,
                        reason: SnapshotReason::TooOld,
                    },
                );
            }
        }
    }

    /// Everybody who is expected to have everything gets it, and the logs are read.
    fn end(mut self) -> History {
        let pairs: Vec<_> = (0..self.size.clients)
            .flat_map(|client| (0..self.size.entities).map(move |entity| (client, entity)))
            .collect();
        for (client, entity) in pairs {
            // What was asked for and not answered by now never will be.
            self.clients[client as usize].asks.clear();
            let view = self.clients[client as usize].views[entity as usize].clone();
            if view.over || view.position.is_none() {
                continue;
            }
            if !view.follows {
                let asked = self.tick();
                self.clients[client as usize].asks.push(Ask {
                    entity,
                    asked,
                    kind: AskKind::Follow,
                    taken: None,
                });
                self.take(client);
                self.finish(client);
            }
            while self.clients[client as usize].views[entity as usize].position
                < Some(self.logs[entity as usize].len() as u64)
            {
                self.tell(client, entity);
            }
        }
        for entity in 0..self.size.entities {
            let log: Vec<_> = self.logs[entity as usize].iter().map(|(event, _)| *event).collect();
            let mut pages = log.chunks(1000).map(<[_]>::to_vec).collect::<Vec<_>>();
            if pages.is_empty() {
                pages.push(Vec::new());
            }
            for events in pages {
                self.note(self.size.clients, entity, What::Log { epoch: epoch(entity), events });
            }
        }
        self.history
    }
}
