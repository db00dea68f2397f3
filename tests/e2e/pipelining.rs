//! Requests that arrive while an earlier one of the same connection is still in progress.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::client::Client;
use crate::server::Server;

/// The number of posts while the subscriber does not read: more than its outbox and the kernel can
/// hold.
const POSTS: u64 = 400;
const POST_BYTES: usize = 8_000;

fn rooms(count: usize) -> Vec<Value> {
    (0..count).map(|index| json!({"entity": format!("room:v{index}")})).collect()
}

async fn a_subscribe_sent_right_after_connect_loses_nothing(codec: CodecKind) {
    let server = Server::builder().unlimited().with("socket.outbox_bytes = 131072").start().await;
    let mut slow = Client::open_narrow(server.address, codec).await;
    let asked = slow
        .ask_together(vec![
            ("connect", json!({"subscriptions": rooms(9)})),
            ("subscribe", json!({"entity": "room:v8"})),
        ])
        .await;
    let connected = slow.answer(asked[0]).await.expect("it is admitted");
    assert!(
        connected["subscriptions"]
            .as_array()
            .is_some_and(|all| all.len() == 9 && all.iter().all(|one| one["result"].is_object()))
    );
    slow.answer(asked[1]).await.expect("it may follow");

    let mut sender = server.client(codec).await;
    let text = "x".repeat(POST_BYTES);
    for n in 1..=POSTS {
        sender.send("room:v8", n, "post", json!({"text": text})).await;
    }
    for seq in 1..=POSTS {
        assert_eq!(slow.event().await["seq"], seq, "each event once and in order");
    }
    assert!(
        server.sample("greenroom_outbox_overflows_total{policy=\"replay\"}").await >= 1.0,
        "the subscriber was too slow at least once"
    );
}

async fn an_unsubscribe_sent_right_after_connect_takes_effect(codec: CodecKind) {
    let server = Server::builder().unlimited().start().await;
    let mut client = server.open(codec).await;
    let mut requests =
        vec![("connect", json!({"subscriptions": rooms(30), "presence": rooms(30)}))];
    for index in 0..30 {
        requests.push(("unsubscribe", json!({"entity": format!("room:v{index}")})));
        requests.push(("presence", json!({"entity": format!("room:v{index}"), "action": "leave"})));
    }
    let asked = client.ask_together(requests).await;
    for id in asked {
        client.answer(id).await.expect("nobody is refused");
    }
    let mut sender = server.client(codec).await;
    for index in 0..30 {
        let room = format!("room:v{index}");
        sender.send(&room, index + 1, "post", json!({})).await;
        assert_eq!(
            sender.ok("presence", json!({"entity": room})).await["count"],
            0,
            "{room} does not list users who have left"
        );
    }
    assert_eq!(client.settled().await, [], "nothing comes after an answered unsubscribe");
}

async fn connect_enters_the_listed_entities(codec: CodecKind) {
    let server = Server::builder().start().await;
    let (mut watcher, _) = server.join(codec, json!({})).await;
    watcher.ok("subscribe", json!({"entity": "room:a", "presence": true})).await;
    let entries = json!([{"entity": "room:a", "meta": {"name": "A"}}, {"entity": "nosuch:a"}, {"entity": "room:b"}]);
    let (mut client, hello) = server.join(codec, json!({"presence": entries})).await;
    assert_eq!(
        (
            &hello["presence"][0],
            &hello["presence"][1]["error"]["data"]["code"],
            &hello["presence"][2]["result"]["count"]
        ),
        (&json!({"entity": "room:a", "result": {"count": 1}}), &json!("unknown_kind"), &json!(1))
    );
    assert_eq!(watcher.expect("presence").await["joined"][0]["meta"], json!({"name": "A"}));
    client.ok("presence", json!({"entity": "room:a", "action": "leave"})).await;
    assert_eq!(watcher.expect("presence").await["left"], json!([hello["user"]]));
}

mod codecs {
    crate::over_both_codecs!(a_subscribe_sent_right_after_connect_loses_nothing);
    crate::over_both_codecs!(an_unsubscribe_sent_right_after_connect_takes_effect);
    crate::over_both_codecs!(connect_enters_the_listed_entities);
}
