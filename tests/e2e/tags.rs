//! A client recognizes its own events by the tag that it gave the op, however they reach it.

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::server::Server;

const ROOM: &str = "room:tagged";

fn tags(events: &Value) -> Vec<Value> {
    events.as_array().expect("events").iter().map(|event| event["tag"].clone()).collect()
}

async fn the_event_of_a_tagged_op_carries_the_tag(codec: CodecKind) {
    let server = Server::builder().durable().start().await;
    let (mut sender, hello) = server.join(codec, json!({})).await;
    let begin = sender.subscribe(ROOM).await;
    let (mut other, _) = server.join(CodecKind::Json, json!({})).await;
    other.subscribe(ROOM).await;
    let op = json!({"entity": ROOM, "n": 1, "type": "post", "body": {"text": "hi"}, "tag": "f3a9"});
    sender.ok("send", op.clone()).await;
    sender
        .ok("send", json!({"entity": ROOM, "n": 2, "type": "post", "body": {"text": "plain"}}))
        .await;
    for client in [&mut sender, &mut other] {
        assert_eq!(client.event().await["tag"], "f3a9");
        let event = client.event().await;
        assert_eq!(event.get("tag"), None, "an op without a tag causes an event without one");
        assert!(!event.to_string().contains(hello["client"].as_str().expect("an id")), "{event}");
    }
    // A repeat with a different tag is the same op: its event keeps the first tag.
    let mut repeat = op;
    repeat["tag"] = json!("other");
    assert_eq!(sender.ok("send", repeat).await["duplicate"], true);

    let mut stopped = server.kill().await;
    for _ in 0..2 {
        let server = stopped.start().await;
        let (mut back, _) = server.join(codec, json!({})).await;
        let after = json!({"epoch": begin["epoch"], "seq": 0});
        let resumed = back.ok("subscribe", json!({"entity": ROOM, "after": after})).await;
        assert_eq!(tags(&resumed["events"]), [json!("f3a9"), Value::Null], "{resumed}");
        let page = back.ok("history", json!({"entity": ROOM})).await;
        assert_eq!(tags(&page["events"]), [json!("f3a9"), Value::Null], "{page}");
        stopped = server.kill().await;
    }
}

mod the_event {
    crate::over_both_codecs!(the_event_of_a_tagged_op_carries_the_tag);
}
