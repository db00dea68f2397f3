//! What bodies are allowed, and what an op may cost.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::server::Server;

/// The requests that carry a value from the client, with `value` in it.
fn requests(value: &str) -> [(&'static str, String); 6] {
    [
        ("send", format!(r#"{{"entity":"room:v","n":1,"type":"post","body":{{"text":{value}}}}}"#)),
        (
            "send",
            format!(
                r#"{{"entity":"room:v","n":1,"type":"edit","body":{{"seq":1,"body":{{"text":{value}}}}}}}"#
            ),
        ),
        (
            "send",
            format!(
                r#"{{"entity":"doc:v","n":1,"type":"set","body":{{"path":"/a","value":{value}}}}}"#
            ),
        ),
        (
            "send",
            format!(
                r#"{{"entity":"doc:v","n":1,"type":"patch","body":[{{"op":"test","path":"","value":{value}}}]}}"#
            ),
        ),
        ("signal", format!(r#"{{"entity":"room:v","type":"typing","body":{value}}}"#)),
        ("presence", format!(r#"{{"entity":"room:v","action":"enter","meta":{{"a":{value}}}}}"#)),
    ]
}

/// Whatever is wrong with a value, its sender learns which request it was in, and only values that
/// everybody reads alike reach the disk.
#[tokio::test]
async fn ambiguous_values_are_refused_with_their_request_id() {
    let server = Server::builder().unlimited().start().await;
    let mut client = server.client(CodecKind::Json).await;
    let deep = format!("{}{}", "[".repeat(70), "]".repeat(70));
    let mut id = 1000;
    for (value, reason) in [
        ("1e400", "number_out_of_range"),
        (r#""\ud800""#, "invalid_string"),
        (r#"{"a":1,"\u0061":2}"#, "duplicate_key"),
        (deep.as_str(), "too_deep"),
    ] {
        for (method, params) in requests(value) {
            id += 1;
            client
                .say_frame(Message::text(format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#
                )))
                .await;
            let error = client.answer(id).await.expect_err(&params);
            assert_eq!(
                (&error["data"]["code"], &error["data"]["reason"]),
                (&json!("invalid_params"), &json!(reason)),
                "{params}: {error}"
            );
        }
    }
    assert_eq!(client.ok("read", json!({"entity": "doc:v"})).await["seq"], 0);
    client.send("room:v", 1, "post", json!({"text": "hi"})).await;
    assert_eq!(
        client.ok("read", json!({"entity": "room:v"})).await["seq"],
        1,
        "its number is still free"
    );
}

/// MessagePack can express values that JSON cannot.
#[tokio::test]
async fn values_only_messagepack_has_are_refused_with_their_request_id() {
    let server = Server::builder().unlimited().start().await;
    let mut client = server.client(CodecKind::MsgPack).await;
    let deep = [[0x91].repeat(70).as_slice(), &[0xc0]].concat();
    for (id, (body, reason)) in (100_u8..).zip([
        (b"\xc4\x01a".as_slice(), "not_json"),
        (b"\xd6\xff\x00\x00\x00\x00", "not_json"),
        (b"\x81\x01\x02", "not_json"),
        (b"\xa1\xff", "invalid_string"),
        (b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "number_out_of_range"),
        (b"\x82\xa1a\x01\xa1a\x02", "duplicate_key"),
        (&deep, "too_deep"),
    ]) {
        let params =
            [b"\x83\xa6entity\xa6room:v\xa4type\xa4post\xa4body".as_slice(), body].concat();
        let message = [
            b"\x84\xa7jsonrpc\xa32.0\xa6params".as_slice(),
            &params,
            b"\xa6method\xa4send\xa2id",
            &[id],
        ]
        .concat();
        client.say_frame(Message::binary(message)).await;
        let error = client.answer(id.into()).await.expect_err(reason);
        assert_eq!(
            (&error["data"]["code"], &error["data"]["reason"]),
            (&json!("invalid_params"), &json!(reason)),
            "{error}"
        );
    }
    assert_eq!(client.ok("read", json!({"entity": "room:v"})).await["seq"], 0);
}

/// Short patches that cause a lot of work and are then refused cost as much as many requests.
#[tokio::test]
async fn refused_work_counts_against_its_sender() {
    let limits = [("limits.requests_per_second", 1), ("limits.requests_burst", 30)];
    let server = limits
        .iter()
        .fold(Server::builder(), |server, (key, value)| server.with(format!("{key} = {value}")))
        .start()
        .await;
    let mut client = server.client(CodecKind::Json).await;
    let mut neighbor = server.client(CodecKind::Json).await;
    client.send("doc:d", 1, "set", json!({"path": "/a", "value": vec![0; 5_000]})).await;
    let copies = [
        json!({"op": "copy", "from": "/a", "path": "/x"}),
        json!({"op": "add", "path": "/x/-", "value": 0}),
        json!({"op": "remove", "path": "/x"}),
    ];
    let patch: Vec<Value> = copies
        .iter()
        .cycle()
        .take(90)
        .cloned()
        .chain([json!({"op": "remove", "path": "/nowhere"})])
        .collect();
    let mut refused = 0;
    let limited = loop {
        let error = client
            .call("send", json!({"entity": "doc:d", "n": 2, "type": "patch", "body": patch}))
            .await
            .expect_err("it fails");
        match error["data"]["code"].as_str() {
            Some("rejected") => refused += 1,
            Some("rate_limited") => break error,
            _ => panic!("{error}"),
        }
    };
    assert_eq!(refused, 2, "two such ops cost as much as 28 others");
    assert_eq!(limited["data"]["reason"], "requests");
    assert!(limited["data"]["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{limited}");
    for n in 1..=20 {
        neighbor.send("doc:d", n, "increment", json!({"path": "/n", "by": 1})).await;
    }
}
