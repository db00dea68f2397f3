//! A set of workers of one node.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::WorkerId;

/// Bits of a word.
const BITS: u16 = 64;

/// Worker threads, by their numbers: up to 64 of them take no memory of their own.
///
/// In items it is a list of words of 64 bits, the first for workers 0 to 63; zeros at the end are
/// left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workers {
    first: u64,
    rest: Vec<u64>,
}

impl Workers {
    /// One worker.
    pub fn only(worker: WorkerId) -> Self {
        let mut workers = Self::default();
        workers.add(worker);
        workers
    }

    /// Adds a worker.
    pub fn add(&mut self, WorkerId(number): WorkerId) {
        let (word, bit) = (usize::from(number / BITS), number % BITS);
        let Some(word) = word.checked_sub(1) else {
            self.first |= 1 << bit;
            return;
        };
        if self.rest.len() <= word {
            self.rest.resize(word + 1, 0);
        }
        self.rest[word] |= 1 << bit;
    }

    /// All of them, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = WorkerId> + '_ {
        (0..=u16::MAX).step_by(usize::from(BITS)).zip(self.words()).flat_map(|(from, word)| {
            (0..BITS).filter(move |bit| word >> bit & 1 == 1).map(move |bit| WorkerId(from + bit))
        })
    }

    fn words(&self) -> impl Iterator<Item = u64> + '_ {
        [self.first].into_iter().chain(self.rest.iter().copied())
    }
}

impl Serialize for Workers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.words())
    }
}

impl<'de> Deserialize<'de> for Workers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<u64>::deserialize(deserializer)?;
        let most = usize::from(u16::MAX / BITS) + 1;
        if words.len() > most {
            return Err(serde::de::Error::invalid_length(words.len(), &"1,024 words at most"));
        }
        let (first, rest) =
            words.split_first().map_or((0, &[][..]), |(first, rest)| (*first, rest));
        Ok(Self { first, rest: rest.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_numbers_have_a_place() {
        let numbers = [0, 5, 63, 64, 127, 128, u16::MAX];
        let mut workers = Workers::default();
        for number in numbers.into_iter().rev() {
            workers.add(WorkerId(number));
        }
        assert_eq!(workers.iter().map(|worker| worker.0).collect::<Vec<_>>(), numbers);
        let text = serde_json::to_string(&workers).unwrap();
        assert_eq!(serde_json::from_str::<Workers>(&text).unwrap(), workers);
        assert_eq!(serde_json::to_string(&Workers::only(WorkerId(2))).unwrap(), "[4]");
        assert_eq!(serde_json::from_str::<Workers>("[]").unwrap(), Workers::default());
        assert!(serde_json::from_value::<Workers>(vec![0_u64; 1025].into()).is_err());
    }
}
