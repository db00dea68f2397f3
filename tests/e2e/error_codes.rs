//! Provokes every documented error. The match has no wildcard, so a new code does not compile until
//! it is provoked here or excused.

use greenroom_protocol::{CodecKind, ErrorCode};
use serde_json::{Value, json};

use crate::client::encode;
use crate::server::Server;
use crate::token::{SECRET, mint};

/// The result of provoking an error.
enum Provoked {
    By(Value),
    /// Why it cannot be provoked from outside.
    Excused(&'static str),
}

fn post(n: u64) -> Value {
    json!({"entity": "room:x", "n": n, "type": "post", "body": {}})
}

#[tokio::test]
async fn every_error_is_provoked() {
    for codec in CodecKind::ALL {
        for code in ErrorCode::ALL {
            match Box::pin(provoke(*code, codec)).await {
                Provoked::By(error) => {
                    assert_eq!(
                        (&error["data"]["code"], &error["code"]),
                        (&json!(code.as_str()), &json!(code.number())),
                        "{error}"
                    );
                    let again = matches!(
                        code,
                        ErrorCode::RateLimited
                            | ErrorCode::Overloaded
                            | ErrorCode::TooManyInFlight
                            | ErrorCode::Unavailable
                            | ErrorCode::ShuttingDown
                    );
                    assert_eq!(
                        error["data"]["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0),
                        again,
                        "{error}"
                    );
                }
                Provoked::Excused(why) => assert!(!why.is_empty()),
            }
        }
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each error")]
async fn provoke(code: ErrorCode, codec: CodecKind) -> Provoked {
    let builder = Server::builder();
    let failed = |answer: Result<Value, Value>| Provoked::By(answer.expect_err("it is refused"));
    match code {
        ErrorCode::ParseError => {
            let server = builder.start().await;
            let mut client = server.client(codec).await;
            let cut = match codec {
                CodecKind::Json => tokio_tungstenite::tungstenite::Message::text("{\"jsonrpc\":"),
                CodecKind::MsgPack => {
                    tokio_tungstenite::tungstenite::Message::binary(vec![0x81, 0xa7])
                }
            };
            client.say_frame(cut).await;
            Provoked::By(client.unread().await)
        }
        ErrorCode::InvalidRequest => {
            let server = builder.start().await;
            let mut client = server.client(codec).await;
            client
                .say_frame(encode(codec, &json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}])))
                .await;
            Provoked::By(client.unread().await)
        }
        ErrorCode::MethodNotFound => {
            failed(builder.start().await.client(codec).await.call("explode", json!({})).await)
        }
        ErrorCode::InvalidParams => failed(
            builder
                .start()
                .await
                .client(codec)
                .await
                .call("read", json!({"entity": "lobby"}))
                .await,
        ),
        ErrorCode::Internal => Provoked::Excused("it takes a bug"),
        ErrorCode::NotConnected => {
            failed(builder.start().await.open(codec).await.call("ping", json!({})).await)
        }
        ErrorCode::Unauthorized => failed(
            builder.start().await.open(codec).await.call("connect", json!({"token": "x"})).await,
        ),
        ErrorCode::TokenExpired => {
            let server = builder.with(SECRET).with("auth.leeway = \"0s\"").start().await;
            let token = mint(server.path(), &["--sub", "alice", "--ttl", "1s"]).await;
            let mut first = server.open(codec).await;
            // The token may have expired on the way; otherwise the end of its session shows that it
            // has.
            if first.call("connect", json!({"token": token})).await.is_ok() {
                first.closed().await;
            }
            failed(server.open(codec).await.call("connect", json!({"token": token})).await)
        }
        ErrorCode::Forbidden => {
            let server = builder
                .with("kinds.room = {behaviour = \"room\", anonymous_permissions = [\"read\"]}")
                .start()
                .await;
            failed(server.client(codec).await.call("send", post(1)).await)
        }
        ErrorCode::UnknownKind => failed(
            builder
                .start()
                .await
                .client(codec)
                .await
                .call("read", json!({"entity": "shop:x"}))
                .await,
        ),
        ErrorCode::Rejected => failed(
            builder
                .start()
                .await
                .client(codec)
                .await
                .call("send", json!({"entity": "room:x", "n": 1, "type": "sing", "body": {}}))
                .await,
        ),
        ErrorCode::Conflict => {
            let mut op = post(1);
            op["if_seq"] = json!(7);
            failed(builder.start().await.client(codec).await.call("send", op).await)
        }
        ErrorCode::TooLarge => {
            let server = builder
                .with("kinds.room = {behaviour = \"room\", max_body_bytes = 100}")
                .start()
                .await;
            let mut op = post(1);
            op["body"] = json!({"text": "x".repeat(100)});
            failed(server.client(codec).await.call("send", op).await)
        }
        ErrorCode::OpExpired => {
            let server = builder
                .with("socket.max_in_flight = 1")
                .with("kinds.room = {behaviour = \"room\", dedupe_ops = 1}")
                .start()
                .await;
            let mut client = server.client(codec).await;
            for n in 1..=3 {
                client.ok("send", post(n)).await;
            }
            failed(client.call("send", post(1)).await)
        }
        ErrorCode::RateLimited => {
            let server = builder
                .with("limits.requests_per_second = 1")
                .with("limits.requests_burst = 2")
                .start()
                .await;
            let mut client = server.client(codec).await;
            client.ask("ping", json!({})).await;
            let second = client.ask("ping", json!({})).await;
            failed(client.answer(second).await)
        }
        ErrorCode::Overloaded => {
            let server =
                builder.with("kinds.room = {behaviour = \"room\", max_present = 1}").start().await;
            let enter = json!({"entity": "room:x", "action": "enter"});
            let mut here = server.client(codec).await;
            here.ok("presence", enter.clone()).await;
            failed(server.client(codec).await.call("presence", enter).await)
        }
        ErrorCode::TooManySubscriptions => {
            let server = builder.with("socket.max_subscriptions = 1").start().await;
            let mut client = server.client(codec).await;
            client.subscribe("room:a").await;
            client.subscribe("room:a").await;
            failed(client.call("subscribe", json!({"entity": "room:b"})).await)
        }
        ErrorCode::TooManyInFlight => Provoked::By(crate::limits::too_many_in_flight(codec).await),
        ErrorCode::Unavailable => Provoked::By(crate::storage::remote::unavailable(codec).await),
        ErrorCode::ShuttingDown => Provoked::By(crate::storage::stop::shutting_down(codec).await.0),
        ErrorCode::Corrupt => Provoked::By(crate::kinds::corrupt(codec).await),
    }
}
