//! A large state, encoded once for everybody who reads it while it is current.

use bytes::Bytes;
use greenroom_protocol::{CodecKind, RawJson};

/// Smaller states are copied into each answer, which is cheaper than three pieces.
const LARGE: usize = 4 * 1024;

/// The state as it was last encoded in MessagePack. As JSON the state is its own text.
#[derive(Debug, Default)]
pub(super) struct SharedState(Option<Box<(RawJson, Bytes)>>);

/// Keeps a text alive that bytes are a view of.
struct Text(RawJson);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.as_str().as_bytes()
    }
}

impl SharedState {
    /// The state in a codec; none if it is so small that each answer should have its own copy.
    pub fn get(&mut self, codec: CodecKind, state: &RawJson) -> Option<Bytes> {
        if state.len() < LARGE {
            return None;
        }
        if codec == CodecKind::Json {
            return Some(Bytes::from_owner(Text(state.clone())));
        }
        let known = self.0.as_ref().filter(|known| std::ptr::eq(known.0.as_str(), state.as_str()));
        if let Some(known) = known {
            return Some(known.1.clone());
        }
        let mut packed = Vec::new();
        codec.encode_value(state, &mut packed);
        let packed = Bytes::from(packed);
        self.0 = Some(Box::new((state.clone(), packed.clone())));
        Some(packed)
    }

    /// The state has changed.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_state_is_encoded_once_while_it_is_current() {
        let text = |byte: &str| RawJson::from_value(&byte.repeat(LARGE)).unwrap();
        let state = text("a");
        let mut shared = SharedState::default();
        for codec in CodecKind::ALL {
            let one = shared.get(codec, &state).unwrap();
            let other = shared.get(codec, &state.clone()).unwrap();
            assert_eq!(one.as_ptr(), other.as_ptr());
            let mut alone = Vec::new();
            codec.encode_value(&state, &mut alone);
            assert_eq!(one, alone);
            assert_ne!(shared.get(codec, &text("b")).unwrap(), one);
        }
        assert_eq!(shared.get(CodecKind::Json, &RawJson::NULL), None);
        shared.forget();
        assert!(shared.0.is_none());
    }
}
