//! What a bad request is answered with: the code, the id, and a message that names what is wrong.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as the test does")]

use greenroom_protocol::ErrorCode::{
    self, InvalidParams, InvalidRequest, MethodNotFound, ParseError, TooLarge,
};
use greenroom_protocol::limits::MAX_DEPTH;
use greenroom_protocol::{Call, CodecKind, Malformed, RequestId};
use serde_json::{Value, json};

fn refusal(codec: CodecKind, bytes: &[u8]) -> Malformed {
    match codec.decode(bytes) {
        Err(malformed) => malformed,
        Ok(request) => panic!("accepted {request:?}"),
    }
}

#[track_caller]
fn assert_refused(got: &Malformed, id: Option<i64>, code: ErrorCode, words: &str) {
    assert_eq!(got.error.data.code, code, "{got:?}");
    assert_eq!(got.error.code, code.number());
    assert_eq!(got.id, id.map(RequestId::Number), "{got:?}");
    assert!(got.error.message.contains(words), "{got:?} does not say `{words}`");
    assert!(got.error.message.len() < 500, "the message is {} bytes long", got.error.message.len());
}

/// Text that is no value at all, or none that MessagePack can spell.
#[test]
fn json_text() {
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"send","params":{{"body":{}{}}}}}"#,
        "[".repeat(63),
        "]".repeat(63)
    );
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let deep_last =
        format!(r#"{{"method":"send","params":{{"body":{}}},"jsonrpc":"2.0","id":1}}"#, nested(63));
    let deep_method = format!(r#"{{"jsonrpc":"2.0","id":1,"method":{}}}"#, nested(64));
    let deep_id = format!(r#"{{"jsonrpc":"2.0","id":{},"method":"ping"}}"#, nested(64));
    let very_deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"send","params":{{"body":{}}}}}"#,
        nested(1_000_000)
    );
    let deep_batch = nested(1_000_000);
    let endless = "[".repeat(1_000_000);
    let long = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","{}":1}}"#, "x".repeat(10_000));
    let table: &[(&[u8], Option<i64>, ErrorCode, &str)] = &[
        (b"", None, ParseError, "too early"),
        (b"   ", None, ParseError, "too early"),
        (b"{", None, ParseError, "too early"),
        (b"nope", None, ParseError, "not valid"),
        (b"{\"a\":1,}", None, ParseError, "not valid"),
        (b"{'a':1}", None, ParseError, "not valid"),
        (b"\xff", None, ParseError, "UTF-8"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\xc3\"}", Some(1), ParseError, "UTF-8 after 35 bytes"),
        (br#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, Some(1), ParseError, "trailing"),
        (br#"{"jsonrpc":"2.0","id":1,"method":"ping"}{}"#, Some(1), ParseError, "trailing"),
        (br#"{"id":1,"method":"ping","params":{]"#, Some(1), ParseError, "not valid"),
        (br#"{"id":1,"method":"ping","params":{"#, Some(1), ParseError, "too early"),
        (br#"{"method":"ping","params":{],"id":1}"#, None, ParseError, "not valid"),
        (br#"{"id":1,"id":2,"params":{]"#, None, ParseError, "not valid"),
        (br#"{"id":{},"params":{]"#, None, ParseError, "not valid"),
        (deep.as_bytes(), Some(1), InvalidParams, "64 levels"),
        (deep_last.as_bytes(), Some(1), InvalidParams, "64 levels"),
        (deep_method.as_bytes(), Some(1), InvalidRequest, "`method`"),
        (deep_id.as_bytes(), None, InvalidRequest, "`id`"),
        (very_deep.as_bytes(), Some(1), InvalidParams, "64 levels"),
        (deep_batch.as_bytes(), None, InvalidRequest, "batches"),
        (endless.as_bytes(), None, ParseError, "too early"),
        (br#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}"#, Some(1), InvalidRequest, "`jsonrpc` is there twice"),
        (br#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}"#, Some(1), InvalidRequest, "`method` is there twice"),
        (br#"{"jsonrpc":"2.0","id":1,"params":{},"method":"ping","params":{}}"#, Some(1), InvalidRequest, "`params` is there twice"),
        (br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, None, InvalidRequest, "`id` is there twice"),
        (br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping","method":"ping"}"#, None, InvalidRequest, "`id` is there twice"),
        (br#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}"#, Some(1), InvalidRequest, "`extra`"),
        (long.as_bytes(), Some(1), InvalidRequest, "unknown member"),
        (
            br#"{"jsonrpc":"2.0","id":1,"method":"read","params":{"entity":"a:b","entity":"a:b"}}"#,
            Some(1),
            InvalidParams,
            "duplicate field `entity`",
        ),
        (
            br#"{"jsonrpc":"2.0","id":1,"method":"signal","params":{"entity":"a:b","type":"\ud800"}}"#,
            Some(1),
            InvalidParams,
            "`type`: unexpected end of hex escape",
        ),
    ];
    for (text, id, code, words) in table {
        println!("{}", String::from_utf8_lossy(&text[..text.len().min(100)]));
        assert_refused(&refusal(CodecKind::Json, text), *id, *code, words);
    }
}

/// Envelopes that both codecs can spell.
#[test]
fn envelopes() {
    let long_id = "i".repeat(129);
    let table = [
        (json!([]), None, InvalidRequest, "batches are not supported"),
        (
            json!([{ "jsonrpc": "2.0", "id": 1, "method": "ping" }]),
            None,
            InvalidRequest,
            "message of its own",
        ),
        (json!(null), None, InvalidRequest, "not null"),
        (json!(1), None, InvalidRequest, "not a number"),
        (json!(-1), None, InvalidRequest, "not a number"),
        (json!(0.5), None, InvalidRequest, "not a number"),
        (json!(true), None, InvalidRequest, "not a boolean"),
        (json!("ping"), None, InvalidRequest, "not a string"),
        (json!({}), None, InvalidRequest, "`jsonrpc`"),
        (json!({ "id": 1, "method": "ping" }), Some(1), InvalidRequest, "`jsonrpc`"),
        (
            json!({ "jsonrpc": "1.0", "id": 1, "method": "ping" }),
            Some(1),
            InvalidRequest,
            "`jsonrpc`",
        ),
        (
            json!({ "jsonrpc": 2.0, "id": 1, "method": "ping" }),
            Some(1),
            InvalidRequest,
            "`jsonrpc`",
        ),
        (json!({ "jsonrpc": "2.0", "id": 1 }), Some(1), InvalidRequest, "`method`"),
        (json!({ "jsonrpc": "2.0", "id": 1, "method": 5 }), Some(1), InvalidRequest, "`method`"),
        (json!({ "jsonrpc": "2.0", "id": null, "method": "ping" }), None, InvalidRequest, "`id`"),
        (json!({ "jsonrpc": "2.0", "id": 1.5, "method": "ping" }), None, InvalidRequest, "`id`"),
        (
            json!({ "jsonrpc": "2.0", "id": u64::MAX, "method": "ping" }),
            None,
            InvalidRequest,
            "`id`",
        ),
        (json!({ "jsonrpc": "2.0", "id": [1], "method": "ping" }), None, InvalidRequest, "`id`"),
        (
            json!({ "jsonrpc": "2.0", "id": long_id, "method": "ping" }),
            None,
            InvalidRequest,
            "128 bytes",
        ),
        (
            json!({ "jsonrpc": "2.0", "id": 1, "method": "pong" }),
            Some(1),
            MethodNotFound,
            "no method `pong`",
        ),
        (
            json!({ "jsonrpc": "2.0", "id": 1, "method": "" }),
            Some(1),
            MethodNotFound,
            "`connect`, `subscribe`",
        ),
        (
            json!({ "jsonrpc": "2.0", "id": 1, "method": "x".repeat(9999) }),
            Some(1),
            MethodNotFound,
            "no method",
        ),
        (json!({ "jsonrpc": "2.0", "method": "pong" }), None, MethodNotFound, "no method `pong`"),
    ];
    for (message, id, code, words) in table {
        println!("{message}");
        for (codec, bytes) in both(&message) {
            assert_refused(&refusal(codec, &bytes), id, code, words);
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn params() {
    let position = |seq: Value| json!({ "entity": "a:b", "after": { "epoch": "e", "seq": seq } });
    let send = |key: &str, value: Value| {
        let mut params = json!({ "entity": "a:b", "type": "post", "body": 1 });
        params[key] = value;
        params
    };
    let enter = |meta: Value| json!({ "entity": "a:b", "action": "enter", "meta": meta });
    let table = [
        ("ping", json!([]), InvalidParams, "params are an object, by name"),
        ("ping", json!(null), InvalidParams, "params are an object, by name"),
        ("ping", json!({ "x": 1 }), InvalidParams, "unknown field `x`"),
        ("read", json!(["a:b"]), InvalidParams, "params are an object, by name"),
        ("read", json!({}), InvalidParams, "missing field `entity`"),
        (
            "read",
            json!({ "entity": "a:b", "after": 1 }),
            InvalidParams,
            "unknown field `after`, expected `entity`",
        ),
        (
            "read",
            json!({ "entity": 5 }),
            InvalidParams,
            "`entity`: invalid type: integer `5`, expected a string",
        ),
        (
            "read",
            json!({ "entity": "lobby" }),
            InvalidParams,
            "`entity`: an entity id has the form `kind:id`",
        ),
        ("connect", json!({ "token": 1 }), InvalidParams, "`token`"),
        ("connect", json!({ "subscriptions": {} }), InvalidParams, "`subscriptions`"),
        ("connect", json!({ "subscriptions": [["a:b"]] }), InvalidParams, "`subscriptions[0]`"),
        (
            "connect",
            json!({ "subscriptions": [{ "entity": "a:b" }, { "entity": "a" }] }),
            InvalidParams,
            "`subscriptions[1].entity`",
        ),
        (
            "connect",
            json!({ "subscriptions": [position(json!(1_u64 << 53))] }),
            InvalidParams,
            "`after.seq`",
        ),
        (
            "subscribe",
            json!({ "entity": "a:b", "events": "all" }),
            InvalidParams,
            "`events`: unknown variant `all`, expected one of `replay`",
        ),
        ("subscribe", json!({ "entity": "a:b", "presence": 1 }), InvalidParams, "`presence`"),
        ("subscribe", json!({ "entity": "a:b", "after": ["e", 1] }), InvalidParams, "`after`"),
        (
            "subscribe",
            json!({ "entity": "a:b", "after": { "epoch": "e" } }),
            InvalidParams,
            "missing field `seq`",
        ),
        ("subscribe", position(json!(-1)), InvalidParams, "`after.seq`"),
        ("subscribe", position(json!(1.5)), InvalidParams, "`after.seq`"),
        (
            "subscribe",
            position(json!(1_u64 << 53)),
            InvalidParams,
            "`after.seq` must be 0 to 9007199254740991",
        ),
        ("send", send("type", json!("")), InvalidParams, "`type` is empty"),
        (
            "send",
            send("type", json!("t".repeat(65))),
            InvalidParams,
            "`type` must be 1 to 64 bytes long, not 65",
        ),
        ("send", send("n", json!(0)), InvalidParams, "`n` must be 1 to"),
        ("send", send("n", json!(1_u64 << 53)), InvalidParams, "`n` must be 1 to 9007199254740991"),
        ("send", send("n", json!("1")), InvalidParams, "`n`"),
        ("send", send("if_seq", json!(1_u64 << 53)), InvalidParams, "`if_seq`"),
        ("send", send("tag", json!("")), InvalidParams, "`tag` is empty"),
        (
            "send",
            send("tag", json!("t".repeat(65))),
            InvalidParams,
            "`tag` must be 1 to 64 bytes long, not 65",
        ),
        ("send", send("tag", json!(7)), InvalidParams, "`tag`"),
        ("signal", json!({ "entity": "a:b", "type": "" }), InvalidParams, "`type` is empty"),
        (
            "signal",
            json!({ "entity": "a:b", "type": "t", "key": "k".repeat(65) }),
            InvalidParams,
            "`key` must be at most 64 bytes",
        ),
        (
            "history",
            json!({ "entity": "a:b", "limit": 0 }),
            InvalidParams,
            "`limit` must be 1 to 1000",
        ),
        (
            "history",
            json!({ "entity": "a:b", "limit": 1001 }),
            InvalidParams,
            "`limit` must be 1 to 1000",
        ),
        (
            "history",
            json!({ "entity": "a:b", "before": 1, "after": 1 }),
            InvalidParams,
            "cannot be combined",
        ),
        ("history", json!({ "entity": "a:b", "before": 1_u64 << 53 }), InvalidParams, "`before`"),
        ("history", json!({ "entity": "a:b", "after": 1_u64 << 53 }), InvalidParams, "`after`"),
        ("presence", json!({ "entity": "a:b", "action": "come" }), InvalidParams, "`action`"),
        (
            "presence",
            json!({ "entity": "a:b", "meta": {} }),
            InvalidParams,
            "`meta` is only allowed with",
        ),
        ("presence", enter(json!([])), InvalidParams, "`meta` must be an object"),
        (
            "presence",
            enter(json!({ "a": "x".repeat(1017) })),
            TooLarge,
            "`meta` must be at most 1024 bytes of JSON, not 1025",
        ),
    ];
    for (method, params, code, words) in table {
        let message = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        println!("{message}");
        for (codec, bytes) in both(&message) {
            assert_refused(&refusal(codec, &bytes), Some(7), code, words);
        }
    }
}

/// The nearest neighbours of what is refused are accepted.
#[test]
fn the_edges_are_inside() {
    let table = [
        ("ping", json!({})),
        (
            "send",
            json!({ "entity": "a:b", "type": "t".repeat(64), "n": (1_u64 << 53) - 1, "if_seq": 0, "tag": "t".repeat(64) }),
        ),
        ("signal", json!({ "entity": "a:b", "type": "t", "key": "k".repeat(64) })),
        ("signal", json!({ "entity": "a:b", "type": "t", "key": "" })),
        ("history", json!({ "entity": "a:b", "limit": 1000, "before": 0 })),
        (
            "presence",
            json!({ "entity": "a:b", "action": "enter", "meta": { "a": "x".repeat(1016) } }),
        ),
        ("presence", json!({ "entity": "a:b", "action": "enter" })),
        ("subscribe", json!({ "entity": "a:b", "after": null })),
    ];
    for (method, params) in table {
        let message =
            json!({ "jsonrpc": "2.0", "id": "i".repeat(128), "method": method, "params": params });
        for (codec, bytes) in both(&message) {
            let request = codec.decode(&bytes).unwrap_or_else(|e| panic!("{message}: {e:?}"));
            assert_eq!(request.call.method(), method);
        }
    }
    for (codec, bytes) in both(&json!({ "jsonrpc": "2.0", "method": "ping" })) {
        let request = codec.decode(&bytes).unwrap();
        assert_eq!((request.id, request.call.method()), (None, "ping"));
    }
    // Two levels are the envelope and the params.
    let mut body = json!(0);
    for _ in 0..MAX_DEPTH - 2 {
        body = json!([body]);
    }
    for (fits, body) in [(true, body.clone()), (false, json!([body]))] {
        let message = json!({ "jsonrpc": "2.0", "method": "send", "params": { "entity": "a:b", "type": "t", "body": body } });
        for (codec, bytes) in both(&message) {
            assert_eq!(codec.decode(&bytes).is_ok(), fits, "{codec:?}");
        }
    }
}

#[test]
fn msgpack_bytes() {
    let ping = rmp_serde::to_vec(&json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" })).unwrap();
    let trailing = [ping.as_slice(), b"\xc0"].concat();
    let endless = [0x91].repeat(1_000_000);
    let table: &[(&[u8], Option<i64>, &str)] = &[
        (b"", None, "too early"),
        (&ping[..ping.len() - 1], Some(1), "too early"),
        (b"\x82\xa6method\xa4ping\xa2id", None, "too early"),
        (&trailing, Some(1), "1 bytes follow"),
        (b"\xdd\xff\xff\xff\xff", None, "too early"),
        (b"\xdf\xff\xff\xff\xff", None, "too early"),
        (b"\xdb\xff\xff\xff\xff", None, "too early"),
        (b"\xdf\xff\xff\xff\xff\xa2id\x01\xa6params\xdf\xff\xff\xff\xff", Some(1), "too early"),
        (b"\xc1", None, "`0xc1`"),
        (&endless, None, "64 levels"),
    ];
    for (bytes, id, words) in table {
        println!("{:02x?}", &bytes[..bytes.len().min(40)]);
        assert_refused(&refusal(CodecKind::MsgPack, bytes), *id, ParseError, words);
    }
    let Call::Ping(_) = CodecKind::MsgPack.decode(&ping).unwrap().call else {
        panic!("not a ping")
    };
}

/// What MessagePack can spell and JSON cannot is wrong with the member that has it, and the answer
/// bears the id.
#[test]
fn msgpack_beyond_json() {
    let float = |marker: u8, bytes: &[u8]| [&[marker], bytes].concat();
    let deep = [[0x91].repeat(63).as_slice(), &[0xc0]].concat();
    let table: &[(&[u8], &str, &str)] = &[
        (b"\xc4\x01a", "`bin`", "not_json"),
        (b"\xc5\x00\x01a", "`bin`", "not_json"),
        (b"\xc6\x00\x00\x00\x01a", "`bin`", "not_json"),
        (b"\xc7\x01\x01a", "`ext`", "not_json"),
        (b"\xc8\x00\x01\x01a", "`ext`", "not_json"),
        (b"\xc9\x00\x00\x00\x01\x01a", "`ext`", "not_json"),
        (b"\xd4\x01a", "`ext`", "not_json"),
        (b"\xd7\xff01234567", "`ext`", "not_json"),
        (b"\xd8\x010123456789abcdef", "`ext`", "not_json"),
        (&float(0xcb, &f64::NAN.to_be_bytes()), "NaN and infinity", "number_out_of_range"),
        (&float(0xcb, &f64::INFINITY.to_be_bytes()), "NaN and infinity", "number_out_of_range"),
        (&float(0xca, &f32::NEG_INFINITY.to_be_bytes()), "NaN and infinity", "number_out_of_range"),
        (b"\x81\x01\x01", "keys of maps are strings", "not_json"),
        (b"\x81\xc0\x01", "keys of maps are strings", "not_json"),
        (b"\x81\xc4\x01a\x01", "keys of maps are strings", "not_json"),
        (b"\xa1\xff", "not UTF-8", "invalid_string"),
        (b"\xa3\xed\xa0\x80", "not UTF-8", "invalid_string"),
        (&deep, "64 levels", "too_deep"),
        (b"\x82\xa1a\x01\xa1a\x02", "the key `a` twice", "duplicate_key"),
    ];
    let pair =
        |key: &str, value: &[u8]| [&[0xa0 + key.len() as u8], key.as_bytes(), value].concat();
    let version = pair("jsonrpc", b"\xa32.0");
    let id = pair("id", b"\x07");
    let method = pair("method", b"\xa4send");
    for (value, words, reason) in table {
        println!("{:02x?}", &value[..value.len().min(40)]);
        let params = [
            b"\x83".as_slice(),
            &pair("entity", b"\xa3a:b"),
            &pair("type", b"\xa1t"),
            &pair("body", value),
        ]
        .concat();
        let params = pair("params", &params);
        for members in [[&version, &id, &method, &params], [&params, &method, &id, &version]] {
            let message = [b"\x84".to_vec(), members.map(Vec::as_slice).concat()].concat();
            let got = refusal(CodecKind::MsgPack, &message);
            assert_refused(&got, Some(7), InvalidParams, words);
            assert_eq!(got.error.data.reason.as_deref(), Some(*reason));
        }
        if *reason == "duplicate_key" {
            continue;
        }
        // Elsewhere it is no request, and the id itself is none.
        let message = [b"\x84".as_slice(), &version, &id, &method, &pair("x", value)].concat();
        assert_refused(&refusal(CodecKind::MsgPack, &message), Some(7), InvalidRequest, "");
        let message = [b"\x83".as_slice(), &version, &pair("id", value), &method].concat();
        assert_refused(&refusal(CodecKind::MsgPack, &message), None, InvalidRequest, "");
        let message = [b"\x84".as_slice(), &version, &id, &id, &pair("method", value)].concat();
        assert_refused(&refusal(CodecKind::MsgPack, &message), None, InvalidRequest, "");
    }
}

/// What the grammar allows and parsers read differently, wherever a value of the client's is passed
/// on.
#[test]
fn values_that_parsers_read_differently() {
    let table = [
        ("1e400", "number_out_of_range", "`1e400` is beyond"),
        ("[0,{\"a\":-1E309}]", "number_out_of_range", "beyond what a double holds"),
        (r#"["\ud800"]"#, "invalid_string", r"`\ud800`"),
        (r#"{"\udfff":1}"#, "invalid_string", "surrogate"),
        (r#"{"a":1,"b":{"x":1,"\u0078":2}}"#, "duplicate_key", "the key `x` twice"),
    ];
    for (value, reason, words) in table {
        let requests = [
            ("send", format!(r#"{{"entity":"a:b","type":"t","body":{value}}}"#), "`body`"),
            (
                "send",
                format!(r#"{{"entity":"a:b","type":"edit","body":{{"seq":1,"body":{value}}}}}"#),
                "`body`",
            ),
            (
                "send",
                format!(
                    r#"{{"entity":"a:b","type":"patch","body":[{{"op":"add","path":"/a","value":{value}}}]}}"#
                ),
                "`body`",
            ),
            ("signal", format!(r#"{{"entity":"a:b","type":"t","body":{value}}}"#), "`body`"),
            (
                "presence",
                format!(r#"{{"entity":"a:b","action":"enter","meta":{{"m":{value}}}}}"#),
                "`meta`",
            ),
            (
                "connect",
                format!(
                    r#"{{"presence":[{{"entity":"a:a"}},{{"entity":"a:b","meta":{{"m":{value}}}}}]}}"#
                ),
                "`meta`",
            ),
        ];
        for (method, params, field) in requests {
            let text =
                format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#);
            println!("{text}");
            let got = refusal(CodecKind::Json, text.as_bytes());
            assert_refused(&got, Some(7), InvalidParams, words);
            assert!(got.error.message.starts_with(field), "{got:?}");
            assert_eq!(got.error.data.reason.as_deref(), Some(reason));
        }
    }
    // In a patch, a pointer is a string like any other.
    let text =
        br#"{"jsonrpc":"2.0","id":7,"method":"send","params":{"entity":"a:b","type":"patch","body":[{"op":"remove","path":"/\ud800"}]}}"#;
    assert_refused(&refusal(CodecKind::Json, text), Some(7), InvalidParams, "surrogate");
    // Elsewhere params are typed, and were refused before.
    let text = br#"{"jsonrpc":"2.0","id":"\ud800","method":"ping"}"#;
    assert_refused(&refusal(CodecKind::Json, text), None, InvalidRequest, "`id`");
}

/// The same message in both codecs, the MessagePack not made by ours.
fn both(message: &Value) -> [(CodecKind, Vec<u8>); 2] {
    [
        (CodecKind::Json, serde_json::to_vec(message).unwrap()),
        (CodecKind::MsgPack, rmp_serde::to_vec(message).unwrap()),
    ]
}
