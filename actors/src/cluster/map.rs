//! The map of a cluster: which nodes are in it, and which of them owns each slot.
//!
//! It is one row of the database with a version. A [`ClusterMap`] is always valid: what is read from
//! the row is checked on the way ([`ClusterMap::validate`]), and [`change`](super::change) builds
//! the next versions. The fields of the row have defaults, and unknown ones are ignored, so that
//! nodes of two releases read each other's rows. An older node that changes the map drops fields
//! that it does not know, so a new field is written only once every peer's `schema` has it.

use std::fmt;

use greenroom_protocol::EntityId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::slot::{SLOTS, SlotId, SlotSet, slot_of};
use crate::clock::Millis;
use pins::{MAX_PINS, Pin};
use trials::{Stage, Trials};

pub mod pins;
pub mod trials;

/// The largest number of peers in a map.
pub const MAX_PEERS: usize = 100;
/// In a map's list of slots: nobody owns the slot.
pub const NOBODY: u16 = 0;

/// A node's identity: a random number for each process, so that a restarted server is another node.
/// Written as 16 hexadecimal digits, also in the row, since databases do not store all unsigned
/// 64-bit numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// A text that is not a node id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a node id; it has 16 hexadecimal digits")]
pub struct BadNodeId(pub String);

impl std::str::FromStr for NodeId {
    type Err = BadNodeId;

    fn from_str(text: &str) -> Result<Self, BadNodeId> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(Self).ok_or_else(|| BadNodeId(text.into()))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The number of a lease: it increases each time the lease is taken, by its node or from it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Term(pub u64);

impl Term {
    /// The next term.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A node's lease row as somebody read it: its term, and the number of the last transaction that was
/// committed under it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct LeaseRow {
    /// The term.
    pub term: Term,
    /// The number of the last transaction.
    pub number: u64,
}

/// Whether a peer may receive slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerState {
    /// It owns its share.
    #[default]
    Up,
    /// It keeps the slots that it has and receives none.
    Cordoned,
    /// It does not hear the other nodes: it keeps its slots only if none of them hears either, and
    /// receives none.
    Deaf,
    /// It is stopping: it gives up all its slots and receives none.
    Draining,
}

/// A range of versions of something that nodes must agree on. Two nodes work together if their
/// ranges overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Versions {
    /// The oldest version that the node works with.
    pub min: u32,
    /// The version that the node writes and speaks if all others can.
    pub max: u32,
}

impl Versions {
    /// Whether there is a version that both work with.
    pub const fn overlap(self, other: Self) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// A node in the map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its place in the list of slots, 1 or more and different for each peer. The lowest free number
    /// is given to a node that joins; it is free again once the peer has left the map.
    pub number: u16,
    /// Its identity.
    pub id: NodeId,
    /// The term of its lease under which it owns its slots.
    pub term: Term,
    /// Its name for people, for example that of the host.
    #[serde(default)]
    pub name: String,
    /// Whether it may receive slots.
    #[serde(default)]
    pub state: PeerState,
    /// The versions of the protocol between nodes.
    #[serde(default)]
    pub proto: Versions,
    /// The versions of the database's schema.
    #[serde(default)]
    pub schema: Versions,
    /// The release that it runs, for example `1.4.0`.
    #[serde(default)]
    pub version: String,
    /// How many slots it is to own, in relation to the weights of the others; 0 owns nothing.
    #[serde(default = "one")]
    pub weight: u16,
    /// When it joined, for people.
    #[serde(default)]
    pub joined: Millis,
    /// What all nodes of a cluster must have in common.
    #[serde(default)]
    pub common: Common,
}

/// Settings that all nodes of a cluster must have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Common {
    /// The cluster's name, which names its subjects on the wire.
    #[serde(default)]
    pub cluster: String,
    /// Milliseconds of a lease: a node with a longer one would serve what others have taken over.
    #[serde(default)]
    pub lease: u64,
}

impl fmt::Display for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name `{}` and a lease of {} ms", self.cluster, self.lease)
    }
}

const fn one() -> u16 {
    1
}

/// Which node owns which slot, at one version.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Row")]
pub struct ClusterMap {
    pub(super) version: u64,
    pub(super) slots: Vec<u16>,
    pub(super) peers: Vec<Peer>,
    pub(super) pins: Vec<Pin>,
    pub(super) trials: Trials,
}

/// The row as it is read, before it is checked.
#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    version: u64,
    #[serde(default = "unowned")]
    slots: Vec<u16>,
    #[serde(default)]
    peers: Vec<Peer>,
    #[serde(default)]
    pins: Vec<Pin>,
    #[serde(default)]
    trials: Trials,
}

fn unowned() -> Vec<u16> {
    vec![NOBODY; SLOTS as usize]
}

impl TryFrom<Row> for ClusterMap {
    type Error = BadMap;

    fn try_from(row: Row) -> Result<Self, BadMap> {
        let Row { version, slots, peers, pins, trials } = row;
        let map = Self { version, slots, peers, pins, trials };
        map.validate()?;
        Ok(map)
    }
}

/// What is wrong with a map that was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMap {
    /// The list of slots has the wrong length.
    #[error("the map has {0} slots; it must have 1024")]
    Slots(usize),
    /// There are more than [`MAX_PEERS`].
    #[error("the map has {0} peers; at most 100 are allowed")]
    Peers(usize),
    /// There are more than [`MAX_PINS`].
    #[error("the map has {0} pins; at most 64 are allowed")]
    Pins(usize),
    /// A peer has the number that means nobody.
    #[error("peer `{0}` has the number 0, which means nobody")]
    NumberZero(NodeId),
    /// Two peers have one number.
    #[error("peers `{0}` and `{1}` have the same number")]
    SameNumber(NodeId, NodeId),
    /// A node is in the map twice.
    #[error("peer `{0}` is in the map twice")]
    Twice(NodeId),
    /// A slot's owner is not in the map.
    #[error("slot {0} belongs to number {1}, which no peer has")]
    OwnerUnknown(SlotId, u16),
    /// A peer's range of versions is empty.
    #[error("peer `{0}` has an empty range of versions: {1}")]
    Versions(NodeId, Versions),
    /// An entity is pinned twice.
    #[error("entity `{0}` is pinned twice")]
    PinnedTwice(EntityId),
    /// A slot on trial has more deaths than are counted.
    #[error("slot {0} has {1} early deaths; at most 3 are counted")]
    Deaths(SlotId, u8),
}

impl Default for ClusterMap {
    fn default() -> Self {
        Self::empty()
    }
}

impl ClusterMap {
    /// The map before the first node joins: version 0, no peers, and nobody owns a slot.
    pub fn empty() -> Self {
        let (peers, pins, trials) = (Vec::new(), Vec::new(), Trials::default());
        Self { version: 0, slots: unowned(), peers, pins, trials }
    }

    /// The version; each change increases it by one.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The number of each slot's owner, [`NOBODY`] if it has none.
    pub fn slots(&self) -> &[u16] {
        &self.slots
    }

    /// The nodes in the map, in the order in which they joined.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The peer with this id.
    pub fn peer(&self, id: NodeId) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.id == id)
    }

    /// The peer with this number.
    pub fn peer_numbered(&self, number: u16) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.number == number)
    }

    /// The owner of a slot.
    pub fn owner(&self, slot: SlotId) -> Option<&Peer> {
        self.peer_numbered(self.slots[slot.index()])
    }

    /// The owner of an entity: that of its slot.
    pub fn owner_of(&self, entity: &EntityId) -> Option<&Peer> {
        self.owner(slot_of(entity))
    }

    /// The slots of a node; none if it is not in the map.
    pub fn slots_of(&self, id: NodeId) -> SlotSet {
        let number = self.peer(id).map(|peer| peer.number);
        SlotId::all().filter(|slot| Some(self.slots[slot.index()]) == number).collect()
    }

    /// The slots that nobody owns, and somebody should.
    pub fn unowned(&self) -> SlotSet {
        self.of_nobody().without(&self.trials.in_stage(Stage::Quarantined))
    }

    /// The slots that nobody owns, on purpose.
    pub fn quarantined(&self) -> SlotSet {
        self.of_nobody().both(&self.trials.in_stage(Stage::Quarantined))
    }

    /// The slots whose last owner was taken over.
    pub const fn trials(&self) -> &Trials {
        &self.trials
    }

    fn of_nobody(&self) -> SlotSet {
        SlotId::all().filter(|slot| self.slots[slot.index()] == NOBODY).collect()
    }

    /// Checks what every map must have. A row that a person or a fault has damaged is refused when
    /// it is read.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), BadMap> {
        if self.slots.len() != SLOTS as usize {
            return Err(BadMap::Slots(self.slots.len()));
        }
        if self.peers.len() > MAX_PEERS {
            return Err(BadMap::Peers(self.peers.len()));
        }
        if self.pins.len() > MAX_PINS {
            return Err(BadMap::Pins(self.pins.len()));
        }
        for (at, peer) in self.peers.iter().enumerate() {
            if peer.number == NOBODY {
                return Err(BadMap::NumberZero(peer.id));
            }
            for earlier in &self.peers[..at] {
                if earlier.id == peer.id {
                    return Err(BadMap::Twice(peer.id));
                }
                if earlier.number == peer.number {
                    return Err(BadMap::SameNumber(earlier.id, peer.id));
                }
            }
            for range in [peer.proto, peer.schema] {
                if range.min > range.max {
                    return Err(BadMap::Versions(peer.id, range));
                }
            }
        }
        for slot in SlotId::all() {
            let number = self.slots[slot.index()];
            if number != NOBODY && self.peer_numbered(number).is_none() {
                return Err(BadMap::OwnerUnknown(slot, number));
            }
        }
        for (at, pin) in self.pins.iter().enumerate() {
            if self.pins[..at].iter().any(|earlier| earlier.entity == pin.entity) {
                return Err(BadMap::PinnedTwice(pin.entity.clone()));
            }
        }
        if let Some((slot, deaths)) = self.trials.miscounted() {
            return Err(BadMap::Deaths(slot, deaths));
        }
        Ok(())
    }
}

impl fmt::Debug for ClusterMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.peers.iter().map(|peer| {
            let slots = self.slots.iter().filter(|number| **number == peer.number).count();
            (peer.id, (peer.term.0, peer.state, slots))
        });
        write!(f, "map {} ", self.version)?;
        f.debug_map().entries(counts).finish()
    }
}

#[cfg(test)]
mod tests;
