//! What one session has received of one entity, over all its stays.

use greenroom_protocol::results::Subscribed;
use greenroom_protocol::{Epoch, Position, Seq};

use greenroom_loadtest::check::{SeqCheck, Verdict};

/// See the module's head.
#[derive(Debug, Default)]
pub struct Seat {
    /// The log, and what was seen of it since the last snapshot.
    now: Option<(Epoch, SeqCheck)>,
    /// The verdict on what was seen before that.
    past: Verdict,
    /// Events that were handed over when it came back.
    replayed: u64,
    /// Snapshots that it was given instead.
    snapshots: u64,
}

impl Seat {
    /// From where it wants to go on when it comes back.
    pub fn position(&self) -> Option<Position> {
        self.now.as_ref().map(|(epoch, check)| Position { epoch: epoch.clone(), seq: check.last() })
    }

    /// Takes what the subscription answered: what was missed, or a snapshot, after which everything
    /// is new.
    pub fn subscribed(&mut self, answer: &Subscribed) {
        if let (Some((epoch, check)), Some(events)) = (&mut self.now, &answer.events)
            && *epoch == answer.epoch
        {
            events.iter().for_each(|event| check.event(event.seq));
            self.replayed += events.len() as u64;
            return;
        }
        let before = self.now.replace((answer.epoch.clone(), SeqCheck::after(answer.seq)));
        if let Some((_, check)) = before {
            self.past += check.verdict(check.last());
            self.snapshots += 1;
        }
    }

    /// Takes an event.
    pub fn event(&mut self, seq: Seq) {
        if let Some((_, check)) = &mut self.now {
            check.event(seq);
        }
    }

    /// The verdict over all of it, if the log ends at `end`.
    pub fn verdict(&self, end: Seq) -> Verdict {
        let mut total = self.past;
        if let Some((_, check)) = &self.now {
            total += check.verdict(end);
        }
        total
    }

    /// The highest seq it has; 0 where it never sat.
    pub fn last(&self) -> Seq {
        self.now.as_ref().map_or(Seq::ZERO, |(_, check)| check.last())
    }

    /// How many events were handed over when it came back, and how many snapshots instead of
    /// events.
    pub fn returns(&self) -> (u64, u64) {
        (self.replayed, self.snapshots)
    }
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::RawJson;
    use greenroom_protocol::results::{Event, SnapshotReason};

    use super::*;

    fn answer(seq: u64, events: Option<&[u64]>) -> Subscribed {
        let event = |seq: &u64| Event {
            entity: None,
            seq: Seq::new(*seq),
            at: 1,
            from: "ann".into(),
            r#type: "post".into(),
            body: RawJson::NULL,
            tag: None,
            deleted: false,
        };
        Subscribed {
            entity: "room:a".parse().expect("it is an entity id"),
            epoch: Epoch::from_bits(7),
            seq: Seq::new(seq),
            events: events.map(|seqs| seqs.iter().map(event).collect()),
            snapshot: events.is_none().then_some(RawJson::NULL),
            reason: events.is_none().then_some(SnapshotReason::NoPosition),
            presence: None,
        }
    }

    #[test]
    fn what_was_missed_counts_when_it_is_handed_over() {
        let mut seat = Seat::default();
        assert_eq!(seat.position(), None);
        seat.subscribed(&answer(4, None));
        seat.event(Seq::new(5));
        assert_eq!(
            seat.position(),
            Some(Position { epoch: Epoch::from_bits(7), seq: Seq::new(5) })
        );
        seat.subscribed(&answer(7, Some(&[6, 7])));
        seat.event(Seq::new(8));
        assert_eq!(
            (seat.verdict(Seq::new(8)), seat.returns()),
            (Verdict { seen: 4, ..Verdict::default() }, (2, 0))
        );
        seat.subscribed(&answer(11, Some(&[9, 11])));
        assert_eq!(
            seat.verdict(Seq::new(12)),
            Verdict { seen: 6, lost: 2, ..Verdict::default() },
            "10 was left out, and 12 never came"
        );
    }

    #[test]
    fn a_snapshot_begins_anew_and_forgives_nothing() {
        let mut seat = Seat::default();
        seat.subscribed(&answer(0, None));
        for seq in [1, 1, 3] {
            seat.event(Seq::new(seq));
        }
        seat.subscribed(&answer(20, None));
        seat.event(Seq::new(21));
        assert_eq!(seat.last(), Seq::new(21));
        assert_eq!(
            (seat.verdict(Seq::new(21)), seat.returns()),
            (Verdict { seen: 3, lost: 1, doubled: 1, reordered: 0 }, (0, 1))
        );
    }
}
