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
    let log = &log[..usize::try_from(seq.get()).expect("it is small")];
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

/// A request on its way.
struct Request {
    client: u32,
    entity: u32,
    asked: u64,
    kind: Kind,
    /// Its answer, once it has taken effect.
    taken: Option<What>,
    /// Whether the answer will never come.
    lost: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Op(Name, i64),
    Read,
    Page,
    Follow,
}

#[derive(Default, Clone, Copy)]
struct View {
    position: Option<Seq>,
    follows: bool,
    /// Whether nothing is expected any more.
    over: bool,
}

struct Model {
    rng: Rng,
    size: Size,
    t: u64,
    sent: i64,
    logs: Vec<Vec<(Event, i64)>>,
    requests: Vec<Request>,
    /// By client and entity.
    views: Vec<Vec<View>>,
    history: History,
}

impl Model {
    fn new(seed: u64, size: &Size) -> Self {
        let name = |entity| {
            let kind = if entity % 2 == 1 { "doc" } else { "room" };
            format!("{kind}:{entity}").parse().expect("it is an entity id")
        };
        let entities = size.entities as usize;
        let views = vec![vec![View::default(); entities]; size.clients as usize];
        let history =
            History { entities: (0..size.entities).map(name).collect(), entries: Vec::new() };
        let (rng, size, logs) = (Rng::with_seed(seed), size.clone(), vec![Vec::new(); entities]);
        Self { rng, size, t: 0, sent: 0, logs, requests: Vec::new(), views, history }
    }

    fn tick(&mut self) -> u64 {
        self.t += self.rng.u64(1..5);
        self.t
    }

    fn note(&mut self, client: u32, entity: u32, what: What) {
        let t = self.tick();
        self.history.entries.push(Entry { t, client, entity, what });
    }

    fn view(&mut self, client: u32, entity: u32) -> &mut View {
        &mut self.views[client as usize][entity as usize]
    }

    fn step(&mut self) {
        let client = self.rng.u32(0..self.size.clients);
        let entity = self.rng.u32(0..self.size.entities);
        let which = self.rng.usize(0..self.requests.len().max(1));
        match self.rng.u32(0..20) {
            0..6 => self.ask(client, entity),
            6..12 => self.take(which),
            12..17 => self.answer(which),
            17..19 => self.tell(client, entity),
            _ => self.interrupt(client, entity),
        }
    }

    fn ask(&mut self, client: u32, entity: u32) {
        if self.requests.len() >= 4 * self.views.len() {
            return;
        }
        let of_this = |request: &Request| (request.client, request.entity) == (client, entity);
        let asks = |request: &Request| of_this(request) && request.kind == Kind::Follow;
        let follows = self.view(client, entity).follows || self.requests.iter().any(asks);
        let kind = match self.rng.u32(0..8) {
            0..4 => {
                self.sent += 1;
                let add = if entity % 2 == 1 { self.sent } else { 0 };
                let effect = if entity % 2 == 1 { Effect::Add(add) } else { Effect::Post };
                let op = Name::of(&format!("c{client}"), "post", &self.sent.to_string());
                self.note(client, entity, What::Invoked { op, effect });
                Kind::Op(op, add)
            }
            4 => Kind::Page,
            5.. if !follows => Kind::Follow,
            _ => Kind::Read,
        };
        let asked = self.tick();
        self.requests.push(Request { client, entity, asked, kind, taken: None, lost: false });
    }

    /// A request takes effect, and its answer is what the log is now.
    fn take(&mut self, which: usize) {
        let Some(request) = self.requests.get(which).filter(|request| request.taken.is_none())
        else {
            return;
        };
        let &Request { client, entity, asked, kind, .. } = request;
        let position = self.view(client, entity).position;
        let (log, epoch) = (&mut self.logs[entity as usize], epoch(entity));
        let seq = Seq::new(log.len() as u64);
        let state = state(entity, log, seq, self.size.window);
        let events = |log: &[(Event, i64)], from: Seq, to: Seq| {
            log[from.get() as usize..to.get() as usize]
                .iter()
                .map(|(event, _)| *event)
                .collect::<Vec<_>>()
        };
        let taken = match kind {
            Kind::Op(op, add) => {
                let (seq, at) = (seq.next(), 1000 + seq.get() / 3);
                log.push((Event { seq, at, op }, add));
                What::Acked { op, epoch, seq, at, duplicate: self.rng.u32(0..12) == 0 }
            }
            Kind::Read => What::Read { asked, epoch, seq, state },
            Kind::Page => {
                let after = self.rng.bool().then(|| Seq::new(self.rng.u64(0..=seq.get())));
                let from = after.unwrap_or(seq.saturating_sub(5));
                let to = seq.min(from + 5);
                let more = if after.is_some() { to < seq } else { from > Seq::ZERO };
                let events = events(log, from, to);
                What::Page(Box::new(Page { asked, after, epoch, events, more }))
            }
            Kind::Follow => {
                let snapshot = |reason| Got::Snapshot { state, reason: Some(reason) };
                let got = match position {
                    Some(after) if after == seq || self.rng.bool() => {
                        Got::Events(events(log, after, seq))
                    }
                    Some(_) => snapshot(SnapshotReason::TooOld),
                    None => snapshot(SnapshotReason::NoPosition),
                };
                let after = position.map(|seq| Position { epoch: epoch.clone(), seq });
                What::Followed(Box::new(Follow { asked, after, epoch, seq, got }))
            }
        };
        self.requests[which].taken = Some(taken);
    }

    /// A request is answered, refused, or never answered.
    fn answer(&mut self, which: usize) {
        let chance = self.rng.u32(0..12);
        let Some(request) = self.requests.get_mut(which) else { return };
        let &mut Request { client, entity, kind, lost, .. } = request;
        match (request.taken.clone(), kind) {
            (None, Kind::Op(op, _)) if chance == 0 && !lost => {
                self.requests.swap_remove(which);
                self.note(client, entity, What::Refused { op });
            }
            // It may take effect all the same.
            (None, _) => request.lost |= chance == 1,
            (Some(_), _) if lost || chance == 1 => drop(self.requests.swap_remove(which)),
            (Some(what), _) => {
                self.requests.swap_remove(which);
                if let What::Followed(follow) = &what {
                    let position = Some(follow.seq);
                    *self.view(client, entity) = View { position, follows: true, over: false };
                }
                self.note(client, entity, what);
            }
        }
    }

    /// A subscriber is told the next event.
    fn tell(&mut self, client: u32, entity: u32) {
        let view = *self.view(client, entity);
        let Some(position) = view.position.filter(|_| view.follows) else { return };
        let Some((event, _)) = self.logs[entity as usize].get(position.get() as usize).copied()
        else {
            return;
        };
        self.view(client, entity).position = Some(event.seq);
        self.note(client, entity, What::Told(event));
    }

    /// A subscription does not just go on.
    fn interrupt(&mut self, client: u32, entity: u32) {
        let chance = self.rng.u32(0..3);
        let seq = Seq::new(self.logs[entity as usize].len() as u64);
        let window = self.size.window;
        let state = state(entity, &self.logs[entity as usize], seq, window);
        let view = self.view(client, entity);
        match chance {
            _ if !view.follows => {}
            0 => view.follows = false,
            1 => {
                (view.follows, view.over) = (false, true);
                self.note(client, entity, What::Unfollowed);
            }
            _ => {
                view.position = Some(seq);
                let (epoch, reason) = (epoch(entity), SnapshotReason::TooOld);
                self.note(client, entity, What::Reset { epoch, seq, state, reason });
            }
        }
    }

    /// Everybody who is expected to have everything gets it, and the logs are read.
    fn end(mut self) -> History {
        // What is not answered by now never will be.
        self.requests.clear();
        let entities = self.size.entities;
        for pair in 0..self.size.clients * entities {
            let (client, entity) = (pair / entities, pair % entities);
            let view = *self.view(client, entity);
            if view.over || view.position.is_none() {
                continue;
            }
            let head = Seq::new(self.logs[entity as usize].len() as u64);
            if !view.follows {
                let asked = self.tick();
                let (kind, taken, lost) = (Kind::Follow, None, false);
                self.requests.push(Request { client, entity, asked, kind, taken, lost });
                self.take(0);
                let what = self.requests.remove(0).taken.expect("it has taken effect");
                *self.view(client, entity) =
                    View { position: Some(head), follows: true, over: false };
                self.note(client, entity, what);
            }
            while self.view(client, entity).position < Some(head) {
                self.tell(client, entity);
            }
        }
        for entity in 0..self.size.entities {
            let log: Vec<_> = self.logs[entity as usize].iter().map(|(event, _)| *event).collect();
            let pages = log.chunks(1000).map(<[_]>::to_vec).chain(log.is_empty().then(Vec::new));
            for events in pages {
                self.note(self.size.clients, entity, What::Log { epoch: epoch(entity), events });
            }
        }
        self.history
    }
}
