//! Randomly mutated valid traffic: whatever arrives, the server keeps serving everybody else. And
//! random inputs for which an oracle knows the right result.
//!
//! The seed is printed, and can be set with `E2E_SEED`. `FUZZ_CASES` sets the number of inputs;
//! `make fuzz` keeps going with new seeds.

mod clients;
mod frames;

use fastrand::Rng;
use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::limits::{burst, request};
use crate::raw::{Raw, upgrade};
use crate::server::Server;

/// The default number of connections, each with traffic of its own.
const CONNECTIONS: usize = 250;
/// The default seed, so that every run has the same inputs.
const SEED: u64 = 20_260_722;

fn rng() -> Rng {
    let seed = std::env::var("E2E_SEED")
        .ok()
        .map_or(SEED, |seed| seed.parse().expect("`E2E_SEED` is a number"));
    eprintln!("seed {seed}; E2E_SEED={seed} repeats it");
    Rng::with_seed(seed)
}

/// The number of inputs to try.
fn cases(usual: usize) -> usize {
    std::env::var("FUZZ_CASES")
        .ok()
        .map_or(usual, |cases| cases.parse().expect("`FUZZ_CASES` is a number"))
}

/// A random selection of requests of all kinds.
fn traffic(rng: &mut Rng) -> Vec<Value> {
    let room = "room:fuzz";
    let all = [
        request(
            2,
            "subscribe",
            json!({"entity": room, "presence": true, "after": {"epoch": "00000000000000ff", "seq": 3}}),
        ),
        request(
            3,
            "send",
            json!({"entity": room, "n": rng.u64(1..50), "type": "post", "body": {"text": "häßlich 👍", "x": [1, 2.5, null]}}),
        ),
        request(
            4,
            "send",
            json!({"entity": "doc:fuzz", "n": rng.u64(1..50), "type": "patch", "body": [{"op": "add", "path": "/a", "value": {"b": []}}]}),
        ),
        request(
            5,
            "send",
            json!({"entity": "doc:fuzz", "n": rng.u64(1..50), "type": "increment", "body": {"path": "/n", "by": 1e3}, "if_seq": 4}),
        ),
        request(6, "signal", json!({"entity": room, "type": "typing", "body": true, "key": "k"})),
        request(7, "presence", json!({"entity": room, "action": "enter", "meta": {"a": 1}})),
        request(8, "history", json!({"entity": room, "before": 10, "limit": 5})),
        request(9, "read", json!({"entity": "doc:fuzz"})),
        request(10, "unsubscribe", json!({"entity": room})),
        request(11, "ping", json!({})),
    ];
    let mut chosen = vec![request(
        1,
        "connect",
        json!({"subscriptions": [{"entity": room}], "presence": [{"entity": room, "meta": {"a": 1}}]}),
    )];
    chosen.extend((0..rng.usize(1..6)).map(|_| all[rng.usize(..all.len())].clone()));
    chosen
}

/// Changes some bytes: flips, cuts and repeats them, and inserts sequences that matter to parsers.
fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.usize(1..5) {
        let at = rng.usize(..bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        if bytes.is_empty() {
            return;
        }
        match rng.u8(..6) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => bytes[at] = rng.u8(..),
            2 => bytes.truncate(at),
            3 => drop(bytes.remove(at)),
            4 => {
                let part = bytes[at..(at + rng.usize(1..20)).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let hot = [
                    &b"\xff\xff\xff\xff"[..],
                    b"\x00",
                    b"\"",
                    b"{",
                    b"[",
                    b"}",
                    b"1e999",
                    b"-",
                    b"\\ud800",
                    b"\xdd\xff\xff\xff\xff",
                ];
                bytes.splice(at..at, hot[rng.usize(..hot.len())].iter().copied());
            }
        }
    }
}

/// Mutated messages in valid frames.
#[tokio::test]
async fn mutated_messages() {
    let mut rng = rng();
    let mut server = Server::builder().unlimited().start().await;
    for connection in 0..cases(CONNECTIONS) {
        let codec = CodecKind::ALL[connection % 2];
        let mut raw = Raw::websocket(server.address, codec).await;
        for message in traffic(&mut rng) {
            let (first, mut payload) = match codec {
                CodecKind::Json => (crate::raw::TEXT, message.to_string().into_bytes()),
                CodecKind::MsgPack => (
                    crate::raw::BINARY,
                    rmp_serde::to_vec_named(&message).expect("JSON is MessagePack too"),
                ),
            };
            if rng.u8(..4) > 0 {
                mutate(&mut rng, &mut payload);
            }
            raw.frame(crate::raw::FIN | first, &payload).await;
        }
        raw.frame(crate::raw::FIN | crate::raw::CLOSE, &[0x03, 0xe8]).await;
        let (code, _) = raw.closed().await;
        assert!(
            matches!(code, 1000 | 1007 | 4003),
            "connection {connection} was closed with {code}"
        );
    }
    server.assert_serves().await;
}

/// Mutated bytes, including frames and the handshake.
#[tokio::test]
async fn mutated_bytes() {
    let mut rng = rng();
    let mut server =
        Server::builder().unlimited().with("socket.handshake_timeout = \"1s\"").start().await;
    for connection in 0..cases(CONNECTIONS) {
        let codec = CodecKind::ALL[connection % 2];
        let mut raw = Raw::connect(server.address).await;
        let mut hello = upgrade(&[("Sec-WebSocket-Protocol", codec.subprotocol())]).into_bytes();
        let mut bytes = burst(codec, &traffic(&mut rng));
        // Mostly the frames, because a broken handshake ends the connection early.
        if rng.u8(..5) == 0 {
            mutate(&mut rng, &mut hello);
        } else {
            mutate(&mut rng, &mut bytes);
        }
        raw.write(&[hello, bytes].concat()).await;
        // The connection is dropped here, and the server must notice by itself.
    }
    server.assert_serves().await;
    server.until("greenroom_connections", |open| open == 0.0).await;
    server.assert_serves().await;
}
