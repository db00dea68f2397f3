//! How much may be asked of other nodes at once, and how long it is held.

/// Settings of [`Asks`](super::Asks).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Milliseconds after which an ask that is held is given up, counted from when it was asked.
    pub hold: u64,
    /// The same for control messages. It should exceed the grace of presence entries.
    pub tell_hold: u64,
    /// Bytes of all asks and control messages, in flight or held. Control messages may use an eighth
    /// more, so that asks cannot keep them out.
    pub hold_bytes: usize,
    /// Their number, likewise.
    pub hold_count: usize,
    /// Milliseconds until a node that bounced something is asked again, unless a new map names
    /// another owner earlier. Each further bounce in a row doubles them.
    pub again: u64,
    /// The most that they grow to.
    pub again_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hold: 5_000,
            tell_hold: 30_000,
            hold_bytes: 16 * 1_048_576,
            hold_count: 65_536,
            again: 20,
            again_max: 500,
        }
    }
}
