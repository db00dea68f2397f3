//! Hostile messages: valid frames that are not valid requests.

use greenroom_protocol::CodecKind;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::client::Client;
use crate::server::Server;

/// Sends `message` and expects an error without an id, with this code.
async fn unread(client: &mut Client, message: Message, code: &str) {
    let shown = format!("{message:.200?}");
    client.say_frame(message).await;
    let error = client.unread().await;
    assert_eq!(error["data"]["code"], code, "{shown}: {error}");
    assert!(error.to_string().len() < 1000, "an answer must not grow with the request: {error}");
}

#[tokio::test]
async fn json_that_is_not_a_request() {
    let mut server = Server::builder().unlimited().start().await;
    let mut client = server.client(CodecKind::Json).await;
    let nested =
        |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
    let ping = "{\"jsonrpc\": \"2.0\", \"method\": \"ping\"";
    for (text, code) in [
        (String::new(), "parse_error"),
        (" ".into(), "parse_error"),
        ("ping".into(), "parse_error"),
        ("{".into(), "parse_error"),
        ("\u{feff}{}".into(), "parse_error"),
        ("{}{}".into(), "parse_error"),
        ("{\"a\": NaN}".into(), "parse_error"),
        ("{\"jsonrpc\": \"2.0\", \"method\": \"\u{0}\"}".into(), "parse_error"),
        (nested("[", "]", 30_000), "invalid_request"),
        (nested("{\"a\":", "}", 9_000), "invalid_request"),
        ("[".repeat(60_000), "parse_error"),
        ("{\"a\":[".repeat(9_000), "parse_error"),
        ("null".into(), "invalid_request"),
        ("1e999".into(), "parse_error"),
        ("\"ping\"".into(), "invalid_request"),
        ("[]".into(), "invalid_request"),
        ("{}".into(), "invalid_request"),
        (format!("{ping}, \"id\": null}}"), "invalid_request"),
        (format!("{ping}, \"id\": 1.5}}"), "invalid_request"),
        (format!("{ping}, \"id\": 1e400}}"), "invalid_request"),
        (format!("{ping}, \"id\": {}}}", "9".repeat(5000)), "invalid_request"),
        (format!("{ping}, \"id\": [1]}}"), "invalid_request"),
        (format!("{ping}, \"id\": \"{}\"}}", "i".repeat(129)), "invalid_request"),
        (format!("{ping}, \"id\": 1, \"id\": 2}}"), "invalid_request"),
    ] {
        unread(&mut client, Message::text(text), code).await;
    }
    client.ok("ping", json!({})).await;
    server.assert_serves().await;
}

#[tokio::test]
async fn json_that_is_not_a_valid_request() {
    let server = Server::builder().unlimited().start().await;
    let mut client = server.client(CodecKind::Json).await;
    let deep = format!("{}1{}", "[".repeat(64), "]".repeat(64));
    let send = |rest: &str| {
        format!(
            "\"method\": \"send\", \"params\": {{\"entity\": \"room:x\", \"type\": \"post\", {rest}}}"
        )
    };
    for (index, (members, code)) in (1000..).zip([
        ("\"method\": \"ping\", \"method\": \"ping\"".to_owned(), "invalid_request"),
        ("\"method\": \"ping\", \"extra\": 1".into(), "invalid_request"),
        ("\"method\": 7".into(), "invalid_request"),
        ("\"params\": {}".into(), "invalid_request"),
        ("\"method\": \"\"".into(), "method_not_found"),
        ("\"method\": \"Ping\"".into(), "method_not_found"),
        ("\"method\": \"ping\", \"params\": {\"a\": 1}".into(), "invalid_params"),
        ("\"method\": \"ping\", \"params\": 1".into(), "invalid_params"),
        ("\"method\": \"read\"".into(), "invalid_params"),
        ("\"method\": \"read\", \"params\": {\"entity\": \"room:\"}".into(), "invalid_params"),
        ("\"method\": \"read\", \"params\": {\"entity\": \"room:a b\"}".into(), "invalid_params"),
        ("\"method\": \"read\", \"params\": {\"entity\": \"room:x\", \"entity\": \"room:y\"}".into(), "invalid_params"),
        (send("\"n\": 0, \"body\": {}"), "invalid_params"),
        (send("\"n\": -1, \"body\": {}"), "invalid_params"),
        (send("\"n\": 1.5, \"body\": {}"), "invalid_params"),
        (send("\"n\": 1e30, \"body\": {}"), "invalid_params"),
        (send("\"n\": 9007199254740992, \"body\": {}"), "invalid_params"),
        (send("\"n\": 18446744073709551616, \"body\": {}"), "invalid_params"),
        (send("\"n\": 1, \"body\": {}, \"if_seq\": -1"), "invalid_params"),
        (send("\"n\": 1, \"body\": {}, \"more\": 1"), "invalid_params"),
        (send(&format!("\"n\": 1, \"body\": {deep}")), "invalid_params"),
        (
            format!("\"method\": \"send\", \"params\": {{\"entity\": \"room:x\", \"type\": \"{}\", \"body\": 1}}", "t".repeat(65)),
            "invalid_params",
        ),
        ("\"method\": \"connect\", \"params\": {\"client\": \"not-a-ulid\"}".into(), "invalid_params"),
        ("\"method\": \"subscribe\", \"params\": {\"entity\": \"room:x\", \"events\": \"sometimes\"}".into(), "invalid_params"),
        ("\"method\": \"subscribe\", \"params\": {\"entity\": \"room:x\", \"after\": {\"seq\": 1}}".into(), "invalid_params"),
        ("\"method\": \"subscribe\", \"params\": {\"entity\": \"room:x\", \"after\": [\"e\", 1]}".into(), "invalid_params"),
    ]) {
        let text = format!("{{\"jsonrpc\": \"2.0\", \"id\": {index}, {members}}}");
        client.say_frame(Message::text(text.clone())).await;
        let error = client.answer(index).await.expect_err(&text);
        assert_eq!(error["data"]["code"], code, "{text:.300}: {error}");
    }
    assert_eq!(
        client.ok("read", json!({"entity": "room:x"})).await["seq"],
        0,
        "none of them was executed"
    );
}

#[tokio::test]
async fn msgpack_with_false_lengths() {
    let mut server = Server::builder().unlimited().start().await;
    let mut client = server.client(CodecKind::MsgPack).await;
    let jsonrpc = b"\xa7jsonrpc\xa32.0";
    for (bytes, code) in [
        (vec![], "parse_error"),
        (vec![0xc1], "parse_error"),
        (b"\xdd\xff\xff\xff\xff".to_vec(), "parse_error"),
        (b"\xdf\xff\xff\xff\xff".to_vec(), "parse_error"),
        (b"\xdb\xff\xff\xff\xff".to_vec(), "parse_error"),
        (b"\xc6\xff\xff\xff\xff".to_vec(), "parse_error"),
        (b"\xc9\xff\xff\xff\xff\x01".to_vec(), "parse_error"),
        (b"\x81\xdb\x7f\xff\xff\xffx".to_vec(), "parse_error"),
        ([&b"\x82"[..], jsonrpc, b"\xa2id\xdd\xff\xff\xff\xff"].concat(), "parse_error"),
        (vec![0x91; 60_000], "parse_error"),
        ([0x81, 0xa1, b'a'].repeat(20_000), "parse_error"),
        (b"\x81\x01\x02".to_vec(), "invalid_request"),
        (b"\x81\xa1\xff\x01".to_vec(), "invalid_request"),
        (b"\x80\x80".to_vec(), "parse_error"),
        (b"\x90".to_vec(), "invalid_request"),
        (b"\xc0".to_vec(), "invalid_request"),
        (b"\x80".to_vec(), "invalid_request"),
        (b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00".to_vec(), "invalid_request"),
    ] {
        unread(&mut client, Message::binary(bytes), code).await;
    }
    client.ok("ping", json!({})).await;
    server.assert_serves().await;
}

/// Valid but troublesome JSON arrives as it was sent, with both codecs, or is refused; it never
/// blocks a subscriber.
#[tokio::test]
async fn troublesome_bodies() {
    let mut server = Server::builder().unlimited().start().await;
    let mut json_client = server.client(CodecKind::Json).await;
    let mut packed = server.client(CodecKind::MsgPack).await;
    json_client.subscribe("room:t").await;
    packed.subscribe("room:t").await;
    let mut accepted = 0;
    for (n, body) in (1..).zip([
        "{\"x\": 9007199254740993}",
        "{\"x\": 18446744073709551615}",
        "{\"x\": -9223372036854775808}",
        "{\"x\": 123456789012345678901234567890}",
        "{\"x\": 1e308}",
        "{\"x\": -0.0}",
        "{\"x\": 0.1e-400}",
        "{\"x\": 1, \"x\": 2}",
        "{\"\": {\"\": \"\"}}",
        "{\"x\": \"\\u0000\\ud83d\\ude00\"}",
        "{\"__proto__\": {\"a\": 1}}",
        "  {  \"x\"  :  [ ]  }  ",
    ]) {
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"send\",\"params\":{{\"entity\":\"room:t\",\"n\":{n},\"type\":\"post\",\"body\":{body}}}}}",
            1000 + n
        );
        json_client.say_frame(Message::text(text)).await;
        match json_client.try_either(1000 + n).await {
            Ok(_) => accepted += 1,
            Err(error) => {
                assert!(
                    matches!(error["data"]["code"].as_str(), Some("rejected" | "invalid_params")),
                    "{body}: {error}"
                );
                continue;
            }
        }
        for subscriber in [&mut json_client, &mut packed] {
            assert_eq!(subscriber.event().await["seq"], accepted, "{body}");
        }
    }
    assert!(accepted >= 8, "most of these are valid: {accepted}");
    let mut late = server.client(CodecKind::MsgPack).await;
    late.subscribe("room:t").await;
    assert_eq!(late.log("room:t").await.len() as u64, accepted);
    server.assert_serves().await;
}

/// The same with a document, which must understand numbers.
#[tokio::test]
async fn troublesome_documents() {
    let mut server = Server::builder().unlimited().start().await;
    let mut client = server.client(CodecKind::Json).await;
    const LARGEST: u64 = (1 << 53) - 1;
    client.send("doc:n", 1, "set", json!({"path": "/x", "value": LARGEST - 1})).await;
    client.send("doc:n", 2, "increment", json!({"path": "/x", "by": 1})).await;
    client.rejected("doc:n", 3, "increment", json!({"path": "/x", "by": 1}), "not_a_number").await;
    assert_eq!(client.read("doc:n").await, json!({"x": LARGEST}), "integers stay exact");
    client.send("doc:n", 3, "set", json!({"path": "/y", "value": 1e308})).await;
    let error = client.call("send", json!({"entity": "doc:n", "n": 4, "type": "increment", "body": {"path": "/y", "by": 1e308}})).await;
    assert!(error.is_err_and(|error| error["data"]["code"] == "rejected"), "infinity is not JSON");
    for (n, path) in (5..).step_by(2).zip(["/x/y", "/-", "/~2", "x", "/x/0"]) {
        let answer = client.call("send", json!({"entity": "doc:n", "n": n, "type": "increment", "body": {"path": path, "by": 1}})).await;
        if let Err(error) = answer {
            assert_eq!(error["data"]["code"], "rejected", "{path}: {error}");
        } else {
            client.send("doc:n", n + 1, "patch", json!([{"op": "remove", "path": path}])).await;
        }
    }
    assert_eq!(client.read("doc:n").await["x"], LARGEST);
    server.assert_serves().await;
}
