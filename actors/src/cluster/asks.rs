//! What this node has asked other nodes: requests until they are answered, and control messages,
//! which go the same way.
//!
//! What a session sends an entity arrives in the order in which it was sent, also while the entity's
//! slot moves from node to node and while links are reset. [`Asks`] keeps that order for each slot;
//! [`Refusals`] is the part of it that the owner of a slot has to play.
//!
//! # States of a slot
//!
//! ```text
//!                     ask, tell: sent at once
//!                            ┌────┐
//!                            │    ▼
//!                        ┌───────────┐
//!          ┌────────────►│  flowing  │──────────────────────────────────┐
//!          │             └───────────┘                                  │
//!          │                                     an ask was bounced     │
//!          │ everything sent is decided,         the link is down       │
//!          │ the owner can be used, and          the owner has changed  │
//!          │ no pause is left: a new round,      the slot is closed here│
//!          │ all that waits in first order                              │
//!          │             ┌───────────┐                                  │
//!          └─────────────│  holding  │◄─────────────────────────────────┘
//!                        └───────────┘
//!                            │    ▲      ask, tell: waits
//!                            └────┘      waited for `hold`: given up
//!
//!          one ask:
//!                 ┌────── link down (Repeatable), bounced ───────────┐
//!                 ▼                                                  │
//!   ask ──► waiting ─────────────────────────────────────────────► sent ──► answered: taken out
//!             │  └──► the owner is this node: Local                  │
//!             └─────► `hold` is over: GiveUp                         └────► Once, and the link is
//!                                                                           down: GiveUp
//! ```
//!
//! *Sent* means in flight: a node answers, bounces, or its link goes down, and each of these decides
//! the ask. An owner can be used if it is a node whose link is up, or if it is this node and the
//! slot is open here.
//!
//! # Why the order is kept
//!
//! * While a slot flows, everything goes to one node over one link, which keeps the order, and
//!   nothing that was asked earlier is left behind.
//! * While it is holding, nothing is sent. It flows again when nothing is in flight: each earlier ask
//!   was answered, which is in order, or waits, or was given up and is never sent again.
//! * Between a bounce and its arrival more may have been sent. The owner would take that if it began
//!   to serve the slot just then, so it refuses the rest of a **round** of which it has refused
//!   something ([`Refusals`]). All that is sent while a slot flows without interruption is one
//!   round.
//! * An ask that is repeated after a reset may have been taken before; entities tell repeats apart
//!   by their numbers. If it was refused before, and a later op of the same client was not, the
//!   entity refuses it again.
//!
//! # Control messages
//!
//! A control message has no answer, so nobody knows whether it was taken. It is kept only as long
//! as an earlier ask of its slot is undecided. If that ask is repeated, or given up after a link was
//! reset, the message is repeated behind it; otherwise a session that subscribes and ends would be subscribed again by the
//! repetition, and stay. So it may be taken twice, and must be such that this does not matter.
//!
//! A control message can get lost in three ways, and each needs something of the caller, so that
//! nobody stays present, or absent, for ever:
//! * *The link was reset behind it.* Both ends start over: the owner forgets its audience, and
//!   presence entries of this node leave after a grace unless they are announced again.
//! * *It came to a node that does not serve the slot any more*, with no undecided ask before it. So
//!   after each change of a slot's owner, whatever the new owner was given by the old one counts as
//!   unconfirmed like after a reset: this node announces its sessions again, and what it does not
//!   announce leaves after the grace.
//! * *It was held for `tell_hold`, or refused by [`Full`].* [`Output::Drop`] or the error reports it.
//!   The caller must make the owner start over: it resets its link to the slot's owner, if there is
//!   one. If there is none, the next one starts over anyway.
//!
//! Where that is too weak (a session's end that must not wait for the grace), send the message as an
//! ask with [`Retry::Repeatable`] and an empty answer: it is then repeated until it is taken.
//!
//! # Rules for the caller
//!
//! * Outputs are carried out at once and in order, before the next input. If a link refuses an item
//!   because it is full, [`link_down`](Asks::link_down) is the next input.
//! * A link that was silent is reset before anything more of it arrives, so silence is
//!   [`link_down`](Asks::link_down) already, and so is a node that has left the map.
//! * An answer or a bounce is passed on only if the ask came by the same pair of epochs: an owner
//!   drops answers for asks that came before its end of the link was reset.
//! * The directory of this node gets a slot's requests in the order of [`Output::Local`], and has
//!   decided them before the slot has another owner (rule M4 of [`cluster`](super)).

use std::fmt;

use one_slot::{Around, Flow, OneSlot, Target, Totals};
use planted::Planted;
use queue::{Entry, Kind, State};

use super::slot::{SLOTS, SlotId, SlotSet};
use crate::clock::Mono;
use crate::ids::NodeIndex;

mod counters;
mod one_slot;
mod planted;
mod queue;
mod refusals;
mod settings;
mod table;
#[cfg(test)]
mod tests;

pub use counters::Counters;
pub use refusals::Refusals;
pub use settings::Settings;
pub use table::Asks;

/// This process's number for an ask, which an answer or a bounce repeats. It is never used again by
/// the same [`Asks`]. It names the slot, too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(u64);

const SLOT_BITS: u32 = SLOTS.trailing_zeros();

impl AskId {
    const fn new(place: u64, slot: SlotId) -> Self {
        Self(place << SLOT_BITS | slot.number() as u64)
    }

    /// The id with this number, as an item of a link repeats it. Any number is an id, though perhaps
    /// one that nobody was given.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number that the id has in items of links.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The slot of the ask's entity.
    pub fn slot(self) -> SlotId {
        let number = self.0 & u64::from(SLOTS - 1);
        SlotId::try_from(number as u16).expect("fewer bits than slots have")
    }

    const fn place(self) -> u64 {
        self.0 >> SLOT_BITS
    }
}

impl fmt::Debug for AskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.slot().number(), self.place())
    }
}

/// Whether an ask may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Any number of times: the entity tells repeats apart, or repeats do no harm.
    Repeatable,
    /// Only if its owner says that it did not take it: an op without a number. Otherwise it may have
    /// happened once it was sent.
    Once,
}

/// The owner of a slot, by the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This node. It is served here only while it is open.
    Here,
    /// Another node.
    Node(NodeIndex),
    /// Nobody, or nobody that this node can know.
    Nobody,
}

/// Why an ask is given up. In each case the answer is `unavailable` with a time to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It has waited for `hold`. It may have happened if it was sent before that, but then it may be
    /// repeated.
    Held,
    /// It was sent, has no number, and nobody will ever say whether it happened.
    Unknown,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<'a, M> {
    /// Send an ask to a node, under this id and round. If it is `unsure`, a node may have taken it
    /// before.
    Send { node: NodeIndex, slot: SlotId, round: u32, id: AskId, unsure: bool, message: &'a M },
    /// Send a control message to a node, under this round.
    Tell { node: NodeIndex, slot: SlotId, round: u32, message: &'a M },
    /// Give a request or control message to this node's own directory, with the duty to answer it.
    /// If it is `unsure`, another node may have taken the message before.
    Local { slot: SlotId, unsure: bool, message: M },
    /// Answer a request: it is not asked any more.
    GiveUp { slot: SlotId, why: Why, message: M },
    /// A control message will not be sent. The slot's owner must start over.
    Drop { slot: SlotId, message: M },
}

/// An ask that a node has answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answered<M> {
    /// What was asked.
    pub message: M,
    /// When it was asked.
    pub asked: Mono,
    /// It was sent before, over a link that was reset, and may have been taken then. So an answer that
    /// nothing was done tells of this time only.
    pub unsure: bool,
}

/// Too much is in flight or held. The message was not taken; a request is to be answered
/// `unavailable`, a control message is dropped as by [`Output::Drop`].
#[derive(Debug, thiserror::Error)]
#[error("too much waits for other nodes")]
pub struct Full<M>(pub M);
