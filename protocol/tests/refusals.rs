//! What a bad request is answered with: the code, the id, and a message that names what is wrong.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as the test does")]

use greenroom_protocol::ErrorCode::{self, InvalidParams, InvalidRequest, MethodNotFound, ParseError, TooLarge};
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
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"send","params":{{"body":{}{}}}}}"#, "[".repeat(63), "]".repeat(63));
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
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\xc3\"}", None, ParseError, "UTF-8 after 35 bytes"),
        (br#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, None, ParseError, "trailing"),
        (br#"{"jsonrpc":"2.0","id":1,"method":"ping"}{}"#, None, ParseError, "trailing"),
        (deep.as_bytes(), None, ParseError, "64 levels"),
        (endless.as_bytes(), None, ParseError, "64 levels"),
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
        (json!([{ "jsonrpc": "2.0", "id": 1, "method": "ping" }]), None, InvalidRequest, "message of its own"),
        (json!(null), None, InvalidRequest, "not null"),
        (json!(1), None, InvalidRequest, "not a number"),
        (json!(-1), None, InvalidRequest, "not a number"),
        (json!(0.5), None, InvalidRequest, "not a number"),
        (json!(true), None, InvalidRequest, "not a boolean"),
        (json!("ping"), None, InvalidRequest, "not a string"),
        (json!({}), None, InvalidRequest, "`jsonrpc`"),
        (json!({ "id": 1, "method": "ping" }), Some(1), InvalidRequest, "`jsonrpc`"),
        (json!({ "jsonrpc": "1.0", "id": 1, "method": "ping" }), Some(1), InvalidRequest, "`jsonrpc`"),
        (json!({ "jsonrpc": 2.0, "id": 1, "method": "ping" }), Some(1), InvalidRequest, "`jsonrpc`"),
        (json!({ "jsonrpc": "2.0", "id": 1 }), Some(1), InvalidRequest, "`method`"),
        (json!({ "jsonrpc": "2.0", "id": 1, "method": 5 }), Some(1), InvalidRequest, "`method`"),
        (json!({ "jsonrpc": "2.0", "id": null, "method": "ping" }), None, InvalidRequest, "`id`"),
        (json!({ "jsonrpc": "2.0", "id": 1.5, "method": "ping" }), None, InvalidRequest, "`id`"),
        (json!({ "jsonrpc": "2.0", "id": u64::MAX, "method": "ping" }), None, InvalidRequest, "`id`"),
        (json!({ "jsonrpc": "2.0", "id": [1], "method": "ping" }), None, InvalidRequest, "`id`"),
        (json!({ "jsonrpc": "2.0", "id": long_id, "method": "ping" }), None, InvalidRequest, "128 bytes"),
        (json!({ "jsonrpc": "2.0", "id": 1, "method": "pong" }), Some(1), MethodNotFound, "no method `pong`"),
        (json!({ "jsonrpc": "2.0", "id": 1, "method": "" }), Some(1), MethodNotFound, "`connect`, `subscribe`"),
        (json!({ "jsonrpc": "2.0", "id": 1, "method": "x".repeat(9999) }), Some(1), MethodNotFound, "no method"),
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
        ("read", json!({ "entity": "a:b", "after": 1 }), InvalidParams, "unknown field `after`, expected `entity`"),
        ("read", json!({ "entity": 5 }), InvalidParams, "`entity`: invalid type: integer `5`, expected a string"),
        ("read", json!({ "entity": "lobby" }), InvalidParams, "`entity`: an entity id is `kind:id`"),
        ("connect", json!({ "token": 1 }), InvalidParams, "`token`"),
        ("connect", json!({ "subscriptions": {} }), InvalidParams, "`subscriptions`"),
        ("connect", json!({ "subscriptions": [["a:b"]] }), InvalidParams, "`subscriptions[0]`"),
        ("connect", json!({ "subscriptions": [{ "entity": "a:b" }, { "entity": "a" }] }), InvalidParams, "`subscriptions[1].entity`"),
        ("connect", json!({ "subscriptions": [position(json!(1_u64 << 53))] }), InvalidParams, "`after.seq`"),
        (
            "subscribe",
            json!({ "entity": "a:b", "events": "all" }),
            InvalidParams,
            "`events`: unknown variant `all`, expected one of `replay`",
        ),
        ("subscribe", json!({ "entity": "a:b", "presence": 1 }), InvalidParams, "`presence`"),
        ("subscribe", json!({ "entity": "a:b", "after": ["e", 1] }), InvalidParams, "`after`"),
        ("subscribe", json!({ "entity": "a:b", "after": { "epoch": "e" } }), InvalidParams, "missing field `seq`"),
        ("subscribe", position(json!(-1)), InvalidParams, "`after.seq`"),
        ("subscribe", position(json!(1.5)), InvalidParams, "`after.seq`"),
        ("subscribe", position(json!(1_u64 << 53)), InvalidParams, "`after.seq` is 0 to 9007199254740991"),
        ("send", send("type", json!("")), InvalidParams, "`type` is empty"),
        ("send", send("type", json!("t".repeat(65))), InvalidParams, "`type` is 1 to 64 bytes long, not 65"),
        ("send", send("n", json!(0)), InvalidParams, "`n` is 1 to"),
        ("send", send("n", json!(1_u64 << 53)), InvalidParams, "`n` is 1 to 9007199254740991"),
        ("send", send("n", json!("1")), InvalidParams, "`n`"),
        ("send", send("if_seq", json!(1_u64 << 53)), InvalidParams, "`if_seq`"),
        ("send", send("tag", json!("")), InvalidParams, "`tag` is empty"),
        ("send", send("tag", json!("t".repeat(65))), InvalidParams, "`tag` is 1 to 64 bytes long, not 65"),
        ("send", send("tag", json!(7)), InvalidParams, "`tag`"),
        ("signal", json!({ "entity": "a:b", "type": "" }), InvalidParams, "`type` is empty"),
        ("signal", json!({ "entity": "a:b", "type": "t", "key": "k".repeat(65) }), InvalidParams, "`key` is at most 64 bytes"),
        ("history", json!({ "entity": "a:b", "limit": 0 }), InvalidParams, "`limit` is 1 to 1000"),
        ("history", json!({ "entity": "a:b", "limit": 1001 }), InvalidParams, "`limit` is 1 to 1000"),
        ("history", json!({ "entity": "a:b", "before": 1, "after": 1 }), InvalidParams, "exclude each other"),
        ("history", json!({ "entity": "a:b", "before": 1_u64 << 53 }), InvalidParams, "`before`"),
        ("history", json!({ "entity": "a:b", "after": 1_u64 << 53 }), InvalidParams, "`after`"),
        ("presence", json!({ "entity": "a:b", "action": "come" }), InvalidParams, "`action`"),
        ("presence", json!({ "entity": "a:b", "meta": {} }), InvalidParams, "`meta` goes with"),
        ("presence", enter(json!([])), InvalidParams, "`meta` is an object"),
        ("presence", enter(json!({ "a": "x".repeat(1017) })), TooLarge, "`meta` is at most 1024 bytes of JSON, not 1025"),
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
        ("send", json!({ "entity": "a:b", "type": "t".repeat(64), "n": (1_u64 << 53) - 1, "if_seq": 0, "tag": "t".repeat(64) })),
        ("signal", json!({ "entity": "a:b", "type": "t", "key": "k".repeat(64) })),
        ("signal", json!({ "entity": "a:b", "type": "t", "key": "" })),
        ("history", json!({ "entity": "a:b", "limit": 1000, "before": 0 })),
        ("presence", json!({ "entity": "a:b", "action": "enter", "meta": { "a": "x".repeat(1016) } })),
        ("presence", json!({ "entity": "a:b", "action": "enter" })),
        ("subscribe", json!({ "entity": "a:b", "after": null })),
    ];
    for (method, params) in table {
        let message = json!({ "jsonrpc": "2.0", "id": "i".repeat(128), "method": method, "params": params });
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
    let body = |bytes: &[u8]| [b"\x81\xa4body".as_slice(), bytes].concat();
    let endless = [0x91].repeat(1_000_000);
    let table: &[(&[u8], &str)] = &[
        (b"", "too early"),
        (&ping[..ping.len() - 1], "too early"),
        (&trailing, "1 bytes follow"),
        (b"\xdd\xff\xff\xff\xff", "too early"),
        (b"\xdf\xff\xff\xff\xff", "too early"),
        (b"\xdb\xff\xff\xff\xff", "too early"),
        (b"\xc1", "`0xc1`"),
        (&body(b"\xc4\x01a"), "`bin`"),
        (&body(b"\xc7\x01\x01a"), "`ext`"),
        (&body(b"\xd4\x01a"), "`ext`"),
        (&body(&[&[0xcb], f64::NAN.to_be_bytes().as_slice()].concat()), "NaN and infinity"),
        (&body(&[&[0xcb], f64::INFINITY.to_be_bytes().as_slice()].concat()), "NaN and infinity"),
        (&body(&[&[0xca], f32::NEG_INFINITY.to_be_bytes().as_slice()].concat()), "NaN and infinity"),
        (&body(b"\x81\x01\x01"), "keys of maps are strings"),
        (&body(b"\x81\xc0\x01"), "keys of maps are strings"),
        (&body(b"\x81\xc4\x01a\x01"), "keys of maps are strings"),
        (&body(b"\xa1\xff"), "not UTF-8"),
        (&endless, "64 levels"),
    ];
    for (bytes, words) in table {
        println!("{:02x?}", &bytes[..bytes.len().min(40)]);
        assert_refused(&refusal(CodecKind::MsgPack, bytes), None, ParseError, words);
    }
    let Call::Ping(_) = CodecKind::MsgPack.decode(&ping).unwrap().call else { panic!("not a ping") };
}

/// The same message in both codecs, the MessagePack not made by ours.
fn both(message: &Value) -> [(CodecKind, Vec<u8>); 2] {
    [(CodecKind::Json, serde_json::to_vec(message).unwrap()), (CodecKind::MsgPack, rmp_serde::to_vec(message).unwrap())]
}
