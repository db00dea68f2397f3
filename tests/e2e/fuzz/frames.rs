//! Random valid and invalid frames, checked against a reading of RFC 6455 that shares nothing with
//! the server's. The way the connection ends, and the answers before that, must be what this
//! reading says, however the bytes are split.

use fastrand::Rng;
use greenroom_protocol::CodecKind;

use super::{cases, rng};
use crate::raw::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, Raw, TEXT};
use crate::server::Server;

/// The limits configured below.
const MAX_FRAME: usize = 1024;
const MAX_MESSAGE: usize = 2048;

/// One frame sent by a client.
#[derive(Debug, Clone)]
struct Sent {
    first: u8,
    masked: bool,
    /// The size of the extended length: 0, 2 or 8 bytes, enough for the payload.
    extended: usize,
    payload: Vec<u8>,
}

impl Sent {
    fn bytes(&self, mask: [u8; 4]) -> Vec<u8> {
        let mask_bit = if self.masked { 0x80 } else { 0 };
        let length = self.payload.len() as u64;
        let mut out = vec![self.first];
        match self.extended {
            0 => out.push(mask_bit | length as u8),
            2 => {
                out.push(mask_bit | 126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                out.push(mask_bit | 127);
                out.extend_from_slice(&length.to_be_bytes());
            }
        }
        if self.masked {
            out.extend_from_slice(&mask);
            out.extend(self.payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        } else {
            out.extend_from_slice(&self.payload);
        }
        out
    }
}

/// What a server with the JSON codec does with a client's frames.
#[derive(Debug, Default)]
struct Reading {
    /// The incomplete message: whether it is text, and its parts so far.
    open: Option<(bool, Vec<u8>)>,
    /// The answers to messages (`None`) and the pongs with their payloads, in order.
    replies: Vec<Option<Vec<u8>>>,
    /// The codes that the connection may be closed with.
    end: Vec<u16>,
}

impl Reading {
    /// Processes a frame; frames after the end are ignored.
    fn take(&mut self, sent: &Sent) {
        if !self.end.is_empty() {
            return;
        }
        let fin = sent.first & 0x80 != 0;
        let opcode = sent.first & 0x0f;
        let length = sent.payload.len();
        let fails = |wrong: bool, code: u16| wrong.then_some(code);
        let mut wrong: Vec<u16> = Vec::new();
        wrong.extend(fails(!sent.masked || sent.first & 0x70 != 0, 1002));
        match opcode {
            0..=2 => {
                let before = if opcode == 0 {
                    self.open.as_ref().map_or(0, |(_, part)| part.len())
                } else {
                    0
                };
                wrong.extend(fails(length > MAX_FRAME || before + length > MAX_MESSAGE, 1009));
                wrong.extend(fails((opcode == 0) != self.open.is_some(), 1002));
            }
            8..=10 => wrong.extend(fails(!fin || length > 125, 1002)),
            _ => wrong.push(1002),
        }
        if !wrong.is_empty() {
            self.end = wrong;
            return;
        }
        match opcode {
            8 => self.end.push(if acceptable_close(&sent.payload) { 1000 } else { 1002 }),
            9 => self.replies.push(Some(sent.payload.clone())),
            10 => {}
            _ => {
                let (_, part) = self.open.get_or_insert((opcode == 1, Vec::new()));
                part.extend_from_slice(&sent.payload);
                if fin {
                    self.complete();
                }
            }
        }
    }

    fn complete(&mut self) {
        let Some((text, message)) = self.open.take() else { return };
        if !text {
            self.end.push(1003);
        } else if std::str::from_utf8(&message).is_err() {
            self.end.push(1007);
        } else {
            self.replies.push(None);
        }
    }
}

/// Section 7.4: a code that an endpoint may send, and a reason that is text.
fn acceptable_close(payload: &[u8]) -> bool {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else { return payload.is_empty() };
    let code = u16::from_be_bytes(*code);
    let may_be_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    may_be_sent && std::str::from_utf8(reason).is_ok()
}

/// A random frame that is usually valid at this point, so that invalid ones come after others.
fn sent(rng: &mut Rng, open: bool) -> Sent {
    let text = |rng: &mut Rng| match rng.u8(..8) {
        0..=3 => br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#.to_vec(),
        4 => "\"ä👍\"".as_bytes().to_vec(),
        5 => vec![b' '; rng.usize(..1400)],
        6 => (0..rng.usize(..20)).map(|_| rng.u8(..)).collect(),
        _ => Vec::new(),
    };
    let (first, payload) = match rng.u8(..40) {
        0..=3 => (FIN | PING, (0..rng.usize(..126)).map(|_| rng.u8(..)).collect()),
        4 | 5 => (FIN | PONG, vec![b'x'; rng.usize(..126)]),
        6 => (FIN | CLOSE, close(rng)),
        7 => (rng.u8(..), text(rng)),
        8 => ((rng.u8(..) & 0x70) | FIN | TEXT, text(rng)),
        9 => (PING, vec![]),
        10 => (FIN | PING, vec![b'x'; rng.usize(120..200)]),
        11 => (FIN | BINARY, text(rng)),
        12 => (FIN | rng.u8(3..8), text(rng)),
        13 if open => (FIN | TEXT, text(rng)),
        13 => (FIN | CONTINUATION, text(rng)),
        kind => {
            let fin = if kind % 2 == 0 { FIN } else { 0 };
            (fin | if open { CONTINUATION } else { TEXT }, text(rng))
        }
    };
    let needed = match payload.len() {
        0..=125 => 0,
        126..=0xffff => 2,
        _ => 8,
    };
    let extended = if rng.u8(..8) == 0 { [2, 8][rng.usize(..2)].max(needed) } else { needed };
    Sent { first, masked: rng.u8(..60) > 0, extended, payload }
}

fn close(rng: &mut Rng) -> Vec<u8> {
    let code = match rng.u8(..3) {
        0 => rng.u16(..),
        1 => rng.u16(995..1020),
        _ => rng.u16(2995..5005),
    };
    let reason: Vec<u8> = match rng.u8(..3) {
        0 => Vec::new(),
        1 => "wörd".into(),
        _ => (0..rng.usize(..6)).map(|_| rng.u8(..)).collect(),
    };
    let mut payload = [&code.to_be_bytes()[..], &reason].concat();
    if rng.u8(..10) == 0 {
        payload.truncate(1);
    }
    payload
}

/// The replies received, and the final close code.
async fn received(raw: &mut Raw) -> (Vec<Option<Vec<u8>>>, u16) {
    let mut replies = Vec::new();
    loop {
        let (first, payload) = raw.read_frame().await.expect("a close frame comes before the end");
        match first & 0x0f {
            CLOSE => {
                assert_eq!(raw.rest().await, b"", "nothing follows a close frame");
                return (
                    replies,
                    payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code)),
                );
            }
            PONG => replies.push(Some(payload)),
            TEXT => replies.push(None),
            other => panic!("opcode {other} from the server"),
        }
    }
}

/// Answers and pongs may be interleaved in any order, so they are compared separately.
fn sorted(replies: &[Option<Vec<u8>>]) -> (usize, Vec<&Vec<u8>>) {
    (replies.iter().filter(|reply| reply.is_none()).count(), replies.iter().flatten().collect())
}

fn is_beginning(part: &[Option<Vec<u8>>], whole: &[Option<Vec<u8>>]) -> bool {
    let (answers, pongs) = sorted(part);
    let (all_answers, all_pongs) = sorted(whole);
    answers <= all_answers && all_pongs.starts_with(&pongs)
}

#[tokio::test]
async fn frames_match_the_rfc() {
    let mut rng = rng();
    let mut server = Server::builder()
        .unlimited()
        .with(format!(
            "socket.max_message_bytes = {MAX_MESSAGE}\nsocket.max_frame_bytes = {MAX_FRAME}"
        ))
        .with("kinds.room = {behaviour = \"room\", max_body_bytes = 512}")
        .start()
        .await;
    for case in 0..cases(400) {
        let mut reading = Reading::default();
        let mut frames = Vec::new();
        // The codes that frames after the end could close the connection with.
        let mut later = Vec::new();
        for _ in 0..rng.usize(1..12) {
            let next = sent(&mut rng, reading.open.is_some());
            if reading.end.is_empty() {
                reading.take(&next);
            } else {
                later.extend([1002, 1009]);
            }
            frames.push(next);
        }
        let goodbye =
            Sent { first: FIN | CLOSE, masked: true, extended: 0, payload: vec![0x03, 0xe8] };
        reading.take(&goodbye);
        frames.push(goodbye);
        let mask = [rng.u8(..), rng.u8(..), rng.u8(..), rng.u8(..)];
        let parts: Vec<Vec<u8>> = frames.iter().map(|sent| sent.bytes(mask)).collect();
        let details = |how: &str| format!("case {case}, {how}: {reading:?} for {frames:?}");

        // Frame by frame, each sent only after the replies to the one before: nothing depends on
        // how the bytes arrive together.
        let mut raw = Raw::websocket(server.address, CodecKind::Json).await;
        let mut step = Reading::default();
        let mut got = Vec::new();
        for (sent, bytes) in frames.iter().zip(&parts) {
            raw.write(bytes).await;
            step.take(sent);
            while step.end.is_empty() && got.len() < step.replies.len() {
                let (first, payload) = raw.read_frame().await.expect("a reply");
                assert_ne!(first & 0x0f, CLOSE, "{}", details("frame by frame"));
                got.push((first & 0x0f == PONG).then_some(payload));
            }
            if !step.end.is_empty() {
                break;
            }
        }
        let (rest, code) = received(&mut raw).await;
        got.extend(rest);
        assert!(reading.end.contains(&code), "{code}; {}", details("frame by frame"));
        assert_eq!(sorted(&got), sorted(&reading.replies), "{}", details("frame by frame"));

        // All at once, and split at random places: everything before an invalid frame is answered.
        for how in ["whole", "cut"] {
            let mut raw = Raw::websocket(server.address, CodecKind::Json).await;
            let bytes = parts.concat();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let at =
                    if how == "whole" { rest.len() } else { rng.usize(1..=rest.len().min(200)) };
                raw.write(&rest[..at]).await;
                rest = &rest[at..];
            }
            let (got, code) = received(&mut raw).await;
            assert!(
                reading.end.contains(&code) || later.contains(&code),
                "{code}; {}",
                details(how)
            );
            assert!(is_beginning(&got, &reading.replies), "{got:?}; {}", details(how));
            if later.is_empty() {
                assert_eq!(sorted(&got), sorted(&reading.replies), "{}", details(how));
            }
        }
    }
    server.assert_serves().await;
}
