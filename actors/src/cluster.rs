//! Several nodes as one server: who is in the cluster, and which node owns which entities.
//!
//! Everything here is pure: messages, rows and times are arguments, and what is to be done is
//! returned. The truth lies in the database: one **lease** row for each node, which each of its
//! transactions writes, and one **map** row with the nodes and the owner of each slot. An entity
//! belongs to the owner of its slot, so there is no record for each entity.
//!
//! * [`slot`]: the 1,024 slots, and which one an entity belongs to.
//! * [`map`]: the row of the map, and [`change`]: its next versions.
//! * [`link`]: how nodes exchange messages, in order, over a wire that loses some.
//! * [`asks`]: what this node has asked others, in order although slots move.
//! * [`target`]: which node is to own which slot.
//! * [`lease`]: until when a node may answer reads; [`silence`]: whether another node is gone.
//! * [`membership`]: one node in the cluster, from joining to leaving.
//! * [`registry`]: where the rows live.
//!
//! # Rules
//!
//! A node can stop for any time at any point, can be cut off, and can hear answers late. What
//! follows keeps its writes in order and its reads current all the same. Writes depend on M1 to M4
//! and on no clock at all; reads also need M5 and M6, and clocks that differ in speed by less than
//! the margin of the lease (10 percent by default).
//!
//! * **M1** A slot's owner changes only in a transaction that also writes the old owner's lease row
//!   (as the next number, if the old owner does it itself; otherwise by raising its term) and that
//!   expects a version of the map. So no transaction of the old owner can commit later, and of two
//!   changes made from one version, one is refused.
//! * **M2** A node opens a slot only after it has read, later than that transaction, a map that
//!   names the node with its present term; it loads entities after that. So it sees all that the
//!   old owner wrote.
//! * **M3** A node never acts on a map that was read before its own last change of the map was
//!   decided, nor on a lower version than it has seen or written. Otherwise a late answer could
//!   make it open a slot again that it has just handed over; its term has not changed, so nothing
//!   would fence it.
//! * **M4** Before a node releases a slot it accepts nothing more for it, and everything that it
//!   had queued for the slot is decided.
//! * **M5** A request is served only if, on arrival, its slot is open and the node's lease is valid.
//! * **M6** A node may be taken over only if its term and number have not changed for the length of
//!   a lease, by the clock of the node that takes over, counted from the arrival of the answer that
//!   showed them first, and if the transactions of the latter work.

pub mod asks;
pub mod change;
pub mod lease;
pub mod link;
pub mod map;
pub mod membership;
mod planted;
pub mod registry;
pub mod silence;
pub mod slot;
pub mod target;
