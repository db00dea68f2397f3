//! Golden bytes: what every message looks like on the wire, in both codecs. A difference is a
//! change of the protocol.
//!
//! The files beside this one hold, per message, its name, its JSON, and its MessagePack in hex.
//! With `GREENROOM_WRITE_DOCS=1` they are written anew.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as the test does")]

mod errors;
mod file;
mod notifications;
mod requests;
mod results;

use file::Golden;
use greenroom_protocol::{CodecKind, EntityId, Epoch, RawJson};

fn entity(text: &str) -> EntityId {
    EntityId::parse(text).unwrap()
}

fn epoch() -> Epoch {
    Epoch::from_bits(0x9f86_d081_884c_7d65)
}

/// Bodies whose numbers, escapes and nesting the codecs must not harm.
fn body() -> RawJson {
    RawJson::from_text(r#"{"text":"hi \"you\" é 👍\n","n":[0,-1,127,128,-129,65536,18446744073709551615,-9223372036854775808,0.5,1e300],"ok":true,"no":null,"in":{"a":[]}}"#)
        .unwrap()
}

/// Encodes one message in both codecs, compares it with the file, and hands the bytes to
/// `read_back`.
fn check(
    golden: &mut Golden,
    name: &str,
    encode: impl Fn(CodecKind, &mut Vec<u8>),
    read_back: impl Fn(CodecKind, &[u8]),
) {
    let [json, msgpack] = CodecKind::ALL.map(|codec| {
        let mut out = Vec::new();
        encode(codec, &mut out);
        read_back(codec, &out);
        out
    });
    golden.check(name, std::str::from_utf8(&json).unwrap(), &hex(&msgpack));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
