//! The canary's entity belongs to the server: no client can name it, use it, or get in its way.

use greenroom_protocol::CodecKind;
use serde_json::json;

use crate::server::{Server, command, within};
use crate::token::SECRET;

async fn nobody_reaches_the_canary(codec: CodecKind) {
    let server = Server::builder().with(SECRET).start().await;
    server.until("greenroom_ready", |ready| ready == 1.0).await;
    let token = server.token("root", &["*=read,send,moderate"]).await;
    let (mut root, _) = server.join(codec, json!({"token": token})).await;
    for entity in [".canary:node", "canary:node", "greenroom-canary:node"] {
        let code = if entity.starts_with('.') { "invalid_params" } else { "unknown_kind" };
        for (method, params) in [
            ("subscribe", json!({"entity": entity})),
            ("read", json!({"entity": entity})),
            ("history", json!({"entity": entity})),
            ("presence", json!({"entity": entity, "action": "enter"})),
            ("signal", json!({"entity": entity, "type": "t", "body": 1})),
            (
                "send",
                json!({"entity": entity, "type": "set", "n": 1, "body": {"path": "/a", "value": 1}}),
            ),
        ] {
            let error = root.fails(method, params, code).await;
            if code == "unknown_kind" {
                let message = error["message"].as_str().expect("an error has a message");
                assert!(message.ends_with("configured are: doc, room"), "{method}: {message}");
            }
        }
    }
}

/// A kind may have the name that the canary's kind used to have, and works as configured.
#[tokio::test]
async fn a_kind_may_have_the_canarys_old_name() {
    let mut server = Server::builder()
        .with("kinds.greenroom-canary.behaviour = \"room\"")
        .with("kinds.room.behaviour = \"room\"")
        .start()
        .await;
    let mut client = server.client(CodecKind::Json).await;
    client.subscribe("greenroom-canary:node").await;
    client.send("greenroom-canary:node", 1, "post", json!({"text": "mine"})).await;
    assert_eq!(client.event().await["body"]["text"], "mine");
    server.until("greenroom_ready", |ready| ready == 1.0).await;
    server.assert_serves().await;
}

#[tokio::test]
async fn no_kind_may_have_the_canarys_name() {
    let stopped = Server::builder().with("[kinds.\".canary\"]\nbehaviour = \"room\"").prepare();
    let output = within("the check", command(stopped.directory.path()).arg("check").output())
        .await
        .expect("the binary runs");
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && says.contains(".canary"), "{says}");
}

mod codecs {
    crate::over_both_codecs!(nobody_reaches_the_canary);
}
