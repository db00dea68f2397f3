//! What a node says of itself and of the cluster as it sees it, for operators and for readiness.

use serde::Serialize;

use super::Node;
use crate::clock::{Millis, Mono};
use crate::cluster::link::LinkState;
use crate::cluster::map::pins::Pin;
use crate::cluster::map::{LeaseRow, NodeId, Peer, PeerState, Versions};
use crate::cluster::membership::Phase;
use crate::cluster::slot::SlotId;

/// One node's view. Others may be further on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The node's id.
    pub id: NodeId,
    /// Its name for people.
    pub name: String,
    /// Where it is between joining and leaving: `joining`, `member`, `draining`, `leaving` or `out`.
    pub phase: &'static str,
    /// What it is to be in the map.
    pub state: PeerState,
    /// The term of its lease, if it has one.
    pub term: Option<u64>,
    /// The version of the map that it knows.
    pub map: u64,
    /// Milliseconds for which its lease holds without another commit; 0 if it serves nothing.
    pub lease_ms: u64,
    /// It does not even hear itself: it has lost the wire.
    pub deaf: bool,
    /// Slots.
    pub slots: SlotCounts,
    /// The nodes in the map, in the order in which they joined.
    pub members: Vec<Member>,
    /// The entities whose slots stay at a node.
    pub pins: Vec<Pin>,
    /// The slots that nobody is to own for a while.
    pub quarantined: Vec<Quarantined>,
}

/// How many slots there are of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SlotCounts {
    /// This node serves them while its lease holds.
    pub open: usize,
    /// This node is handing them over.
    pub closed: usize,
    /// Nobody owns them.
    pub unowned: usize,
    /// Nobody is to own them for a while.
    pub quarantined: usize,
}

/// A slot whose last owners died soon after they had opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// The slot.
    pub slot: SlotId,
    /// Milliseconds until another node tries.
    pub left_ms: u64,
}

/// A node in the map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its id.
    pub id: NodeId,
    /// Its name for people.
    pub name: String,
    /// Whether it may receive slots.
    pub state: PeerState,
    /// Its share, in relation to the others'.
    pub weight: u16,
    /// How many slots it owns.
    pub slots: usize,
    /// The term under which it owns them.
    pub term: u64,
    /// The versions of the protocol between nodes that it speaks.
    pub proto: Versions,
    /// The versions of the database's schema that it works with.
    pub schema: Versions,
    /// The release that it runs.
    pub version: String,
    /// When it joined.
    pub joined: Millis,
    /// Its lease row, as the latest answer of the database showed it.
    pub lease: Option<LeaseRow>,
    /// Milliseconds for which that row has not changed.
    pub silent_ms: Option<u64>,
    /// The link to it; this node has none to itself.
    pub link: Option<LinkStatus>,
}

/// A link to another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkStatus {
    /// How it is.
    pub state: LinkState,
    /// Bytes that wait for the other node or its acknowledgement.
    pub queued_bytes: usize,
    /// How often it was reset since it was made.
    pub resets: u64,
}

impl Node {
    /// How this node sees itself and the cluster.
    pub fn status(&self, now: Mono) -> Status {
        let membership = &self.membership;
        let (me, map) = (membership.me(), membership.map());
        let quarantined = |slot| {
            let left_ms = membership.quarantine_left(slot, now)?;
            Some(Quarantined { slot, left_ms })
        };
        Status {
            id: self.me,
            name: me.name.clone(),
            phase: match membership.phase() {
                Phase::Joining => "joining",
                Phase::Member => "member",
                Phase::Draining(_) => "draining",
                Phase::Leaving(_) => "leaving",
                Phase::Out => "out",
            },
            state: me.state,
            term: membership.term().map(|term| term.0),
            map: map.version(),
            lease_ms: u64::try_from(self.validity.left(now).as_millis()).unwrap_or(u64::MAX),
            deaf: self.hearing.is_deaf(now),
            slots: self.slot_counts(),
            members: map.peers().iter().map(|peer| self.member(peer, now)).collect(),
            pins: map.pins().to_vec(),
            quarantined: map.quarantined().iter().filter_map(quarantined).collect(),
        }
    }

    pub(super) fn slot_counts(&self) -> SlotCounts {
        SlotCounts {
            open: self.membership.open().slots.len(),
            closed: self.membership.closed().slots.len(),
            unowned: self.membership.map().unowned().len(),
            quarantined: self.membership.map().quarantined().len(),
        }
    }

    fn member(&self, peer: &Peer, now: Mono) -> Member {
        let silence = self.membership.silence();
        let link = self.known.get(peer.id.0).and_then(|index| self.links.get(&index));
        Member {
            id: peer.id,
            name: peer.name.clone(),
            state: peer.state,
            weight: peer.weight,
            slots: self.membership.map().slots_of(peer.id).len(),
            term: peer.term.0,
            proto: peer.proto,
            schema: peer.schema,
            version: peer.version.clone(),
            joined: peer.joined,
            lease: silence.row(peer.id),
            silent_ms: silence.unchanged(peer.id, now),
            link: link.map(|link| LinkStatus {
                state: link.state(),
                queued_bytes: link.bytes_out(),
                resets: link.counters().resets(),
            }),
        }
    }
}
