//! Messages that must not be lost and that found a full queue.

use std::collections::VecDeque;

/// Messages that wait for room, in the order in which they came. While there are any, nothing may go
/// past them.
///
/// The caller that adds the first one must see to it that [`next`](Self::next) is called until it
/// returns `None`.
#[derive(Debug)]
pub(crate) struct Backlog<T> {
    waiting: VecDeque<T>,
    /// Somebody takes the messages out, one by one. The one taken last may still be on its way.
    is_worked_off: bool,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), is_worked_off: false }
    }
}

impl<T> Backlog<T> {
    /// Adds a message behind the others. True if nobody works them off yet: the caller must.
    #[must_use]
    pub fn push(&mut self, message: T) -> bool {
        self.waiting.push_back(message);
        !std::mem::replace(&mut self.is_worked_off, true)
    }

    /// Keeps only some of what waits.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.waiting.retain(keep);
    }

    /// Takes the next message out. `None` ends the work: what is added later is for somebody else
    /// to work off.
    pub fn next(&mut self) -> Option<T> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            self.is_worked_off = false;
            self.waiting.shrink_to_fit();
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_works_off_until_nothing_waits() {
        let mut backlog = Backlog::default();
        assert!(backlog.push(1), "the first is for its caller");
        assert_eq!(backlog.next(), Some(1));
        assert!(!backlog.push(2), "1 is on its way, and 2 follows it");
        assert!(!backlog.push(3));
        assert_eq!([backlog.next(), backlog.next(), backlog.next()], [Some(2), Some(3), None]);
        assert!(backlog.push(4), "later ones start over");
    }
}
