//! Bodies mean the same in both codecs, and in an implementation of MessagePack that is not ours.

use greenroom_protocol::{CodecKind, Message, Method, RawJson, ServerMessage};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::json::{text, value};

/// What a client of `codec` finds in a notification with this body.
fn through(codec: CodecKind, body: &RawJson) -> RawJson {
    let mut bytes = Vec::new();
    codec.encode(&Message::Notification { method: Method::Event, params: body }, &mut bytes);
    match codec.decode_server(&bytes) {
        Ok(ServerMessage::Notification { params, .. }) => params,
        other => panic!("{other:?}"),
    }
}

fn reference_depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(reference_depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(reference_depth).max().unwrap_or(0),
        _ => 0,
    }
}

proptest! {
    #[test]
    fn both_codecs_deliver_the_same_body(value in value()) {
        let body = RawJson::from_value(&value).unwrap();
        for codec in CodecKind::ALL {
            let got = through(codec, &body);
            prop_assert_eq!(got.as_str(), body.as_str(), "{:?}", codec);
        }
    }

    #[test]
    fn another_implementation_reads_what_we_write(value in value()) {
        let mut bytes = Vec::new();
        CodecKind::MsgPack.encode(&Message::Notification { method: Method::Event, params: &value }, &mut bytes);
        let read: Value = rmp_serde::from_slice(&bytes).unwrap();
        prop_assert_eq!(read, json!({ "jsonrpc": "2.0", "method": "event", "params": value }));
    }

    #[test]
    fn we_read_what_another_implementation_writes(value in value()) {
        let bytes = rmp_serde::to_vec(&json!({ "jsonrpc": "2.0", "method": "event", "params": value })).unwrap();
        let Ok(ServerMessage::Notification { params, .. }) = CodecKind::MsgPack.decode_server(&bytes) else {
            panic!("not a notification")
        };
        let want = value.to_string();
        prop_assert_eq!(params.as_str(), want.as_str());
    }

    #[test]
    fn json_bodies_pass_as_they_are(text in text()) {
        let body = RawJson::from_text(&text).unwrap();
        prop_assert_eq!(body.as_str(), text.as_str());
        let got = through(CodecKind::Json, &body);
        prop_assert_eq!(got.as_str(), text.as_str());
    }

    /// Numbers out of range and halves of surrogate pairs included: what one client sends must not
    /// stop another's message.
    #[test]
    fn every_json_body_has_a_messagepack(text in text()) {
        let body = RawJson::from_text(&text).unwrap();
        let got = through(CodecKind::MsgPack, &body);
        prop_assert_eq!(got.depth(), body.depth());
        // Where serde_json can hold the original, nothing but the last digit of a float may differ.
        if let Ok(want) = body.parse::<Value>() {
            let got = got.parse::<Value>();
            prop_assert!(got.as_ref().is_ok_and(|got| close(got, &want)), "{:?} {:?}", got, want);
        }
    }

    #[test]
    fn depth_is_the_depth(value in value()) {
        let want = reference_depth(&value);
        let body = RawJson::from_text(value.to_string()).unwrap();
        prop_assert_eq!(body.depth(), want);
        prop_assert!(!body.deeper_than(want) && (want == 0 || body.deeper_than(want - 1)));
        prop_assert_eq!(RawJson::from_text(serde_json::to_string_pretty(&value).unwrap()).unwrap().depth(), want);
    }
}

/// serde_json rounds some floats to a neighbour of the nearest one.
fn close(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| close(a, b)))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let a = a.as_f64().unwrap();
            let b = b.as_f64().unwrap();
            a == b || ((a - b) / a).abs() < 1e-14 || (a - b).abs() < f64::MIN_POSITIVE
        }
        _ => a == b,
    }
}

#[test]
fn what_rust_cannot_hold() {
    let table = [
        ("1e999", "1.7976931348623157e308"),
        ("-1e999", "-1.7976931348623157e308"),
        ("1e-999", "0.0"),
        ("-0", "-0.0"),
        ("18446744073709551615", "18446744073709551615"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551616", "18446744073709552000.0"),
        (r#""\ud800""#, "\"\u{fffd}\""),
        (r#"{"\udc00\ud800":1}"#, "{\"\u{fffd}\u{fffd}\":1}"),
        (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
    ];
    for (text, want) in table {
        let got = through(CodecKind::MsgPack, &RawJson::from_text(text).unwrap());
        let got_number = got.parse::<f64>();
        let want_number = serde_json::from_str::<f64>(want);
        match (got_number, want_number) {
            (Ok(got), Ok(want)) => assert_eq!(got.to_bits(), want.to_bits(), "{text}"),
            _ => assert_eq!(got.as_str(), want, "{text}"),
        }
    }
}

#[test]
fn lengths_of_every_size() {
    for len in [0, 1, 15, 16, 17, 31, 32, 255, 256, 65_535, 65_536] {
        let string = Value::from("s".repeat(len));
        let array = Value::from(vec![0; len]);
        let map = Value::Object((0..len).map(|i| (format!("k{i}"), Value::Null)).collect());
        for value in [string, array, map] {
            let body = RawJson::from_value(&value).unwrap();
            assert!(through(CodecKind::MsgPack, &body) == body, "{len}");
            let bytes = rmp_serde::to_vec(&value).unwrap();
            let mut ours = Vec::new();
            CodecKind::MsgPack.encode(
                &Message::Notification { method: Method::Event, params: &value },
                &mut ours,
            );
            assert!(ours.ends_with(&bytes), "{len}");
        }
    }
}

/// The text of a body has no limit of depth of its own; packing it must not use up the stack.
#[test]
fn a_bottomless_body_is_packed() {
    let body =
        RawJson::from_text(format!("{}{}", "[".repeat(300_000), "]".repeat(300_000))).unwrap();
    let mut bytes = Vec::new();
    CodecKind::MsgPack
        .encode(&Message::Notification { method: Method::Event, params: &body }, &mut bytes);
    assert!(bytes.ends_with(&[0x91, 0x91, 0x90]));
}
