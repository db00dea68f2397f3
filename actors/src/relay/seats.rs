//! A session's place on its thread: what the relay, the session and the socket's pump share of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use greenroom_protocol::results::{Connected, SubscriptionOutcome};
use greenroom_protocol::{CodecKind, EntityId, RequestId};

use crate::clock::Millis;
use crate::ids::{SessionKey, WorkerId};
use crate::outbox::Outbox;

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
    pub heard: Cell<Millis>,
    /// When its socket last took anything, or had nothing to take.
    pub wrote: Cell<Millis>,
    /// Bytes taken from the outbox and not yet by the socket.
    pub unwritten: Cell<usize>,
    /// When its identity expires; `Millis::MAX` for never or not yet known.
    pub expires: Cell<Millis>,
    /// By when it must have connected; `Millis::MAX` once it has.
    pub connect_by: Cell<Millis>,
    /// When it was last pinged.
    pub pinged: Cell<Millis>,
    /// Whether it was warned that its identity expires.
    pub warned: Cell<bool>,
    /// What it follows, or is about to. Whatever the relay has of it is in here.
    pub follows: RefCell<Vec<Follow>>,
    /// The answer to `connect`, while its subscriptions are being gathered.
    pub gather: RefCell<Option<Box<Gather>>>,
}

/// One subscription of a session.
#[derive(Debug, Clone)]
pub struct Follow {
    /// What it follows.
    pub entity: EntityId,
    /// The latest subscription to it that was asked for.
    pub number: u32,
}

/// An answer to `connect` in the making.
#[derive(Debug)]
pub struct Gather {
    /// What to answer to.
    pub id: Option<RequestId>,
    /// The answer, all but `subscriptions`.
    pub connected: Connected,
    /// The subscriptions' outcomes so far.
    pub parts: Vec<Option<SubscriptionOutcome>>,
}

impl Seat {
    /// A fresh session's place; it must connect by `connect_by`.
    pub fn new(key: SessionKey, codec: CodecKind, outbox_bytes: usize, now: Millis, connect_by: Millis) -> Self {
        Self {
            key,
            codec,
            outbox: Outbox::new(outbox_bytes),
            in_flight: Cell::new(0),
            heard: Cell::new(now),
            wrote: Cell::new(now),
            unwritten: Cell::new(0),
            expires: Cell::new(Millis::MAX),
            connect_by: Cell::new(connect_by),
            pinged: Cell::new(now),
            warned: Cell::new(false),
            follows: RefCell::default(),
            gather: RefCell::new(None),
        }
    }

    /// The number of the latest subscription to `entity`, if it follows that or is about to.
    pub fn following(&self, entity: &EntityId) -> Option<u32> {
        self.follows.borrow().iter().find(|follow| follow.entity == *entity).map(|follow| follow.number)
    }

    /// Notes a subscription to `entity`; of several the latest counts.
    pub fn follow(&self, entity: &EntityId, number: u32) {
        let mut follows = self.follows.borrow_mut();
        match follows.iter_mut().find(|follow| follow.entity == *entity) {
            Some(follow) => follow.number = follow.number.max(number),
            None => follows.push(Follow { entity: entity.clone(), number }),
        }
    }

    /// Counts one request as answered.
    pub fn answered(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }
}

/// The seats of one thread, found by slot. A slot is used again with the next generation, so that a late message for a
/// session that has gone reaches nobody.
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
        let seat = Rc::new(make(SessionKey { worker: self.worker, slot, generation: place.generation }));
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
        SeatCounts { seats: self.taken, outbox_bytes: self.iter().map(|seat| seat.outbox.bytes()).sum() }
    }
}
