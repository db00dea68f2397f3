//! Changes of the map: each makes the next version, or says why it cannot be made.
//!
//! A change becomes true by a transaction of the node that makes it: it expects the version it was
//! made from and writes the lease row of each node that loses slots ([`Change::fences`], rule M1).

use greenroom_protocol::EntityId;

use super::map::{
    ClusterMap, Common, LeaseRow, MAX_PEERS, NOBODY, NodeId, Peer, PeerState, Term, Versions,
};
use super::slot::{SlotId, SlotSet};
use super::target::target_avoiding;

mod pins;
mod trials;

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapChange {
    /// A node enters the map.
    Join(Newcomer, Rejoin),
    /// A node without slots leaves it.
    Leave(NodeId),
    /// A silent node is taken out, and its slots are given to the others.
    TakeOver {
        /// The silent node.
        dead: NodeId,
        /// Others that may be gone too, and receive nothing.
        avoid: Vec<NodeId>,
    },
    /// Slots go from one node to another.
    HandOver {
        /// The slots.
        slots: SlotSet,
        /// Their owner.
        from: NodeId,
        /// Their next owner.
        to: NodeId,
    },
    /// A node gives all its slots to the others.
    Yield {
        /// The node.
        from: NodeId,
        /// Others that may be gone, and receive nothing.
        avoid: Vec<NodeId>,
    },
    /// Slots that nobody owns are given to those who are to own them.
    Assign,
    /// A peer may receive slots, or may not any more.
    SetState(NodeId, PeerState),
    /// The slot of an entity is to stay at the node of this name.
    Pin(EntityId, String),
    /// It is not any more.
    Unpin(EntityId),
    /// A node is about to open its slots that earlier owners died of.
    Opening(NodeId),
    /// A node has served slots on trial for long enough.
    Passed(NodeId, SlotSet),
    /// Slots that had no owner on purpose are given to those who are to own them.
    EndQuarantine(SlotSet),
}

/// What a node says of itself when it joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer {
    /// Its entry in the map; `number` is chosen by the map.
    pub peer: Peer,
}

/// What is to become of an entry that the map has already for the node that joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejoin {
    /// The node has not been in the map: an entry with its id is an error.
    Never,
    /// The transaction that writes the map also raises the node's lease from this term, and the node
    /// has ended all lives and reads of it: the entry keeps its number and its slots.
    From(Term),
}

/// Why a change cannot be made from this map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// The node is not in the map.
    #[error("node `{0}` is not in the map")]
    NotIn(NodeId),
    /// The node is in the map already.
    #[error("node `{0}` is already in the map, under term {1}")]
    AlreadyIn(NodeId, u64),
    /// A term can only be raised.
    #[error("node `{node}` is in the map under term {has}; it cannot rejoin under term {wants}")]
    OldTerm {
        /// The node.
        node: NodeId,
        /// Its term in the map.
        has: u64,
        /// The term to rejoin under.
        wants: u64,
    },
    /// There are as many peers as there may be.
    #[error("the map has 100 peers; another one cannot join")]
    Full,
    /// The nodes are configured differently, where they must not be.
    #[error(
        "this node has {own}, and `{peer}` has {theirs}; `cluster.name` and `cluster.lease` must be the same on all nodes"
    )]
    Common {
        /// The other node.
        peer: NodeId,
        /// What this node has.
        own: Common,
        /// What the other one has.
        theirs: Common,
    },
    /// The node and a peer have no version of the protocol in common.
    #[error(
        "this node speaks versions {own} of the protocol between nodes and peer `{peer}` speaks \
         {theirs}; upgrade one release at a time"
    )]
    Proto {
        /// The peer.
        peer: NodeId,
        /// The versions of the node that joins.
        own: Versions,
        /// The versions of the peer.
        theirs: Versions,
    },
    /// The node and a peer cannot use one schema of the database.
    #[error(
        "this node works with schemas {own} and peer `{peer}` with {theirs}; upgrade one release \
         at a time"
    )]
    Schema {
        /// The peer.
        peer: NodeId,
        /// The versions of the node that joins.
        own: Versions,
        /// The versions of the peer.
        theirs: Versions,
    },
    /// The node has slots.
    #[error("node `{0}` owns {1} slots; it must hand them over before it leaves")]
    HasSlots(NodeId, usize),
    /// Another entity of the slot is pinned elsewhere.
    #[error("`{0}` is in the same slot, and pinned to `{1}`; unpin it first")]
    SlotPinned(EntityId, String),
    /// No node has this name.
    #[error("no node of the map is called `{0}`")]
    NobodyNamed(String),
    /// A slot has another owner.
    #[error("node `{1}` does not own slot {0}")]
    NotOwner(SlotId, NodeId),
    /// Nothing would change.
    #[error("the map would not change")]
    Same,
    /// There are as many pins as there may be.
    #[error("the map has 64 pins; unpin an entity first")]
    PinsFull,
    /// The entity is not pinned.
    #[error("entity `{0}` is not pinned")]
    NotPinned(EntityId),
}

/// How a transaction makes sure that a node which loses slots commits nothing for them any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// The node makes the change itself: the transaction is its next one.
    OwnNumber,
    /// The node's lease row must be as it was seen, and its term is raised.
    Raise(LeaseRow),
}

/// A change as a transaction makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is changed, for the log of map versions.
    pub what: MapChange,
    /// The version that the map must have.
    pub expects: u64,
    /// Every node that loses slots, and what the transaction does to its lease row.
    pub fences: Vec<(NodeId, Fence)>,
    /// The map that is written.
    pub map: ClusterMap,
}

impl ClusterMap {
    /// The map after a change.
    ///
    /// # Errors
    /// Why the change cannot be made.
    pub fn changed(&self, change: &MapChange) -> Result<Self, MapError> {
        match change {
            MapChange::Join(newcomer, rejoin) => self.join(newcomer, *rejoin),
            MapChange::Leave(node) => self.leave(*node),
            MapChange::TakeOver { dead, avoid } => self.take_over(*dead, avoid),
            MapChange::HandOver { slots, from, to } => self.hand_over(slots, *from, *to),
            MapChange::Yield { from, avoid } => self.yield_slots(*from, avoid),
            MapChange::Assign => self.assign(),
            MapChange::SetState(node, state) => self.set_state(*node, *state),
            MapChange::Pin(entity, node) => self.pin(entity, node),
            MapChange::Unpin(entity) => self.unpin(entity),
            MapChange::Opening(node) => self.opening(*node),
            MapChange::Passed(node, slots) => self.passed(*node, slots),
            MapChange::EndQuarantine(slots) => self.end_quarantine(slots),
        }
    }

    /// A node enters the map under its new term, with the lowest free number and without slots.
    ///
    /// A node that is in the map already, because it lost its lease without being taken over, or
    /// because it never learned that it had joined, keeps its number and its slots under the new
    /// term, if the caller vouches for [`Rejoin::From`]. It holds that:
    ///
    /// * **M1** The owner of the slots is now another term of the same node. The transaction that
    ///   writes this map raises that very lease row, so nothing queued under the old term can commit
    ///   later, and it expects the version. Raising the term first and rejoining in a second
    ///   transaction would be safe too, but in between nobody could serve the slots.
    /// * **M2** The map that the node reads after the transaction names it with its new term, which
    ///   no map did before. It loads entities after that, so it sees what its old lives wrote.
    /// * **M3** A late answer shows a lower version, or the old term.
    /// * **Reads** No other node reads or writes under the old term, since an id belongs to one
    ///   process, and that process revokes its validity before it asks to rejoin. This is why a
    ///   transaction of somebody else cannot pass slots on like this without waiting for silence.
    ///
    /// If a takeover came first, the node is not in the map, and joins without slots. If the takeover
    /// comes later, it fails, because it expects the old version and the old lease row.
    ///
    /// # Errors
    /// [`MapError::AlreadyIn`], [`MapError::OldTerm`], [`MapError::Full`], [`MapError::Proto`] and
    /// [`MapError::Schema`].
    pub fn join(&self, newcomer: &Newcomer, rejoin: Rejoin) -> Result<Self, MapError> {
        let new = &newcomer.peer;
        for peer in self.peers.iter().filter(|peer| peer.id != new.id) {
            if !peer.proto.overlap(new.proto) {
                return Err(MapError::Proto { peer: peer.id, own: new.proto, theirs: peer.proto });
            }
            if peer.common != new.common {
                return Err(MapError::Common {
                    peer: peer.id,
                    own: new.common.clone(),
                    theirs: peer.common.clone(),
                });
            }
            if !peer.schema.overlap(new.schema) {
                return Err(MapError::Schema {
                    peer: peer.id,
                    own: new.schema,
                    theirs: peer.schema,
                });
            }
        }
        let mut next = self.next();
        if let Some(at) = next.peers.iter().position(|peer| peer.id == new.id) {
            let Peer { number, term: has, .. } = next.peers[at];
            match rejoin {
                Rejoin::Never => return Err(MapError::AlreadyIn(new.id, has.0)),
                Rejoin::From(raised) if has > raised || new.term <= raised => {
                    return Err(MapError::OldTerm { node: new.id, has: has.0, wants: new.term.0 });
                }
                Rejoin::From(_) => next.peers[at] = Peer { number, ..new.clone() },
            }
        } else {
            if self.peers.len() >= MAX_PEERS {
                return Err(MapError::Full);
            }
            let mut numbers = 1..=u16::MAX;
            let number = numbers.find(|number| self.peer_numbered(*number).is_none());
            let number = number.ok_or(MapError::Full)?;
            next.peers.push(Peer { number, ..new.clone() });
        }
        Ok(next)
    }

    /// A node without slots leaves the map.
    ///
    /// # Errors
    /// [`MapError::NotIn`] and [`MapError::HasSlots`].
    pub fn leave(&self, node: NodeId) -> Result<Self, MapError> {
        self.known(node)?;
        let slots = self.slots_of(node).len();
        if slots > 0 {
            return Err(MapError::HasSlots(node, slots));
        }
        let mut next = self.next();
        next.peers.retain(|peer| peer.id != node);
        Ok(next)
    }

    /// Takes a node that is gone out of the map. Its slots go to those who are to own them, but for
    /// those that too many owners have died of. `avoid` receives nothing.
    ///
    /// # Errors
    /// [`MapError::NotIn`].
    pub fn take_over(&self, dead: NodeId, avoid: &[NodeId]) -> Result<Self, MapError> {
        self.known(dead)?;
        let mut next = self.next();
        next.trials.owner_died(&self.slots_of(dead), next.version);
        next.release_all(dead);
        next.peers.retain(|peer| peer.id != dead);
        next.fill(avoid);
        Ok(next)
    }

    /// Gives slots from one node to another.
    ///
    /// # Errors
    /// [`MapError::NotIn`], [`MapError::NotOwner`] and [`MapError::Same`].
    pub fn hand_over(&self, slots: &SlotSet, from: NodeId, to: NodeId) -> Result<Self, MapError> {
        let from_number = self.known(from)?.number;
        let number = self.known(to)?.number;
        if slots.is_empty() || from == to {
            return Err(MapError::Same);
        }
        let mut next = self.next();
        for slot in slots.iter() {
            if self.slots[slot.index()] != from_number {
                return Err(MapError::NotOwner(slot, from));
            }
            next.slots[slot.index()] = number;
        }
        next.trials.owner_changed(slots, next.version);
        Ok(next)
    }

    /// A node gives all its slots to the others, as [`target`](super::target) says. It stays in the map, and is not given any of them back by this change. Slots that nobody can
    /// receive have no owner until somebody can. `avoid` receives nothing.
    ///
    /// # Errors
    /// [`MapError::NotIn`], and [`MapError::Same`] if the node has no slots.
    pub fn yield_slots(&self, from: NodeId, avoid: &[NodeId]) -> Result<Self, MapError> {
        let slots = self.slots_of(self.known(from)?.id);
        if slots.is_empty() {
            return Err(MapError::Same);
        }
        let mut next = self.next();
        next.trials.owner_changed(&slots, next.version);
        next.release_all(from);
        let mut avoid = avoid.to_vec();
        avoid.push(from);
        next.fill(&avoid);
        Ok(next)
    }

    /// Gives the slots that nobody owns to those who are to own them.
    ///
    /// # Errors
    /// [`MapError::Same`] if there are none, or nobody can receive them.
    pub fn assign(&self) -> Result<Self, MapError> {
        let mut next = self.next();
        next.fill(&[]);
        if next.slots == self.slots { Err(MapError::Same) } else { Ok(next) }
    }

    /// Sets whether a peer may receive slots.
    ///
    /// # Errors
    /// [`MapError::NotIn`], and [`MapError::Same`] if that is its state.
    pub fn set_state(&self, node: NodeId, state: PeerState) -> Result<Self, MapError> {
        let mut next = self.next();
        let peer = next.peers.iter_mut().find(|peer| peer.id == node);
        let peer = peer.ok_or(MapError::NotIn(node))?;
        if peer.state == state {
            return Err(MapError::Same);
        }
        peer.state = state;
        Ok(next)
    }

    fn known(&self, node: NodeId) -> Result<&Peer, MapError> {
        self.peer(node).ok_or(MapError::NotIn(node))
    }

    fn next(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }

    fn release_all(&mut self, node: NodeId) {
        for slot in self.slots_of(node).iter() {
            self.slots[slot.index()] = NOBODY;
        }
    }

    /// Gives slots without owner to those who are to own them, and moves nothing else.
    fn fill(&mut self, avoid: &[NodeId]) {
        let target = target_avoiding(self, avoid);
        for (number, to) in self.slots.iter_mut().zip(target) {
            if *number == NOBODY {
                *number = to;
            }
        }
    }
}

#[cfg(test)]
mod tests;
