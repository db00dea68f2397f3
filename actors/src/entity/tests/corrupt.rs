//! What is stored of an entity cannot be read: it says so, once to the operator, and does not ask
//! the store again and again.

use super::*;
use crate::clock::Mono;
use crate::entity::{Life, Todo};
use crate::journal::{Committed, Journal};

struct Rigged {
    life: Life,
    journal: Journal,
    line: Line,
}

impl Rigged {
    fn new() -> Self {
        let life = Life::new(entity("room:a"), Arc::new(kind()), encoder(), 10, Mono::ZERO);
        Self { life, journal: Journal::channel(10).0, line: Line::new() }
    }

    fn take(&mut self, message: ToEntity) -> Todo {
        let mut todo = Todo::at(Mono::ZERO);
        self.life.take(message, 5000, &self.journal, &mut todo);
        todo
    }

    fn op(&mut self, n: u64) -> Todo {
        let request = post("alice", Some(n), "x", self.line.reply(0, i64::try_from(n).unwrap()));
        self.take(ToEntity::Op(Box::new(request)))
    }

    fn loaded(&mut self, loaded: Result<Loaded, StoreError>) -> Todo {
        let mut todo = Todo::at(Mono::ZERO);
        self.life.loaded(loaded, epoch(), &self.journal, &mut todo);
        todo
    }

    /// It refuses what comes, without another load, and sleeps like others.
    fn is_at_rest(&mut self, todo: &Todo) {
        assert!(todo.effects.corrupt.is_some(), "the operator is told");
        assert!(todo.load.is_none() && !todo.end, "{todo:?}");
        let todo = self.op(9);
        assert_eq!(self.line.take(), ["#9 corrupt"]);
        assert!(todo.effects.corrupt.is_none() && todo.load.is_none() && !todo.end, "{todo:?}");
        self.take(ToEntity::Gone(session(1)));
        let leave = ToEntity::Presence {
            action: PresenceAction::Leave,
            meta: None,
            user: "alice".into(),
            reply: self.line.reply(1, 10),
        };
        assert_eq!(shown(&self.take(leave)), ["#10 count 0"], "whoever wants to leave may");
        let unsubscribe = ToEntity::Unsubscribe { through: 1, reply: self.line.reply(1, 11) };
        assert_eq!(shown(&self.take(unsubscribe)), ["1 leaves", "#11"]);
        let after = Position { epoch: epoch(), seq: Seq::FIRST };
        let catch_up = ToEntity::CatchUp(CatchUp {
            spec: spec(1, 1),
            codec: CodecKind::Json,
            after,
            presence: false,
        });
        assert_eq!(shown(&self.take(catch_up)), ["1 is replaced"], "whoever followed is told so");
        assert_eq!(self.take(ToEntity::Sleep { drain: false, mark: 7 }).idle, Some(7));
        assert_eq!(self.take(ToEntity::Sleep { drain: true, mark: 8 }).idle, Some(8));
    }
}

fn shown(todo: &Todo) -> Vec<String> {
    todo.effects.parts.iter().flat_map(|(_, parts)| parts.iter().map(part)).collect()
}

fn snapshot(state: &str, dedupe: &str) -> Loaded {
    let raw = |text: &str| RawJson::from_text(text).unwrap();
    let row = SnapshotRow {
        entity: entity("room:a"),
        epoch: epoch(),
        seq: Seq::new(3),
        state: raw(state),
        dedupe: raw(dedupe),
        trimmed: Seq::ZERO,
        longest_row: 1,
    };
    Loaded { snapshot: Some(row), epoch: Some(epoch()), ..Loaded::default() }
}

fn event(seq: u64, r#type: &str) -> EventRecord {
    let mut rig = Rig::new();
    rig.post(0, 1);
    EventRecord { seq: Seq::new(seq), r#type: r#type.into(), ..(*rig.written[0]).clone() }
}

fn tail(events: Vec<EventRecord>) -> Loaded {
    Loaded {
        tail: events,
        epoch: Some(epoch()),
        longest_row: 1,
        snapshot: None,
        erasures: Vec::new(),
    }
}

#[test]
fn an_entity_that_cannot_be_read_says_so_and_rests() {
    let table = [
        ("rows that are no JSON", Err(StoreError::Corrupt("no JSON".into()))),
        ("another behaviour's snapshot", Ok(snapshot(r#"{"votes":3}"#, "{}"))),
        (
            "outcomes of a form that is not known",
            Ok(snapshot(r#"{"messages":[]}"#, r#"{"clients":7}"#)),
        ),
        ("a gap", Ok(tail(vec![event(2, "post")]))),
        ("another behaviour's event", Ok(tail(vec![event(1, "increment")]))),
    ];
    for (what, loaded) in table {
        println!("{what}");
        let mut rig = Rigged::new();
        rig.op(1);
        let todo = rig.loaded(loaded);
        assert_eq!(rig.line.take(), ["#1 corrupt"]);
        rig.is_at_rest(&todo);
    }
}

#[test]
fn a_store_that_does_not_answer_is_tried_again() {
    let mut rig = Rigged::new();
    rig.op(1);
    let todo = rig.loaded(Err(StoreError::Unavailable("gone".into())));
    assert_eq!(rig.line.take(), ["#1 unavailable"]);
    assert!(todo.end && todo.effects.corrupt.is_none(), "{todo:?}");
}

#[test]
fn one_that_cannot_be_read_again_does_not_ask_for_ever() {
    let table = [Err(StoreError::Corrupt("no JSON".into())), Ok(tail(vec![event(2, "post")]))];
    for loaded in table {
        let mut rig = Rigged::new();
        rig.loaded(Ok(Loaded::default()));
        rig.op(1);
        let mut todo = Todo::at(Mono::ZERO);
        rig.life.committed(Committed { through: Seq::ZERO, ended: true }, &rig.journal, &mut todo);
        assert!(todo.load.is_some());
        let todo = rig.loaded(loaded);
        assert_eq!(rig.line.take(), ["#1 unavailable"], "nobody knows what became of it");
        assert!(todo.audience_forgotten, "whoever followed is told");
        rig.is_at_rest(&todo);
    }
}

#[test]
fn pages_that_cannot_be_read_are_not_asked_for_again() {
    let corrupt = || Err(StoreError::Corrupt("no JSON".into()));
    let mut rig = Rig::with_events(kind(), 8);
    rig.history(None, Some(0), 2);
    assert_eq!(rig.fetch_from(corrupt()), ["#103 corrupt"]);
    rig.subscribe(spec(1, 1), Some((epoch(), 1)));
    assert_eq!(
        rig.fetch_from(corrupt()),
        ["1 joins at 8: #100 seq 8 reason too_old state [6,7,8]"]
    );
    rig.catch_up(spec(1, 1), 1, false);
    assert_eq!(
        rig.fetch_from(corrupt()),
        ["1 goes from 1 to 8 live: reset seq 8 reason too_old state [6,7,8]"]
    );
    assert!(rig.fx.retries.is_empty());
}
