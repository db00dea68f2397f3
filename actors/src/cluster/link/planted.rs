//! The mistakes that tests make here on purpose.

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

/// Which of them is made, if any.
pub(super) type Planted = super::super::planted::Planted<Bug>;
