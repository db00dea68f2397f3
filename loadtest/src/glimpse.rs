//! A look at a frame that costs as little as it can: most frames of a load test are only counted.

use greenroom_protocol::CodecKind;
use greenroom_protocol::codec::ServerMessage;
use serde::Deserialize;

/// What a frame from the server is.
#[derive(Debug, PartialEq)]
pub enum Seen {
    /// An `event`: its seq, and the `t` of its body.
    Event {
        /// Its place in the log.
        seq: u64,
        /// When its sender meant to send it, on the board's clock.
        t: Option<u64>,
    },
    /// A `signal`, and the `t` of its body.
    Signal {
        /// When its sender meant to send it, on the board's clock.
        t: Option<u64>,
    },
    /// Anything else, decoded in full.
    Other(ServerMessage),
}

/// Looks at one frame. An event's body that this harness sends holds `"t"`, and no `"seq"` or `"t"`
/// in front of it.
///
/// # Errors
/// What is wrong with a frame that had to be decoded and could not be.
pub fn look(codec: CodecKind, frame: &[u8]) -> Result<Seen, String> {
    if codec == CodecKind::Json
        && let Some(seen) = scan(frame)
    {
        return Ok(seen);
    }
    let message = codec.decode_server(frame).map_err(|e| e.to_string())?;
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

/// Whether a notification is about `entity`: in both codecs its name stands there as it is, in
/// front of what is variable in length.
pub fn is_about(frame: &[u8], entity: &str) -> bool {
    // The longest envelope, and the names of its first fields.
    const BEFORE: usize = 96;
    after(&frame[..frame.len().min(BEFORE + entity.len())], entity.as_bytes()).is_some()
}

#[derive(Deserialize)]
struct Params {
    seq: Option<u64>,
    body: Option<Body>,
}

#[derive(Deserialize)]
struct Body {
    t: Option<u64>,
}

/// Reads what it needs from JSON text without parsing it; nothing where the text is not laid out as
/// expected.
fn scan(frame: &[u8]) -> Option<Seen> {
    // The envelope comes first: `{"jsonrpc":"2.0","method":"event","params":{`.
    let method = after(frame.get(..frame.len().min(48))?, b"\"method\":\"")?;
    let rest = &frame[method..];
    let t = || after(rest, b"\"t\":").and_then(|at| number(&rest[at..]));
    if rest.starts_with(b"event\"") {
        let at = after(rest, b"\"seq\":")?;
        Some(Seen::Event { seq: number(&rest[at..])?, t: t() })
    } else if rest.starts_with(b"signal\"") {
        Some(Seen::Signal { t: t() })
    } else {
        None
    }
}

/// Where the first `needle` ends.
fn after(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle).map(|at| at + needle.len())
}

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
            seq: 12,
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
        let id = RequestId::Number(3);
        for codec in CodecKind::ALL {
            let mut frame = Vec::new();
            codec.encode(
                &Message::Notification { method: Method::Event, params: &event() },
                &mut frame,
            );
            assert_eq!(look(codec, &frame), Ok(Seen::Event { seq: 12, t: Some(77) }), "{codec:?}");
            assert!(is_about(&frame, "room:seq-9") && !is_about(&frame, "room:seq-8"), "{codec:?}");
            frame.clear();
            codec.encode(
                &Message::Notification { method: Method::Signal, params: &signal },
                &mut frame,
            );
            assert_eq!(look(codec, &frame), Ok(Seen::Signal { t: Some(77) }), "{codec:?}");
            frame.clear();
            codec.encode(&Message::Result { id: &id, result: &Pong { now: 5 } }, &mut frame);
            let seen = look(codec, &frame);
            assert!(
                matches!(
                    &seen,
                    Ok(Seen::Other(ServerMessage::Result { id: RequestId::Number(3), .. }))
                ),
                "{seen:?}"
            );
        }
    }

    #[test]
    fn the_servers_own_layout_is_scanned_not_parsed() {
        let mut frame = Vec::new();
        CodecKind::Json
            .encode(&Message::Notification { method: Method::Event, params: &event() }, &mut frame);
        assert_eq!(scan(&frame), Some(Seen::Event { seq: 12, t: Some(77) }));
    }

    #[test]
    fn another_layout_is_parsed_instead() {
        let frame = br#"{"params":{"body":{"t":77},"seq":12},"method" : "event","jsonrpc":"2.0"}"#;
        assert_eq!(look(CodecKind::Json, frame), Ok(Seen::Event { seq: 12, t: Some(77) }));
    }

    #[test]
    fn garbage_is_an_error() {
        for frame in [&b"{"[..], b"", b"{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{}}"] {
            assert!(look(CodecKind::Json, frame).is_err());
        }
    }
}
