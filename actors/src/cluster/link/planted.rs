//! Mistakes that tests make on purpose, to see that they are found. Outside tests there are none.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// A frame is taken although one before it is missing.
    GapTaken,
    /// A frame of another pair of epochs is taken.
    OldEpochTaken,
    /// Frames are acknowledged that were not taken.
    AckBeforeTake,
    /// Every frame behind a gap is answered with a nack.
    NackStorm,
    /// Any hello resets the link, without asking whether it is a late one.
    LateHelloResets,
}

/// Which mistake is made, if any.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Planted {
    #[cfg(test)]
    pub bug: Option<Bug>,
}

impl Planted {
    /// Whether this mistake is to be made.
    #[cfg(test)]
    pub fn has(self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Whether this mistake is to be made: never.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the same call as in tests")]
    pub const fn has(self, _: Bug) -> bool {
        false
    }
}
