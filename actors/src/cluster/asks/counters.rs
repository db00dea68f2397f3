//! What a table of asks counts, for metrics.

use super::Why;

/// Counters of asks; control messages do not count. They only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Asks that their owner answered.
    pub answered: u64,
    /// Asks that were given up, by why.
    pub held: u64,
    pub unknown: u64,
    /// Asks that were refused since too much waits.
    pub full: u64,
    /// Asks that were sent and have to be sent again.
    pub again: u64,
}

impl Counters {
    /// Counts an ask that is given up.
    pub(super) const fn given_up(&mut self, why: Why) {
        let counter = match why {
            Why::Held => &mut self.held,
            Why::Unknown => &mut self.unknown,
        };
        *counter += 1;
    }
}
