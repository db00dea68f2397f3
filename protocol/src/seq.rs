//! The number of an event in its entity's log.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// The number of an event in its entity's log: 1, 2, 3, ... without gaps. 0 is the position before
/// the first event.
///
/// Two seqs are compared, and [`since`](Self::since) counts the events between them. A number of
/// events is a plain `u64`, which can be added to a seq. Adding two seqs has no meaning.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(u64);

impl Seq {
    /// The position before the first event.
    pub const ZERO: Self = Self(0);
    /// The first event.
    pub const FIRST: Self = Self(1);
    /// No event has a greater number.
    pub const MAX: Self = Self(u64::MAX);

    /// The seq with this number.
    #[inline]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The seq of the next event.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The number of events after `earlier`, up to and including this one. `earlier` must not be
    /// later than this.
    #[inline]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0 - earlier.0
    }

    /// The number of events after `earlier`, or 0 if `earlier` is later than this.
    #[inline]
    pub const fn saturating_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The number of events after `earlier`, or `None` if `earlier` is later than this.
    #[inline]
    pub const fn checked_since(self, earlier: Self) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }

    /// This many events later, at most [`MAX`](Self::MAX).
    #[inline]
    #[must_use]
    pub const fn saturating_add(self, events: u64) -> Self {
        Self(self.0.saturating_add(events))
    }

    /// This many events earlier, at least [`ZERO`](Self::ZERO).
    #[inline]
    #[must_use]
    pub const fn saturating_sub(self, events: u64) -> Self {
        Self(self.0.saturating_sub(events))
    }

    /// All seqs from this one to `last`, both included.
    #[inline]
    pub fn through(self, last: Self) -> impl DoubleEndedIterator<Item = Self> + Clone + fmt::Debug {
        (self.0..=last.0).map(Self)
    }
}

/// As [`Display`](fmt::Display): the number alone.
impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Add<u64> for Seq {
    type Output = Self;

    #[inline]
    fn add(self, events: u64) -> Self {
        Self(self.0 + events)
    }
}

impl AddAssign<u64> for Seq {
    #[inline]
    fn add_assign(&mut self, events: u64) {
        self.0 += events;
    }
}

impl Sub<u64> for Seq {
    type Output = Self;

    #[inline]
    fn sub(self, events: u64) -> Self {
        Self(self.0 - events)
    }
}

/// A plain integer. The derived schema would be one with a name, because the type has a comment.
impl JsonSchema for Seq {
    fn schema_name() -> Cow<'static, str> {
        u64::schema_name()
    }

    fn inline_schema() -> bool {
        u64::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        u64::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CodecKind, Message, RequestId};

    #[test]
    fn a_seq_is_written_as_its_number() {
        let seq = Seq::new(58);
        assert_eq!(format!("{seq} {seq:>4} {seq:?}"), "58   58 58");
        assert_eq!(serde_json::to_string(&seq).unwrap(), "58");
        assert_eq!(serde_json::from_str::<Seq>("58").unwrap(), seq);
        assert!(serde_json::from_str::<Seq>("-1").is_err());
        for codec in CodecKind::ALL {
            let id = RequestId::Number(1);
            let mut wrapped = Vec::new();
            codec.encode(&Message::Result { id: &id, result: &seq }, &mut wrapped);
            let mut plain = Vec::new();
            codec.encode(&Message::Result { id: &id, result: &58_u64 }, &mut plain);
            assert_eq!(wrapped, plain);
        }
        assert_eq!(schemars::schema_for!(Option<Seq>), schemars::schema_for!(Option<u64>));
    }

    #[test]
    fn seqs_are_as_far_apart_as_there_are_events_between_them() {
        let [early, late] = [Seq::new(3), Seq::new(8)];
        assert_eq!(late.since(early), 5);
        assert_eq!((early + 5, late - 5), (late, early));
        assert_eq!((early.saturating_since(late), early.checked_since(late)), (0, None));
        assert_eq!((early.saturating_sub(4), Seq::MAX.saturating_add(1)), (Seq::ZERO, Seq::MAX));
        assert_eq!(Seq::ZERO.next(), Seq::FIRST);
    }

    #[test]
    fn a_run_of_seqs_includes_both_ends() {
        assert!(Seq::new(3).through(Seq::new(5)).eq([3, 4, 5].map(Seq::new)));
        assert_eq!(Seq::new(3).through(Seq::new(2)).next(), None);
        assert_eq!(Seq::MAX.through(Seq::MAX).count(), 1);
    }
}
