//! Recent events in memory, for subscribers that missed only a little.

use std::collections::VecDeque;
use std::sync::Arc;

use greenroom_protocol::Seq;

use crate::record::EventRecord;

/// The last events, bounded in number and in bytes of bodies. Gapless.
#[derive(Debug)]
pub struct Ring {
    events: VecDeque<Arc<EventRecord>>,
    bytes: usize,
    /// Half the size of a `usize`, since there is one for each entity.
    max_events: u32,
    max_bytes: u32,
}

impl Ring {
    /// An empty ring.
    pub fn new(max_events: usize, max_bytes: usize) -> Self {
        let narrow = |bound| u32::try_from(bound).unwrap_or(u32::MAX);
        Self { events: VecDeque::new(), bytes: 0, max_events: narrow(max_events), max_bytes: narrow(max_bytes) }
    }

    /// Adds the next event and forgets the oldest past the bounds.
    pub fn push(&mut self, event: Arc<EventRecord>) {
        debug_assert!(self.events.back().is_none_or(|last| last.seq + 1 == event.seq), "events come without gaps");
        self.bytes += event.body.len();
        self.events.push_back(event);
        while self.events.len() > self.max_events as usize || self.bytes > self.max_bytes as usize {
            let Some(old) = self.events.pop_front() else { break };
            self.bytes -= old.body.len();
        }
    }

    /// The events after `after`, if none of them is forgotten. `now` is the seq of the latest event.
    pub fn after(&self, after: Seq, now: Seq) -> Option<impl Iterator<Item = &Arc<EventRecord>>> {
        let first = self.events.front().map_or(now + 1, |event| event.seq);
        // Below the first event kept, there is a gap.
        let skip = usize::try_from((after + 1).checked_sub(first)?).ok()?;
        Some(self.events.iter().skip(skip))
    }
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::RawJson;
    use proptest::prelude::*;

    use super::*;

    fn event(seq: Seq, body: usize) -> Arc<EventRecord> {
        let body = RawJson::from_value(&"x".repeat(body)).expect("a string is JSON");
        Arc::new(EventRecord {
            seq,
            at: 0,
            from: "a".into(),
            r#type: "t".into(),
            body,
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
            let mut ring = Ring::new(max_events, max_bytes);
            let mut now = start;
            for size in sizes {
                now += 1;
                ring.push(event(now, size));
            }
            let after = after.min(now);
            if let Some(events) = ring.after(after, now) {
                let got: Vec<_> = events.map(|event| event.seq).collect();
                prop_assert_eq!(got, (after + 1..=now).collect::<Vec<_>>());
            } else {
                prop_assert!(after < now, "who has everything misses nothing");
            }
            prop_assert!(ring.events.len() <= max_events && ring.bytes <= max_bytes);
        }
    }
}
