//! Documents: every op, conflicts, and increments that add up.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::server::Server;

async fn every_op_does_what_it_says(codec: CodecKind) {
    let server = Server::builder().start().await;
    let mut client = server.client(codec).await;
    let doc = "doc:plan";
    assert_eq!(client.subscribe(doc).await["snapshot"], json!({}));
    let steps = [
        ("set", json!({"path": "/title", "value": "Plan"}), json!({"title": "Plan"}), None),
        (
            "patch",
            json!([{"op": "add", "path": "/items", "value": ["a", "c"]}, {"op": "add", "path": "/items/1", "value": "b"}]),
            json!({"title": "Plan", "items": ["a", "b", "c"]}),
            None,
        ),
        (
            "merge",
            json!({"title": null, "owner": {"name": "Ö"}}),
            json!({"items": ["a", "b", "c"], "owner": {"name": "Ö"}}),
            None,
        ),
        (
            "increment",
            json!({"path": "/likes", "by": 2}),
            json!({"items": ["a", "b", "c"], "owner": {"name": "Ö"}, "likes": 2}),
            Some(json!(2)),
        ),
        (
            "increment",
            json!({"path": "/likes", "by": -3}),
            json!({"items": ["a", "b", "c"], "owner": {"name": "Ö"}, "likes": -1}),
            Some(json!(-1)),
        ),
        (
            "patch",
            json!([{"op": "test", "path": "/likes", "value": -1}, {"op": "remove", "path": "/owner"}, {"op": "move", "from": "/items/0", "path": "/items/2"}]),
            json!({"items": ["b", "c", "a"], "likes": -1}),
            None,
        ),
        (
            "set",
            json!({"path": "/items/0", "value": "B"}),
            json!({"items": ["B", "c", "a"], "likes": -1}),
            None,
        ),
        (
            "set",
            json!({"path": "/items/3", "value": "d"}),
            json!({"items": ["B", "c", "a", "d"], "likes": -1}),
            None,
        ),
        (
            "set",
            json!({"path": "/items/-", "value": "e"}),
            json!({"items": ["B", "c", "a", "d", "e"], "likes": -1}),
            None,
        ),
        ("set", json!({"path": "", "value": [1.5, true, null]}), json!([1.5, true, null]), None),
    ];
    for (n, (r#type, body, state, result)) in (1..).zip(steps) {
        let sent = client.send(doc, n, r#type, body.clone()).await;
        assert_eq!(sent.get("result"), result.as_ref(), "{type} {body}");
        assert_eq!(client.read(doc).await, state, "{type} {body}");
        let event = client.event().await;
        assert_eq!(
            (&event["seq"], &event["type"], &event["body"]),
            (&json!(n), &json!(r#type), &body)
        );
    }
}

async fn refused_ops_change_nothing(codec: CodecKind) {
    let server = Server::builder()
        .with("kinds.doc = {behaviour = \"document\", max_state_bytes = 200, max_depth = 4, initial = {a = \"x\"}}")
        .start()
        .await;
    let mut client = server.client(codec).await;
    let doc = "doc:strict";
    let deep = json!([[[[[]]]]]);
    for (r#type, body, reason) in [
        (
            "patch",
            json!([{"op": "add", "path": "/b", "value": 1}, {"op": "remove", "path": "/missing"}]),
            "patch_failed",
        ),
        (
            "patch",
            json!([{"op": "add", "path": "/b", "value": 1}, {"op": "test", "path": "/a", "value": "y"}]),
            "test_failed",
        ),
        ("patch", json!({"op": "add"}), "invalid_body"),
        ("patch", json!([{"op": "explode", "path": "/a"}]), "invalid_body"),
        ("increment", json!({"path": "/a", "by": 1}), "not_a_number"),
        ("increment", json!({"path": "/b", "by": "1"}), "invalid_body"),
        ("increment", json!({"path": "no-slash", "by": 1}), "invalid_body"),
        ("set", json!({"path": "/b", "value": deep}), "too_deep"),
        ("merge", json!({"b": deep}), "too_deep"),
        ("set", json!({"path": "/b", "value": "x".repeat(200)}), "too_large"),
        ("merge", json!({"b": "x".repeat(200)}), "too_large"),
        ("rename", json!({}), "unknown_op"),
    ] {
        let error = client
            .call("send", json!({"entity": doc, "n": 1, "type": r#type, "body": body}))
            .await
            .expect_err("it cannot be done");
        assert_eq!(error["data"]["reason"], reason, "{type} {body}: {error}");
        assert_eq!(
            client.ok("read", json!({"entity": doc})).await["state"],
            json!({"a": "x"}),
            "{type} {body}"
        );
    }
    assert_eq!(client.ok("read", json!({"entity": doc})).await["seq"], 0);
    let many: Vec<Value> = (0..50)
        .map(|index| json!({"op": "add", "path": format!("/k{index}"), "value": "xxxxxxxx"}))
        .collect();
    let error = client
        .call("send", json!({"entity": doc, "n": 1, "type": "patch", "body": many}))
        .await
        .expect_err("the state would be too large");
    assert_eq!(error["data"]["reason"], "too_large");
}

async fn a_conflict_reports_the_current_seq(codec: CodecKind) {
    let server = Server::builder().start().await;
    let mut client = server.client(codec).await;
    let op = |n: u64, if_seq: u64| json!({"entity": "doc:c", "n": n, "type": "set", "body": {"path": "/a", "value": n}, "if_seq": if_seq});
    client.ok("send", op(1, 0)).await;
    let error = client.fails("send", op(2, 0), "conflict").await;
    assert_eq!(error["data"]["seq"], 1);
    client.ok("send", op(2, 1)).await;
    let repeated = client.ok("send", op(2, 1)).await;
    assert_eq!(
        (&repeated["seq"], &repeated["duplicate"]),
        (&json!(2), &json!(true)),
        "a repeat does not conflict with itself"
    );
    assert_eq!(client.read("doc:c").await, json!({"a": 2}));
}

#[tokio::test]
async fn concurrent_increments_add_up_exactly() {
    const CLIENTS: usize = 6;
    const EACH: u64 = 60;
    let mut server = Server::builder().unlimited().start().await;
    let mut clients = Vec::new();
    for index in 0..CLIENTS {
        clients.push(server.client(CodecKind::ALL[index % 2]).await);
    }
    let mut asked = Vec::new();
    for n in 1..=EACH {
        for (index, client) in clients.iter_mut().enumerate() {
            asked.push((
                index,
                client
                    .ask("send", json!({"entity": "doc:votes", "n": n, "type": "increment", "body": {"path": "/votes", "by": index + 1}}))
                    .await,
            ));
        }
    }
    let mut results = Vec::new();
    for (index, id) in asked {
        let sent = clients[index].answer(id).await.expect("an increment is accepted");
        results.push((sent["seq"].as_u64(), sent["result"].as_u64()));
    }
    let total = (1..=CLIENTS as u64).sum::<u64>() * EACH;
    assert_eq!(clients[0].read("doc:votes").await, json!({"votes": total}));
    results.sort_unstable();
    assert!(
        results.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1),
        "each increment's result is the value right after it"
    );
    assert_eq!(results.last().and_then(|last| last.1), Some(total));
    server.assert_serves().await;
}

/// Of several clients that write on top of the same seq, one wins.
#[tokio::test]
async fn one_of_several_concurrent_if_seq_ops_wins() {
    let server = Server::builder().start().await;
    let mut clients = Vec::new();
    for index in 0..5 {
        clients.push(server.client(CodecKind::ALL[index % 2]).await);
    }
    for round in 0..5u64 {
        let mut asked = Vec::new();
        for (index, client) in clients.iter_mut().enumerate() {
            let op = json!({"entity": "doc:race", "n": round + 1, "type": "set", "body": {"path": "/winner", "value": index}, "if_seq": round});
            asked.push(client.ask("send", op).await);
        }
        let mut winners = Vec::new();
        for (index, (client, id)) in clients.iter_mut().zip(asked).enumerate() {
            match client.answer(id).await {
                Ok(_) => winners.push(index),
                Err(error) => assert_eq!(
                    (&error["data"]["code"], &error["data"]["seq"]),
                    (&json!("conflict"), &json!(round + 1))
                ),
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(clients[0].read("doc:race").await, json!({"winner": winners[0]}));
    }
}

mod codecs {
    crate::over_both_codecs!(every_op_does_what_it_says);
    crate::over_both_codecs!(refused_ops_change_nothing);
    crate::over_both_codecs!(a_conflict_reports_the_current_seq);
}
