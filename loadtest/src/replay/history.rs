//! A room's whole history, and whether it holds what was acknowledged.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, Result};
use greenroom_protocol::results::{Event, HistoryPage};
use greenroom_protocol::{Call, EntityId, Seq, limits, params};

use super::keep::{Acked, Line};
use crate::client::Conn;

/// How a history differs from what was acknowledged. All zero but `held` and `unacknowledged` is
/// what is promised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Difference {
    /// Acknowledged lines that are there, where they were said to be.
    pub held: u64,
    /// Acknowledged lines that are not there.
    pub missing: u64,
    /// Acknowledged lines that are elsewhere than they were said to be, or whose text changed.
    pub altered: u64,
    /// Lines that are there more than once.
    pub doubled: u64,
    /// Seqs that do not follow the one before.
    pub out_of_order: u64,
    /// Lines that are there without having been acknowledged: sent, and their answer lost.
    pub unacknowledged: u64,
}

/// All events of `entity` after `after`, page by page.
///
/// # Errors
/// Where the server does not answer.
pub async fn read(conn: &mut Conn, entity: &EntityId, after: Seq) -> Result<Vec<Event>> {
    let (mut events, mut after) = (Vec::new(), after);
    loop {
        let call = Call::History(params::History {
            entity: entity.clone(),
            before: None,
            after: Some(after),
            limit: Some(limits::MAX_HISTORY),
        });
        let page: HistoryPage = conn
            .ask(&call)
            .await
            .with_context(|| format!("the history of `{entity}` cannot be read"))?;
        let last = page.events.last().map(|event| event.seq);
        events.extend(page.events);
        match last {
            Some(last) if page.more && last > after => after = last,
            _ => return Ok(events),
        }
    }
}

/// Compares the posts of a history with what was acknowledged.
pub fn compare(acked: &[Acked], events: &[Event]) -> Difference {
    let out_of_order =
        events.windows(2).filter(|pair| pair[1].seq != pair[0].seq + 1).count() as u64;
    let mut difference = Difference { out_of_order, ..Difference::default() };
    let mut places: HashMap<usize, u64> = HashMap::new();
    let mut by_seq: BTreeMap<Seq, Option<Line>> = BTreeMap::new();
    for event in events {
        let line = event.body.parse::<Line>().ok();
        if let Some(line) = &line {
            *places.entry(line.line).or_default() += 1;
        }
        by_seq.insert(event.seq, line);
    }
    for acked in acked {
        match by_seq.get(&acked.seq) {
            Some(Some(line)) if *line == acked.body => difference.held += 1,
            Some(_) => difference.altered += 1,
            None if places.contains_key(&acked.body.line) => difference.altered += 1,
            None => difference.missing += 1,
        }
    }
    difference.doubled = places.values().map(|count| count - 1).sum();
    let known: HashSet<_> = acked.iter().map(|acked| acked.body.line).collect();
    difference.unacknowledged = places.keys().filter(|line| !known.contains(line)).count() as u64;
    difference
}

impl std::ops::AddAssign for Difference {
    fn add_assign(&mut self, other: Self) {
        self.held += other.held;
        self.missing += other.missing;
        self.altered += other.altered;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
        self.unacknowledged += other.unacknowledged;
    }
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::RawJson;

    use super::*;

    fn line(line: usize) -> Line {
        Line { text: format!("line {line}"), line }
    }

    fn acked(seq: Seq, at: usize) -> Acked {
        Acked {
            entity: "room:a".parse().expect("it is an entity id"),
            epoch: "e".into(),
            seq,
            body: line(at),
        }
    }

    fn event(seq: Seq, body: &Line) -> Event {
        let body = RawJson::from_value(body).expect("it serializes");
        Event {
            entity: None,
            seq,
            at: 0,
            from: "a".into(),
            r#type: "post".into(),
            body,
            tag: None,
            deleted: false,
        }
    }

    #[test]
    fn differences() {
        let none = Difference::default();
        let two = [acked(1, 0), acked(2, 1)];
        let table = [
            (vec![event(1, &line(0)), event(2, &line(1))], Difference { held: 2, ..none }),
            (vec![event(1, &line(0))], Difference { held: 1, missing: 1, ..none }),
            (vec![event(1, &line(1)), event(2, &line(0))], Difference { altered: 2, ..none }),
            (
                vec![event(1, &line(0)), event(2, &line(1)), event(3, &line(1))],
                Difference { held: 2, doubled: 1, ..none },
            ),
            (
                vec![event(1, &line(0)), event(2, &line(1)), event(3, &line(2))],
                Difference { held: 2, unacknowledged: 1, ..none },
            ),
            (
                vec![event(2, &line(1)), event(1, &line(0))],
                Difference { held: 2, out_of_order: 1, ..none },
            ),
            (
                vec![event(1, &line(0)), event(3, &line(1))],
                Difference { held: 1, altered: 1, out_of_order: 1, ..none },
            ),
        ];
        for (events, want) in table {
            assert_eq!(compare(&two, &events), want, "{events:?}");
        }
    }
}
