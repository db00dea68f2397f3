//! Recent events in memory, for subscribers that missed only a little.

use std::collections::VecDeque;
use std::sync::Arc;

use greenroom_protocol::Seq;

use crate::kind::Kind;
use crate::rare::Empty;
use crate::record::{Erased, EventRecord};

/// The last events, bounded in number and in bytes of bodies. Gapless.
#[derive(Debug)]
pub struct Ring {
    events: VecDeque<Arc<EventRecord>>,
    bytes: usize,
}

impl Ring {
    /// An empty ring.
    pub const fn new() -> Self {
        Self { events: VecDeque::new(), bytes: 0 }
    }

    /// Adds the next event and forgets the oldest past the bounds of the kind.
    pub fn push(&mut self, event: Arc<EventRecord>, kind: &Kind) {
        debug_assert!(
            self.events.back().is_none_or(|last| last.seq.next() == event.seq),
            "events come without gaps"
        );
        self.bytes += event.body.len();
        self.events.push_back(event);
        while self.events.len() > kind.ring_events || self.bytes > kind.ring_bytes {
            let Some(old) = self.events.pop_front() else { break };
            self.bytes -= old.body.len();
        }
    }

    /// Replaces events from `first` on with tombstones if `hidden` returns a body for them.
    pub fn hide(&mut self, first: Seq, hidden: impl Fn(&EventRecord) -> Option<Erased>) {
        let begin = self.events.partition_point(|event| event.seq < first);
        for event in self.events.range_mut(begin..) {
            if let Some(body) = hidden(event) {
                self.bytes -= event.body.len();
                *event = Arc::new(event.tombstone(body));
                self.bytes += event.body.len();
            }
        }
    }

    /// The events after `after`, if the ring still has all of them. `now` is the seq of the latest
    /// event.
    pub fn after(&self, after: Seq, now: Seq) -> Option<impl Iterator<Item = &Arc<EventRecord>>> {
        let first = self.events.front().map_or(now.next(), |event| event.seq);
        // Before the first event that is kept there is a gap.
        let skip = usize::try_from(after.next().checked_since(first)?).ok()?;
        Some(self.events.iter().skip(skip))
    }
}

impl Empty for Ring {
    fn empty() -> &'static Self {
        const { &Self::new() }
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::RawJson;
    use proptest::prelude::*;

    use super::*;
    use crate::kind::Settings;
    use crate::testing::{kind_of, settings};

    fn event(seq: Seq, body: usize) -> Arc<EventRecord> {
        let body = RawJson::from_value(&"x".repeat(body)).expect("a string is JSON");
        Arc::new(EventRecord {
            seq,
            at: 0,
            from: "a".into(),
            r#type: "t".into(),
            body,
            deleted: None,
            client: None,
            n: None,
            began: None,
            tag: None,
            result: None,
        })
    }

    proptest! {
        #[test]
        fn gives_all_after_a_position_or_nothing(
            sizes in proptest::collection::vec(0usize..40, 0..40), start in 0u64..5, max_events in 0usize..12, max_bytes in 0usize..200, after in 0u64..60,
        ) {
            let mut ring = Ring::new();
            let kind = kind_of(Settings { ring_events: max_events, ring_bytes: max_bytes, ..settings() });
            let mut now = Seq::new(start);
            for size in sizes {
                now = now.next();
                ring.push(event(now, size), &kind);
            }
            let after = Seq::new(after).min(now);
            if let Some(events) = ring.after(after, now) {
                let got: Vec<_> = events.map(|event| event.seq).collect();
                prop_assert_eq!(got, after.next().through(now).collect::<Vec<_>>());
            } else {
                prop_assert!(after < now, "who has everything misses nothing");
            }
            prop_assert!(ring.events.len() <= max_events && ring.bytes <= max_bytes);
        }
    }
}
