//! A session's place on its thread: what the relay, the session and the socket's pump share of it.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use greenroom_protocol::codec::{Message, Method};
use greenroom_protocol::notify::Refused;
use greenroom_protocol::{CodecKind, EntityId, RawJson, WireError};

use super::gather::Gather;
use super::refusals::Refusals;
use crate::answer::{Responder, overloaded};
use crate::capability::Permissions;
use crate::clock::{Millis, Mono};
use crate::frames::Encoder;
use crate::ids::{SessionKey, WorkerId};
use crate::kind::Kind;
use crate::metrics::MAILBOX_REFUSALS;
use crate::outbox::Outbox;
use crate::rare::{Empty, Rare};
use crate::rights::Rights;

/// After this number of requests refused for a rate within a second, no more are read until the
/// next. This bounds what a flood costs; a client that sends as much at once waits a little.
const CHOKE_AFTER: u32 = 500;
/// For how many write timeouts at most a socket is ahead when it has taken much at once.
pub const AHEAD: u64 = 4;
/// A message counts as one more request for each full multiple of this number of bytes.
const OVER_BYTES: u32 = 4096;

/// One session's place. Lives on one thread.
#[derive(Debug)]
pub struct Seat {
    /// Which session.
    pub key: SessionKey,
    /// What it speaks.
    pub codec: CodecKind,
    /// What waits for its socket.
    pub outbox: Outbox,
    /// Requests not answered yet.
    pub in_flight: Cell<u32>,
    /// When its client last sent anything.
    pub heard: Cell<Mono>,
    /// Until when its client is known to have been busy reading: silence counts from then.
    pub busy: Cell<Mono>,
    /// From when its socket owes progress; in the future if it is ahead.
    owes_from: Cell<Mono>,
    /// Nothing waited for it at some time since this was last asked.
    drained: Cell<bool>,
    /// Bytes that it has taken and that are not counted yet.
    taken: Cell<usize>,
    /// Bytes taken from the outbox and not yet by the socket.
    pub unwritten: Cell<usize>,
    /// When its identity expires; `Millis::MAX` for never or not yet known.
    pub expires: Cell<Millis>,
    /// When to warn its client of that; `Millis::MAX` for never, or once it was.
    pub warn_at: Cell<Millis>,
    /// By when it must have connected; `Mono::NEVER` once it has.
    pub connect_by: Cell<Mono>,
    /// When it was last pinged.
    pub pinged: Cell<Mono>,
    /// Whose it is, once it has connected.
    pub owner: OnceCell<Owner>,
    /// Its client has said that it goes, and does not come back.
    pub left: Cell<bool>,
    /// Who it acts for and what that one may do, once it has connected; the latest counts.
    rights: RefCell<Option<Rc<Rights>>>,
    /// Where it has entered, or is about to.
    pub present: RefCell<Vec<Present>>,
    /// Enters so far, so that what is told of an earlier one is told apart.
    enters: Cell<u32>,
    /// How many there had been when a presence was last ended by the server.
    ended_enters: Cell<u32>,
    /// What it follows, or is about to. Whatever the relay has of it is in here.
    pub follows: RefCell<Vec<Follow>>,
    /// Requests without an id that were refused lately.
    refusals: RefCell<Rare<Refusals>>,
    /// What was refused for a rate since the last second, in requests; a long one counts as
    /// several.
    over: Cell<u32>,
    /// The next probe: a ping whose answer shows that its client has read what came before it.
    probe: Cell<u32>,
    /// It is to be sent.
    probing: Cell<bool>,
    /// Subscriptions so far, numbered in the order in which entities are asked.
    subscriptions: Cell<u32>,
    /// The answer to `connect`, while its subscriptions are being gathered.
    pub gather: RefCell<Option<Box<Gather>>>,
}

/// Who may resume a session: the same user, and the same client id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The authenticated user.
    pub user: Arc<str>,
    /// Its client id.
    pub client: Arc<str>,
}

/// One presence entry of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// Where it is present.
    pub entity: EntityId,
    /// What its user says of itself there.
    pub meta: RawJson,
    /// The session's enter that it began with.
    since: u32,
    /// Enters since then that were not refused: without any it is not there.
    standing: u32,
}

impl Present {
    /// An entry that nobody can refuse any more.
    #[cfg(test)]
    pub(super) fn settled(entity: EntityId, meta: RawJson) -> Self {
        Self { entity, meta, since: 0, standing: 1 }
    }
}

/// A session's subscription to one entity.
#[derive(Debug, Clone)]
pub struct Follow {
    /// What it follows.
    pub entity: EntityId,
    /// The latest subscription to it that was asked for.
    pub number: u32,
    /// Those before this one have ended, even if their answers are still on their way.
    since: u32,
    /// Subscriptions to it that are not answered yet.
    open: u32,
}

impl Follow {
    /// Whether any subscription to it has not ended.
    pub fn stands(&self) -> bool {
        self.number >= self.since
    }
}

impl Seat {
    /// A fresh session's place; it must connect by `connect_by`.
    pub fn new(
        key: SessionKey,
        codec: CodecKind,
        outbox: Outbox,
        now: Mono,
        connect_by: Mono,
    ) -> Self {
        Self {
            key,
            codec,
            outbox,
            in_flight: Cell::new(0),
            heard: Cell::new(now),
            busy: Cell::new(now),
            owes_from: Cell::new(now),
            drained: Cell::new(true),
            taken: Cell::new(0),
            unwritten: Cell::new(0),
            expires: Cell::new(Millis::MAX),
            warn_at: Cell::new(Millis::MAX),
            connect_by: Cell::new(connect_by),
            pinged: Cell::new(now),
            owner: OnceCell::new(),
            left: Cell::new(false),
            rights: RefCell::default(),
            present: RefCell::default(),
            enters: Cell::new(0),
            ended_enters: Cell::new(0),
            follows: RefCell::default(),
            refusals: RefCell::default(),
            over: Cell::new(0),
            probe: Cell::new(1),
            probing: Cell::new(false),
            subscriptions: Cell::new(0),
            gather: RefCell::new(None),
        }
    }

    /// Who it acts for and what that one may do; `None` until it has connected.
    pub fn rights(&self) -> Option<Rc<Rights>> {
        self.rights.borrow().clone()
    }

    /// From now on it acts by these rights.
    pub fn set_rights(&self, rights: Rights) {
        self.rights.replace(Some(Rc::new(rights)));
    }

    /// The entity's kind, if the session may do `needed`; otherwise the request is answered.
    pub fn allowed(
        &self,
        entity: &EntityId,
        needed: Permissions,
        reply: Responder,
    ) -> Option<(Arc<Kind>, Responder)> {
        let rights = self.rights.borrow();
        match rights.as_ref()?.check(entity, needed) {
            Ok(kind) => Some((Arc::clone(kind), reply)),
            Err(error) => {
                reply.send_error(error);
                None
            }
        }
    }

    /// Whether the session may read `entity`, and there is room for what may be a large answer;
    /// otherwise it is answered.
    pub fn readable(&self, entity: &EntityId, reply: Responder) -> Option<Responder> {
        let (_, reply) = self.allowed(entity, Permissions::READ, reply)?;
        if !self.outbox.has_room() {
            MAILBOX_REFUSALS.counter_with(["outboxes"]).increment(1);
            reply.send_error(overloaded("outboxes"));
            return None;
        }
        let standing = self.outbox.standing();
        if !reply.is_part() {
            self.outbox.making();
        }
        Some(reply.large(standing))
    }

    /// The number of the latest subscription to `entity`, if it follows that or is about to.
    pub fn following(&self, entity: &EntityId) -> Option<u32> {
        self.follows
            .borrow()
            .iter()
            .find(|follow| follow.entity == *entity && follow.stands())
            .map(|follow| follow.number)
    }

    /// Notes that it asks to follow `entity`, and numbers that. `None` if it follows `most` others.
    pub fn follow(&self, entity: &EntityId, most: usize) -> Option<u32> {
        let mut follows = self.follows.borrow_mut();
        let full = follows.len() >= most;
        let number = self.subscriptions.get() + 1;
        match follows.iter_mut().find(|follow| follow.entity == *entity) {
            Some(follow) => (follow.number, follow.open) = (number, follow.open + 1),
            None if full => return None,
            None => follows.push(Follow { entity: entity.clone(), number, since: number, open: 1 }),
        }
        self.subscriptions.set(number);
        Some(number)
    }

    /// It has asked to follow `entity` as its subscription with this number.
    #[cfg(test)]
    pub(super) fn follow_by(&self, entity: &EntityId, number: u32) {
        self.subscriptions.set(number - 1);
        self.follow(entity, usize::MAX);
    }

    /// Whether the subscription to `entity` with this number has not ended.
    pub fn follows_by(&self, entity: &EntityId, number: u32) -> bool {
        self.follows
            .borrow()
            .iter()
            .any(|follow| follow.entity == *entity && follow.since <= number)
    }

    /// A request to follow `entity` is answered, and `followed` says whether there is a
    /// subscription now.
    pub fn follow_answered(&self, entity: &EntityId, followed: bool) {
        let mut follows = self.follows.borrow_mut();
        let Some(index) = follows.iter().position(|follow| follow.entity == *entity) else {
            return;
        };
        follows[index].open = follows[index].open.saturating_sub(1);
        if follows[index].open == 0 && !followed {
            follows.swap_remove(index);
        }
    }

    /// Its subscriptions to `entity` up to the one with this number have ended. What is not
    /// answered yet still has its place.
    pub fn unfollow(&self, entity: &EntityId, through: u32) {
        let mut follows = self.follows.borrow_mut();
        let Some(index) = follows.iter().position(|follow| follow.entity == *entity) else {
            return;
        };
        let follow = &mut follows[index];
        follow.since = follow.since.max(through.saturating_add(1));
        if !follow.stands() && follow.open == 0 {
            follows.swap_remove(index);
        }
    }

    /// Notes that it enters `entity`, or says something new of itself there. Returns the number of
    /// this enter; `None` if it is present in `most` others.
    pub fn enter(&self, entity: &EntityId, meta: RawJson, most: usize) -> Option<u32> {
        let number = self.enters.get() + 1;
        let mut all = self.present.borrow_mut();
        let full = all.len() >= most;
        match all.iter_mut().find(|present| present.entity == *entity) {
            Some(present) => {
                present.meta = meta;
                present.standing += 1;
            }
            None if full => return None,
            None => all.push(Present { entity: entity.clone(), meta, since: number, standing: 1 }),
        }
        self.enters.set(number);
        Some(number)
    }

    /// The enter with this number was refused. True: so it is not there, whatever its entity was
    /// told meanwhile.
    pub fn enter_refused(&self, entity: &EntityId, number: u32) -> bool {
        let mut all = self.present.borrow_mut();
        let refused = |present: &Present| present.entity == *entity && present.since <= number;
        let Some(index) = all.iter().position(refused) else { return false };
        all[index].standing -= 1;
        let none_stands = all[index].standing == 0;
        if none_stands {
            all.swap_remove(index);
        }
        none_stands
    }

    /// Notes that it has left `entity`; false if it was not there.
    pub fn leave(&self, entity: &EntityId) -> bool {
        let mut present = self.present.borrow_mut();
        let before = present.len();
        present.retain(|present| present.entity != *entity);
        present.len() < before
    }

    /// The server ends its presence in `entity`.
    pub fn take_out(&self, entity: &EntityId) {
        self.leave(entity);
        self.ended_enters.set(self.enters.get());
    }

    /// Whether the server has ended what the enter with this number began, or may have.
    pub fn was_taken_out(&self, entity: &EntityId, number: u32) -> bool {
        let stands = |present: &Present| present.entity == *entity && present.since <= number;
        number <= self.ended_enters.get() && !self.present.borrow().iter().any(stands)
    }

    /// The socket has taken `bytes`.
    pub fn took(&self, bytes: usize) {
        self.taken.set(self.taken.get() + bytes);
    }

    /// There is nothing that its socket could take.
    pub fn drained(&self) {
        self.drained.set(true);
    }

    /// For how long, in ms, its socket has not taken its due of what is `waiting`: `due` bytes in
    /// each `timeout`. What it takes beyond that counts for up to [`AHEAD`] timeouts, since systems
    /// pass on only in large steps what their programs read slowly. Of what was taken while nothing
    /// had to wait only the last second counts: the system may hold a burst, but it has passed on
    /// what came before. To be asked once a second.
    pub fn behind(&self, now: Mono, waiting: bool, due: usize, timeout: u64) -> u64 {
        let (due, taken) = (due.max(1), self.taken.get() + self.outbox.take_flushed());
        let owes = waiting && !self.drained.replace(false);
        let earned = timeout.saturating_mul((taken / due) as u64);
        let since = if owes {
            self.taken.set(taken % due);
            self.owes_from.get().after(earned)
        } else {
            self.taken.set(0);
            self.owes_from.get().max(now.after(earned))
        };
        let since = since.min(now.after(timeout.saturating_mul(AHEAD)));
        self.owes_from.set(since);
        if waiting {
            // By then it will have read what the systems hold.
            self.busy.set(now.max(since));
        }
        now.since(since)
    }

    /// Tells its client that a request without an id was refused, now or with others once a second.
    pub fn refused(
        &self,
        encoder: &Encoder,
        method: &'static str,
        entity: Option<EntityId>,
        error: WireError,
    ) {
        let told = self
            .refusals
            .borrow_mut()
            .change(Refusals::default, |refusals| refusals.add(method, entity, error));
        told.into_iter().for_each(|told| self.tell_refused(encoder, &told));
    }

    fn tell_refused(&self, encoder: &Encoder, told: &Refused) {
        self.outbox.push(
            encoder.encode(
                self.codec,
                &Message::Notification { method: Method::Refused, params: told },
            ),
        );
    }

    /// A message of `bytes` was refused for a rate.
    pub fn over_limit(&self, bytes: u32) {
        self.over.set(self.over.get().saturating_add(1 + bytes / OVER_BYTES));
    }

    /// The next probe, which will be sent within a second.
    pub fn next_probe(&self) -> u32 {
        self.probing.set(true);
        self.probe.get()
    }

    /// The number of the probe to send, if one is wanted.
    pub fn take_probe(&self) -> Option<u32> {
        let number = self.probing.replace(false).then(|| self.probe.get())?;
        self.probe.set(number + 1);
        Some(number)
    }

    /// Whether it was sent this probe.
    pub fn was_sent(&self, probe: u32) -> bool {
        probe < self.probe.get()
    }

    /// Whether so much was refused within this second that no more is read until the next.
    pub fn is_choked(&self) -> bool {
        self.over.get() >= CHOKE_AFTER
    }

    /// Whether requests are read: not while its client takes no answers or several large ones are
    /// being made, and not before the next second once so much was refused.
    pub fn is_read(&self) -> bool {
        !self.outbox.is_full() && !self.outbox.is_busy() && !self.is_choked()
    }

    /// A second is over: tells its client of what was refused, and reads on if it was choked.
    pub fn next_second(&self, encoder: &Encoder) {
        if self.over.replace(0) >= CHOKE_AFTER {
            self.outbox.rouse();
        }
        if !self.refusals.borrow().is_empty() && !self.outbox.is_full() {
            let due = self.refusals.borrow_mut().change_if_any(Refusals::due).unwrap_or_default();
            due.iter().for_each(|told| self.tell_refused(encoder, told));
        }
    }

    /// Counts one request as answered.
    pub fn answered(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }
}

/// The seats of one thread, found by slot. A slot is used again with the next generation, so that a
/// late message for a session that has gone reaches nobody.
#[derive(Debug)]
pub struct Seats {
    worker: WorkerId,
    slots: Vec<Slot>,
    free: Vec<u32>,
    taken: usize,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    seat: Option<Rc<Seat>>,
}

/// Numbers over all seats, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeatCounts {
    /// How many there are.
    pub seats: usize,
    /// Bytes in all outboxes.
    pub outbox_bytes: usize,
}

impl Seats {
    /// No seats yet.
    pub fn new(worker: WorkerId) -> Self {
        Self { worker, slots: Vec::new(), free: Vec::new(), taken: 0 }
    }

    /// Takes a free slot for the seat that `make` builds.
    pub fn add(&mut self, make: impl FnOnce(SessionKey) -> Seat) -> Rc<Seat> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("a process cannot hold 2^32 sockets")
        });
        let place = &mut self.slots[slot as usize];
        place.generation = place.generation.wrapping_add(1);
        let seat =
            Rc::new(make(SessionKey { worker: self.worker, slot, generation: place.generation }));
        place.seat = Some(Rc::clone(&seat));
        self.taken += 1;
        seat
    }

    /// Frees the seat's slot. Says whether it was taken.
    pub fn remove(&mut self, key: SessionKey) -> bool {
        if self.get(key).is_none() {
            return false;
        }
        self.slots[key.slot as usize].seat = None;
        self.free.push(key.slot);
        self.taken -= 1;
        true
    }

    /// The seat of a session that is still here.
    pub fn get(&self, key: SessionKey) -> Option<&Rc<Seat>> {
        let slot = self.slots.get(key.slot as usize)?;
        slot.seat.as_ref().filter(|_| slot.generation == key.generation)
    }

    /// Everyone.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<Seat>> {
        self.slots.iter().filter_map(|slot| slot.seat.as_ref())
    }

    /// Numbers for metrics.
    pub fn counts(&self) -> SeatCounts {
        SeatCounts {
            seats: self.taken,
            outbox_bytes: self.iter().map(|seat| seat.outbox.bytes()).sum(),
        }
    }
}
