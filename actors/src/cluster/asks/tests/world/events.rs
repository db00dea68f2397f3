//! What nodes do: they read, answer, bounce, get and lose slots, and die.

use super::{HERE, Kind, Pending, Reply, Sent, Step, World, index, only};
use crate::clock::Mono;
use crate::cluster::asks::Owner;
use crate::cluster::asks::tests::script::NODES;
use crate::cluster::slot::{SlotId, SlotSet};
use crate::ids::NodeIndex;

impl World {
    pub(super) fn down(&mut self, node: u8) {
        self.nodes[usize::from(node)].heard = false;
        self.nodes[usize::from(node)].outbox.clear();
        self.call(|asks, mut out| asks.link_down(NodeIndex(node.into()), &mut out));
    }

    /// What it had not committed never happened, and its entities forget their audiences.
    pub(super) fn die(&mut self, node: u8) {
        let dead = &mut self.nodes[usize::from(node)];
        dead.alive = false;
        dead.open = SlotSet::EMPTY;
        for pending in std::mem::take(&mut dead.pending) {
            if !pending.committed {
                self.taken.retain(|(_, taken)| *taken != pending.message);
            }
        }
        let map = *self.maps.last().unwrap();
        let owner = Owner::Node(NodeIndex(node.into()));
        self.taken.retain(|(slot, taken)| taken.kind != Kind::Tell || map[index(*slot)] != owner);
        self.down(node);
    }

    pub(super) fn read(&mut self, node: u8) {
        let owner = &mut self.nodes[usize::from(node)];
        if !owner.alive {
            return;
        }
        let Some(Sent { slot, round, id, message }) = owner.inbox.pop_front() else { return };
        let served = owner.open.contains(slot);
        let takes = match id {
            Some(_) => owner.refusals.takes_ask(HERE, slot, round, served),
            None => owner.refusals.takes_tell(HERE, slot, round, served),
        };
        if takes {
            let first = self.take(slot, message);
            if id.is_some() {
                let pending = &mut self.nodes[usize::from(node)].pending;
                // A repeat waits for the commit of what it repeats.
                let waits = |one: &Pending| one.message == message && !one.committed;
                let committed = !first && !pending.iter().any(waits);
                pending.push(Pending { id, slot, message, committed });
            }
        } else if let Some(id) = id {
            self.met.bounces += 1;
            self.met.rest_of_round += u32::from(served);
            owner.outbox.push_back(Reply::Bounce(id, slot, owner.map));
        }
    }

    pub(super) fn hear(&mut self, node: u8) {
        let from = NodeIndex(node.into());
        let other = &mut self.nodes[usize::from(node)];
        let Some(reply) = other.outbox.pop_front().filter(|_| other.heard) else { return };
        match reply {
            Reply::Answer(id) => {
                let (answered, outputs) =
                    self.collect(|asks, mut out| asks.answered(from, id, &mut out));
                match answered {
                    Some(answered) => self.decided(answered.message),
                    None => self.complain(format!("unclaimed: nobody waits for {id:?}")),
                }
                for output in outputs {
                    self.carry_out(output);
                }
            }
            Reply::Bounce(id, slot, map) => {
                let now = Mono::at(self.now);
                self.bounced.insert(self.ids[&id]);
                self.note_untaken(self.ids[&id]);
                self.call(|asks, mut out| asks.bounced(from, &[id], slot, map, now, &mut out));
            }
        }
    }

    pub(super) fn close(&mut self, slot: SlotId) {
        match self.owner(slot) {
            Owner::Here => {
                self.here_open = self.here_open.without(&only(slot));
                self.call(|asks, _| asks.closed(&only(slot)));
            }
            Owner::Node(node) => {
                let node = &mut self.nodes[usize::from(node.0)];
                node.open = node.open.without(&only(slot));
            }
            Owner::Nobody => {}
        }
    }

    pub(super) fn open(&mut self, slot: SlotId) {
        let version = self.version();
        match self.owner(slot) {
            Owner::Here => {
                self.here_open.insert(slot);
                // A node opens only by a map that it has read.
                self.step(Step::Map { late: 0 });
                self.call(|asks, mut out| asks.opened(&only(slot), &mut out));
            }
            Owner::Node(node) => {
                let node = &mut self.nodes[usize::from(node.0)];
                if node.alive {
                    node.open.insert(slot);
                    node.map = version;
                }
            }
            Owner::Nobody => {}
        }
    }

    /// The owner closes the slot, and commits what it has of it, before it has another owner (M4).
    pub(super) fn give(&mut self, slot: SlotId, to: u8) {
        self.close(slot);
        if let Owner::Node(owner) = self.owner(slot) {
            let owner = &mut self.nodes[usize::from(owner.0)];
            for pending in owner.pending.iter_mut().filter(|pending| pending.slot == slot) {
                pending.committed = true;
            }
        }
        let mut map = *self.maps.last().unwrap();
        map[index(slot)] = match to {
            0 => Owner::Here,
            to if to <= NODES => Owner::Node(NodeIndex(to.into())),
            _ => Owner::Nobody,
        };
        self.maps.push(map);
    }
}
