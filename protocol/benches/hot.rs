//! What every op costs in bytes and back: `make bench-hot`.
//!
//! Each is one message of a chat: a post of about 100 bytes, its answer, and its event as
//! subscribers get it.

use divan::Bencher;
use divan::counter::BytesCount;
use greenroom_protocol::codec::{Message, Method};
use greenroom_protocol::params::Send;
use greenroom_protocol::results::{Event, Sent};
use greenroom_protocol::{Call, CodecKind, EntityId, Epoch, RawJson, RequestId, Seq};

fn main() {
    divan::main();
}

fn entity() -> EntityId {
    EntityId::parse("room:lobby-7").expect("it is an entity id")
}

fn body() -> RawJson {
    let text =
        "Did anybody see where the meeting notes of last Tuesday went? I could not find them.";
    RawJson::from_value(&serde_json::json!({ "text": text, "reply_to": 1234 }))
        .expect("it serializes")
}

/// The bytes of a numbered `send` of a room post.
fn request(codec: CodecKind) -> Vec<u8> {
    let send = Send {
        entity: entity(),
        r#type: "post".into(),
        body: body(),
        n: Some(77),
        first_sent: None,
        if_seq: None,
        tag: None,
    };
    let mut bytes = Vec::new();
    codec.encode_request(Some(&RequestId::Number(78)), &Call::Send(send), &mut bytes);
    bytes
}

/// One iteration encodes a message at the end of an empty buffer that is large enough.
fn encoding<T: serde::Serialize>(
    bencher: Bencher<'_, '_>,
    codec: CodecKind,
    message: &Message<'_, T>,
) {
    let mut out = Vec::with_capacity(1024);
    codec.encode(message, &mut out);
    bencher.counter(BytesCount::new(out.len())).bench_local(|| {
        out.clear();
        codec.encode(divan::black_box(message), &mut out);
        divan::black_box(out.len())
    });
}

/// One iteration decodes one `send` request and checks it against the protocol's limits; it is
/// dropped outside of the time.
#[divan::bench(args = CodecKind::ALL)]
fn decode_send(bencher: Bencher<'_, '_>, codec: CodecKind) {
    let bytes = request(codec);
    codec.decode(&bytes).expect("it is a request");
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| codec.decode(divan::black_box(&bytes)));
}

/// One iteration encodes one `event` notification.
#[divan::bench(args = CodecKind::ALL)]
fn encode_event(bencher: Bencher<'_, '_>, codec: CodecKind) {
    let params = Event {
        entity: Some(entity()),
        seq: Seq::new(123_456),
        at: 1_763_800_000_000,
        from: "alice".into(),
        r#type: "post".into(),
        body: body(),
        deleted: false,
        tag: None,
    };
    encoding(bencher, codec, &Message::Notification { method: Method::Event, params: &params });
}

/// One iteration encodes the result of one `send`.
#[divan::bench(args = CodecKind::ALL)]
fn encode_send_result(bencher: Bencher<'_, '_>, codec: CodecKind) {
    let result = Sent {
        seq: Seq::new(123_456),
        epoch: Epoch::from_bits(7),
        at: 1_763_800_000_000,
        result: None,
        duplicate: false,
    };
    encoding(bencher, codec, &Message::Result { id: &RequestId::Number(78), result: &result });
}
