//! The owner's part in keeping asks in order.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::super::slot::SlotId;
use super::planted::{Bug, Planted};
use crate::ids::NodeIndex;

/// What this node refused of others' rounds.
///
/// A node that asks sends everything of a slot in rounds, and begins a new one only when it knows
/// what became of the last. So once something of a round is refused, the rest of that round must be
/// refused as well, even if the slot is served meanwhile: otherwise the rest would overtake what
/// was refused. Everything that arrives must pass [`takes_ask`](Self::takes_ask) or
/// [`takes_tell`](Self::takes_tell).
///
/// It holds one number for each slot and node that was refused an ask in it, until [`forget`].
///
/// [`forget`]: Self::forget
#[derive(Debug, Default)]
pub struct Refusals {
    refused: HashMap<(NodeIndex, SlotId), u32, RandomState>,
    pub(super) planted: Planted,
}

impl Refusals {
    /// Whether to take an ask that `from` sent in this round; `served` says whether this node may
    /// serve the slot now. If not, the ask is bounced.
    pub fn takes_ask(&mut self, from: NodeIndex, slot: SlotId, round: u32, served: bool) -> bool {
        if !served {
            if !self.planted.has(Bug::RestTaken) {
                self.refused.insert((from, slot), round);
            }
            return false;
        }
        let refused = self.refused.get(&(from, slot)) == Some(&round);
        if !refused {
            self.refused.remove(&(from, slot));
        }
        !refused
    }

    /// The same for a control message, which is dropped if it is not taken. Its sender does not learn
    /// of that, so the rest of the round may be taken.
    pub fn takes_tell(&self, from: NodeIndex, slot: SlotId, round: u32, served: bool) -> bool {
        served && self.refused.get(&(from, slot)) != Some(&round)
    }

    /// The link to this node was reset, which ends all rounds.
    pub fn forget(&mut self, node: NodeIndex) {
        self.refused.retain(|(from, _), _| *from != node);
    }
}
