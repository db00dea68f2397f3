//! What few have: it takes a pointer until there is something in it.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Deref;

/// What a [`Rare`] can hold.
pub trait Empty: 'static {
    /// One with nothing in it, to be read where there is none.
    fn empty() -> &'static Self;

    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool;
}

/// A `T` in a box of its own, which is there only while the `T` is not empty. It can be read at any
/// time, and reads as an empty one where there is none.
#[derive(Debug, Clone)]
pub struct Rare<T>(Option<Box<T>>);

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Empty> From<T> for Rare<T> {
    fn from(value: T) -> Self {
        Self((!value.is_empty()).then(|| Box::new(value)))
    }
}

impl<T: Empty> Rare<T> {
    /// Changes it; where there is none, what `make` gives is changed.
    pub fn change<R>(&mut self, make: impl FnOnce() -> T, change: impl FnOnce(&mut T) -> R) -> R {
        let done = change(self.0.get_or_insert_with(|| Box::new(make())));
        self.tidy();
        done
    }

    /// Changes it where there is one.
    pub fn change_if_any<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        let done = change(self.0.as_mut()?);
        self.tidy();
        Some(done)
    }

    fn tidy(&mut self) {
        if self.0.as_ref().is_some_and(|some| some.is_empty()) {
            self.0 = None;
        }
    }
}

impl<T: Empty> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(some) => some,
            None => T::empty(),
        }
    }
}

impl<T: 'static> Empty for VecDeque<T> {
    fn empty() -> &'static Self {
        const { &Self::new() }
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<T: 'static> Empty for Vec<T> {
    fn empty() -> &'static Self {
        const { &Self::new() }
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<T: 'static> Empty for BTreeSet<T> {
    fn empty() -> &'static Self {
        const { &Self::new() }
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_while_something_is_in_it() {
        let mut queue = Rare::<VecDeque<u8>>::default();
        assert_eq!(size_of_val(&queue), size_of::<usize>());
        assert_eq!(queue.change_if_any(VecDeque::pop_front), None);
        assert!(queue.is_empty() && queue.0.is_none());

        queue.change(VecDeque::new, |queue| queue.extend([1, 2]));
        assert_eq!(queue.iter().collect::<Vec<_>>(), [&1, &2]);
        assert_eq!(queue.change_if_any(VecDeque::pop_front), Some(Some(1)));
        assert!(queue.0.is_some());
        assert_eq!(queue.change(|| panic!("there is one"), VecDeque::pop_front), Some(2));
        assert!(queue.is_empty() && queue.0.is_none());
    }

    #[test]
    fn what_stays_empty_is_not_kept() {
        let mut queue = Rare::<VecDeque<u8>>::default();
        queue.change(|| VecDeque::with_capacity(100), VecDeque::pop_front);
        assert!(queue.0.is_none());
    }
}
