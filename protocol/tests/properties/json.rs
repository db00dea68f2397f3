//! Generators of JSON.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;

/// Any JSON value that serde_json can hold, full-range integers among its numbers.
pub fn value() -> impl Strategy<Value = Value> {
    let float = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-200_i64..200).prop_map(Value::from),
        float.prop_map(Value::from),
        string().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 80, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::from),
            btree_map(string(), inner, 0..20)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Strings short and long, with characters that want escapes.
pub fn string() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,8}", any::<String>(), "[\u{0}-\u{1f}\"\\\\/é👍]{0,12}", "[a-z]{30,300}"]
}

/// JSON text beyond what serde_json holds: any number and any escape that the grammar allows, and
/// white space.
pub fn text() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,5})?";
    let quoted = vec(
        prop_oneof![
            "[ !#-\\[\\]-~é👍]",
            r#"\\["\\/bfnrt]"#,
            r"\\u[0-9a-fA-F]{4}",
            r"\\ud[89a-f][0-9a-f]{2}"
        ],
        0..8,
    )
    .prop_map(|parts| format!("\"{}\"", parts.concat()));
    let space = "[ \t\r\n]{0,2}";
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number.prop_map(|number| number),
        quoted.clone()
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        let member = (quoted.clone(), space, inner.clone())
            .prop_map(|(key, space, value)| format!("{key}{space}:{value}"));
        prop_oneof![
            (vec(inner, 0..8), space).prop_map(|(items, space)| format!(
                "[{space}{}{space}]",
                items.join(&format!(",{space}"))
            )),
            (vec(member, 0..8), space).prop_map(|(members, space)| format!(
                "{{{space}{}{space}}}",
                members.join(&format!("{space},"))
            )),
        ]
    })
}
