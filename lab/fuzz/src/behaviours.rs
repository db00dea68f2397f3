//! Rooms and documents under any sequence of ops: no panic, refusals change nothing, the state and
//! the work stay within their bounds, and the events replayed give the same state.
//!
//! An input is text: a first line that chooses the behaviour and then one op per line, as the user,
//! the type and the body: `alice post {"text": "hi"}`. `mod` is a moderator. Other lines are
//! ignored.
#![no_main]

use std::sync::LazyLock;

use greenroom_actors::behaviour::document::DocumentConfig;
use greenroom_actors::behaviour::room::RoomConfig;
use greenroom_actors::behaviour::{Behaviour, BehaviourConfig, BehaviourName, Op};
use greenroom_actors::record::EventRecord;
use greenroom_protocol::{RawJson, Seq};

const MAX_STATE: usize = 400;
/// The most work of a room's op: this room has few reactions.
const MAX_ROOM_WORK: usize = 10_000;
/// The most work of a document's op: the document's limit, and one step beyond it.
const MAX_DOCUMENT_WORK: usize = 64 * 1024 + 64 * MAX_STATE;

static ROOM: LazyLock<BehaviourConfig> = LazyLock::new(|| {
    let config =
        RoomConfig { messages: 4, max_state_bytes: MAX_STATE, max_reactions: 2, max_reactors: 3 };
    BehaviourConfig::Room(config.into())
});

static DOCUMENT: LazyLock<BehaviourConfig> = LazyLock::new(|| {
    BehaviourConfig::Document(DocumentConfig {
        max_state_bytes: MAX_STATE,
        max_depth: 6,
        ..DocumentConfig::default()
    })
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let Some((behaviour, ops)) = text.split_once('\n') else { return };
    let config = if behaviour.starts_with('r') { &ROOM } else { &DOCUMENT };
    let mut live = config.create();
    let mut log = Log { events: Vec::new(), snapshots: vec![live.snapshot()], erased: Vec::new() };
    for line in ops.lines() {
        let mut parts = line.splitn(3, ' ');
        let (Some(from), Some(r#type), Some(body)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        // Sessions let only sound bodies within the limits through.
        let Ok(body) = RawJson::from_text(body) else { continue };
        if body.check().is_ok() && body.len() <= 1000 && !body.deeper_than(64) {
            attempt(config, &mut *live, &mut log, (from, r#type, body));
        }
    }
    log.replays(config, &*live);
});

/// The events, the states before and after each, and the messages whose bodies are erased.
struct Log {
    events: Vec<EventRecord>,
    snapshots: Vec<RawJson>,
    erased: Vec<Seq>,
}

fn attempt(
    config: &BehaviourConfig,
    live: &mut dyn Behaviour,
    log: &mut Log,
    (from, r#type, body): (&str, &str, RawJson),
) {
    let seq = Seq::new(log.snapshots.len() as u64);
    let at = 1000 + seq.get();
    let op = Op { r#type, body: &body, from, moderator: from == "mod", seq, at };
    let (before, size) = (live.snapshot(), live.size());
    let erases = live.erases(&op);
    let work = match live.decide(&op) {
        Err(refused) => {
            assert_eq!((live.snapshot(), live.size()), (before, size), "refused: {refused:?}");
            refused.work
        }
        Ok(accepted) => {
            log.erased.extend(erases.map(|erases| erases.message));
            log.snapshots.push(live.snapshot());
            log.events.push(EventRecord {
                seq,
                at,
                from: from.into(),
                r#type: r#type.into(),
                body: body.clone(),
                deleted: None,
                client: None,
                n: None,
                began: None,
                tag: None,
                result: accepted.result,
            });
            accepted.work
        }
    };
    bounded(live, config.name(), work);
}

fn bounded(live: &dyn Behaviour, name: BehaviourName, work: usize) {
    let state = live.snapshot();
    state.check().unwrap_or_else(|flaw| panic!("{flaw:?} in {state:?}"));
    let (size, length) = (live.size(), state.len());
    if name == BehaviourName::Room {
        // A single message may be larger.
        let shown: serde_json::Value = state.parse().expect("it is sound");
        let single = shown["messages"].as_array().is_some_and(|messages| messages.len() == 1);
        assert!(size <= MAX_STATE || single, "{size} bytes: {state:?}");
        assert!(work <= MAX_ROOM_WORK, "{work} units of work for one op");
    } else {
        assert!(size <= MAX_STATE, "{size} bytes: {state:?}");
        assert_eq!(size, length, "the size of {state:?}");
        assert!(work <= MAX_DOCUMENT_WORK, "{work} units of work for one op");
    }
}

impl Log {
    /// Replays from every snapshot, with the erased bodies and without them.
    fn replays(&self, config: &BehaviourConfig, live: &dyn Behaviour) {
        let last = (live.snapshot(), live.size());
        for (count, snapshot) in self.snapshots.iter().enumerate() {
            let seq = Seq::new(count as u64);
            for erased in [false, true] {
                let mut replayed =
                    config.restore(seq, snapshot).expect("its own snapshot is restored");
                assert_eq!(replayed.snapshot(), *snapshot, "restored at {seq}");
                for event in &self.events[count..] {
                    let body = live
                        .carries(event)
                        .filter(|body| erased && self.erased.contains(&body.message));
                    let tombstone = body.map(|body| event.tombstone(body));
                    let event = tombstone.as_ref().unwrap_or(event);
                    replayed.apply(event).unwrap_or_else(|why| panic!("{why} of {event:?}"));
                }
                let state = (replayed.snapshot(), replayed.size());
                assert_eq!(state, last, "replayed from {seq}, erased: {erased}");
            }
        }
    }
}
