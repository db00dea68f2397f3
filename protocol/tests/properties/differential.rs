//! The two codecs, held against each other: one structure, two encodings, one verdict.

use greenroom_protocol::{CodecKind, Request};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use crate::calls::request;
use crate::json;

/// A request as the structure that both encodings have.
fn structure(request: &Request) -> Value {
    let mut text = Vec::new();
    CodecKind::Json.encode_request(request.id.as_ref(), &request.call, &mut text);
    serde_json::from_slice(&text).unwrap()
}

/// One change to a structure, at a place of its own choice.
#[derive(Debug, Clone)]
enum Change {
    Remove,
    Replace(Value),
    Insert(&'static str, Value),
}

fn change() -> impl Strategy<Value = Change> {
    let names = [
        "id", "jsonrpc", "method", "params", "entity", "n", "body", "after", "epoch", "seq",
        "limit", "events", "key", "é",
    ];
    let telling = select(vec![
        json!(null),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(1u64 << 53),
        json!(u64::MAX),
        json!(""),
        json!("2.0"),
        json!("replay"),
        json!("room:a"),
        json!("room:"),
        json!("x".repeat(129)),
        json!([]),
        json!({}),
        json!(true),
    ]);
    let any = prop_oneof![3 => telling, 1 => json::value()];
    prop_oneof![
        Just(Change::Remove),
        any.clone().prop_map(Change::Replace),
        (select(names.to_vec()), any).prop_map(|(name, value)| Change::Insert(name, value))
    ]
}

/// Every place of a structure, as the way to it.
fn places(value: &Value, way: &mut Vec<String>, all: &mut Vec<Vec<String>>) {
    all.push(way.clone());
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), value)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (step, value) in inner {
        way.push(step);
        places(value, way, all);
        way.pop();
    }
}

fn apply(value: &mut Value, at: Index, change: &Change) {
    let mut all = Vec::new();
    places(value, &mut Vec::new(), &mut all);
    let way = at.get(&all);
    let Some((last, parents)) = way.split_last() else { return };
    let mut holder = value;
    for step in parents {
        holder = match holder {
            Value::Array(items) => &mut items[step.parse::<usize>().unwrap()],
            holder => &mut holder[step.as_str()],
        };
    }
    match (holder, change) {
        (Value::Object(members), Change::Remove) => drop(members.remove(last)),
        (Value::Object(members), Change::Replace(new)) => {
            drop(members.insert(last.clone(), new.clone()));
        }
        (Value::Object(members), Change::Insert(name, new)) => {
            drop(members.insert((*name).to_owned(), new.clone()));
        }
        (Value::Array(items), Change::Remove) => drop(items.remove(last.parse::<usize>().unwrap())),
        (Value::Array(items), Change::Replace(new)) => {
            items[last.parse::<usize>().unwrap()] = new.clone();
        }
        (Value::Array(items), Change::Insert(_, new)) => items.push(new.clone()),
        (other, _) => unreachable!("{other} holds nothing"),
    }
}

/// Both codecs make the same request of it, or refuse it with the same code and the same id.
fn agree(structure: &Value) -> Result<(), TestCaseError> {
    let text = CodecKind::Json.decode(structure.to_string().as_bytes());
    let packed = CodecKind::MsgPack.decode(&rmp_serde::to_vec_named(structure).unwrap());
    match (text, packed) {
        (Ok(text), Ok(packed)) => prop_assert_eq!(text, packed, "{}", structure),
        (Err(text), Err(packed)) => {
            prop_assert_eq!(
                text.error.data.code,
                packed.error.data.code,
                "{}: {:?} {:?}",
                structure,
                text,
                packed
            );
            prop_assert_eq!(&text.id, &packed.id, "{}: {:?} {:?}", structure, text, packed);
        }
        (text, packed) => prop_assert!(false, "{structure}: JSON {text:?}, MessagePack {packed:?}"),
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_codecs_agree_on_requests(request in request()) {
        agree(&structure(&request))?;
    }

    /// Nearly right ones, in which every check of every member is met sooner or later.
    #[test]
    fn the_codecs_agree_on_what_is_wrong(request in request(), changes in vec((any::<Index>(), change()), 1..4)) {
        let mut structure = structure(&request);
        for (at, change) in &changes {
            apply(&mut structure, *at, change);
        }
        agree(&structure)?;
    }

    #[test]
    fn the_codecs_agree_on_anything(value in json::value()) {
        agree(&value)?;
    }

    #[test]
    fn the_codecs_agree_on_any_params(
        method in "connect|subscribe|unsubscribe|send|signal|read|history|presence|ping|nothing",
        members in prop::collection::btree_map("entity|type|body|n|after|before|limit|token|client|[a-z]{1,3}", json::value(), 0..5),
    ) {
        let params: Map<String, Value> = members.into_iter().collect();
        agree(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))?;
    }
}
