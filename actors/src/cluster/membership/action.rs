//! What a node in a cluster is to do, and what it may be asked for.

use greenroom_protocol::EntityId;

use super::super::change::{Change, MapError};
use super::super::map::{ClusterMap, LeaseRow, NodeId, Term};
use super::super::slot::SlotSet;
use super::scope::Scope;
use crate::clock::Mono;

/// Something to be done. Actions of one call are done in their order; what takes time reports back
/// to [`Membership`](super::Membership) by the method that each names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read all lease rows and the map, in one transaction: `answer`. If it fails or takes longer
    /// than the settings allow, nothing is reported.
    Poll(PollNumber),
    /// Take the node's own lease and enter the map, in one transaction: `joined`.
    Join(Join),
    /// Make a change of the map as the node's next numbered transaction: `decided`. It is the only
    /// one until it is decided, but events may be committed before and after it.
    Change(ChangeId, Change, Reason),
    /// Serve these slots. Loading begins after this, not earlier (M2). If they were closed and not
    /// released, their lives go on: without a new term nobody else had them.
    Open(Scope),
    /// Accept nothing more for these slots (M4); requests for them are bounced.
    Close(Scope),
    /// Wait until all threads have closed them and everything that is queued for them is decided, but
    /// end no life: `flushed`.
    Flush(HandOffId, Scope),
    /// They have another owner now: end their lives.
    Release(Scope),
    /// Ask a node over its link whether it has capacity for slots: `accepted` or `declined`.
    Offer(HandOffId, NodeId, SlotSet),
    /// End all lives, and answer what waits with `unavailable`: `lives_ended`. Sessions stay.
    Demote(Demotion),
    /// Commit something, if only an empty transaction, unless a transaction is under way: `committed`.
    Beat,
    /// Tell the other nodes that the map has this version.
    Notice(u64),
    /// The node is not in the cluster and will not be: it serves nothing more. The last action.
    Ended(Ended),
}

/// The number of a poll: 1, 2, 3 and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct PollNumber(pub u64);

/// The number of an attempt to join, or of a change of the map, of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct ChangeId(pub u64);

/// The number of a hand-off of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct HandOffId(pub u64);

/// A transaction that takes the node's own lease and enters the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The attempt.
    pub id: ChangeId,
    /// What the node's own lease row must be; without one it must not exist.
    pub lease: Option<LeaseRow>,
    /// The term that is written to it, with number 0.
    pub term: Term,
    /// The change of the map.
    pub change: Change,
}

/// Why the map is changed, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A node has been silent.
    Silent,
    /// Slots had no owner.
    Unowned,
    /// This node has more than it is to own.
    Rebalance,
    /// This node is stopping.
    Draining,
    /// This node does not hear the others.
    Deaf,
    /// An operator, or another part of this node, has asked for it.
    Ordered,
    /// The last owner of slots was taken over.
    Trial,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is committed.
    Done,
    /// It is not, because something it compares has changed, or it was settled as not committed.
    Refused,
    /// The answer was lost. A change is being settled and another outcome follows; an attempt to
    /// join is over.
    Unknown,
    /// The node's term is not the one in its lease row any more.
    Fenced,
}

/// Why a node loses all its slots at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demotion {
    /// A transaction found another term.
    Fenced,
    /// The map does not name the node under its term.
    NotInMap,
}

/// Why a node is not in the cluster any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// It has left the map without slots, after [`Order::Leave`].
    #[error("the node has left the cluster")]
    Left,
    /// It lost its lease while it was leaving; others have its slots.
    #[error("the node lost its lease while it was draining")]
    FencedWhileDraining,
    /// It could not hand over or flush its slots in time; others will take them over.
    #[error("the node could not give up its slots in time")]
    DrainTimedOut,
    /// It can never join this cluster.
    #[error("cannot join the cluster: {0}")]
    Incompatible(MapError),
    /// It could not join in time.
    #[error("could not join the cluster in {} s{}", .0, .1.as_ref().map_or(String::new(), |why| format!(": {why}")))]
    CannotJoin(u64, Option<MapError>),
}

/// What an operator, or another part of the node, may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Give up all slots and receive none, but stay in the map, until [`Uncordon`](Self::Uncordon).
    Drain,
    /// The same for good, since the node stops: its sessions still need the cluster until they are
    /// gone.
    Stop,
    /// Leave the map and end. If there are slots left, drain first.
    Leave,
    /// Receive no slots.
    Cordon,
    /// Receive slots again, also after [`Drain`](Self::Drain).
    Uncordon,
    /// Give all slots to the others at once, but stay in the map.
    Yield,
    /// Hand slots of this node over to another one.
    Move(SlotSet, NodeId),
    /// Keep the slot of an entity at the node of this name, whoever owns it now.
    Pin(EntityId, String),
    /// End that.
    Unpin(EntityId),
}

/// Why an order is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOrder {
    /// The node is not a member that may change the map.
    #[error("the node is joining or stopping; try again when it is a member")]
    NotMember,
    /// Another hand-off is under way.
    #[error("another hand-off is under way; try again when it has ended")]
    Busy,
    /// The entity or one of the slots is not this node's.
    #[error("the node does not own all of it")]
    NotOwner,
    /// An entity of the slots is pinned.
    #[error("`{0}` is in one of the slots, and pinned to `{1}`; unpin it first")]
    Pinned(EntityId, String),
    /// The map cannot be changed like this.
    #[error(transparent)]
    Map(MapError),
}

/// What a poll read, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The map; [`ClusterMap::empty`] if there is no row.
    pub map: ClusterMap,
    /// The lease rows.
    pub leases: Vec<(NodeId, LeaseRow)>,
}

/// What is known when an attempt to join has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// The attempt.
    pub id: ChangeId,
    /// When the transaction was sent.
    pub sent: Mono,
    /// How it ended; [`Outcome::Fenced`] is the same as [`Outcome::Refused`].
    pub outcome: Outcome,
}
