//! The wire between nodes: for each direction between two nodes it delays, loses, repeats and
//! reorders messages, brings some very late, or brings none.

use std::collections::BTreeMap;

use bytes::Bytes;
use greenroom_actors::cluster::map::NodeId;

/// How late the latest messages are, in ms.
const VERY_LATE: u64 = 14_000;

/// A message under way.
#[derive(Debug)]
pub struct Flying {
    pub from: NodeId,
    pub to: NodeId,
    /// Whether it is for all nodes.
    pub for_all: bool,
    pub message: Bytes,
    due: u64,
    number: u64,
}

/// One direction between two nodes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Way {
    /// Nothing arrives.
    pub cut: bool,
    /// The longest delay, in ms.
    pub delay: u64,
    /// How many of 16 messages are lost, arrive twice, and arrive out of order or very late.
    pub lost: u8,
    pub twice: u8,
    pub late: u8,
    /// Nothing that is sent later arrives earlier, unless it is out of order.
    last: u64,
}

#[derive(Debug, Default)]
pub struct Wire {
    flying: Vec<Flying>,
    ways: BTreeMap<(NodeId, NodeId), Way>,
    next: u64,
}

/// What happened to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Fine,
    Lost,
    Twice,
    Late,
}

impl Wire {
    /// One direction.
    pub fn way(&mut self, from: NodeId, to: NodeId) -> &mut Way {
        self.ways.entry((from, to)).or_default()
    }

    /// Ends all faults. What is under way still arrives.
    pub fn heal(&mut self) {
        for way in self.ways.values_mut() {
            *way = Way { last: way.last, ..Way::default() };
        }
    }

    /// Ends the faults of some directions.
    pub fn heal_some(&mut self, rng: &mut fastrand::Rng, one_in: u16) {
        for way in self.ways.values_mut() {
            if way.is_faulty() && rng.u16(..one_in) == 0 {
                *way = Way { last: way.last, ..Way::default() };
            }
        }
    }

    /// Loses everything that is under way.
    pub fn drop_all(&mut self) {
        self.flying.clear();
    }

    pub fn send(
        &mut self,
        (from, to): (NodeId, NodeId),
        for_all: bool,
        message: &Bytes,
        now: u64,
        rng: &mut fastrand::Rng,
    ) -> Sent {
        let way = self.ways.entry((from, to)).or_default();
        if way.cut || rng.u8(..16) < way.lost {
            return Sent::Lost;
        }
        let mut sent = Sent::Fine;
        let mut due = (now + rng.u64(..=way.delay)).max(way.last);
        if rng.u8(..16) < way.late {
            sent = Sent::Late;
            due = now + if rng.bool() { rng.u64(..200) } else { rng.u64(..VERY_LATE) };
        } else {
            way.last = due;
        }
        let twice = rng.u8(..16) < way.twice;
        self.next += 1;
        let number = self.next;
        let message = message.clone();
        if twice {
            sent = Sent::Twice;
            let again = now + rng.u64(..2000);
            let message = message.clone();
            self.flying.push(Flying { from, to, for_all, message, due: again, number });
        }
        self.flying.push(Flying { from, to, for_all, message, due, number });
        sent
    }

    /// The directions from which something can arrive.
    pub fn arrivals(&self, now: u64, alive: impl Fn(NodeId) -> bool) -> Vec<(NodeId, NodeId)> {
        let mut ways: Vec<_> = self
            .flying
            .iter()
            .filter(|flying| flying.due <= now && alive(flying.to))
            .map(|flying| (flying.from, flying.to))
            .collect();
        ways.sort_unstable();
        ways.dedup();
        ways
    }

    /// Takes the next message of a direction.
    pub fn take(&mut self, (from, to): (NodeId, NodeId), now: u64) -> Option<Flying> {
        let next = self
            .flying
            .iter()
            .enumerate()
            .filter(|(_, flying)| flying.from == from && flying.to == to && flying.due <= now)
            .min_by_key(|(_, flying)| (flying.due, flying.number))
            .map(|(index, _)| index)?;
        Some(self.flying.swap_remove(next))
    }

    /// When the next message arrives.
    pub fn next_due(&self, now: u64) -> Option<u64> {
        self.flying.iter().map(|flying| flying.due).filter(|due| *due > now).min()
    }

    /// Drops what is for a node that is gone.
    pub fn forget(&mut self, gone: NodeId) {
        self.flying.retain(|flying| flying.to != gone);
        self.ways.retain(|(from, to), _| *from != gone && *to != gone);
    }
}

impl Way {
    pub const fn is_faulty(&self) -> bool {
        self.cut || self.delay > 0 || self.lost > 0 || self.twice > 0 || self.late > 0
    }
}
