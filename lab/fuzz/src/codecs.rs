//! Bytes from a client, in both codecs: never a panic, and whatever is accepted is the same request
//! when it is encoded again, in either codec, with bodies that the strictest JSON parser reads.
#![no_main]

use greenroom_protocol::{Call, CodecKind, RawJson, Request};

#[path = "strict.rs"]
mod strict;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for codec in CodecKind::ALL {
        if let Ok(request) = codec.decode(data) {
            accepted(codec, request);
        }
        // The load harness reads the server's messages with this.
        drop(codec.decode_server(data));
    }
    if let Ok(body) = RawJson::from_text(data) {
        let strict = strict::parse(body.as_str());
        assert_eq!(body.check().is_ok(), strict.is_some(), "`{}` is sound, or not", body.as_str());
    }
});

fn accepted(codec: CodecKind, request: Request) {
    let bodies: Vec<_> = bodies(&request.call).into_iter().map(read).collect();
    for other in CodecKind::ALL {
        let mut again = Vec::new();
        other.encode_request(request.id.as_ref(), &request.call, &mut again);
        let mut decoded = other
            .decode(&again)
            .unwrap_or_else(|refused| panic!("{request:?} is refused as {other:?}: {refused:?}"));
        let same: Vec<_> = self::bodies(&decoded.call).into_iter().map(read).collect();
        assert_eq!(bodies, same, "a body changes from {codec:?} to {other:?}");
        if codec == other {
            assert_eq!(request, decoded, "encoded again as {other:?}");
        } else {
            // The other codec may write bodies differently.
            let mut without = request.clone();
            blank(&mut without.call);
            blank(&mut decoded.call);
            assert_eq!(without, decoded, "encoded again as {other:?}");
        }
    }
}

fn read(body: &RawJson) -> strict::Value {
    strict::parse(body.as_str()).unwrap_or_else(|| panic!("accepted: `{}`", body.as_str()))
}

/// What the request carries for others to read.
fn bodies(call: &Call) -> Vec<&RawJson> {
    match call {
        Call::Send(params) => vec![&params.body],
        Call::Signal(params) => vec![&params.body],
        Call::Presence(params) => params.meta.iter().collect(),
        Call::Connect(params) => {
            params.presence.iter().filter_map(|enter| enter.meta.as_ref()).collect()
        }
        _ => Vec::new(),
    }
}

fn blank(call: &mut Call) {
    match call {
        Call::Send(params) => params.body = RawJson::NULL,
        Call::Signal(params) => params.body = RawJson::NULL,
        Call::Presence(params) => params.meta = None,
        Call::Connect(params) => params.presence.iter_mut().for_each(|enter| enter.meta = None),
        _ => {}
    }
}
