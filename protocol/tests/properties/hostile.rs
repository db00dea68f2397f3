//! No bytes make a decoder panic, and no part of a message is taken for a whole one.

use greenroom_protocol::CodecKind;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::calls::request;
use crate::json;

fn decode(bytes: &[u8]) {
    for codec in CodecKind::ALL {
        let malformed = codec.decode(bytes).err();
        if let Some(malformed) = malformed {
            assert!(
                malformed.error.message.len() < 500,
                "an answer of {} bytes",
                malformed.error.message.len()
            );
        }
        let _ = codec.decode_server(bytes);
    }
}

proptest! {
    #[test]
    fn noise(bytes in vec(any::<u8>(), 0..300)) {
        decode(&bytes);
    }

    /// Noise from the characters that mean something to a parser.
    #[test]
    fn noise_like_json(text in r#"[\[\]{}:,"\\u0d8e.\-+ a]{0,80}"#) {
        decode(text.as_bytes());
    }

    #[test]
    fn any_json_within_an_envelope(id in json::text(), params in json::text(), method in "connect|subscribe|send|signal|history|presence") {
        decode(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#).as_bytes());
    }

    #[test]
    fn truncated(request in request(), at in any::<Index>()) {
        for codec in CodecKind::ALL {
            let mut bytes = Vec::new();
            codec.encode_request(request.id.as_ref(), &request.call, &mut bytes);
            let part = &bytes[..at.index(bytes.len())];
            prop_assert!(codec.decode(part).is_err(), "{:?} took {} of {} bytes", codec, part.len(), bytes.len());
            decode(part);
        }
    }

    #[test]
    fn mutated(request in request(), changes in vec((any::<Index>(), any::<u8>()), 1..6)) {
        for codec in CodecKind::ALL {
            let mut bytes = Vec::new();
            codec.encode_request(request.id.as_ref(), &request.call, &mut bytes);
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            decode(&bytes);
        }
    }

    #[test]
    fn with_bytes_cut_out(request in request(), from in any::<Index>(), len in 1_usize..20) {
        for codec in CodecKind::ALL {
            let mut bytes = Vec::new();
            codec.encode_request(request.id.as_ref(), &request.call, &mut bytes);
            let from = from.index(bytes.len());
            bytes.drain(from..bytes.len().min(from + len));
            decode(&bytes);
        }
    }
}
