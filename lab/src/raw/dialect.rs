//! The languages: how to come in, subscribe and publish.

use anyhow::Result;
use serde_json::json;

use greenroom_loadtest::client::frame::{BINARY, TEXT, push};

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `s ROOM`, answered `ok`, and `p ROOM BODY`: the baselines, and peers that are libraries.
    Text,
    /// Socket.IO's packets, in Engine.IO's.
    SocketIo,
    /// NATS' own protocol, in binary frames.
    Nats,
    /// Greenroom's signals.
    Signals,
    /// Greenroom's durable posts.
    Posts,
}

/// One exchange while coming in.
pub struct Step {
    /// Frames to send; may be none.
    pub send: Vec<u8>,
    /// What a frame must hold before the next step.
    pub until: &'static str,
}

impl Dialect {
    /// What to ask for.
    pub fn path(self) -> &'static str {
        match self {
            Self::Text | Self::Nats => "/",
            Self::SocketIo => "/socket.io/?EIO=4&transport=websocket",
            Self::Signals | Self::Posts => "/ws",
        }
    }

    /// A room's name.
    pub fn room(self, run: &str, index: usize) -> String {
        match self {
            Self::Signals | Self::Posts => format!("room:lt-{run}-{index}"),
            Self::Text | Self::SocketIo | Self::Nats => format!("lt-{run}-{index}"),
        }
    }

    /// Whether what is published is answered.
    pub fn acknowledges(self) -> bool {
        self == Self::Posts
    }

    /// How to come in and, maybe, subscribe.
    pub fn steps(self, room: Option<&str>, token: Option<&str>) -> Result<Vec<Step>> {
        anyhow::ensure!(
            token.is_none() || matches!(self, Self::Signals | Self::Posts),
            "only Greenroom takes a token here"
        );
        let text = |payload: &str, until| {
            let mut send = Vec::new();
            push(TEXT, payload.as_bytes(), &mut send);
            Step { send, until }
        };
        Ok(match (self, room) {
            (Self::Text, None) => Vec::new(),
            (Self::Text, Some(room)) => vec![text(&format!("s {room}"), "ok")],
            (Self::SocketIo, room) => {
                let mut steps = vec![Step { send: Vec::new(), until: "0{" }, text("40", "40{")];
                steps.extend(room.map(|room| text(&format!("420[\"s\",\"{room}\"]"), "430[")));
                steps
            }
            (Self::Nats, room) => {
                let subscribe = room.map(|room| format!("SUB {room} 1\r\n")).unwrap_or_default();
                let hello = format!(
                    "CONNECT {{\"verbose\":false,\"pedantic\":false,\"echo\":false}}\r\n{subscribe}PING\r\n"
                );
                let mut send = Vec::new();
                push(BINARY, hello.as_bytes(), &mut send);
                vec![Step { send: Vec::new(), until: "INFO" }, Step { send, until: "PONG" }]
            }
            (Self::Signals | Self::Posts, room) => {
                let mut params = json!({});
                if let Some(room) = room {
                    params["subscriptions"] = json!([{ "entity": room }]);
                }
                if let Some(token) = token {
                    params["token"] = token.into();
                }
                vec![text(
                    &json!({ "jsonrpc": "2.0", "id": 0, "method": "connect", "params": params })
                        .to_string(),
                    "\"session\":",
                )]
            }
        })
    }

    /// Appends a frame that publishes `body`, a JSON object, in `room`; `n` is the sender's number
    /// for it.
    pub fn publish(self, room: &str, body: &str, n: u64, out: &mut Vec<u8>) {
        let (opcode, payload) = match self {
            Self::Text => (TEXT, format!("p {room} {body}")),
            Self::SocketIo => (TEXT, format!("42[\"p\",\"{room}\",{body}]")),
            Self::Nats => (BINARY, format!("PUB {room} {}\r\n{body}\r\n", body.len())),
            Self::Signals => (
                TEXT,
                format!(
                    r#"{{"jsonrpc":"2.0","method":"signal","params":{{"entity":"{room}","type":"m","body":{body}}}}}"#
                ),
            ),
            Self::Posts => (
                TEXT,
                format!(
                    r#"{{"jsonrpc":"2.0","id":{n},"method":"send","params":{{"entity":"{room}","type":"post","n":{n},"body":{body}}}}}"#
                ),
            ),
        };
        push(opcode, payload.as_bytes(), out);
    }
}
