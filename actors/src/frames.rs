//! Messages made ready for the socket: encoded once per codec, the transport's frame header
//! included.

use std::cell::RefCell;

use bytes::Bytes;
use greenroom_protocol::codec::{Message, Method};
use greenroom_protocol::{CodecKind, RequestId, WireError};
use serde::Serialize;

use crate::ids::SessionKey;

/// Wraps one encoded message the way the transport wants it, at the end of `out`. The frame's last
/// `more` bytes are sent separately.
pub type FrameFn = fn(codec: CodecKind, payload: &[u8], more: usize, out: &mut Vec<u8>);

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Scratch space beyond this is given back after a message.
const KEEP_SCRATCH: usize = 64 * 1024;

/// What an event weighs beside its body, in bytes, roughly.
pub(crate) const EVENT_BYTES: usize = 100;

/// Turns messages into framed bytes.
#[derive(Debug, Clone, Copy)]
pub struct Encoder {
    frame: FrameFn,
}

impl Encoder {
    /// An encoder for a transport.
    pub fn new(frame: FrameFn) -> Self {
        Self { frame }
    }

    /// Encodes `message` at the end of `out`.
    pub fn append<T: Serialize>(
        &self,
        codec: CodecKind,
        message: &Message<'_, T>,
        out: &mut Vec<u8>,
    ) {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            codec.encode(message, scratch);
            (self.frame)(codec, scratch, 0, out);
            scratch.shrink_to(KEEP_SCRATCH);
        });
    }

    /// Encodes one message.
    pub fn encode<T: Serialize>(&self, codec: CodecKind, message: &Message<'_, T>) -> Bytes {
        let mut out = Vec::new();
        self.append(codec, message, &mut out);
        out.into()
    }

    /// Encodes a request's result.
    pub fn result<T: Serialize>(&self, codec: CodecKind, id: &RequestId, result: &T) -> Bytes {
        self.encode(codec, &Message::Result { id, result })
    }

    /// Encodes a request's result around `value`, which takes the place of the `null` that `result`
    /// ends with.
    pub fn result_around<T: Serialize>(
        &self,
        codec: CodecKind,
        id: &RequestId,
        result: &T,
        value: &Bytes,
    ) -> Option<Pieces> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            let rest = codec.encode_open(&Message::Result { id, result }, scratch)?;
            let mut head = Vec::new();
            (self.frame)(codec, scratch, value.len() + rest.len(), &mut head);
            Some(Pieces([head.into(), value.clone(), Bytes::from_static(rest)]))
        })
    }

    /// Encodes a request's error.
    pub fn error(&self, codec: CodecKind, id: Option<&RequestId>, error: &WireError) -> Bytes {
        self.encode::<()>(codec, &Message::Error { id, error })
    }

    /// Encodes a notification for each codec that somebody `wants`.
    pub fn notification<T: Serialize>(&self, wants: Wants, method: Method, params: &T) -> Frames {
        let message = Message::Notification { method, params };
        Frames {
            json: wants.json.then(|| self.encode(CodecKind::Json, &message)),
            msgpack: wants.msgpack.then(|| self.encode(CodecKind::MsgPack, &message)),
        }
    }
}

/// One message in pieces that follow each other: its own beginning, a value that it shares with
/// others, and the end.
#[derive(Debug, Clone)]
pub struct Pieces(pub [Bytes; 3]);

impl Pieces {
    /// Bytes of all pieces.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there is nothing in them.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Which codecs an audience speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    /// Somebody speaks JSON.
    pub json: bool,
    /// Somebody speaks MessagePack.
    pub msgpack: bool,
}

impl Wants {
    /// Just one codec.
    pub fn only(codec: CodecKind) -> Self {
        Self { json: codec == CodecKind::Json, msgpack: codec == CodecKind::MsgPack }
    }

    /// Both audiences together.
    pub fn or(self, other: Self) -> Self {
        Self { json: self.json || other.json, msgpack: self.msgpack || other.msgpack }
    }

    /// Nobody is there.
    pub fn none(self) -> bool {
        !self.json && !self.msgpack
    }
}

/// The same messages in each codec that is wanted. Cloning shares the bytes.
#[derive(Debug, Clone, Default)]
pub struct Frames {
    /// For sessions that speak JSON.
    pub json: Option<Bytes>,
    /// For sessions that speak MessagePack.
    pub msgpack: Option<Bytes>,
}

impl Frames {
    /// The bytes for `codec`.
    pub fn get(&self, codec: CodecKind) -> Option<&Bytes> {
        match codec {
            CodecKind::Json => self.json.as_ref(),
            CodecKind::MsgPack => self.msgpack.as_ref(),
        }
    }
}

/// What `signal` policies tell messages apart by: same sender, type and key.
pub fn signal_key(from: SessionKey, entity: &str, r#type: &str, key: &str) -> u64 {
    use std::hash::BuildHasher;
    foldhash::fast::FixedState::default().hash_one((from, entity, r#type, key))
}
