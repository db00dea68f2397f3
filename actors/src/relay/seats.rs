//! The seats of one thread.

use std::rc::Rc;

use super::seat::Seat;
use crate::ids::{SessionKey, WorkerId};

/// The seats of one thread by slot. A slot is reused with the next generation, so that a late
/// message for a session that has ended reaches nobody.
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

/// Totals for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeatCounts {
    pub seats: usize,
    pub outbox_bytes: usize,
}

impl Seats {
    pub fn new(worker: WorkerId) -> Self {
        Self { worker, slots: Vec::new(), free: Vec::new(), taken: 0 }
    }

    /// Assigns a free slot to the seat that `make` builds.
    pub fn add(&mut self, make: impl FnOnce(SessionKey) -> Seat) -> Rc<Seat> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("a process cannot hold 2^32 sockets")
        });
        let place = &mut self.slots[slot as usize];
        place.generation = place.generation.wrapping_add(1);
        let seat = Rc::new(make(SessionKey::here(self.worker, slot, place.generation)));
        place.seat = Some(Rc::clone(&seat));
        self.taken += 1;
        seat
    }

    /// Frees the seat's slot. Returns whether it was taken.
    pub fn remove(&mut self, key: SessionKey) -> bool {
        if self.get(key).is_none() {
            return false;
        }
        self.slots[key.slot as usize].seat = None;
        self.free.push(key.slot);
        self.taken -= 1;
        true
    }

    /// The seat of a session, unless it has ended.
    pub fn get(&self, key: SessionKey) -> Option<&Rc<Seat>> {
        let slot = self.slots.get(key.slot as usize)?;
        slot.seat.as_ref().filter(|_| slot.generation == key.generation)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rc<Seat>> {
        self.slots.iter().filter_map(|slot| slot.seat.as_ref())
    }

    /// Totals for metrics.
    pub fn counts(&self) -> SeatCounts {
        SeatCounts {
            seats: self.taken,
            outbox_bytes: self.iter().map(|seat| seat.outbox.bytes()).sum(),
        }
    }
}
