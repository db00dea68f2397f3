//! The law of [`Behaviour`](super::Behaviour), for the property tests of each.

use greenroom_protocol::{RawJson, Seq};

use super::{BehaviourConfig, Op};
use crate::record::EventRecord;

/// An op to try, whatever comes of it.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) r#type: String,
    pub(super) body: String,
    pub(super) from: &'static str,
    pub(super) moderator: bool,
}

impl Attempt {
    pub(super) fn new(r#type: &str, body: impl Into<String>) -> Self {
        Self { r#type: r#type.into(), body: body.into(), from: "alice", moderator: false }
    }
}

/// Tries all attempts, and checks that a refusal changes nothing, that each snapshot on the way can
/// be restored, and that the events after it then give the same state. Returns how many were
/// accepted.
pub(super) fn holds(config: &BehaviourConfig, attempts: &[Attempt]) -> usize {
    let mut live = config.create();
    let mut events: Vec<EventRecord> = Vec::new();
    let mut snapshots = vec![live.snapshot()];
    let mut erased = Vec::new();
    for attempt in attempts {
        let body = RawJson::from_text(&attempt.body).unwrap();
        let seq = Seq::FIRST + events.len() as u64;
        let at = 1000 + seq.get();
        let before = (live.snapshot(), live.size());
        let op = Op {
            r#type: &attempt.r#type,
            body: &body,
            from: attempt.from,
            moderator: attempt.moderator,
            seq,
            at,
        };
        let erases = live.erases(&op);
        match live.decide(&op) {
            Err(rejection) => assert_eq!(
                (live.snapshot(), live.size()),
                before,
                "{attempt:?} was refused: {rejection:?}"
            ),
            Ok(accepted) => {
                events.push(EventRecord {
                    seq,
                    at,
                    from: attempt.from.into(),
                    r#type: attempt.r#type.as_str().into(),
                    body,
                    deleted: None,
                    client: None,
                    n: None,
                    began: None,
                    tag: None,
                    result: accepted.result,
                });
                snapshots.push(live.snapshot());
                erased.extend(erases.map(|erases| erases.message));
            }
        }
    }
    for (count, snapshot) in snapshots.iter().enumerate() {
        let seq = Seq::new(count as u64);
        let mut replayed = config.restore(seq, snapshot).unwrap();
        assert_eq!(
            replayed.snapshot(),
            *snapshot,
            "a restored state shows the snapshot it came from"
        );
        for event in &events[count..] {
            replayed.apply(event).unwrap();
        }
        assert_eq!(
            (replayed.snapshot(), replayed.size()),
            (live.snapshot(), live.size()),
            "replayed from {seq}"
        );
        for step in 1..=3 {
            let mut replayed = config.restore(seq, snapshot).unwrap();
            for event in &events[count..] {
                let body = live
                    .carries(event)
                    .filter(|body| erased.contains(&body.message) && event.seq.get() % step == 0);
                let tombstone = body.map(|body| event.tombstone(body));
                replayed.apply(tombstone.as_ref().unwrap_or(event)).unwrap();
            }
            assert_eq!(
                (replayed.snapshot(), replayed.size()),
                (live.snapshot(), live.size()),
                "replayed from {seq}, erased"
            );
        }
    }
    events.len()
}
