//! The mistakes that tests make here on purpose.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// What was held goes on in the wrong order: a bounced ask is sent after a later one.
    BouncedAfterLater,
    /// An op that may have happened is sent again although it has no number.
    OnceTwice,
    /// A new ask is sent at once although earlier ones of its slot are held.
    HeldOvertaken,
    /// The slot goes on with a new owner while the old one still has undecided asks.
    Undecided,
    /// What is sent after a bounce has the same round as what was sent before it.
    SameRound,
    /// An owner takes the rest of a round of which it has bounced something.
    RestTaken,
    /// A control message is not repeated with the ask before it.
    TellNotRepeated,
    /// A bounce only marks its ask; nobody wakes the slot once it is decided.
    NeverResumed,
}

/// Which of them is made, if any.
pub(super) type Planted = super::super::planted::Planted<Bug>;
