//! Compares random documents and ops with json-patch, and checks the law of behaviours.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::behaviour::BehaviourConfig;
use crate::behaviour::document::number;
use crate::behaviour::law::{self, Attempt};

fn key() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[abc]", 1 => Just("-".to_owned()), 1 => Just("0".to_owned()), 1 => Just("a/b~\"é".to_owned())]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-5..5i64).prop_map(Value::from),
        "[a-c\"\\\\\u{1}é👍]{0,4}".prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn path() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        4 => "[abc]",
        3 => (0..4usize).prop_map(|index| index.to_string()),
        1 => Just("-".to_owned()),
        1 => Just("a~1b~0\"é".to_owned()),
    ];
    prop::collection::vec(token, 0..4)
        .prop_map(|tokens| tokens.into_iter().map(|token| format!("/{token}")).collect())
}

fn operation() -> impl Strategy<Value = Value> {
    (prop::sample::select(vec!["add", "remove", "replace", "move", "copy", "test"]), path(), path(), value())
        .prop_map(|(op, from, path, value)| serde_json::json!({ "op": op, "from": from, "path": path, "value": value }))
}

fn patch() -> impl Strategy<Value = Value> {
    prop::collection::vec(operation(), 0..5).prop_map(Value::from)
}

/// Wide limits, so that only the ops themselves decide.
fn state(initial: &Value) -> Document {
    Document::new(&DocumentConfig {
        initial: begins(&initial.to_string()),
        max_depth: 100,
        ..DocumentConfig::default()
    })
}

/// The document's size and depth are what a new measurement finds.
fn measured(document: &Document) -> bool {
    let text = document.snapshot();
    let anew = Tree::new(parse::parse(text.as_str()).unwrap());
    document.size() == text.len()
        && document.tree.depth() == text.depth()
        && anew.depth() == text.depth()
        && anew.size() == text.len()
}

fn attempt() -> impl Strategy<Value = Attempt> {
    prop_oneof![
        3 => patch().prop_map(|patch| Attempt::new("patch", patch.to_string())),
        2 => value().prop_map(|value| Attempt::new("merge", value.to_string())),
        3 => (path(), value()).prop_map(|(path, value)| Attempt::new("set", serde_json::json!({ "path": path, "value": value }).to_string())),
        3 => (path(), any::<f64>()).prop_map(|(path, by)| Attempt::new("increment", serde_json::json!({ "path": path, "by": by }).to_string())),
        3 => (path(), -9..9i64).prop_map(|(path, by)| Attempt::new("increment", serde_json::json!({ "path": path, "by": by }).to_string())),
        1 => ("[a-z]{0,5}", value()).prop_map(|(op, value)| Attempt::new(&op, value.to_string())),
    ]
}

proptest! {
    #[test]
    fn patches_do_as_json_patch_does(initial in value(), patch in patch()) {
        let mut document = state(&initial);
        let outcome = send(&mut document, "patch", &patch.to_string());
        // json-patch's own rollback has faults (see `edit.rs`), so it works on a copy.
        let mut want = initial.clone();
        let applied = json_patch::patch_unsafe(&mut want, &serde_json::from_value::<json_patch::Patch>(patch).unwrap());
        prop_assert_eq!(outcome.is_ok(), applied.is_ok(), "{:?} {:?}", outcome, applied);
        let after: Value = document.snapshot().parse().unwrap();
        prop_assert_eq!(after, if applied.is_ok() { want } else { initial });
        prop_assert!(measured(&document));
    }

    /// Several ops in a row, so that later ones change what earlier ones have shared and measured.
    #[test]
    fn rows_of_patches_do_as_json_patch_does(initial in value(), patches in prop::collection::vec(patch(), 0..8)) {
        let mut document = state(&initial);
        let mut want = initial;
        for patch in patches {
            let outcome = send(&mut document, "patch", &patch.to_string());
            let mut next = want.clone();
            if json_patch::patch_unsafe(&mut next, &serde_json::from_value::<json_patch::Patch>(patch).unwrap()).is_ok() {
                prop_assert!(outcome.is_ok());
                want = next;
            }
            prop_assert_eq!(document.snapshot().parse::<Value>().unwrap(), want.clone());
            prop_assert!(measured(&document));
        }
    }

    #[test]
    fn merges_do_as_json_patch_does(initial in value(), patch in value()) {
        let mut document = state(&initial);
        send(&mut document, "merge", &patch.to_string()).unwrap();
        let mut want = initial;
        json_patch::merge(&mut want, &patch);
        prop_assert_eq!(document.snapshot().parse::<Value>().unwrap(), want);
        prop_assert!(measured(&document));
    }

    #[test]
    fn the_law_holds(initial in value(), attempts in prop::collection::vec(attempt(), 0..25), max_state_bytes in 20..400usize, max_depth in 1..6usize) {
        let initial = begins(&initial.to_string());
        let bounded = DocumentConfig { max_state_bytes, max_depth, ..DocumentConfig::default() };
        law::holds(&BehaviourConfig::Document(DocumentConfig { initial, ..bounded }), &attempts);
    }

    #[test]
    fn texts_are_read_as_serde_json_reads_them(value in value(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        prop_assert_eq!(parse::parse(&text), Ok(value));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[\\[\\]{}\",:\\\\é0-9a-fu.eE+\\-ntr \n]{0,24}") {
        // The parser may accept invalid JSON, but must not refuse valid JSON, except for numbers
        // and strings without a value.
        let mine = parse::parse(&text);
        if let Ok(theirs) = serde_json::from_str::<Value>(&text) {
            prop_assert!(mine.is_ok(), "{:?} {:?}", mine, theirs);
        }
    }

    /// Every float survives a snapshot, to the last bit.
    #[test]
    fn numbers_survive_their_text(float in any::<f64>().prop_filter("finite", |float| float.is_finite()), integer in any::<i64>()) {
        let read = |text: &str| number::parse(text).unwrap();
        let number = serde_json::Number::from_f64(float).unwrap();
        prop_assert_eq!(read(&number.to_string()).as_f64().unwrap().to_bits(), float.to_bits());
        prop_assert_eq!(read(&format!("{float:e}")).as_f64().unwrap().to_bits(), float.to_bits());
        prop_assert_eq!(read(&integer.to_string()).as_i64(), Some(integer));
    }
}
