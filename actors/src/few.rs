//! A map that mostly has a few entries: a list of just them, and a table only when they become
//! many.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::RandomState;

/// Most entries of a list: to look through them all costs no more than to hash a key.
const LISTED: usize = 8;

/// A map from `K` to `V`, of the size of a list. A table of one entry has room for three and takes
/// several times as much.
#[derive(Debug, Clone)]
pub enum Few<K, V> {
    /// In no order.
    List(Vec<(K, V)>),
    /// It has had more than [`LISTED`], and stays a table.
    #[expect(
        clippy::box_collection,
        reason = "a table's own fields are larger than a list's, and few have one"
    )]
    Table(Box<HashMap<K, V, RandomState>>),
}

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Few<K, V> {
    /// Nothing is in it.
    pub const fn new() -> Self {
        Self::List(Vec::new())
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Table(table) => table.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (list, table) = match self {
            Self::List(list) => (&list[..], None),
            Self::Table(table) => (&[][..], Some(table)),
        };
        list.iter()
            .map(|(key, value)| (key, value))
            .chain(table.into_iter().flat_map(|table| table.iter()))
    }

    /// All entries, in no order.
    pub fn into_entries(self) -> impl Iterator<Item = (K, V)> {
        let (list, table) = match self {
            Self::List(list) => (list, None),
            Self::Table(table) => (Vec::new(), Some(*table)),
        };
        list.into_iter().chain(table.into_iter().flatten())
    }
}

impl<K: Hash + Eq, V> Few<K, V> {
    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// The value of `key`, and the key that it was first entered with.
    pub fn get_key_value(&self, key: &K) -> Option<(&K, &V)> {
        match self {
            Self::List(list) => {
                list.iter().find(|(known, _)| known == key).map(|(known, value)| (known, value))
            }
            Self::Table(table) => table.get_key_value(key),
        }
    }

    /// The value of `key`, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::List(list) => {
                list.iter_mut().find(|(known, _)| known == key).map(|(_, value)| value)
            }
            Self::Table(table) => table.get_mut(key),
        }
    }

    /// Whether there is an entry for `key`.
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Gives `key` this value, and returns the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(known) = self.get_mut(&key) {
            return Some(std::mem::replace(known, value));
        }
        match self {
            Self::List(list) if list.len() < LISTED => {
                if list.len() == list.capacity() {
                    // A `Vec` begins with room for four.
                    list.reserve_exact(list.len().max(1));
                }
                list.push((key, value));
            }
            Self::List(list) => {
                let mut table: HashMap<K, V, RandomState> =
                    std::mem::take(list).into_iter().collect();
                table.insert(key, value);
                *self = Self::Table(Box::new(table));
            }
            Self::Table(table) => drop(table.insert(key, value)),
        }
        None
    }

    /// Takes the entry for `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        match self {
            Self::List(list) => list
                .iter()
                .position(|(known, _)| known == key)
                .map(|index| list.swap_remove(index).1),
            Self::Table(table) => table.remove(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((0u8..14, proptest::option::weighted(0.7, any::<u16>())), 0..60)) {
            let mut few = Few::new();
            let mut model = HashMap::new();
            let mut most = 0;
            for (key, value) in steps {
                match value {
                    Some(value) => prop_assert_eq!(few.insert(key, value), model.insert(key, value)),
                    None => prop_assert_eq!(few.remove(&key), model.remove(&key)),
                }
                most = most.max(model.len());
                prop_assert_eq!((few.len(), few.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(matches!(few, Few::Table(_)), most > LISTED);
                for key in 0..14 {
                    prop_assert_eq!(few.get(&key), model.get(&key));
                    prop_assert_eq!(few.get_mut(&key).copied(), model.get(&key).copied());
                    prop_assert_eq!(few.contains_key(&key), model.contains_key(&key));
                }
                let entries: HashMap<_, _> = few.iter().map(|(key, value)| (*key, *value)).collect();
                prop_assert_eq!(&entries, &model);
                prop_assert_eq!(few.clone().into_entries().collect::<HashMap<_, _>>(), entries);
            }
        }
    }

    #[test]
    fn one_entry_has_no_room_for_more() {
        let mut few = Few::new();
        few.insert(1, 1);
        let Few::List(list) = &few else { panic!("it is one entry") };
        assert_eq!((list.capacity(), size_of_val(&few)), (1, 3 * size_of::<usize>()));
    }
}
