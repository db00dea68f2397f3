//! Slots: the fixed number of parts into which all entities are divided. A slot is the unit that a
//! node owns and that moves between nodes.

use std::fmt;

use greenroom_protocol::EntityId;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// The number of slots. It is fixed: rows of the database depend on it.
pub const SLOTS: u16 = 1024;

/// One slot: a number below [`SLOTS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct SlotId(u16);

/// A number that is not a slot's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a slot; slots are numbered from 0 to 1023")]
pub struct BadSlot(pub u16);

impl SlotId {
    /// All slots, in ascending order.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (0..SLOTS).map(Self)
    }

    /// The slot's number, below [`SLOTS`].
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The slot's number as an index into a list of [`SLOTS`] values.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl TryFrom<u16> for SlotId {
    type Error = BadSlot;

    fn try_from(number: u16) -> Result<Self, BadSlot> {
        if number < SLOTS { Ok(Self(number)) } else { Err(BadSlot(number)) }
    }
}

impl From<SlotId> for u16 {
    fn from(slot: SlotId) -> Self {
        slot.0
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}", self.0)
    }
}

/// The slot of an entity: XXH3 (64 bits, seed 0) of the text `kind:id`, modulo [`SLOTS`].
///
/// This never changes. Two nodes that computed it differently would both believe to own an entity.
pub fn slot_of(entity: &EntityId) -> SlotId {
    slot_of_text(entity.as_str())
}

fn slot_of_text(text: &str) -> SlotId {
    SlotId((xxh3_64(text.as_bytes()) % u64::from(SLOTS)) as u16)
}

const WORDS: usize = SLOTS as usize / 64;

/// A set of slots, one bit each.
#[derive(Clone, PartialEq, Eq, Default, Hash)]
pub struct SlotSet([u64; WORDS]);

impl SlotSet {
    /// The set without slots.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Whether the slot is in the set.
    pub const fn contains(&self, slot: SlotId) -> bool {
        self.0[slot.index() / 64] >> (slot.index() % 64) & 1 == 1
    }

    /// Adds a slot.
    pub const fn insert(&mut self, slot: SlotId) {
        self.0[slot.index() / 64] |= 1 << (slot.index() % 64);
    }

    /// Takes a slot out.
    pub const fn remove(&mut self, slot: SlotId) {
        self.0[slot.index() / 64] &= !(1 << (slot.index() % 64));
    }

    /// The number of slots in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there are no slots in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The slots that are in both sets.
    #[must_use]
    pub fn both(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & other.0[at]))
    }

    /// The slots that are in either set.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }

    /// The slots of this set that are not in the other one.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & !other.0[at]))
    }

    /// The slots in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = SlotId> {
        SlotId::all().filter(|slot| self.contains(*slot))
    }
}

impl FromIterator<SlotId> for SlotSet {
    fn from_iter<I: IntoIterator<Item = SlotId>>(slots: I) -> Self {
        let mut set = Self::EMPTY;
        for slot in slots {
            set.insert(slot);
        }
        set
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(SlotId::number)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slots_of_entities_never_change() {
        // The last ones are not valid ids today. They show that the hash is of the text's bytes.
        let golden = [
            ("room:lobby", 921),
            ("room:Lobby", 803),
            ("document:1", 86),
            ("document:2", 295),
            ("room:a", 959),
            (".canary:node", 394),
            ("chat:user@example.org/2026-11-27", 493),
            ("room:a:b:c", 519),
            ("room:é", 348),
            ("room:日本語", 504),
            ("room:👩‍🚀", 532),
        ];
        let got = golden.map(|(text, _)| (text, slot_of_text(text).number()));
        assert_eq!(got, golden);
        for (text, slot) in &golden[..5] {
            assert_eq!(slot_of(&EntityId::parse(text).unwrap()).number(), *slot);
        }
    }

    #[test]
    fn entities_spread_evenly() {
        let mut counts = vec![0_u32; SLOTS as usize];
        for n in 0..200_000 {
            counts[slot_of(&EntityId::parse(&format!("room:{n}")).unwrap()).index()] += 1;
        }
        // The mean is 195 and the standard deviation of a fair draw 14: six of them on each side.
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(*least > 111 && *most < 279, "{least} to {most} entities in a slot");
        let expected = 200_000.0 / f64::from(SLOTS);
        let chi: f64 = counts.iter().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
        // Chi squared of 1023 degrees of freedom: its mean is 1023, its standard deviation 45.
        assert!((chi - 1023.0).abs() < 5.0 * 45.0, "{chi}");
    }

    #[test]
    fn sets() {
        let few: SlotSet = [3, 64, 1023].map(SlotId).into_iter().collect();
        let more: SlotSet = [64, 65].map(SlotId).into_iter().collect();
        assert_eq!(few.iter().map(SlotId::number).collect::<Vec<_>>(), [3, 64, 1023]);
        assert_eq!((few.len(), few.is_empty(), SlotSet::EMPTY.is_empty()), (3, false, true));
        assert_eq!(few.both(&more), [64].map(SlotId).into_iter().collect());
        assert_eq!(few.with(&more).len(), 4);
        assert_eq!(more.without(&few), [65].map(SlotId).into_iter().collect());
        assert_eq!(SlotId::all().collect::<SlotSet>().len(), 1024);
        assert_eq!(SlotId::try_from(1024), Err(BadSlot(1024)));
    }
}
