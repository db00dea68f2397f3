//! Joins signals of one entity that were queued while the thread was busy into one buffer, so that
//! each socket is written once.
//!
//! A run is what the relay finds in its queue; it never waits for more. Without load, each signal
//! is a run of its own.

use bytes::{Bytes, BytesMut};
use greenroom_protocol::{CodecKind, EntityId};

use crate::frames::Frames;
use crate::ids::SessionKey;

/// The approximate size at which a run ends, so that dropping the oldest drops little.
const RUN_BYTES: usize = 16 * 1024;

/// A signal of a run.
#[derive(Debug)]
pub struct QueuedSignal {
    pub frames: Frames,
    /// The sender, who does not receive it.
    pub from: SessionKey,
    /// Distinguishes signals for the policy `latest`.
    pub key: u64,
}

/// Consecutive signals of one entity.
#[derive(Debug, Default)]
pub struct Run {
    entity: Option<EntityId>,
    signals: Vec<QueuedSignal>,
    bytes: usize,
}

impl Run {
    /// Whether the run must be sent before a signal of `entity` is added.
    pub fn is_over(&self, entity: &EntityId) -> bool {
        self.bytes >= RUN_BYTES || self.entity.as_ref().is_some_and(|own| own != entity)
    }

    pub fn add(&mut self, entity: &EntityId, signal: QueuedSignal) {
        let length = |frame: &Option<Bytes>| frame.as_ref().map_or(0, Bytes::len);
        self.bytes += length(&signal.frames.json).max(length(&signal.frames.msgpack));
        if self.entity.is_none() {
            self.entity = Some(entity.clone());
        }
        self.signals.push(signal);
    }

    /// Returns the run and begins a new one.
    pub fn take(&mut self) -> Option<(EntityId, Vec<QueuedSignal>)> {
        self.bytes = 0;
        Some((self.entity.take()?, std::mem::take(&mut self.signals)))
    }
}

/// All frames of a run in one buffer for each codec, made when first needed.
#[derive(Debug, Default)]
pub struct Joined {
    json: Option<Bytes>,
    msgpack: Option<Bytes>,
}

impl Joined {
    /// The concatenated frames of `signals` for `codec`.
    pub fn get(&mut self, codec: CodecKind, signals: &[QueuedSignal]) -> &Bytes {
        let joined = match codec {
            CodecKind::Json => &mut self.json,
            CodecKind::MsgPack => &mut self.msgpack,
        };
        joined.get_or_insert_with(|| {
            let frames = || signals.iter().filter_map(|signal| signal.frames.get(codec));
            let mut all = BytesMut::with_capacity(frames().map(Bytes::len).sum());
            for frame in frames() {
                all.extend_from_slice(frame);
            }
            all.freeze()
        })
    }
}
