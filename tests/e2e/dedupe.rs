//! Clients that an entity has forgotten: nobody pays for another client's claims, and nothing is
//! executed twice.

use std::time::{SystemTime, UNIX_EPOCH};

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::server::Server;

const VOTE: &str = "doc:votes";
const FEW_CLIENTS: &str = "kinds.doc = {behaviour = \"document\", dedupe_clients = 4}";

fn vote(n: u64) -> Value {
    json!({"entity": VOTE, "n": n, "type": "increment", "body": {"path": "/votes", "by": 1}})
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

/// A client id that was created at the time `made`.
fn client_id(made: u64, number: u64) -> String {
    let digit = |value: u64| char::from(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"[(value & 31) as usize]);
    let digits =
        |value: u64, count: u32| (0..count).rev().map(move |place| digit(value >> (5 * place)));
    digits(made, 10).chain("0000".chars()).chain(digits(number, 12)).collect()
}

#[tokio::test]
async fn a_date_ahead_of_the_clock_refuses_nobody_else() {
    let server = Server::builder().with(FEW_CLIENTS).unlimited().start().await;
    let mut quiet = server.client(CodecKind::Json).await;
    quiet.ok("send", vote(1)).await;
    let mut late = server.client(CodecKind::Json).await;
    let mut put_off = 0;
    for number in 0..20 {
        let (mut client, _) = server
            .join(CodecKind::MsgPack, json!({"client": client_id(now() + 59_000, number)}))
            .await;
        if let Err(error) = client.call("send", vote(1)).await {
            assert_eq!(
                (&error["data"]["code"], &error["data"]["reason"]),
                (&json!("overloaded"), &json!("dated_ahead")),
                "{error}"
            );
            assert!(
                error["data"]["retry_after_ms"]
                    .as_u64()
                    .is_some_and(|wait| (1..=60_000).contains(&wait)),
                "{error}"
            );
            put_off += 1;
        }
    }
    assert_eq!(put_off, 16, "only as many clients may date ahead as are remembered");
    assert_eq!(
        quiet.ok("send", vote(1)).await["duplicate"],
        true,
        "earlier clients are remembered"
    );
    quiet.ok("send", vote(2)).await;
    late.ok("send", vote(1)).await;
    let mut new = server.client(CodecKind::Json).await;
    new.ok("send", vote(1)).await;
    let mut dated = vote(2);
    dated["first_sent"] = json!(now());
    new.ok("send", dated).await;
    assert_eq!(new.read(VOTE).await, json!({"votes": 4 + 5}));
}

#[tokio::test]
async fn a_forgotten_clients_ops_are_not_executed_twice() {
    let server = Server::builder().with(FEW_CLIENTS).unlimited().durable().start().await;
    let (mut client, hello) = server.join(CodecKind::Json, json!({})).await;
    let dated = |n: u64, at: u64| {
        let mut op = vote(n);
        op["first_sent"] = json!(at);
        op
    };
    let begin = now();
    for n in [1, 2] {
        client.ok("send", dated(n, begin)).await;
    }
    let mut others = 0;
    while client.call("send", dated(1, begin)).await.is_ok() {
        server.client(CodecKind::Json).await.ok("send", vote(1)).await;
        others += 1;
    }
    let back = client.ok("send", dated(3, now() + 1)).await;
    assert_eq!(back.get("duplicate"), None);
    let mut server = server;
    for _ in 0..2 {
        let (mut client, _) =
            server.join(CodecKind::MsgPack, json!({"client": hello["client"]})).await;
        for n in [1, 2] {
            client.fails("send", dated(n, begin), "op_expired").await;
        }
        assert_eq!(client.read(VOTE).await, json!({"votes": 3 + others}));
        server = server.kill().await.start().await;
    }
}

async fn a_different_op_with_a_used_number_is_refused(codec: CodecKind) {
    let server = Server::builder().durable().start().await;
    let (mut client, hello) = server.join(codec, json!({})).await;
    let first = client.ok("send", vote(1)).await;
    let others = [
        json!({"entity": VOTE, "n": 1, "type": "increment", "body": {"path": "/votes", "by": 2}}),
        json!({"entity": VOTE, "n": 1, "type": "set", "body": {"path": "/votes", "by": 1}}),
        json!({"entity": VOTE, "n": 1, "type": "increment"}),
    ];
    let mut server = server;
    for _ in 0..2 {
        for codec in CodecKind::ALL {
            let (mut client, _) = server.join(codec, json!({"client": hello["client"]})).await;
            for other in &others {
                let error = client.fails("send", other.clone(), "invalid_params").await;
                assert_eq!(error["data"]["reason"], "n_reused", "{error}");
            }
            // The same op, spelt differently.
            let text = format!(
                r#"{{"jsonrpc": "2.0", "id": 9000, "method": "send", "params": {{"entity": "{VOTE}", "type": "increment", "n": 1, "if_seq": 77,
                "body": {{ "by": 1.0, "\u0070ath": "\/votes" }}}}}}"#
            );
            let (mut json, _) =
                server.join(CodecKind::Json, json!({"client": hello["client"]})).await;
            json.say_frame(Message::text(text)).await;
            let again = json.answer(9000).await.expect("it is a repeat");
            assert_eq!((&again["seq"], &again["duplicate"]), (&first["seq"], &json!(true)));
            assert_eq!(client.read(VOTE).await, json!({"votes": 1}));
        }
        server = server.kill().await.start().await;
    }
}

mod codecs {
    crate::over_both_codecs!(a_different_op_with_a_used_number_is_refused);
}
