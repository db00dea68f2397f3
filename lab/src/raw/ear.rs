//! What a connection hears: deliveries by their stamps, answers by their ids.

use super::Dialect;
use greenroom_loadtest::client::frame::{BINARY, TEXT, push};

/// Stamps have 16 digits, so that they always lie at the same distance from the end.
pub const STAMP_BASE: u64 = 1_000_000_000_000_000;
const DIGITS: usize = 16;
const MARK: &[u8] = b"\"t\":";

/// A message, or what else there is to react to.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A published message with this stamp.
    Delivery(u64),
    /// The answer to the request with this id.
    Ack(u64),
    /// To be sent back at once.
    Reply(Vec<u8>),
    /// The server's complaint.
    Complaint(String),
}

/// Listens to one connection.
pub struct Ear {
    dialect: Dialect,
    /// How far from its end the last message had its stamp.
    from_end: usize,
    /// The beginning of a message whose end comes in a later frame.
    rest: Vec<u8>,
}

/// The body of a message that was meant to be sent at `us`: a JSON object of `size` bytes, or a
/// little more if that is too few.
pub fn body(us: u64, size: usize) -> String {
    let head = format!("{{\"t\":{},\"x\":\"", STAMP_BASE + us);
    let pad = size.saturating_sub(head.len() + 2);
    format!("{head}{:x<pad$}\"}}", "")
}

impl Ear {
    /// For a connection that speaks `dialect`.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, from_end: 0, rest: Vec::new() }
    }

    /// Hears a frame's payload, and tells what was in it.
    pub fn hear(&mut self, payload: &[u8], tell: &mut impl FnMut(Heard)) {
        if self.dialect == Dialect::Nats {
            return self.hear_stream(payload, tell);
        }
        match self.stamp(payload) {
            Some(us) => tell(Heard::Delivery(us)),
            None => self.hear_other(payload, tell),
        }
    }

    fn hear_other(&self, payload: &[u8], tell: &mut impl FnMut(Heard)) {
        match self.dialect {
            Dialect::Signals | Dialect::Posts => {
                if find(payload, b"\"error\":").is_some() {
                    tell(Heard::Complaint(String::from_utf8_lossy(payload).into_owned()));
                }
                let head = &payload[..payload.len().min(48)];
                if let Some(id) = find(head, b"\"id\":").and_then(|at| number(&payload[at..])) {
                    tell(Heard::Ack(id));
                }
            }
            Dialect::SocketIo if payload == b"2" => {
                let mut pong = Vec::new();
                push(TEXT, b"3", &mut pong);
                tell(Heard::Reply(pong));
            }
            Dialect::SocketIo | Dialect::Text | Dialect::Nats => {}
        }
    }

    /// NATS packs messages into frames as they come.
    fn hear_stream(&mut self, payload: &[u8], tell: &mut impl FnMut(Heard)) {
        if self.rest.is_empty() {
            let used = self.lines(payload, tell);
            self.rest.extend_from_slice(&payload[used..]);
        } else {
            let mut whole = std::mem::take(&mut self.rest);
            whole.extend_from_slice(payload);
            let used = self.lines(&whole, tell);
            whole.drain(..used);
            self.rest = whole;
        }
    }

    /// How many bytes of `input` were whole messages.
    fn lines(&mut self, input: &[u8], tell: &mut impl FnMut(Heard)) -> usize {
        let mut at = 0;
        while let Some(end) = input[at..].iter().position(|byte| *byte == b'\n') {
            let line = input[at..at + end].trim_ascii_end();
            let mut next = at + end + 1;
            if line.starts_with(b"MSG ") {
                let size =
                    line.rsplit(|byte| *byte == b' ').next().and_then(number).unwrap_or(0) as usize;
                let Some(body) = input.get(next..next + size) else { break };
                if input.len() < next + size + 2 {
                    break;
                }
                if let Some(us) = self.stamp(body) {
                    tell(Heard::Delivery(us));
                }
                next += size + 2;
            } else if line == b"PING" {
                let mut pong = Vec::new();
                push(BINARY, b"PONG\r\n", &mut pong);
                tell(Heard::Reply(pong));
            } else if line.starts_with(b"-ERR") {
                tell(Heard::Complaint(String::from_utf8_lossy(line).into_owned()));
            }
            at = next;
        }
        at
    }

    /// When a message was meant to be sent, if it is one of ours.
    fn stamp(&mut self, message: &[u8]) -> Option<u64> {
        let guess = message.len().checked_sub(self.from_end)?;
        let at = if message.get(guess.saturating_sub(MARK.len())..guess) == Some(MARK) {
            guess
        } else {
            find(message, MARK)?
        };
        let us = number(message.get(at..at + DIGITS)?)?.checked_sub(STAMP_BASE)?;
        self.from_end = message.len() - at;
        Some(us)
    }
}

/// Where the first `needle` ends.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle).map(|at| at + needle.len())
}

/// The number that `text` begins with.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    (digits > 0).then(|| text[..digits].iter().try_fold(0, add)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(ear: &mut Ear, payload: &[u8]) -> Vec<Heard> {
        let mut all = Vec::new();
        ear.hear(payload, &mut |heard| all.push(heard));
        all
    }

    #[test]
    fn a_body_is_as_long_as_asked_for() {
        assert_eq!(body(7, 100).len(), 100);
        assert!(
            serde_json::from_str::<serde_json::Value>(&body(7, 0)).is_ok(),
            "the shortest is JSON too"
        );
    }

    #[test]
    fn messages_are_known_by_their_stamp_wherever_it_lies() {
        for dialect in [Dialect::Text, Dialect::SocketIo, Dialect::Signals, Dialect::Posts] {
            let mut ear = Ear::new(dialect);
            for (before, after) in [
                ("", ""),
                ("42[\"m\",", "]"),
                (r#"{"method":"event","params":{"seq":1,"type":"post","body":"#, "}}"),
            ] {
                for us in [0, 77, 12_345_678_901] {
                    let message = format!("{before}{}{after}", body(us, 100));
                    assert_eq!(
                        heard(&mut ear, message.as_bytes()),
                        [Heard::Delivery(us)],
                        "{message}"
                    );
                }
            }
        }
    }

    #[test]
    fn answers_are_known_by_their_id() {
        let mut ear = Ear::new(Dialect::Posts);
        assert_eq!(
            heard(&mut ear, br#"{"jsonrpc":"2.0","id":12,"result":{"seq":3,"epoch":"e","at":1}}"#),
            [Heard::Ack(12)]
        );
        let refused = heard(&mut ear, br#"{"jsonrpc":"2.0","id":13,"error":{"code":-32020}}"#);
        assert!(matches!(&refused[..], [Heard::Complaint(_), Heard::Ack(13)]), "{refused:?}");
    }

    #[test]
    fn nats_messages_may_be_cut_anywhere() {
        let stream = format!(
            "MSG lt-0 1 100\r\n{}\r\nPING\r\nMSG lt-0 1 100\r\n{}\r\n",
            body(1, 100),
            body(2, 100)
        );
        let bytes = stream.as_bytes();
        for cut in 0..=bytes.len() {
            let mut ear = Ear::new(Dialect::Nats);
            let mut all = heard(&mut ear, &bytes[..cut]);
            all.extend(heard(&mut ear, &bytes[cut..]));
            assert!(
                matches!(&all[..], [Heard::Delivery(1), Heard::Reply(_), Heard::Delivery(2)]),
                "cut at {cut}: {all:?}"
            );
        }
    }

    #[test]
    fn engine_io_pings_are_answered() {
        let mut ear = Ear::new(Dialect::SocketIo);
        assert!(
            matches!(&heard(&mut ear, b"2")[..], [Heard::Reply(frame)] if frame.ends_with(b"3"))
        );
    }
}
