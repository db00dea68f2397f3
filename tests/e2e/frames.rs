//! Breaks RFC 6455 in every way: each violation closes its own connection with the right code, and
//! no other connection.

use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::limits::{burst, request};
use crate::raw::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, Raw, TEXT, frame, header};
use crate::server::Server;

const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;

fn fragments(parts: &[(u8, &[u8])]) -> Vec<u8> {
    parts.iter().flat_map(|(first, payload)| frame(*first, payload)).collect()
}

fn close_frame(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

#[tokio::test]
async fn protocol_violations_close_with_the_right_code() {
    let mut server = Server::builder().unlimited().start().await;
    let mut neighbour = server.client(CodecKind::Json).await;
    let large = vec![b' '; 40_000];
    let table: Vec<(&str, Vec<u8>, u16)> = vec![
        ("not masked", vec![FIN | TEXT, 2, b'{', b'}'], 1002),
        ("not masked, ping", vec![FIN | PING, 0], 1002),
        ("reserved bit 1", frame(FIN | RSV1 | TEXT, b"{}"), 1002),
        ("reserved bit 2", frame(FIN | RSV2 | TEXT, b"{}"), 1002),
        ("reserved bit 3 on a ping", frame(FIN | RSV3 | PING, b""), 1002),
        ("reserved data opcode", frame(FIN | 0x3, b"{}"), 1002),
        ("reserved control opcode", frame(FIN | 0xb, b""), 1002),
        ("ping in fragments", frame(PING, b"x"), 1002),
        ("close in fragments", frame(CLOSE, &[0x03, 0xe8]), 1002),
        ("long ping", frame(FIN | PING, &[b'x'; 126]), 1002),
        ("long close", frame(FIN | CLOSE, &[3; 126]), 1002),
        ("continuation of nothing", frame(FIN | CONTINUATION, b"{}"), 1002),
        ("open continuation of nothing", frame(CONTINUATION, b"{}"), 1002),
        ("a message within a message", fragments(&[(TEXT, b"{"), (FIN | TEXT, b"{}")]), 1002),
        ("a beginning within a message", fragments(&[(TEXT, b"{"), (TEXT, b"{")]), 1002),
        ("text that is not UTF-8", frame(FIN | TEXT, b"{\"a\": \"\xc3\x28\"}"), 1007),
        ("a surrogate in UTF-8", frame(FIN | TEXT, b"\"\xed\xa0\x80\""), 1007),
        (
            "fragments that are not UTF-8 together",
            fragments(&[(TEXT, b"\"\xc3"), (FIN | CONTINUATION, b"\x28\"")]),
            1007,
        ),
        ("binary where text belongs", frame(FIN | BINARY, b"{}"), 1003),
        ("a frame over the limit", frame(FIN | TEXT, &vec![b' '; 65_537]), 1009),
        ("the header of a gigantic frame", header(FIN | TEXT, 1 << 62), 1009),
        ("the header of a frame over the limit", header(FIN | TEXT, 65_537), 1009),
        ("fragments over the limit", fragments(&[(TEXT, &large), (CONTINUATION, &large)]), 1009),
        ("close with half a code", frame(FIN | CLOSE, &[3]), 1002),
        ("close with a reason that is not UTF-8", close_frame(1000, b"\xff\xfe"), 1002),
    ];
    for (name, bytes, code) in &table {
        // The headers lack their mask, so add one to complete them.
        let mut bytes = bytes.clone();
        if name.contains("header") {
            bytes.extend_from_slice(&[1, 2, 3, 4]);
        }
        let mut raw = Raw::websocket(server.address, CodecKind::Json).await;
        raw.write(&bytes).await;
        assert_eq!(raw.closed().await.0, *code, "{name}");
        // The result is the same byte by byte.
        let mut raw = Raw::websocket(server.address, CodecKind::Json).await;
        if bytes.len() < 200 {
            for byte in &bytes {
                raw.write(&[*byte]).await;
            }
            assert_eq!(raw.closed().await.0, *code, "{name}, byte by byte");
        }
    }
    neighbour.ok("ping", json!({})).await;
    server.assert_serves().await;
}

/// Section 7.4: 1004 to 1006 and 1015 are never sent, 1016 to 2999 are unassigned, and there are no
/// codes below 1000 or from 5000 on.
#[tokio::test]
async fn reserved_close_codes_are_refused() {
    let mut server = Server::builder().unlimited().start().await;
    let reserved =
        [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, u16::MAX];
    let allowed = (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4001, 4999]);
    let table =
        reserved.into_iter().map(|code| (code, 1002)).chain(allowed.map(|code| (code, 1000)));
    for (code, answer) in table {
        for reason in ["", "why — ö"] {
            let mut raw = Raw::websocket(server.address, CodecKind::Json).await;
            raw.write(&close_frame(code, reason.as_bytes())).await;
            assert_eq!(raw.closed().await.0, answer, "a close with {code} `{reason}`");
        }
    }
    server.assert_serves().await;
}

/// Section 7.1.7: once a connection has failed, or a client has closed it, nothing more from it is
/// processed.
#[tokio::test]
async fn nothing_is_processed_after_a_close() {
    let mut server = Server::builder().unlimited().start().await;
    let connect = burst(CodecKind::Json, &[request(1, "connect", json!({}))]);
    let table: Vec<(&str, Vec<u8>, u16)> = vec![
        ("not masked", vec![FIN | TEXT, 2, b'{', b'}'], 1002),
        ("a reserved opcode", frame(FIN | 0x3, b"{}"), 1002),
        ("continuation of nothing", frame(FIN | CONTINUATION, b"{}"), 1002),
        ("not UTF-8", frame(FIN | TEXT, b"\xff"), 1007),
        ("binary", frame(FIN | BINARY, b"{}"), 1003),
        ("too long", frame(FIN | TEXT, &vec![b' '; 65_537]), 1009),
        ("a bad close", close_frame(1005, b""), 1002),
        ("a close", close_frame(1000, b""), 1000),
    ];
    for (index, (name, end, code)) in table.iter().enumerate() {
        for together in [true, false] {
            let entity = format!("room:after-{index}-{together}");
            let op =
                request(2, "send", json!({"entity": entity, "n": 1, "type": "post", "body": {}}));
            let after = [burst(CodecKind::Json, &[op]), frame(FIN | PING, b"after")].concat();
            let mut raw = Raw::websocket(server.address, CodecKind::Json).await;
            raw.write(&connect).await;
            raw.read_frame().await.expect("an answer");
            if together {
                raw.write(&[&end[..], &after].concat()).await;
            } else {
                raw.write(end).await;
                raw.write(&after).await;
            }
            let (first, payload) = raw.read_frame().await.expect("a close frame");
            assert_eq!(
                (first, payload.first_chunk()),
                (FIN | CLOSE, Some(&code.to_be_bytes())),
                "{name}: nothing before the close"
            );
            assert_eq!(raw.rest().await, b"", "{name}: nothing after it");
            let mut client = server.client(CodecKind::Json).await;
            assert_eq!(
                client.ok("read", json!({"entity": entity})).await["seq"],
                0,
                "{name}: an op after the end was executed"
            );
        }
    }
    server.assert_serves().await;
}

/// Section 5.2: lengths must use the shortest encoding. `read_frame` asserts that for every frame;
/// this test tries lengths at the boundaries.
#[tokio::test]
async fn frame_lengths_use_the_shortest_encoding() {
    let server = Server::builder().unlimited().start().await;
    let mut client = server.client(CodecKind::Json).await;
    let part = "x".repeat(30_000);
    let lengths = async |entity: &str, wanted: &[usize]| {
        let mut raw = Raw::websocket(server.address, CodecKind::Json).await;
        raw.write(&burst(CodecKind::Json, &[request(1, "connect", json!({}))])).await;
        raw.read_frame().await.expect("an answer");
        let read = burst(CodecKind::Json, &[request(2, "read", json!({"entity": entity}))]);
        // The answer repeats the request's id, so the id controls the answer's length.
        raw.write(&read).await;
        let (_, plain) = raw.read_frame().await.expect("an answer");
        for wanted in wanted {
            let pad = wanted
                .checked_sub(plain.len() + 1)
                .unwrap_or_else(|| panic!("{} is already more than {wanted}", plain.len()));
            let mut request = request(2, "read", json!({"entity": entity}));
            request["id"] = json!("i".repeat(pad));
            raw.write(&burst(CodecKind::Json, &[request])).await;
            let (_, payload) = raw.read_frame().await.expect("an answer");
            assert_eq!(payload.len(), *wanted);
        }
    };
    for (n, name) in ["a", "b"].into_iter().enumerate() {
        client
            .send(
                "doc:lengths",
                n as u64 + 1,
                "set",
                json!({"path": format!("/{name}"), "value": part}),
            )
            .await;
    }
    client.send("doc:lengths", 3, "set", json!({"path": "/c", "value": "x".repeat(5_370)})).await;
    lengths("doc:short", &[124, 125, 126, 127, 128]).await;
    lengths("doc:lengths", &[65_534, 65_535, 65_536, 65_537]).await;
}

#[tokio::test]
async fn a_64_bit_length_with_the_top_bit_set_is_refused() {
    let server = Server::builder().start().await;
    let mut raw = Raw::websocket(server.address, CodecKind::Json).await;
    raw.write(&[&header(FIN | TEXT, u64::MAX)[..], &[1, 2, 3, 4]].concat()).await;
    let (code, _) = raw.closed().await;
    assert!(matches!(code, 1002 | 1009), "{code}");
}

#[tokio::test]
async fn endless_fragments_are_cut_off() {
    let mut server = Server::builder().unlimited().start().await;
    let mut raw = Raw::websocket(server.address, CodecKind::Json).await;
    raw.frame(TEXT, b"\"").await;
    // Far more than a message may have; the server stops reading once the limit is exceeded.
    let fragments: Vec<u8> = (0..1000).flat_map(|_| frame(CONTINUATION, b"xxxxxxxxxx")).collect();
    for _ in 0..20 {
        raw.write(&fragments).await;
    }
    assert_eq!(raw.closed().await.0, 1009);
    server.assert_serves().await;
}

#[tokio::test]
async fn empty_fragments_cost_what_requests_cost() {
    let mut server = Server::builder().start().await;
    let mut raw = Raw::websocket(server.address, CodecKind::Json).await;
    raw.frame(TEXT, b"").await;
    // Without a payload they stay within every limit on bytes. This is twice the burst and the
    // number of refusals that end a session.
    raw.write(&frame(CONTINUATION, b"").repeat(1000)).await;
    assert_eq!(raw.closed().await.0, 4008);
    server.assert_serves().await;
}

/// Unusual but valid input: fragments with pings between them, empty fragments, split UTF-8, every
/// valid close.
#[tokio::test]
async fn unusual_but_valid_frames_work() {
    let server = Server::builder().unlimited().start().await;
    let mut raw = Raw::websocket(server.address, CodecKind::Json).await;
    raw.write(&burst(CodecKind::Json, &[request(1, "connect", json!({}))])).await;
    raw.read_frame().await.expect("an answer");
    let post =
        request(2, "send", json!({"entity": "room:ö".replace('ö', "o"), "n": 1, "type": "post", "body": {"text": "äöü"}})).to_string();
    let bytes = post.as_bytes();
    let cut = post.find('ö').expect("it is in there") + 1;
    raw.frame(TEXT, &bytes[..5]).await;
    raw.frame(CONTINUATION, b"").await;
    raw.frame(FIN | PING, b"between").await;
    raw.frame(CONTINUATION, &bytes[5..cut]).await;
    raw.frame(FIN | PONG, b"unasked").await;
    raw.frame(FIN | CONTINUATION, &bytes[cut..]).await;
    assert_eq!(raw.read_frame().await, Some((FIN | PONG, b"between".to_vec())));
    let (first, answer) = raw.read_frame().await.expect("an answer");
    let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!((first, &answer["result"]["seq"]), (FIN | TEXT, &json!(1)), "{answer}");
    let mut client = server.client(CodecKind::Json).await;
    assert_eq!(client.read("room:o").await["messages"][0]["body"]["text"], "äöü");

    for (name, bytes) in [
        ("no code", frame(FIN | CLOSE, b"")),
        ("going away", close_frame(1001, "bye — ö".as_bytes())),
        ("a library's code", close_frame(3000, b"")),
        ("an application's code", close_frame(4999, &[b'x'; 123])),
    ] {
        let mut raw = Raw::websocket(server.address, CodecKind::Json).await;
        raw.write(&bytes).await;
        assert_eq!(raw.closed().await.0, 1000, "{name}");
    }
    let mut raw = Raw::websocket(server.address, CodecKind::MsgPack).await;
    raw.frame(FIN | TEXT, b"{}").await;
    assert_eq!(raw.closed().await, (1003, "binary frames only".into()));
}
