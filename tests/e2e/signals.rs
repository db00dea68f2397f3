//! Signals: to the other subscribers, at once, and nowhere else.

use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::server::Server;

async fn signals_reach_other_subscribers_and_are_not_stored(codec: CodecKind) {
    let server = Server::builder().start().await;
    let (mut one, hello) =
        server.join(codec, json!({"subscriptions": [{"entity": "room:s"}]})).await;
    let (mut two, _) = server
        .join(codec, json!({"subscriptions": [{"entity": "room:s", "signals": "latest"}]}))
        .await;
    let (mut deaf, _) = server
        .join(codec, json!({"subscriptions": [{"entity": "room:s", "signals": "none"}]}))
        .await;
    let (mut quiet, _) = server
        .join(codec, json!({"subscriptions": [{"entity": "room:s", "events": "none"}]}))
        .await;

    assert_eq!(
        one.ok(
            "signal",
            json!({"entity": "room:s", "type": "typing", "body": {"on": true}, "key": "k"})
        )
        .await,
        json!({})
    );
    one.tell("signal", json!({"entity": "room:s", "type": "cursor", "body": [1, 2]})).await;
    one.send("room:s", 1, "post", json!({})).await;
    let from = &hello["user"];
    let first = json!({"entity": "room:s", "from": from, "type": "typing", "body": {"on": true}, "key": "k"});
    let second = json!({"entity": "room:s", "from": from, "type": "cursor", "body": [1, 2]});
    for listener in [&mut two, &mut quiet] {
        assert_eq!(listener.expect("signal").await, first);
        assert_eq!(listener.expect("signal").await, second);
    }
    assert_eq!(two.event().await["seq"], 1);
    assert_eq!(deaf.event().await["seq"], 1, "signals were not wanted");
    assert_eq!(one.event().await["seq"], 1, "its own signals do not come back");
    quiet.ok("read", json!({"entity": "room:s"})).await;
    assert_eq!(quiet.settled().await, [], "events were not wanted");
    assert_eq!(one.log("room:s").await.len(), 1, "signals are not stored");
    one.fails(
        "signal",
        json!({"entity": "room:s", "type": "t", "body": {}, "key": "k".repeat(65)}),
        "invalid_params",
    )
    .await;
}

mod codecs {
    crate::over_both_codecs!(signals_reach_other_subscribers_and_are_not_stored);
}
