//! A look at a frame that costs as little as it can: most frames of a load test are only counted.

use greenroom_protocol::codec::ServerMessage;
use greenroom_protocol::{CodecKind, Seq};
use serde::Deserialize;

/// What a frame from the server is.
#[derive(Debug, PartialEq)]
pub enum Seen {
    /// An `event`: its seq, and the `t` of its body.
    Event {
        seq: Seq,
        /// When its sender meant to send it, on the board's clock.
        t: Option<u64>,
    },
    /// A `signal`, and the `t` of its body.
    Signal {
        /// When its sender meant to send it, on the board's clock.
        t: Option<u64>,
    },
    /// The answer to the request with this id: its result, which nobody looks at.
    Done(i64),
    /// Anything else, decoded in full.
    Other(ServerMessage),
}

/// Looks at the frames of one connection, and remembers where the last one had what is looked for:
/// nearly all frames of a subscription are laid out alike.
#[derive(Debug, Clone)]
pub struct Glimpse {
    codec: CodecKind,
    /// Where the seq began, from the frame's beginning.
    seq: usize,
    /// Where the time stamp began, from the frame's end.
    t: usize,
}

impl Glimpse {
    pub fn new(codec: CodecKind) -> Self {
        Self { codec, seq: 0, t: 0 }
    }

    /// Looks at one frame. An event's body that this harness sends holds `"t"`, and no `"seq"` or
    /// `"t"` in front of it.
    pub fn look(&mut self, frame: &[u8]) -> Result<Seen, String> {
        if self.codec == CodecKind::Json
            && let Some(seen) = self.scan(frame)
        {
            return Ok(seen);
        }
        let message = self.codec.decode_server(frame).map_err(|e| e.to_string())?;
        if let ServerMessage::Notification { method, params } = &message
            && matches!(method.as_str(), "event" | "signal")
        {
            let params: Params = params.parse().map_err(|e| e.to_string())?;
            let t = params.body.and_then(|body| body.t);
            return match (method.as_str(), params.seq) {
                ("event", Some(seq)) => Ok(Seen::Event { seq, t }),
                ("event", None) => Err("an `event` without `seq`".into()),
                _ => Ok(Seen::Signal { t }),
            };
        }
        Ok(Seen::Other(message))
    }

    /// Reads what it needs from JSON text without parsing it; nothing where the text is not laid
    /// out as expected.
    fn scan(&mut self, frame: &[u8]) -> Option<Seen> {
        // The envelope comes first: `{"jsonrpc":"2.0","method":"event","params":{`, or `"id":1,`.
        let rest = frame.strip_prefix(b"{\"jsonrpc\":\"2.0\",")?;
        if let Some(id) = rest.strip_prefix(b"\"id\":") {
            let digits = id.iter().take_while(|byte| byte.is_ascii_digit()).count();
            return id[digits..]
                .starts_with(b",\"result\":")
                .then(|| Some(Seen::Done(number(id)?.try_into().ok()?)))?;
        }
        let method = rest.strip_prefix(b"\"method\":\"")?;
        if method.starts_with(b"signal\"") {
            return Some(Seen::Signal { t: self.stamp(frame) });
        }
        if !method.starts_with(b"event\"") {
            return None;
        }
        if !ends_with(frame, self.seq, b"\"seq\":") {
            self.seq = after(frame, b"\"seq\":")?;
        }
        let seq = Seq::new(number(&frame[self.seq..])?);
        Some(Seen::Event { seq, t: self.stamp(frame) })
    }

    /// When the message was meant to be sent, if it is one of ours.
    fn stamp(&mut self, frame: &[u8]) -> Option<u64> {
        const MARK: &[u8] = b"\"t\":";
        let guess = frame.len().saturating_sub(self.t);
        let at = if ends_with(frame, guess, MARK) { guess } else { after(frame, MARK)? };
        self.t = frame.len() - at;
        number(&frame[at..])
    }
}

#[derive(Deserialize)]
struct Params {
    seq: Option<Seq>,
    body: Option<Body>,
}

#[derive(Deserialize)]
struct Body {
    t: Option<u64>,
}

/// Where the first `needle` ends.
fn after(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle).map(|at| at + needle.len())
}

/// Whether `mark` stands in front of `at`.
fn ends_with(frame: &[u8], at: usize, mark: &[u8]) -> bool {
    frame.get(..at).is_some_and(|before| before.ends_with(mark))
}

/// The number that `text` begins with.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::codec::{Message, Method};
    use greenroom_protocol::results::{Event, Pong};
    use greenroom_protocol::{RawJson, RequestId, notify::Signal};

    use super::*;

    fn body() -> RawJson {
        RawJson::from_value(&serde_json::json!({ "t": 77, "pad": "xx" })).expect("it serializes")
    }

    fn event() -> Event {
        let entity = Some("room:seq-9".parse().expect("it is an entity id"));
        Event {
            entity,
            seq: Seq::new(12),
            at: 1_763_800_000_000,
            from: "anon-1".into(),
            r#type: "post".into(),
            body: body(),
            tag: None,
            deleted: false,
        }
    }

    #[test]
    fn both_codecs_show_the_same() {
        let signal = Signal {
            entity: "room:a".parse().expect("it is an entity id"),
            from: "bob".into(),
            r#type: "t".into(),
            body: body(),
            key: None,
        };
        for codec in CodecKind::ALL {
            let mut glimpse = Glimpse::new(codec);
            let mut frame = Vec::new();
            let (event, id) = (event(), RequestId::Number(3));
            codec.encode(
                &Message::Notification { method: Method::Event, params: &event },
                &mut frame,
            );
            // The second time it knows where to look.
            for _ in 0..2 {
                let want = Seen::Event { seq: Seq::new(12), t: Some(77) };
                assert_eq!(glimpse.look(&frame), Ok(want), "{codec:?}");
            }
            frame.clear();
            codec.encode(
                &Message::Notification { method: Method::Signal, params: &signal },
                &mut frame,
            );
            assert_eq!(glimpse.look(&frame), Ok(Seen::Signal { t: Some(77) }), "{codec:?}");
            frame.clear();
            codec.encode(&Message::Result { id: &id, result: &Pong { now: 5 } }, &mut frame);
            let seen = glimpse.look(&frame);
            assert!(matches!(&seen, Ok(Seen::Done(3) | Seen::Other(_))), "{seen:?}");
        }
    }

    #[test]
    fn the_servers_own_layout_is_scanned_not_parsed() {
        let mut frame = Vec::new();
        let event = event();
        let message = Message::Notification { method: Method::Event, params: &event };
        CodecKind::Json.encode(&message, &mut frame);
        let want = Seen::Event { seq: Seq::new(12), t: Some(77) };
        assert_eq!(Glimpse::new(CodecKind::Json).scan(&frame), Some(want));
    }

    #[test]
    fn another_layout_is_parsed_instead() {
        let frame = br#"{"params":{"body":{"t":77},"seq":12},"method" : "event","jsonrpc":"2.0"}"#;
        assert_eq!(
            Glimpse::new(CodecKind::Json).look(frame),
            Ok(Seen::Event { seq: Seq::new(12), t: Some(77) })
        );
    }

    #[test]
    fn garbage_is_an_error() {
        for frame in [&b"{"[..], b"", b"{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{}}"] {
            assert!(Glimpse::new(CodecKind::Json).look(frame).is_err());
        }
    }
}
