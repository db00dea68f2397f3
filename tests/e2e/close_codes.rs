//! Provokes every documented close code and checks its reason and its metric.

use greenroom_protocol::CodecKind;
use greenroom_protocol::close::CloseCode;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::raw::{FIN, Raw, TEXT, frame};
use crate::server::{Builder, Server};
use crate::slow_reader;
use crate::token::{SECRET, mint};

/// A configuration in which `code` can be provoked quickly; `None` if it cannot be provoked from
/// outside.
fn server_for(code: CloseCode) -> Option<Builder> {
    let builder = Server::builder();
    Some(match code {
        CloseCode::Normal
        | CloseCode::ShuttingDown
        | CloseCode::ProtocolError
        | CloseCode::UnsupportedData
        | CloseCode::InvalidUtf8
        | CloseCode::Unauthorized
        | CloseCode::Replaced => builder,
        CloseCode::TooBig => builder
            .with("socket.max_message_bytes = 2048\nsocket.max_frame_bytes = 1024")
            .with("kinds.room = {behaviour = \"room\", max_body_bytes = 512}"),
        CloseCode::ConnectTimeout => builder.with("socket.connect_timeout = \"1s\""),
        CloseCode::TokenExpired => builder.with(SECRET).with("auth.leeway = \"0s\""),
        CloseCode::RateLimited => {
            builder.with("limits.requests_per_second = 1\nlimits.requests_burst = 1\nlimits.abuse_after = 5\nlimits.abuse_window = \"1h\"")
        }
        CloseCode::SlowConsumer => builder.unlimited().with("socket.write_timeout = \"1s\""),
        CloseCode::PingTimeout => builder.with("socket.ping_interval = \"1s\"\nsocket.idle_timeout = \"2s\""),
        // This takes a session that panics, which would be a bug.
        CloseCode::Internal => return None,
    })
}

/// Makes `server` close a connection with `code`, and returns the code and reason it closed with;
/// `None` if that cannot be provoked.
async fn provoke(code: CloseCode, codec: CodecKind, server: &Server) -> Option<(u16, String)> {
    Some(match code {
        CloseCode::Internal => return None,
        CloseCode::Normal => (server.client(codec).await.close().await, String::new()),
        CloseCode::ShuttingDown => {
            let mut client = server.client(codec).await;
            server.terminate().await;
            client.closed().await
        }
        CloseCode::ProtocolError => {
            let mut raw = Raw::websocket(server.address, codec).await;
            raw.write(&[FIN | TEXT, 2, b'{', b'}']).await;
            raw.closed().await
        }
        CloseCode::UnsupportedData => {
            let mut client = server.client(codec).await;
            let wrong =
                if codec.is_text() { Message::binary(b"{}".to_vec()) } else { Message::text("{}") };
            client.say_frame(wrong).await;
            client.closed().await
        }
        CloseCode::InvalidUtf8 => {
            let mut raw = Raw::websocket(server.address, codec).await;
            raw.frame(FIN | TEXT, b"{\"\xff\"}").await;
            raw.closed().await
        }
        CloseCode::TooBig => {
            let mut raw = Raw::websocket(server.address, codec).await;
            raw.frame(FIN | TEXT, &[b' '; 1025]).await;
            raw.closed().await
        }
        CloseCode::ConnectTimeout => server.open(codec).await.closed().await,
        CloseCode::TokenExpired => {
            let token = mint(server.path(), &["--sub", "alice", "--ttl", "1s"]).await;
            let mut client = server.open(codec).await;
            client.ask("connect", json!({"token": token})).await;
            client.closed().await
        }
        CloseCode::Unauthorized => {
            let mut client = server.open(codec).await;
            client.fails("connect", json!({"token": "no"}), "unauthorized").await;
            client.closed().await
        }
        CloseCode::Replaced => {
            let (mut client, hello) = server.join(codec, json!({})).await;
            let (_heir, resumed) = server
                .join(codec, json!({"client": hello["client"], "session": hello["session"]}))
                .await;
            assert_eq!(resumed["resumed"], true, "{resumed}");
            client.closed().await
        }
        CloseCode::RateLimited => {
            let mut client = server.client(codec).await;
            // Ask again at once, whatever the answer says.
            loop {
                let id = client.ask("ping", json!({})).await;
                if let Err(close) = client.try_answer(id).await {
                    return Some(close.expect("a close frame"));
                }
            }
        }
        CloseCode::SlowConsumer => slow_reader::closed_for_reading_nothing(server, codec).await,
        CloseCode::PingTimeout => {
            let mut raw = Raw::websocket(server.address, codec).await;
            let (text, connect) = match codec {
                CodecKind::Json => (
                    TEXT,
                    serde_json::to_vec(&json!({"jsonrpc": "2.0", "id": 1, "method": "connect"}))
                        .expect("JSON"),
                ),
                CodecKind::MsgPack => (
                    crate::raw::BINARY,
                    rmp_serde::to_vec_named(
                        &json!({"jsonrpc": "2.0", "id": 1, "method": "connect"}),
                    )
                    .expect("MessagePack"),
                ),
            };
            raw.write(&frame(FIN | text, &connect)).await;
            raw.closed().await
        }
    })
}

#[tokio::test]
async fn every_close_code_is_provoked() {
    for codec in CodecKind::ALL {
        for code in CloseCode::ALL {
            let Some(builder) = server_for(*code) else { continue };
            let server = builder.start().await;
            let provoked = Box::pin(provoke(*code, codec, &server)).await;
            let Some((number, reason)) = provoked else { continue };
            let wanted = if *code == CloseCode::UnsupportedData {
                codec.frames_only()
            } else {
                code.reason()
            };
            assert_eq!((number, reason.as_str()), (code.number(), wanted), "{code:?}");
        }
    }
}

/// Closed connections are counted by reason. A connection counts only once it is gone, so this
/// waits for the count.
#[tokio::test]
async fn closes_are_counted() {
    let server = Server::builder().start().await;
    provoke(CloseCode::ProtocolError, CodecKind::Json, &server).await;
    provoke(CloseCode::Normal, CodecKind::Json, &server).await;
    for reason in ["protocol_error", "normal"] {
        server
            .until(&format!("greenroom_closes_total{{reason=\"{reason}\"}}"), |closes| {
                closes == 1.0
            })
            .await;
    }
    server.until("greenroom_connections", |open| open == 0.0).await;
    server.until("greenroom_sessions", |sessions| sessions == 0.0).await;
}
