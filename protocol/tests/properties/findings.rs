//! Inputs that have been wrong once, or nearly: kept for ever, with the verdict that is right. Each
//! line is one that a generator or a reader has found; the generators may not meet it again for a
//! long time.

use greenroom_protocol::ErrorCode::{self, InvalidParams, InvalidRequest, ParseError};
use greenroom_protocol::{CodecKind, EntityId, RequestId};

fn verdict(codec: CodecKind, bytes: &[u8]) -> Result<Option<RequestId>, ErrorCode> {
    codec.decode(bytes).map(|request| request.id).map_err(|malformed| malformed.error.data.code)
}

#[test]
fn json_that_was_found() {
    let one = Ok(Some(RequestId::Number(1)));
    let ping = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    let send = |body: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"send","params":{{"entity":"room:a","n":1,"type":"post","body":{body}}}}}"#
        )
    };
    let table = [
        // Numbers that are whole and look otherwise, or the reverse.
        (ping("1e0"), Err(InvalidRequest)),
        (ping("1.0"), Err(InvalidRequest)),
        (ping("-9223372036854775808"), Ok(Some(RequestId::Number(i64::MIN)))),
        (ping("9223372036854775808"), Err(InvalidRequest)),
        (ping("null"), Err(InvalidRequest)),
        // A byte order mark, a NUL, and what JavaScript would take.
        ("\u{feff}{}".to_owned(), Err(ParseError)),
        ("{}\0".to_owned(), Err(ParseError)),
        (ping("NaN"), Err(ParseError)),
        (ping("0x1"), Err(ParseError)),
        // Bodies pass as they are, unless parsers would read them differently.
        (send("1e999"), Err(InvalidParams)),
        (send(r#""\ud800""#), Err(InvalidParams)),
        (send("{\"a\":1,\"a\":2}"), Err(InvalidParams)),
        (send("{\"a\":1,\"\\u0061\":2}"), Err(InvalidParams)),
        (send(r#""\ud83d\ude00""#), one.clone()),
        (send("1e-999"), one.clone()),
        (send("18446744073709551616"), one),
        (send(r#""\ux""#), Err(ParseError)),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"read","params":["room:a"]}"#.to_owned(),
            Err(InvalidParams),
        ),
        ("[]".to_owned(), Err(InvalidRequest)),
        ("1".to_owned(), Err(InvalidRequest)),
    ];
    for (text, want) in table {
        assert_eq!(verdict(CodecKind::Json, text.as_bytes()), want, "{text}");
    }
}

#[test]
fn messagepack_that_was_found() {
    let table: &[(&str, &[u8], ErrorCode)] = &[
        ("nothing", b"", ParseError),
        ("the byte that is never used", b"\xc1", ParseError),
        ("the byte that is never used, within", b"\x82\xa2id\x01\xa6params\xc1", ParseError),
        ("a map of 2^32 - 1 members", b"\xdf\xff\xff\xff\xff", ParseError),
        ("an array of 2^32 - 1 members", b"\xdd\xff\xff\xff\xff", ParseError),
        ("a string of 2^32 - 1 bytes", b"\xdb\xff\xff\xff\xff", ParseError),
        ("binary of 2^32 - 1 bytes", b"\xc6\xff\xff\xff\xff", ParseError),
        ("more than one value", b"\x80\x80", ParseError),
        ("an extension", b"\xd4\x01\x00", InvalidRequest),
        ("a time", b"\xd6\xff\x00\x00\x00\x00", InvalidRequest),
        ("not a number", b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", InvalidRequest),
        ("infinity", b"\xca\x7f\x80\x00\x00", InvalidRequest),
        ("a string that is not UTF-8", b"\xa1\xff", InvalidRequest),
        ("a key that is a number", b"\x81\x01\x01", InvalidRequest),
    ];
    for (name, bytes, code) in table {
        assert_eq!(verdict(CodecKind::MsgPack, bytes), Err(*code), "{name}");
    }
    let bottomless = [&[0x91; 100_000][..], &[0xc0]].concat();
    assert_eq!(verdict(CodecKind::MsgPack, &bottomless), Err(InvalidRequest));
}

#[test]
fn entity_ids_that_were_found() {
    for right in [
        "a:b",
        "a:b:c",
        "a_-9:~@/+=-.",
        &format!("a:{}", "x".repeat(128)),
        &format!("{}:x", "a".repeat(32)),
    ] {
        assert!(EntityId::parse(right).is_ok(), "{right}");
    }
    let long = [format!("a:{}", "x".repeat(129)), format!("{}:x", "a".repeat(33))];
    let wrong = [
        "", ":", "a:", ":b", "A:b", "1:b", "_:b", "a b:c", "a:b c", "a:é", "a:\0", "ä:b", "a:b\n",
        "a:*", "a:%41",
    ];
    for wrong in wrong.into_iter().chain(long.iter().map(String::as_str)) {
        assert!(EntityId::parse(wrong).is_err(), "{wrong:?}");
    }
}
